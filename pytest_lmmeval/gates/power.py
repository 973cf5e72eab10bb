"""What a number of docs can show, before and after a run.

Both formulas are the usual ones for the mean of paired differences (Miller 2024, "Adding error bars
to evals", arXiv 2411.00640). The variance of a binary difference is the churn, the share of docs
whose score changes between two runs, as long as the mean difference is small against it.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from pytest_lmmeval.gates.statistics import Interval


def power_factor(*, level: float = 0.90, power: float = 0.80) -> float:
    """Return z_α + z_β: how many standard errors away an effect must lie to be seen.

    Args:
        level: Two-sided confidence level of the gate's interval, 1 - 2α.
        power: Probability 1 - β of seeing the effect.
    """
    normal = NormalDist()
    return normal.inv_cdf(0.5 + level / 2) + normal.inv_cdf(power)


def minimum_detectable_drop(
    n: int, churn: float, *, level: float = 0.90, power: float = 0.80
) -> float:
    """Return the smallest true drop that n paired docs tell from none: (z_α + z_β)·√(churn/n).

    This is the drop from a gate that tolerates none, and right where it is small against the
    churn; ``caught_drop`` tells it for a gate and the run that it judged.

    Args:
        n: Paired docs.
        churn: Variance of one doc's difference; for binary scores the share of docs that change.
        level: Two-sided confidence level of the gate's interval.
        power: Probability of seeing the drop.

    Returns:
        The drop in the unit whose square is ``churn``'s: as a share of the scale for binary scores.

    Raises:
        ValueError: ``n`` is not positive or ``churn`` is negative.
    """
    if n <= 0 or churn < 0:
        raise ValueError(f"expected n > 0 and churn >= 0, not {n} and {churn}")
    return power_factor(level=level, power=power) * math.sqrt(churn / n)


def docs_needed(
    must_detect: float, churn: float, *, level: float = 0.90, power: float = 0.95
) -> int:
    """Return how many docs an unchanged model needs to PASS with probability ``power``.

    Args:
        must_detect: The drop that a PASS rules out, in the unit whose square is ``churn``'s.
        churn: Variance of one doc's difference; for binary scores the share of docs that change.
        level: Two-sided confidence level of the gate's interval.
        power: Probability that the interval then excludes ``must_detect``.

    Raises:
        ValueError: ``must_detect`` is not positive or ``churn`` is negative.
    """
    if must_detect <= 0 or churn < 0:
        raise ValueError(f"expected must_detect > 0 and churn >= 0, not {must_detect} and {churn}")
    return math.ceil((power_factor(level=level, power=power) / must_detect) ** 2 * churn)


def caught_drop(
    max_drop: float,
    interval: Interval,
    *,
    scale: float | None,
    level: float = 0.90,
    power: float = 0.80,
) -> float:
    """Return the smallest true drop on which a gate FAILs with probability ``power``.

    For continuous scores this is max_drop + (z_α + z_β)·se. A drop of binary scores is itself
    churn: what is lost on top of the churn c of an unchanged model makes the variance of a doc's
    difference about c + drop, so that drop = max_drop + (z_α + z_β)·√((c + drop)/n) is solved.

    Args:
        max_drop: The drop that the gate tolerates, in metric units.
        interval: What the gate measured; its standard error must be finite.
        scale: The metric's full score.
        level: Two-sided confidence level of the gate's interval.
        power: Probability of FAIL.

    Returns:
        The drop in metric units.
    """
    factor = power_factor(level=level, power=power)
    if scale is None or not interval.binary:
        return max_drop + factor * interval.se
    allowed, shift = max_drop / scale, abs(interval.delta) / scale
    variance = interval.n * (interval.se / scale) ** 2
    churn = max(0.0, variance + shift**2 - shift)  # without the shift that this run shows
    square = factor**2 / interval.n
    beyond = (square + math.sqrt(square**2 + 4 * square * (churn + allowed))) / 2
    return (allowed + beyond) * scale
