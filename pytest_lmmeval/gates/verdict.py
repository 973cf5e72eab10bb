"""The verdict: PASS, FAIL or UNDECIDED where a run can be judged, ERROR where it cannot.

With the 90 % interval [low, high] of now minus baseline, turned so that negative is worse:

    FAIL       high < -max_drop, or the value breaks its floor or ceiling
    PASS       low > -must_detect
    UNDECIDED  otherwise

A run that cannot be judged is never a PASS and never a FAIL: no value, other docs, other questions,
more failed docs than allowed, or a verdict that depends on what the failed docs would have scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pytest_lmmeval.errors import LmmError, TaskError
from pytest_lmmeval.gates.baseline import BaselineMetric
from pytest_lmmeval.gates.comparison import (
    Aggregate,
    Comparison,
    Measure,
    compare,
    find_measure,
    possible_scores,
)
from pytest_lmmeval.gates.power import caught_drop
from pytest_lmmeval.gates.reasons import (
    bounds_reason,
    broken_bound,
    count_docs,
    drop_reason,
    improvement_note,
    some_docs,
    undecided_reason,
)
from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.gates.scores import MetricScores
from pytest_lmmeval.gates.staleness import FieldChange
from pytest_lmmeval.gates.statistics import Interval
from pytest_lmmeval.records import Verdict, VerdictOutcome


def judge(
    rule: GateRule,
    current: MetricScores,
    baseline: BaselineMetric | None,
    stale: Sequence[FieldChange] = (),
    *,
    aggregate: Aggregate | None = None,
) -> Verdict:
    """Judge one metric of a run.

    Args:
        rule: The gate's rule.
        current: What the run measured.
        baseline: What the accepted run measured; None leaves only floor and ceiling.
        stale: What keeps the two runs from being compared.
        aggregate: The metric's aggregation, value only, for metrics that are not a mean; it is
            called some thousand times with the scores of resampled docs.

    Returns:
        The verdict. Nothing about run, rule or baseline is raised: it becomes an ERROR verdict.
    """
    try:
        problems = _problems(rule, current, baseline, stale)
        if problems:
            return _error(current, baseline, "; ".join(problems))
        rule.check_bounds(current.scale)
        measure = find_measure(current, baseline, aggregate)
        if baseline is not None and measure.comparable:
            return _judge_drop(rule, current, baseline, measure)
        return _judge_bounds(rule, current, baseline, measure)
    except LmmError as error:
        return _error(current, baseline, str(error))


def _problems(
    rule: GateRule,
    current: MetricScores,
    baseline: BaselineMetric | None,
    stale: Sequence[FieldChange],
) -> list[str]:
    """Return why this run cannot be judged, whatever its numbers say."""
    failed = len(current.failed)
    if current.n == 0:
        return ["the run has no docs"]
    if failed > rule.max_failed * current.n:
        share = f"{failed / current.n:.2%}"
        return [
            f"{failed} of {current.n} docs failed ({share}, allowed {rule.max_failed:.2%}): "
            f"docs {some_docs(current.failed)}"
        ]
    if failed == current.n:
        return [f"all {current.n} docs failed"]
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
    # A failed doc brought nothing, so it need not be one that this metric is made of.
    extra = sorted(measured - known - set(current.failed))
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


def _judge_drop(
    rule: GateRule, current: MetricScores, baseline: BaselineMetric, measure: Measure
) -> Verdict:
    margins = rule.margins(baseline.value, current.scale)
    shown = compare(current, baseline, measure, level=rule.level)
    outcome = _decide(rule, current, shown, margins)
    notes = list(shown.interval.notes)
    if current.failed:
        if not _holds_at_both_ends(rule, current, baseline, measure, margins, outcome):
            return _depends(current, baseline)
        notes.append(_independent(current))
    if _worse_first(current, shown.interval.low, shown.interval.high)[0] > 0:
        notes.append(improvement_note(current, shown.interval))
    return _verdict(
        current,
        baseline,
        outcome,
        _explain(rule, current, baseline, shown, outcome, margins),
        max_drop=margins[0],
        must_detect=margins[1],
        lost=shown.lost,
        gained=shown.gained,
        notes=tuple(notes),
        **_interval_numbers(rule, current, shown.interval, margins[0]),
    )


def _holds_at_both_ends(
    rule: GateRule,
    current: MetricScores,
    baseline: BaselineMetric,
    measure: Measure,
    margins: tuple[float, float],
    outcome: VerdictOutcome,
) -> bool:
    """Return whether the outcome stays the same with all failed docs at their worst, and best."""
    fills = _fills(current, baseline, measure)
    others = [compare(current, baseline, measure, level=rule.level, fill=fill) for fill in fills]
    return all(_decide(rule, current, other, margins) == outcome for other in others)


def _interval_numbers(
    rule: GateRule, current: MetricScores, interval: Interval, max_drop: float
) -> dict[str, float | int]:
    numbers: dict[str, float | int] = {"delta": interval.delta, "n": interval.n}
    if math.isfinite(interval.se):
        mde = caught_drop(max_drop, interval, scale=current.scale, level=rule.level)
        numbers |= {"low": interval.low, "high": interval.high, "mde": mde}
    return numbers


def _judge_bounds(
    rule: GateRule, current: MetricScores, baseline: BaselineMetric | None, measure: Measure
) -> Verdict:
    value = current.value
    if value is None or (rule.floor is None and rule.ceiling is None):
        return _error(current, baseline, _not_comparable(baseline))
    holds = rule.holds(value)
    notes = [] if baseline is None else [f"only the bounds are judged: {_not_comparable(baseline)}"]
    if current.failed:
        fills = _fills(current, baseline, measure)
        now, missing = list(current.answered().values()), len(current.failed)
        if any(rule.holds(measure.value([*now, *[fill] * missing])) != holds for fill in fills):
            return _depends(current, baseline)
        notes.append(_independent(current))
    reason = bounds_reason(rule, current, value)
    return _verdict(
        current,
        baseline,
        "PASS" if holds else "FAIL",
        reason if holds else f"{reason}, {broken_bound(rule, value)}",
        n=current.n - len(current.failed),
        notes=tuple(notes),
    )


def _decide(
    rule: GateRule, current: MetricScores, comparison: Comparison, margins: tuple[float, float]
) -> VerdictOutcome:
    max_drop, must_detect = margins
    interval = comparison.interval
    low, high = _worse_first(current, interval.low, interval.high)
    if high < -max_drop or not rule.holds(comparison.value):
        return "FAIL"
    return "PASS" if low > -must_detect else "UNDECIDED"


def _worse_first(current: MetricScores, low: float, high: float) -> tuple[float, float]:
    """Turn an interval so that negative is worse."""
    return (low, high) if current.higher_is_better else (-high, -low)


def _explain(
    rule: GateRule,
    current: MetricScores,
    baseline: BaselineMetric,
    comparison: Comparison,
    outcome: VerdictOutcome,
    margins: tuple[float, float],
) -> str:
    reason = drop_reason(rule, current, baseline.value, comparison)
    if not rule.holds(comparison.value):
        return f"{reason}, {broken_bound(rule, comparison.value)}"
    if outcome == "UNDECIDED":
        then, interval = baseline.value, comparison.interval
        return f"{reason}, {undecided_reason(rule, current, then, interval, margins[1])}"
    return reason


def _fills(
    current: MetricScores, baseline: BaselineMetric | None, measure: Measure
) -> tuple[float, float]:
    ends = possible_scores(current, baseline, measure) if measure.comparable else None
    if ends is None:
        failed = count_docs(len(current.failed))
        raise TaskError(f"{failed} failed, and what this metric would be with them is not known")
    return ends


def _depends(current: MetricScores, baseline: BaselineMetric | None) -> Verdict:
    failed = count_docs(len(current.failed))
    reason = f"{failed} failed, and the verdict depends on what they would have scored: docs "
    return _error(current, baseline, reason + some_docs(current.failed))


def _independent(current: MetricScores) -> str:
    return f"{count_docs(len(current.failed))} failed; the verdict does not depend on them"


def _not_comparable(baseline: BaselineMetric | None) -> str:
    if baseline is None:
        return "no baseline; give a floor or a ceiling, or accept a run with --lmm-update-baseline"
    return (
        "the metric is not the mean of one number a doc, so that its change from the baseline "
        "cannot be judged; give it a floor or a ceiling"
    )


def _error(current: MetricScores, baseline: BaselineMetric | None, problem: str) -> Verdict:
    name = current.key.removesuffix(",none")
    return _verdict(current, baseline, "ERROR", f"{name}: {problem}")


def _verdict(
    current: MetricScores,
    baseline: BaselineMetric | None,
    outcome: VerdictOutcome,
    reason: str,
    **numbers: Any,
) -> Verdict:
    value = current.value
    return Verdict(
        task=current.task,
        key=current.key,
        outcome=outcome,
        reason=reason,
        value=value if value is not None and math.isfinite(value) else None,
        baseline=None if baseline is None else baseline.value,
        n_failed=len(current.failed),
        n_truncated=current.n_truncated,
        n_unparsed=current.n_unparsed,
        **numbers,
    )
