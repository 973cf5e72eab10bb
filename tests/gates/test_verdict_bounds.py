"""Floors and ceilings, with and without a baseline."""

from __future__ import annotations

import pytest
from gate_builders import accepted, flags, measured
from scipy import stats

from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.gates.verdict import judge


@pytest.mark.parametrize(
    ("rule", "outcome", "end"),
    [
        (GateRule(floor=0.65), "PASS", ", floor 0.65, n=1000"),
        (GateRule(floor=0.7), "PASS", ", floor 0.7, n=1000"),
        (GateRule(floor=0.71), "FAIL", ", floor 0.71, n=1000, below the floor 0.71"),
        (GateRule(ceiling=0.6), "FAIL", ", ceiling 0.6, n=1000, above the ceiling 0.6"),
    ],
)
def test_without_a_baseline_only_the_bounds_judge(rule: GateRule, outcome: str, end: str) -> None:
    verdict = judge(rule, measured(flags(700, 300)), None)
    assert verdict.outcome == outcome
    assert verdict.reason.endswith(end)
    assert (verdict.baseline, verdict.delta, verdict.low) == (None, None, None)
    assert verdict.n == 1000


def test_the_reason_holds_the_wilson_interval_of_the_value() -> None:
    ends = stats.binomtest(700, 1000).proportion_ci(0.90, method="wilson")
    verdict = judge(GateRule(floor=0.65), measured(flags(700, 300)), None)
    assert f"exact_match 0.700 [{ends.low:.3f}, {ends.high:.3f}] (90 %)" in verdict.reason


def test_a_broken_floor_fails_although_nothing_changed() -> None:
    scores = flags(700, 300)
    verdict = judge(GateRule(floor=0.75), measured(scores), accepted(scores))
    assert verdict.outcome == "FAIL"
    assert verdict.reason.endswith("0 lost, 0 gained, below the floor 0.75")


def test_no_baseline_and_no_bound_is_an_error() -> None:
    verdict = judge(GateRule(), measured(flags(700, 300)), None)
    assert verdict.outcome == "ERROR"
    assert verdict.reason.startswith("exact_match: no baseline; give a floor or a ceiling")
    assert verdict.value == 0.7


def test_a_floor_that_cannot_be_meant_is_an_error() -> None:
    verdict = judge(GateRule(floor=45), measured(flags(700, 300)), None)
    assert verdict.outcome == "ERROR"
    assert "floor 45 lies outside the metric's scale, 0–1" in verdict.reason
