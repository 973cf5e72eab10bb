"""Metrics that are not simply the mean of their docs' scores."""

from __future__ import annotations

import math
import random
import re
import statistics
from collections.abc import Sequence
from typing import Any

import pytest
from gate_builders import accepted, flags, flipped, measured

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.gates.verdict import judge

PAIRS = [("a cat", "the cat")] * 100


def _logs(n: int, shift: float, seed: int = 1) -> list[Any]:
    generator = random.Random(seed)
    noise = random.Random(seed + 1)
    return [generator.gauss(-2, 0.5) + shift + noise.gauss(0, 0.05) for _ in range(n)]


def _perplexity(scores: Sequence[float]) -> float:
    return math.exp(-math.fsum(scores) / len(scores))


def _run(scores: list[Any]) -> dict[str, Any]:
    return {
        "scores": scores,
        "value": _perplexity(scores),
        "scale": None,
        "higher_is_better": False,
        "key": "perplexity,none",
    }


@pytest.mark.parametrize(("shift", "outcome"), [(0.0, "PASS"), (-0.05, "FAIL"), (0.05, "PASS")])
def test_a_known_aggregation_is_compared_by_bootstrap(shift: float, outcome: str) -> None:
    before = accepted(**_run(_logs(600, 0.0)))
    verdict = judge(GateRule(), measured(**_run(_logs(600, shift))), before, aggregate=_perplexity)
    assert verdict.outcome == outcome
    assert verdict.low is not None
    assert verdict.delta is not None
    assert verdict.high is not None
    assert verdict.low < verdict.delta < verdict.high
    assert (verdict.lost, verdict.gained) == ((), ())
    assert "allowed rise 1%rel" in verdict.reason
    assert "lost" not in verdict.reason


def test_the_interval_of_a_bootstrap_follows_the_delta_method() -> None:
    before, after = _logs(600, 0.0), _logs(600, -0.05)
    verdict = judge(
        GateRule(), measured(**_run(after)), accepted(**_run(before)), aggregate=_perplexity
    )
    # d(exp(-m)) = exp(-m) dm, and the two runs move together.
    now, then = _perplexity(after), _perplexity(before)
    terms = [then * b - now * a for a, b in zip(after, before, strict=True)]
    half = 1.6449 * statistics.stdev(terms) / math.sqrt(600)
    assert verdict.low is not None
    assert verdict.high is not None
    assert verdict.high - verdict.low == pytest.approx(2 * half, rel=0.1)


def test_an_aggregation_that_is_a_mean_in_percent_keeps_the_binary_interval() -> None:
    def percent(scores: Sequence[float]) -> float:
        return round(100 * sum(scores) / len(scores), 2)

    before = flags(800, 200)
    after = flipped(before, 60, 20)
    fields = {"scale": 100.0}
    now = measured(after, value=percent(after), **fields)
    then = accepted(before, value=percent(before), **fields)
    plain = judge(GateRule(), measured(after), accepted(before))
    verdict = judge(GateRule(), now, then, aggregate=percent)
    assert plain.low is not None
    assert verdict.low == pytest.approx(100 * plain.low)
    assert len(verdict.lost) == 60


def test_a_macro_average_is_not_taken_for_a_mean() -> None:
    def macro(scores: Sequence[float]) -> float:
        classes = [scores[: len(scores) // 4], scores[len(scores) // 4 :]]
        return sum(sum(part) / len(part) for part in classes) / 2

    before = [*flags(90, 10), *flags(150, 150)]
    after = [*flags(70, 30), *flags(150, 150)]
    verdict = judge(
        GateRule(),
        measured(after, value=macro(after)),
        accepted(before, value=macro(before)),
        aggregate=macro,
    )
    assert verdict.delta == pytest.approx(-0.10)
    assert verdict.lost == ()


def test_a_value_that_is_no_mean_is_not_compared_as_one() -> None:
    scores = flags(700, 300)
    run, base = measured(scores, value=0.55), accepted(scores, value=0.55)
    verdict = judge(GateRule(), run, base)
    assert verdict.outcome == "ERROR"
    assert "not the mean of one number a doc" in verdict.reason


@pytest.mark.parametrize(("floor", "outcome"), [(25.0, "PASS"), (40.0, "FAIL")])
def test_a_metric_without_numbers_per_doc_is_judged_by_its_floor(
    floor: float, outcome: str
) -> None:
    bleu = {"key": "bleu,none", "value": 31.5, "scale": 100.0}
    verdict = judge(GateRule(floor=floor), measured(PAIRS, **bleu), accepted(PAIRS, **bleu))
    assert verdict.outcome == outcome
    assert verdict.notes[0].startswith("only the bounds are judged: the metric is not the mean")
    assert verdict.reason.startswith(f"bleu 31.5, floor {floor:g}, n=100")


def test_a_metric_without_numbers_per_doc_and_without_a_floor_is_an_error() -> None:
    bleu = {"key": "bleu,none", "value": 31.5, "scale": 100.0}
    verdict = judge(GateRule(), measured(PAIRS, **bleu), accepted(PAIRS, **bleu))
    assert verdict.outcome == "ERROR"
    assert "give it a floor or a ceiling" in verdict.reason


def test_failed_docs_of_such_a_metric_leave_no_verdict() -> None:
    run = measured([*PAIRS, None], key="bleu,none", value=31.5, scale=100.0)
    verdict = judge(GateRule(floor=25.0, max_failed=0.05), run, None)
    assert verdict.outcome == "ERROR"
    assert "1 doc failed" in verdict.reason


def test_failed_docs_of_a_known_aggregation_are_tried_at_both_ends() -> None:
    before = _logs(600, 0.0)
    rule = GateRule(max_failed=0.05)
    for failed, outcome in ((1, "PASS"), (25, "ERROR")):
        run = _run(before[failed:]) | {"scores": [None] * failed + before[failed:]}
        verdict = judge(rule, measured(**run), accepted(**_run(before)), aggregate=_perplexity)
        assert verdict.outcome == outcome


@pytest.mark.parametrize(("failed", "outcome"), [(2, "PASS"), (40, "ERROR")])
def test_failed_binary_docs_are_right_or_wrong_whatever_the_aggregation(
    failed: int, outcome: str
) -> None:
    def squared(scores: Sequence[float]) -> float:
        return (sum(scores) / len(scores)) ** 2

    all_right = flags(1000, 0)
    verdict = judge(
        GateRule(max_failed=0.05),
        measured([None] * failed + all_right[failed:]),
        accepted(all_right),
        aggregate=squared,
    )
    assert verdict.outcome == outcome


def _raises(scores: Sequence[float]) -> float:
    raise ZeroDivisionError("division by zero")


def _raises_ours(scores: Sequence[float]) -> float:
    raise TaskError("the scorer is broken", "task.yaml", 7)


def _nan(scores: Sequence[float]) -> float:
    return math.nan


@pytest.mark.parametrize(
    ("aggregate", "message"),
    [
        (_raises, "the aggregation of exact_match,none failed on .* docs: ZeroDivisionError: div"),
        (_raises_ours, "task.yaml:7: the scorer is broken"),
        (_nan, "the aggregation of exact_match,none gives nan on"),
    ],
)
def test_an_aggregation_that_fails_is_an_error(aggregate: Any, message: str) -> None:
    scores = flags(70, 30)
    verdict = judge(GateRule(), measured(scores), accepted(scores), aggregate=aggregate)
    assert verdict.outcome == "ERROR"
    assert pytest.approx(0.7) == verdict.value
    assert re.search(message, verdict.reason)
