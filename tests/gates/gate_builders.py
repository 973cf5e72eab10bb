"""Runs and baselines for the tests of gates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pytest_lmmeval.gates.baseline import BaselineMetric
from pytest_lmmeval.gates.scores import MetricScores


def flags(right: int, wrong: int) -> list[float]:
    """Binary scores: first the right docs, then the wrong ones."""
    return [1.0] * right + [0.0] * wrong


def flipped(scores: Sequence[float], lost: int, gained: int) -> list[float]:
    """The same docs with the first ``lost`` right ones wrong and ``gained`` wrong ones right."""
    right = [doc for doc, score in enumerate(scores) if score][:lost]
    wrong = [doc for doc, score in enumerate(scores) if not score][:gained]
    assert (len(right), len(wrong)) == (lost, gained)
    changed = {**dict.fromkeys(right, 0.0), **dict.fromkeys(wrong, 1.0)}
    return [changed.get(doc, score) for doc, score in enumerate(scores)]


def measured(scores: Sequence[Any], **changes: Any) -> MetricScores:
    """A run of an accuracy task whose value is the mean of the answered docs."""
    answered = [score for score in scores if isinstance(score, int | float)]
    fields: dict[str, Any] = {
        "task": "gsm8k",
        "key": "exact_match,none",
        "higher_is_better": True,
        "scale": 1.0,
        "doc_ids": range(len(scores)),
        "scores": scores,
        "value": math.fsum(answered) / len(answered) if answered else None,
    }
    return MetricScores(**{**fields, **changes})


def accepted(scores: Sequence[Any], **changes: Any) -> BaselineMetric:
    """The same run as a baseline."""
    return BaselineMetric.from_scores(measured(scores, **changes))
