"""Which names of the peers have a stand-in, by module."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

from pytest_lmmeval.tasks.functions.compat import chat_completions, llm_judge, loguru, squad
from pytest_lmmeval.tasks.functions.judge_calls import JudgeCalls
from pytest_lmmeval.tasks.scoring import (
    aggregation,
    filters,
    metrics,
    reasoning,
    regex_filters,
)

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

    registry = {
        "register_aggregation": _registered_for_nothing,
        "register_filter": register_filter,
        "register_metric": _registered_for_nothing,
    }
    return {**_lm_eval(registry), **_lmms_eval(registry)}


def _lm_eval(registry: dict[str, Any]) -> dict[str, dict[str, Any]]:
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
            "MultiChoiceRegexFilter": regex_filters.MultiChoiceRegexFilter,
            "RegexFilter": regex_filters.RegexFilter,
            "WhitespaceFilter": filters.WhitespaceFilter,
        },
        "lm_eval.tasks": {},
    }


def _lmms_eval(registry: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        "lmms_eval": {},
        "lmms_eval.utils": {"eval_logger": _log, "resolve_cache_dir": resolve_cache_dir},
        "lmms_eval.api": {},
        "lmms_eval.api.filter": {"Filter": filters.Filter},
        "lmms_eval.api.metrics": {
            "anls": _lmms_anls,
            "levenshtein_distance": metrics.edit_distance,
            "mean": aggregation.mean,
        },
        "lmms_eval.api.reasoning": {"strip_reasoning_tags": reasoning.strip_reasoning},
        "lmms_eval.api.registry": registry,
        "lmms_eval.filters": {"Filter": filters.Filter},
        "lmms_eval.filters.extraction": {
            "ExtendedRegexFilter": regex_filters.ExtendedRegexFilter,
            "Filter": filters.Filter,
            "MultiChoiceRegexFilter": regex_filters.LmmsMultiChoiceRegexFilter,
            "RegexFilter": regex_filters.RegexFilter,
            "WhitespaceFilter": filters.LmmsWhitespaceFilter,
        },
        "lmms_eval.filters.transformation": {"MapFilter": filters.MapFilter},
        "lmms_eval.tasks": {},
    }


def judge_names(calls: JudgeCalls) -> dict[str, dict[str, Any]]:
    """Return the members of modules that ask a judge, whether or not the real ones are there."""
    return {**llm_judge.modules(calls), "openai": chat_completions.openai_names(calls)}


def fallback_names() -> dict[str, dict[str, Any]]:
    """Return the members of modules of other packages, for where those are not installed."""
    return {
        "loguru": {"logger": loguru.logger},
        "transformers": {},
        "transformers.data": {},
        "transformers.data.metrics": {},
        "transformers.data.metrics.squad_metrics": {
            name: getattr(squad, name)
            for name in ("compute_exact", "compute_f1", "get_tokens", "normalize_answer")
        },
    }


def _registered_for_nothing(*names: Any, **settings: Any) -> Callable[[Any], Any]:
    """Decorate what a task registers and the YAML then refers to as a function."""
    return lambda function: function


def _lmms_anls(
    references: Sequence[str], predictions: Sequence[Any], thresh_hold: float = 0.5
) -> dict[str, float]:
    first = predictions[0]
    said = [first if isinstance(first, str) else first[0]]
    return {"anls": metrics.anls(said, references, thresh_hold=thresh_hold)}


def resolve_cache_dir(cache_dir: str, base_dir: str | None = None) -> str:
    """Return a path with ``~`` and variables replaced, below ``base_dir`` if it is relative."""
    path = os.path.expanduser(os.path.expandvars(cache_dir))
    return path if base_dir is None else os.path.join(base_dir, path)


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


def weighted_f1_score(items: Sequence[Any]) -> float:
    """Return F1 of each label, averaged by how often it is the right one of (right, said) pairs."""
    # Deferred: NumPy takes a run of a task that has any code 60 ms.
    from pytest_lmmeval.tasks.scoring.classification import weighted_f1

    return weighted_f1(items)


def metric_max_over_ground_truths(
    metric_fn: Callable[[Any, Any], float], prediction: Any, ground_truths: Sequence[Any]
) -> float:
    """Return the best score of a prediction against any of several right answers."""
    return max(metric_fn(prediction, truth) for truth in ground_truths)
