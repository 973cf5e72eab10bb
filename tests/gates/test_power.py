"""What a number of docs can show."""

from __future__ import annotations

import random

import pytest
from gate_builders import flags
from scipy import stats

from pytest_lmmeval.gates.power import (
    caught_drop,
    docs_needed,
    minimum_detectable_drop,
    power_factor,
)
from pytest_lmmeval.gates.statistics import paired_interval


def test_the_factor_is_the_sum_of_two_normal_quantiles() -> None:
    expected = stats.norm.ppf(0.95) + stats.norm.ppf(0.80)
    assert power_factor() == pytest.approx(expected)
    expected = stats.norm.ppf(0.975) + stats.norm.ppf(0.90)
    assert power_factor(level=0.95, power=0.90) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("n", "churn", "points"),
    [(250, 0.035, 2.94), (1000, 0.035, 1.47), (1319, 0.035, 1.28), (14042, 0.05, 0.47)],
)
def test_the_detectable_drop_follows_the_square_root_of_churn_over_n(
    n: int, churn: float, points: float
) -> None:
    # By hand: 2.4865 * sqrt(churn / n), in points.
    assert 100 * minimum_detectable_drop(n, churn) == pytest.approx(points, abs=0.005)


def test_ruling_out_three_points_takes_a_few_hundred_docs() -> None:
    # By hand: (2 * 1.6449 / 0.03)^2 * 0.035 = 420.9.
    assert docs_needed(0.03, 0.035) == 421
    assert docs_needed(0.03, 0.0) == 0


@pytest.mark.parametrize("call", [(0, 0.1), (10, -0.1)])
def test_impossible_numbers_are_refused(call: tuple[int, float]) -> None:
    with pytest.raises(ValueError, match="expected n > 0"):
        minimum_detectable_drop(*call)


def test_a_drop_of_nothing_cannot_be_ruled_out() -> None:
    with pytest.raises(ValueError, match="expected must_detect > 0"):
        docs_needed(0.0, 0.1)


def _run(n: int, churn: float, drop: float, generator: random.Random) -> list[float]:
    """A run against ``flags(n * 0.8, n * 0.2)``: symmetric churn, and extra losses."""
    right, wrong = int(n * 0.8), n - int(n * 0.8)
    lost, gained = (churn / 2 + drop) * n / right, churn / 2 * n / wrong
    return [
        *(float(generator.random() >= lost) for _ in range(right)),
        *(float(generator.random() < gained) for _ in range(wrong)),
    ]


def test_a_gate_fails_on_its_detectable_drop_in_four_of_five_runs() -> None:
    n, churn, max_drop = 400, 0.04, 0.01
    generator = random.Random(7)
    before = flags(320, 80)
    unchanged = [paired_interval(before, _run(n, churn, 0, generator)) for _ in range(200)]
    drops = [caught_drop(max_drop, interval, scale=1.0) for interval in unchanged]
    drop = sum(drops) / len(drops)
    changed = [paired_interval(before, _run(n, churn, drop, generator)) for _ in range(1000)]
    caught = sum(interval.high < -max_drop for interval in changed) / 1000
    assert 0.75 <= caught <= 0.85


def test_the_detectable_drop_of_a_changed_run_is_that_of_an_unchanged_one() -> None:
    n, churn, generator = 1319, 0.035, random.Random(3)
    before = flags(int(n * 0.8), n - int(n * 0.8))
    drops = [
        caught_drop(0.01, paired_interval(before, _run(n, churn, drop, generator)), scale=1.0)
        for drop in (0.0, 0.05)
    ]
    assert drops[1] == pytest.approx(drops[0], rel=0.1)


def test_a_continuous_gate_catches_its_margin_and_two_and_a_half_standard_errors() -> None:
    before = [doc / 100 for doc in range(100)]
    after = [score - 0.001 * (doc % 7) for doc, score in enumerate(before)]
    interval = paired_interval(before, after)
    expected = 0.01 + 2.486475 * interval.se
    assert caught_drop(0.01, interval, scale=1.0) == pytest.approx(expected, rel=1e-6)
