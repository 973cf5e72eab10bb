"""Which names of the peers have a stand-in, by module."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pytest_lmmeval.tasks import aggregation, filters, reasoning

_log = logging.getLogger(__name__)


def peer_names(registered_filters: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the members of each module, parents before children.

    Args:
        registered_filters: Receives what ``register_filter`` is called with.
    """

    def register_filter(name: str) -> Callable[[Any], Any]:
        def register(cls: Any) -> Any:
            registered_filters[name] = cls
            return cls

        return register

    registry = {"register_filter": register_filter}
    return {
        "lm_eval": {},
        "lm_eval.utils": {
            "eval_logger": _log,
            "general_detokenize": general_detokenize,
            "weighted_f1_score": weighted_f1_score,
        },
        "lm_eval.api": {},
        "lm_eval.api.filter": {"Filter": filters.Filter},
        "lm_eval.api.metrics": {
            "mean": aggregation.mean,
            "metric_max_over_ground_truths": metric_max_over_ground_truths,
        },
        "lm_eval.api.registry": registry,
        "lm_eval.filters": {},
        "lm_eval.filters.extraction": {
            "Filter": filters.Filter,
            "MultiChoiceRegexFilter": filters.MultiChoiceRegexFilter,
            "RegexFilter": filters.RegexFilter,
            "WhitespaceFilter": filters.WhitespaceFilter,
        },
        "lm_eval.tasks": {},
        "lmms_eval": {},
        "lmms_eval.utils": {"eval_logger": _log},
        "lmms_eval.api": {},
        "lmms_eval.api.filter": {"Filter": filters.Filter},
        "lmms_eval.api.reasoning": {"strip_reasoning_tags": reasoning.strip_reasoning},
        "lmms_eval.api.registry": registry,
        "lmms_eval.filters": {"Filter": filters.Filter},
        "lmms_eval.filters.extraction": {
            "ExtendedRegexFilter": filters.ExtendedRegexFilter,
            "Filter": filters.Filter,
            "MultiChoiceRegexFilter": filters.LmmsMultiChoiceRegexFilter,
            "RegexFilter": filters.RegexFilter,
            "WhitespaceFilter": filters.LmmsWhitespaceFilter,
        },
        "lmms_eval.filters.transformation": {"MapFilter": filters.MapFilter},
        "lmms_eval.tasks": {},
    }


def general_detokenize(string: str) -> str:
    """Join tokens of English text: close up n't, round brackets, quotes, and ``'.,``."""
    for apart, joined in (
        (" n't", "n't"),
        (" )", ")"),
        ("( ", "("),
        ('" ', '"'),
        (' "', '"'),
    ):
        string = string.replace(apart, joined)
    return re.sub(r" (['.,])", r"\1", string)


def weighted_f1_score(items: Iterable[tuple[Any, Any]]) -> float:
    """F1 of (gold, predicted) pairs, averaged over labels by their frequency.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    from sklearn.metrics import f1_score

    golds, predictions = zip(*items, strict=True)
    return float(f1_score(golds, predictions, average="weighted"))


def metric_max_over_ground_truths(
    metric_fn: Callable[[Any, Any], float], prediction: Any, ground_truths: Sequence[Any]
) -> float:
    """Return the best score of a prediction against any of several right answers."""
    return max(metric_fn(prediction, truth) for truth in ground_truths)
