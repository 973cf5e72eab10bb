"""The verdict: PASS, FAIL or UNDECIDED where a run can be judged, ERROR where it cannot.

With the 90 % interval [low, high] of now minus baseline, turned so that negative is worse:

    FAIL       high < -max_drop, or the value breaks its floor or ceiling
    PASS       low > -must_detect
    UNDECIDED  otherwise

A run that cannot be judged is never a PASS and never a FAIL: no value, other docs, other questions,
more docs without an answer than allowed, or a verdict that depends on what they would have scored.
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
from pytest_lmmeval.gates.decision import Decision, decide, is_improvement, p_value
from pytest_lmmeval.gates.power import caught_drop
from pytest_lmmeval.gates.problems import problems_of
from pytest_lmmeval.gates.reasons import (
    bounds_reason,
    broken_bound,
    count_docs,
    drop_reason,
    improvement_note,
    some_docs,
    undecided_reason,
    why_unanswered,
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
    others: Sequence[float | None] = (),
) -> Verdict:
    """Judge one metric of a run.

    Args:
        rule: The gate's rule.
        current: What the run measured.
        baseline: What the accepted run measured; None leaves only floor and ceiling.
        stale: What keeps the two runs from being compared.
        aggregate: The metric's aggregation, value only, for metrics that are not a mean; it is
            called some thousand times with the scores of resampled docs.
        others: For a rule that tolerates no drop, the p-values of the other gates of the run with
            such a rule (``own_p_value``); None for those that are not known yet.

    Returns:
        The verdict. Nothing about run, rule or baseline is raised: it becomes an ERROR verdict.
    """
    if baseline is not None:
        # What the accepted run left out stays out.
        current = current.without_too_long(but=baseline.doc_ids)
    try:
        problems = problems_of(rule, current, baseline, stale)
        if problems:
            return _error(current, baseline, "; ".join(problems))
        rule.check_bounds(current.scale)
        measure = find_measure(current, baseline, aggregate)
        if baseline is not None and measure.comparable:
            return _judge_drop(rule, current, baseline, measure, others)
        return _judge_bounds(rule, current, baseline, measure)
    except LmmError as error:
        return _error(current, baseline, str(error))


def own_p_value(
    rule: GateRule,
    current: MetricScores,
    baseline: BaselineMetric,
    *,
    aggregate: Aggregate | None = None,
) -> float | None:
    """Return a gate's own p-value of "nothing got worse"; None if there is none.

    Arguments are those of ``judge``.
    """
    current = current.without_too_long(but=baseline.doc_ids)
    try:
        measure = find_measure(current, baseline, aggregate)
        if problems_of(rule, current, baseline, ()) or not measure.comparable:
            return None
        return p_value(rule, current, compare(current, baseline, measure, level=rule.level))
    except LmmError:
        return None


def _judge_drop(
    rule: GateRule,
    current: MetricScores,
    baseline: BaselineMetric,
    measure: Measure,
    others: Sequence[float | None],
) -> Verdict:
    margins = rule.margins(baseline.value, current.scale)
    shown = compare(current, baseline, measure, level=rule.level)
    decision = decide(rule, current, shown, margins, others)
    outcome = decision.outcome
    notes = list(shown.interval.notes)
    if current.unanswered:
        ends = _at_both_ends(rule, current, baseline, measure)
        if any(decide(rule, current, c, margins, others).outcome != outcome for c in ends):
            return _depends(current, baseline)
        notes.append(_independent(current))
    if is_improvement(current, shown.interval):
        notes.append(improvement_note(current, shown.interval))
    return _verdict(
        current,
        baseline,
        outcome,
        _explain(rule, current, baseline, shown, decision, margins),
        max_drop=margins[0],
        must_detect=margins[1],
        lost=shown.lost,
        gained=shown.gained,
        notes=tuple(notes),
        p_value=decision.p_value,
        **_interval_numbers(rule, current, shown.interval, margins[0]),
    )


def _at_both_ends(
    rule: GateRule, current: MetricScores, baseline: BaselineMetric, measure: Measure
) -> list[Comparison]:
    """Compare with all failed docs at their worst, and at their best."""
    fills = _fills(current, baseline, measure)
    return [compare(current, baseline, measure, level=rule.level, fill=fill) for fill in fills]


def _interval_numbers(
    rule: GateRule, current: MetricScores, interval: Interval, max_drop: float
) -> dict[str, float | int]:
    numbers: dict[str, float | int] = {"delta": interval.delta, "n": interval.n}
    numbers["level"] = rule.level
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
    if current.unanswered:
        fills = _fills(current, baseline, measure)
        now, missing = list(current.answered().values()), len(current.unanswered)
        if any(rule.holds(measure.value([*now, *[fill] * missing])) != holds for fill in fills):
            return _depends(current, baseline)
        notes.append(_independent(current))
    reason = bounds_reason(rule, current, value)
    return _verdict(
        current,
        baseline,
        "PASS" if holds else "FAIL",
        reason if holds else f"{reason}, {broken_bound(rule, value)}",
        n=current.n - len(current.unanswered),
        notes=tuple(notes),
    )


def _explain(
    rule: GateRule,
    current: MetricScores,
    baseline: BaselineMetric,
    comparison: Comparison,
    decision: Decision,
    margins: tuple[float, float],
) -> str:
    reason = drop_reason(rule, current, baseline.value, comparison)
    if decision.p_value is not None:
        reason += f", p={decision.p_value:.2g}"
    if not rule.holds(comparison.value):
        return f"{reason}, {broken_bound(rule, comparison.value)}"
    if decision.outcome == "UNDECIDED":
        then, interval = baseline.value, comparison.interval
        return f"{reason}, {undecided_reason(rule, current, then, interval, margins[1])}"
    return reason


def _fills(
    current: MetricScores, baseline: BaselineMetric | None, measure: Measure
) -> tuple[float, float]:
    ends = possible_scores(current, baseline, measure) if measure.comparable else None
    if ends is None:
        raise TaskError(
            f"{_count_unanswered(current)}, and what this metric would be with them is not known"
        )
    return ends


def _depends(current: MetricScores, baseline: BaselineMetric | None) -> Verdict:
    return _error(
        current,
        baseline,
        f"{_count_unanswered(current)}, and the verdict depends on what they would have scored: "
        f"docs {some_docs(current.unanswered)}",
    )


def _independent(current: MetricScores) -> str:
    return f"{_count_unanswered(current)}; the verdict does not depend on them"


def _count_unanswered(current: MetricScores) -> str:
    return f"{count_docs(len(current.unanswered))} {why_unanswered(current)}"


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
        n_failed=current.n_failed,
        n_truncated=current.n_truncated,
        n_unparsed=current.n_unparsed,
        **numbers,
    )
