"""Docs without an answer: the verdict holds whatever they would have scored, or there is none."""

from __future__ import annotations

import random

import pytest
from gate_builders import accepted, flags, flipped, measured

from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.gates.thresholds import Margin
from pytest_lmmeval.gates.verdict import judge

BEFORE = flags(800, 200)
TOLERANT = GateRule(max_failed=0.05)


def _failing(scores: list[float], docs: int) -> list[float | None]:
    """The run with its last right docs, ``docs`` of them, unanswered."""
    right = [doc for doc, score in enumerate(scores) if score == 1.0][-docs:]
    return [None if doc in right else score for doc, score in enumerate(scores)]


def test_a_verdict_that_does_not_depend_on_the_failed_docs_is_kept() -> None:
    verdict = judge(TOLERANT, measured(_failing(BEFORE, 3)), accepted(BEFORE))
    assert verdict.outcome == "PASS"
    assert verdict.notes == ("3 docs failed; the verdict does not depend on them",)
    assert (verdict.n, verdict.n_failed) == (997, 3)
    assert not verdict.lost


def test_a_verdict_that_flips_with_one_percent_of_failed_docs_is_an_error() -> None:
    now = flipped(BEFORE, 35, 20)
    assert judge(TOLERANT, measured(now), accepted(BEFORE)).outcome == "PASS"
    verdict = judge(TOLERANT, measured(_failing(now, 10)), accepted(BEFORE))
    assert verdict.outcome == "ERROR"
    assert verdict.reason == (
        "exact_match: 10 docs failed, and the verdict depends on what they would have scored: "
        "docs 810, 811, 812, 813, 814, 815, 816, 817, 818, 819"
    )
    assert verdict.n_failed == 10


def test_failures_do_not_look_like_a_regression() -> None:
    # As wrong answers these 30 would be a drop of three points.
    verdict = judge(TOLERANT, measured(_failing(BEFORE, 30)), accepted(BEFORE))
    assert verdict.outcome == "ERROR"


def test_a_regression_beyond_all_failures_still_fails() -> None:
    now = _failing(flipped(BEFORE, 150, 0), 10)
    verdict = judge(TOLERANT, measured(now), accepted(BEFORE))
    assert verdict.outcome == "FAIL"
    assert len(verdict.lost) == 150
    assert verdict.notes == ("10 docs failed; the verdict does not depend on them",)


def test_one_failed_doc_is_written_in_the_singular() -> None:
    verdict = judge(TOLERANT, measured(_failing(BEFORE, 1)), accepted(BEFORE))
    assert verdict.notes == ("1 doc failed; the verdict does not depend on them",)


@pytest.mark.parametrize(("failed", "outcome"), [(5, "PASS"), (6, "ERROR")])
def test_half_a_percent_may_fail_unless_the_rule_says_otherwise(failed: int, outcome: str) -> None:
    verdict = judge(GateRule(), measured(_failing(BEFORE, failed)), accepted(BEFORE))
    assert verdict.outcome == outcome
    if outcome == "ERROR":
        assert "6 of 1000 docs failed (0.60%, allowed 0.50%): docs 794, 795" in verdict.reason


def test_a_run_in_which_everything_failed_is_no_regression() -> None:
    dead = measured([None] * 1000)
    verdict = judge(GateRule(), dead, accepted(BEFORE))
    assert verdict.outcome == "ERROR"
    assert "1000 of 1000 docs failed" in verdict.reason
    verdict = judge(GateRule(max_failed=1.0), dead, accepted(BEFORE))
    assert (verdict.outcome, verdict.n_failed) == ("ERROR", 1000)
    assert "all 1000 docs failed" in verdict.reason


def test_failures_are_turned_round_where_lower_is_better() -> None:
    fields = {"higher_is_better": False}
    errors = [1.0 - score for score in BEFORE]
    kept = judge(TOLERANT, measured([None, *errors[1:]], **fields), accepted(errors, **fields))
    assert kept.outcome == "PASS"
    broken = measured([*[None] * 30, *errors[30:]], **fields)
    assert judge(TOLERANT, broken, accepted(errors, **fields)).outcome == "ERROR"


def test_a_perfect_score_does_not_hide_that_a_failed_doc_could_be_wrong() -> None:
    rule = GateRule(max_drop=Margin(0), must_detect=Margin(0.5, "pp"), max_failed=0.05)
    perfect = flags(1000, 0)
    assert judge(rule, measured(perfect), accepted(perfect)).outcome == "PASS"
    verdict = judge(rule, measured(_failing(perfect, 9)), accepted(perfect))
    assert verdict.outcome == "ERROR"


def test_continuous_failures_may_be_anything_on_the_scale() -> None:
    generator = random.Random(1)
    before = [0.5 + 0.4 * generator.random() for _ in range(1000)]
    after: list[float | None] = [score + generator.gauss(0, 0.01) for score in before]
    assert judge(TOLERANT, measured(after), accepted(before)).outcome == "PASS"
    after[:50] = [None] * 50
    # Within the observed 0.5–0.9 they could cost 1.2 points at most, on 0–1 they could cost 3.5.
    assert judge(TOLERANT, measured(after), accepted(before)).outcome == "ERROR"


def test_without_a_scale_failures_may_be_anything_that_was_seen() -> None:
    before = [float(doc % 10) for doc in range(1000)]
    fields = {"scale": None}
    after: list[float | None] = [*before]
    after[999] = None
    verdict = judge(TOLERANT, measured(after, **fields), accepted(before, **fields))
    assert verdict.outcome == "PASS"
    constant = [5.0] * 999
    verdict = judge(GateRule(floor=1.0), measured([*constant, None], **fields), None)
    assert verdict.outcome == "ERROR"
    assert "1 doc failed, and what this metric would be with them is not known" in verdict.reason


@pytest.mark.parametrize(("floor", "outcome"), [(0.75, "PASS"), (0.795, "ERROR"), (0.85, "FAIL")])
def test_a_floor_is_judged_for_the_worst_and_the_best_case(floor: float, outcome: str) -> None:
    rule = GateRule(floor=floor, max_failed=0.05)
    verdict = judge(rule, measured(_failing(BEFORE, 10)), None)
    assert verdict.outcome == outcome


def test_a_failed_doc_that_is_not_the_metrics_own_is_left_out() -> None:
    # MME counts perception and cognition over different docs of the same task.
    base = accepted(flags(400, 100), doc_ids=range(500))
    run = measured([*flags(400, 100), None], doc_ids=range(501))
    verdict = judge(GateRule(), run, base)
    assert (verdict.outcome, verdict.n) == ("PASS", 500)
