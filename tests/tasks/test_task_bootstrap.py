"""The vectorised bootstrap does Python's arithmetic, to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_lmmeval.tasks.scoring.aggregation import stderr
from pytest_lmmeval.tasks.scoring.known_aggregations import AGGREGATIONS, sums


def test_sums_are_those_of_pythons_sum() -> None:
    drawn = np.random.default_rng(0).normal(size=(200, 37))
    rows = drawn * 10.0 ** np.random.default_rng(1).integers(-8, 8, size=drawn.shape)
    assert sums(rows).tolist() == [sum(row) for row in rows.tolist()]
    # NumPy's own differ, or this would show nothing.
    assert rows.sum(axis=-1).tolist() != [sum(row) for row in rows.tolist()]


@pytest.mark.parametrize("last", [math.inf, -math.inf])
def test_sums_of_what_is_not_finite_are_those_of_pythons_sum(last: float) -> None:
    assert sums(np.array([[1e308, 1.0, last]])).tolist() == [sum([1e308, 1.0, last])]


def test_a_resample_whose_perplexity_is_too_large_for_a_float_is_no_error() -> None:
    assert not math.isfinite(stderr(AGGREGATIONS["perplexity"], [-1.0, -1400.0], 100) or 0)


def test_a_resample_of_nothing_but_nan_is_no_error() -> None:
    assert math.isnan(stderr(AGGREGATIONS["nanmean"], [math.nan, 1.0, 2.0], 100) or 0)
