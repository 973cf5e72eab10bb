"""How often the default rule is wrong, by simulation with fixed seeds."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from gate_builders import accepted, flags, measured

from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.gates.thresholds import Margin
from pytest_lmmeval.gates.verdict import judge


def _outcomes(
    rule: GateRule, right: int, n: int, churn: float, drop: float, runs: int
) -> Counter[str]:
    """Judge runs of a model that loses ``drop`` more docs than it gains."""
    generator = random.Random(f"{n} {churn} {drop}")
    base = accepted(flags(right, n - right))
    lost, gained = (churn + drop) / 2 * n / right, (churn - drop) / 2 * n / (n - right)
    outcomes: Counter[str] = Counter()
    for _ in range(runs):
        after = [float(generator.random() >= lost) for _ in range(right)]
        after += [float(generator.random() < gained) for _ in range(n - right)]
        outcomes[judge(rule, measured(after), base).outcome] += 1
    return outcomes


@pytest.mark.parametrize(("n", "runs", "most"), [(50, 2000, 0.05), (200, 1000, 0.08)])
def test_a_drop_that_must_be_detected_rarely_passes(n: int, runs: int, most: float) -> None:
    # Summed over the multinomial distribution, Wald's interval passes 28.2 % (n=50) and 9.5 %
    # (n=200) of these runs, Bonett and Price's 0.1 % and 6.4 %.
    rule = GateRule(max_drop=Margin(1, "pp"), must_detect=Margin(2, "pp"))
    outcomes = _outcomes(rule, right=int(0.8 * n), n=n, churn=0.03, drop=0.02, runs=runs)
    assert outcomes["PASS"] / runs <= most
    assert sum(outcomes.values()) == runs


def test_the_allowed_drop_rarely_fails() -> None:
    outcomes = _outcomes(GateRule(), right=868, n=1000, churn=0.045, drop=0.01, runs=400)
    assert outcomes["FAIL"] / 400 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


def test_an_unchanged_model_passes_on_a_thousand_docs() -> None:
    outcomes = _outcomes(GateRule(), right=868, n=1000, churn=0.035, drop=0.0, runs=300)
    assert outcomes["PASS"] >= 298
    assert not outcomes["FAIL"]


def test_a_drop_of_five_points_fails_on_a_thousand_docs() -> None:
    outcomes = _outcomes(GateRule(), right=868, n=1000, churn=0.085, drop=0.05, runs=200)
    assert outcomes["FAIL"] >= 196
    assert not outcomes["PASS"]
