"""Margins as people write them."""

from __future__ import annotations

import math

import pytest

from pytest_lmmeval.errors import UsageError
from pytest_lmmeval.gates.thresholds import Margin, parse_margin


@pytest.mark.parametrize(
    ("written", "margin"),
    [
        ("1pp", Margin(1, "pp")),
        ("0.5pp", Margin(0.5, "pp")),
        (" 1 pp ", Margin(1, "pp")),
        (".5pp", Margin(0.5, "pp")),
        ("2%rel", Margin(2, "%rel")),
        ("2 %rel", Margin(2, "%rel")),
        (0.01, Margin(0.01)),
        ("0.01", Margin(0.01)),
        ("1e-3", Margin(0.001)),
        ("1e-1pp", Margin(0.1, "pp")),
        (0, Margin(0)),
        ("0pp", Margin(0, "pp")),
    ],
)
def test_the_three_units_are_read(written: object, margin: Margin) -> None:
    assert parse_margin(written) == margin


def test_a_bare_percentage_is_refused_with_what_to_write_instead() -> None:
    with pytest.raises(UsageError) as caught:
        parse_margin("1%")
    assert "'1%' can mean two things" in str(caught.value)
    for alternative in ("'1pp'", "'1%rel'", "0.01"):
        assert alternative in str(caught.value)


@pytest.mark.parametrize(
    "written",
    [None, True, [], {}, "", "pp", "a", "1..2", "-1pp", -0.1, math.nan, math.inf, "nan", "1 2pp"],
)
def test_what_is_no_margin_is_refused(written: object) -> None:
    with pytest.raises(UsageError, match=r"margin|unknown unit"):
        parse_margin(written)


def test_an_unknown_unit_names_the_nearest_one() -> None:
    with pytest.raises(UsageError, match=r"unknown unit '%re'.*Did you mean '%rel'\?"):
        parse_margin("2%re")


def test_the_whole_scale_is_no_margin() -> None:
    with pytest.raises(UsageError, match="whole scale"):
        parse_margin("100pp")


@pytest.mark.parametrize(
    ("margin", "scale", "units"),
    [
        (Margin(1, "pp"), 1.0, 0.01),
        (Margin(1, "pp"), 100.0, 1.0),
        (Margin(2, "%rel"), 1.0, 0.02 * 0.868),
        (Margin(2, "%rel"), None, 0.02 * 0.868),
        (Margin(0.01), 1.0, 0.01),
        (Margin(0.01), None, 0.01),
        (Margin(3.0), None, 3.0),
        (Margin(0), 1.0, 0.0),
    ],
)
def test_a_margin_becomes_metric_units(margin: Margin, scale: float | None, units: float) -> None:
    assert margin.resolve(0.868, scale) == pytest.approx(units)


def test_a_relative_margin_of_a_negative_baseline_is_positive() -> None:
    assert Margin(2, "%rel").resolve(-300.0, None) == pytest.approx(6.0)


def test_points_need_a_scale() -> None:
    with pytest.raises(UsageError, match=r"1pp needs a metric with a full score.*'1%rel'"):
        Margin(1, "pp").resolve(12.0, None)


def test_a_share_of_zero_is_no_margin() -> None:
    with pytest.raises(UsageError, match="2%rel is nothing where the baseline is 0"):
        Margin(2, "%rel").resolve(0.0, 1.0)


def test_one_on_a_scale_of_one_is_taken_for_a_mistake() -> None:
    with pytest.raises(UsageError, match=r"whole scale \(0–1\).*write '1pp'"):
        Margin(1).resolve(0.5, 1.0)
    assert Margin(1).resolve(50.0, 100.0) == 1.0


@pytest.mark.parametrize("written", ["1pp", "2%rel", "0.01"])
def test_a_margin_is_written_as_it_was_read(written: str) -> None:
    assert str(parse_margin(written)) == written
