"""What cannot be judged is an ERROR: never a FAIL, never a PASS."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from gate_builders import accepted, flags, measured

from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.gates.scores import MetricScores
from pytest_lmmeval.gates.staleness import FieldChange
from pytest_lmmeval.gates.thresholds import Margin
from pytest_lmmeval.gates.verdict import judge

SCORES = flags(700, 300)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_a_run_without_a_finite_value(value: float | None) -> None:
    verdict = judge(GateRule(), measured(SCORES, value=value), accepted(SCORES))
    assert verdict.outcome == "ERROR"
    assert f"the value is {value}; expected a finite number" in verdict.reason
    assert verdict.value is None


def test_a_value_above_the_full_score_means_that_the_scale_is_wrong() -> None:
    run = measured([score * 100 for score in SCORES])
    verdict = judge(GateRule(floor=0.1), run, accepted(SCORES))
    assert verdict.outcome == "ERROR"
    assert "the value 70 is above the full score 1" in verdict.reason


def test_a_doc_with_a_score_that_is_not_finite_is_named() -> None:
    run = measured([math.nan, *SCORES[1:]], value=0.7)
    verdict = judge(GateRule(floor=0.1), run, accepted(SCORES))
    assert verdict.outcome == "ERROR"
    assert "scores are not finite on docs 0" in verdict.reason


def test_a_run_without_docs() -> None:
    verdict = judge(GateRule(floor=0.1), measured([]), None)
    assert (verdict.outcome, verdict.reason) == ("ERROR", "exact_match: the run has no docs")


def test_docs_of_the_baseline_that_were_not_measured_are_named() -> None:
    verdict = judge(GateRule(floor=0.1), measured(SCORES[:985]), accepted(SCORES))
    assert verdict.outcome == "ERROR"
    assert verdict.reason == (
        "exact_match: 15 docs of the baseline not measured: "
        "985, 986, 987, 988, 989, 990, 991, 992, 993, 994, … 5 more"
    )


def test_dropping_a_single_hard_doc_is_noticed() -> None:
    run = measured(SCORES[:999])
    verdict = judge(GateRule(), run, accepted(SCORES))
    assert verdict.outcome == "ERROR"
    assert "1 doc of the baseline not measured: 999" in verdict.reason


def test_docs_that_the_baseline_does_not_know_are_named() -> None:
    run = measured(SCORES, doc_ids=[*range(999), 5000])
    verdict = judge(GateRule(), run, accepted(SCORES))
    assert verdict.outcome == "ERROR"
    assert "1 doc of the baseline not measured: 999; 1 doc not in the baseline: 5000" in (
        verdict.reason
    )


def test_other_prompts_than_the_baselines_are_named() -> None:
    stale = [FieldChange("docs.prompt_sha256", "b0aa1122…", "77c1d3e4…")]
    verdict = judge(GateRule(floor=0.1), measured(SCORES), accepted(SCORES), stale)
    assert verdict.outcome == "ERROR"
    assert "the baseline is stale: docs.prompt_sha256 b0aa1122… -> 77c1d3e4…" in verdict.reason
    assert "--lmm-update-baseline" in verdict.reason
    assert verdict.delta is None


def test_a_direction_that_turned_round() -> None:
    run = measured(SCORES, higher_is_better=False)
    verdict = judge(GateRule(), run, accepted(SCORES))
    assert verdict.outcome == "ERROR"
    assert "higher_is_better is False, but True in the baseline" in verdict.reason


@pytest.mark.parametrize(
    ("rule", "fields", "message"),
    [
        (GateRule(max_drop=Margin(1, "pp")), {"scale": None}, "1pp needs a metric with a full"),
        (GateRule(max_drop=Margin(1)), {}, "a margin of 1 is the metric's whole scale"),
        (GateRule(max_drop=Margin(5, "pp")), {}, "must_detect 3pp is smaller than max_drop 5pp"),
    ],
)
def test_a_rule_that_does_not_fit_the_metric(
    rule: GateRule, fields: dict[str, Any], message: str
) -> None:
    verdict = judge(rule, measured(SCORES, **fields), accepted(SCORES, **fields))
    assert verdict.outcome == "ERROR"
    assert message in verdict.reason


@pytest.mark.parametrize(
    "fields",
    [{"doc_ids": [1, 1]}, {"doc_ids": [1]}, {"clusters": ["a"]}],
    ids=["a doc twice", "too few ids", "too few clusters"],
)
def test_a_run_that_is_not_in_order_is_the_callers_mistake(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected one score and cluster for each"):
        measured([1.0, 0.0], **fields)


def test_numbers_of_numpy_are_numbers_and_arrays_are_not() -> None:
    scores = [np.bool_(True), np.float32(0.5), np.int64(0), True]
    assert _run(scores).numeric
    assert _run(scores).answered() == {0: 1.0, 1: 0.5, 2: 0.0, 3: 1.0}
    for other in ("0.5", (1, 2), [1.0], np.array([1.0]), 1j):
        assert not _run([other]).numeric


def _run(scores: list[Any]) -> MetricScores:
    return measured(scores, value=0.5)
