"""PASS, FAIL and UNDECIDED."""

from __future__ import annotations

import pytest
from gate_builders import accepted, flags, flipped, measured

from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.gates.thresholds import Margin
from pytest_lmmeval.gates.verdict import judge

GSM8K = flags(1145, 174)


def test_a_clear_drop_fails_and_the_reason_holds_the_numbers() -> None:
    verdict = judge(GateRule(), measured(flipped(GSM8K, 58, 16)), accepted(GSM8K))
    assert verdict.outcome == "FAIL"
    # By hand: (17 - 59)/1321 -+ 1.6449 * sqrt((76/1321 - (42/1321)^2)/1321) = -4.26, -2.10 points.
    assert verdict.reason == (
        "exact_match 0.868 -> 0.836, -3.2pp [-4.3, -2.1] (90 %), allowed drop 1pp, n=1319, "
        "58 lost, 16 gained"
    )
    assert verdict.delta == pytest.approx(-42 / 1319)
    assert (verdict.low, verdict.high) == pytest.approx((-0.042553, -0.021035), abs=1e-6)
    assert (verdict.max_drop, verdict.must_detect) == pytest.approx((0.01, 0.03))
    assert verdict.value == pytest.approx(1103 / 1319)
    assert verdict.baseline == pytest.approx(1145 / 1319)
    assert verdict.lost == tuple(range(58))
    assert verdict.gained == tuple(range(1145, 1161))
    assert verdict.n == 1319


def test_an_unchanged_run_passes() -> None:
    verdict = judge(GateRule(), measured(GSM8K), accepted(GSM8K))
    assert verdict.outcome == "PASS"
    assert verdict.delta == 0
    assert verdict.notes == ()


def test_a_small_set_is_undecided_and_says_how_many_docs_would_do() -> None:
    before = flags(80, 20)
    verdict = judge(GateRule(), measured(flipped(before, 3, 2)), accepted(before))
    assert verdict.outcome == "UNDECIDED"
    # By hand: variance (4 + 3)/102 - (1/102)^2 over 102, times 100 docs; (2*1.6449/0.03)^2 of it.
    assert verdict.reason.endswith(
        ", cannot rule out a drop of 3pp: about 808 docs would, if nothing changed"
    )


def test_a_drop_between_the_margins_is_undecided_however_many_docs_there_are() -> None:
    before = flags(8000, 2000)
    rule = GateRule(max_drop=Margin(2.4, "pp"), must_detect=Margin(2.6, "pp"))
    verdict = judge(rule, measured(flipped(before, 350, 100)), accepted(before))
    assert verdict.outcome == "UNDECIDED"
    assert "2.6pp: it lies between what is allowed and what must be caught" in verdict.reason


def test_an_improvement_of_ten_points_passes_and_can_be_locked_in() -> None:
    before = flags(600, 400)
    verdict = judge(GateRule(), measured(flipped(before, 20, 120)), accepted(before))
    assert verdict.outcome == "PASS"
    assert verdict.notes == ("better by +10.0pp: --lmm-update-baseline locks it in",)


def test_a_true_score_of_zero_is_a_value_and_fails() -> None:
    before = flags(900, 100)
    verdict = judge(GateRule(), measured([0.0] * 1000), accepted(before))
    assert verdict.outcome == "FAIL"
    assert verdict.value == 0.0
    assert len(verdict.lost) == 900


def test_a_baseline_of_zero_can_be_compared_with() -> None:
    verdict = judge(GateRule(), measured([0.0] * 1000), accepted([0.0] * 1000))
    assert (verdict.outcome, verdict.baseline) == ("PASS", 0.0)


def test_lower_is_better_mirrors_everything() -> None:
    before = flags(174, 1145)
    errors = {"higher_is_better": False, "key": "error,strict"}
    worse = measured(flipped(before, 16, 58), **errors)
    verdict = judge(GateRule(), worse, accepted(before, **errors))
    mirror = judge(GateRule(), measured(flipped(GSM8K, 58, 16)), accepted(GSM8K))
    assert verdict.outcome == "FAIL"
    assert verdict.delta == pytest.approx(42 / 1319)
    assert mirror.high is not None
    assert verdict.low == pytest.approx(-mirror.high)
    assert verdict.mde == pytest.approx(mirror.mde)
    assert (len(verdict.lost), len(verdict.gained)) == (58, 16)
    assert verdict.reason.startswith(
        "error,strict 0.132 -> 0.164, +3.2pp [+2.1, +4.3] (90 %), allowed rise 1pp"
    )
    better = judge(GateRule(), measured(before, **errors), accepted(worse.scores, **errors))
    assert better.outcome == "PASS"
    assert better.notes == ("better by -3.2pp: --lmm-update-baseline locks it in",)


@pytest.mark.parametrize("doc_scale", [1.0, 100.0])
def test_a_metric_of_0_to_100_is_judged_like_one_of_0_to_1(doc_scale: float) -> None:
    after = flipped(GSM8K, 58, 16)

    def percent(scores: list[float]) -> dict[str, object]:
        return {"scale": 100.0, "value": 100 * sum(scores) / len(scores)}

    now = measured([score * doc_scale for score in after], **percent(after))
    then = accepted([score * doc_scale for score in GSM8K], **percent(GSM8K))
    verdict = judge(GateRule(), now, then)
    plain = judge(GateRule(), measured(after), accepted(GSM8K))
    assert verdict.outcome == "FAIL"
    assert plain.low is not None
    assert plain.mde is not None
    assert verdict.low == pytest.approx(100 * plain.low)
    assert verdict.mde == pytest.approx(100 * plain.mde)
    assert verdict.lost == plain.lost
    assert verdict.reason == plain.reason.replace("0.868 -> 0.836", "86.8 -> 83.6")


def test_zeros_on_a_scale_of_100_are_not_certain_to_a_hundredth_of_a_point() -> None:
    fields = {"scale": 100.0, "value": 0.0}
    verdict = judge(GateRule(), measured([0.0] * 100, **fields), accepted([0.0] * 100, **fields))
    plain = judge(GateRule(), measured([0.0] * 100), accepted([0.0] * 100))
    assert plain.low is not None
    assert verdict.low == pytest.approx(100 * plain.low)


def test_a_small_interval_is_written_with_more_digits() -> None:
    before = flags(11000, 3000)
    verdict = judge(GateRule(), measured(flipped(before, 20, 15)), accepted(before))
    assert "0.7857 -> 0.7854, -0.04pp [-0.11, +0.04] (90 %)" in verdict.reason


def test_a_metric_without_a_scale_has_relative_margins() -> None:
    before = [8 + doc % 9 for doc in range(900)]
    fields = {"scale": None, "higher_is_better": False, "key": "bits_per_doc,none"}
    after = [score * 1.05 + 0.1 * (doc % 2) for doc, score in enumerate(before)]
    verdict = judge(GateRule(), measured(after, **fields), accepted(before, **fields))
    assert verdict.outcome == "FAIL"
    assert verdict.max_drop == pytest.approx(0.12)
    assert ", allowed rise 1%rel (0.12), n=900" in verdict.reason


def test_a_rounded_baseline_makes_no_doc_look_changed() -> None:
    scores = [((doc * 7919) % 10007) / 10007 for doc in range(500)]
    verdict = judge(GateRule(), measured(scores), accepted(scores))
    assert verdict.delta == 0
    assert "0 lost, 0 gained" in verdict.reason
    assert "changed" not in verdict.reason


def test_lost_continuous_docs_are_those_that_fell_by_half_the_scale() -> None:
    before = [0.9 - 0.0001 * doc for doc in range(300)]
    after = [0.1, 0.5, *before[2:]]
    verdict = judge(GateRule(), measured(after), accepted(before))
    assert verdict.lost == (0,)
    assert ", 2 changed, 1 lost, 0 gained" in verdict.reason


def test_a_mean_of_several_runs_can_be_the_baseline() -> None:
    before = [1.0, 2 / 3, 1 / 3, 0.0] * 200
    after = [1.0, 1.0, 0.0, 0.0] * 200
    verdict = judge(GateRule(), measured(after), accepted(before))
    assert verdict.delta == pytest.approx(0.0, abs=1e-12)
    assert verdict.outcome == "PASS"


def test_clusters_decide_what_single_docs_would_not() -> None:
    before = flags(900, 100)
    after = flipped(before, 60, 0)
    alone = judge(GateRule(), measured(after), accepted(before))
    together = [str(doc // 30) for doc in range(1000)]
    verdict = judge(GateRule(), measured(after, clusters=together), accepted(before))
    assert (alone.outcome, verdict.outcome) == ("FAIL", "UNDECIDED")
    assert "n=1000 in 34 clusters" in verdict.reason


def test_docs_without_a_cluster_stand_alone() -> None:
    before, after = flags(90, 10), flipped(flags(90, 10), 9, 1)
    none = judge(GateRule(), measured(after, clusters=[None] * 100), accepted(before))
    assert none.reason == judge(GateRule(), measured(after), accepted(before)).reason
    some = judge(GateRule(), measured(after, clusters=["a", "a", *[None] * 98]), accepted(before))
    assert "n=100 in 99 clusters" in some.reason


def test_one_cluster_is_undecided_and_says_why() -> None:
    run = measured(flags(900, 100), clusters=["video"] * 1000)
    verdict = judge(GateRule(), run, accepted(flags(900, 100)))
    assert verdict.outcome == "UNDECIDED"
    assert (verdict.low, verdict.high, verdict.mde) == (None, None, None)
    assert "(no interval)" in verdict.reason
    assert verdict.notes == ("all docs are in one cluster: there is no interval",)


@pytest.mark.parametrize("score", [1.0, 0.37])
def test_one_doc_is_undecided(score: float) -> None:
    assert judge(GateRule(), measured([score]), accepted([score])).outcome == "UNDECIDED"


def test_the_order_of_the_docs_does_not_matter() -> None:
    after = flipped(GSM8K, 58, 16)
    turned = measured(after[::-1], doc_ids=range(1318, -1, -1))
    assert judge(GateRule(), turned, accepted(GSM8K)) == judge(
        GateRule(), measured(after), accepted(GSM8K)
    )


def test_a_smaller_risk_makes_a_wider_interval() -> None:
    run, base = measured(flipped(GSM8K, 58, 16)), accepted(GSM8K)
    strict, usual = judge(GateRule(alpha=0.01), run, base), judge(GateRule(), run, base)
    assert "(98 %)" in strict.reason
    assert strict.low is not None
    assert usual.low is not None
    assert strict.low < usual.low


def test_counts_of_cut_and_unreadable_answers_are_handed_on() -> None:
    run = measured(GSM8K, n_truncated=3, n_unparsed=4)
    verdict = judge(GateRule(), run, accepted(GSM8K))
    assert (verdict.n_truncated, verdict.n_unparsed) == (3, 4)
