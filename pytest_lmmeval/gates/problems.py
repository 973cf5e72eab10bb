"""Why a run cannot be judged, so that its verdict is an ERROR: other docs, other questions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_lmmeval.gates.baseline import BaselineMetric
from pytest_lmmeval.gates.reasons import count_docs, some_docs, why_unanswered
from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.gates.scores import MetricScores
from pytest_lmmeval.gates.staleness import FieldChange


def problems_of(
    rule: GateRule,
    current: MetricScores,
    baseline: BaselineMetric | None,
    stale: Sequence[FieldChange],
) -> list[str]:
    """Return why this run cannot be judged, whatever its numbers say."""
    unanswered, why = len(current.unanswered), why_unanswered(current)
    if current.n == 0:
        return ["the run has no docs"]
    if unanswered > rule.max_failed * current.n:
        share = f"{unanswered / current.n:.2%}"
        return [
            f"{unanswered} of {current.n} docs {why} ({share}, allowed {rule.max_failed:.2%}): "
            f"docs {some_docs(current.unanswered)}"
        ]
    if unanswered == current.n:
        return [f"all {current.n} docs {why}"]
    problems = []
    if current.not_finite:
        problems.append(f"scores are not finite on docs {some_docs(current.not_finite)}")
    elif current.value is None or not math.isfinite(current.value):
        problems.append(f"the value is {current.value}; expected a finite number")
    elif current.scale is not None and current.value > current.scale * (1 + 1e-9):
        problems.append(f"the value {current.value:g} is above the full score {current.scale:g}")
    if stale:
        problems.append(
            f"the baseline is stale: {', '.join(map(str, stale))} "
            "(measure like the baseline, or accept the new way with --lmm-update-baseline)"
        )
    if baseline is not None:
        problems += _mismatches(current, baseline)
    return problems


def _mismatches(current: MetricScores, baseline: BaselineMetric) -> list[str]:
    known, measured = set(baseline.doc_ids), set(current.doc_ids)
    missing = [doc for doc in baseline.doc_ids if doc not in measured]
    # A doc without an answer brought nothing, so it need not be one that this metric is made of.
    extra = sorted(measured - known - set(current.unanswered))
    problems = []
    if missing:
        problems.append(
            f"{count_docs(len(missing))} of the baseline not measured: {some_docs(missing)}"
        )
    if extra:
        problems.append(f"{count_docs(len(extra))} not in the baseline: {some_docs(extra)}")
    if baseline.higher_is_better != current.higher_is_better:
        problems.append(
            f"higher_is_better is {current.higher_is_better}, "
            f"but {baseline.higher_is_better} in the baseline"
        )
    return problems
