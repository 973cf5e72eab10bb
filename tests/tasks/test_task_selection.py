"""A limit takes a sample that stands for the whole, or the first docs on request."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_lmmeval.errors import UsageError
from pytest_lmmeval.tasks.data.doc_selection import select_docs


def test_without_a_limit_all_docs_are_evaluated() -> None:
    assert list(select_docs(4)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("limit", "count"), [(1, 1), (10, 10), (0.25, 25), (0.001, 1), (0.011, 2), (1.0, 1), (500, 100)]
)
def test_a_limit_is_a_number_or_below_one_a_share_rounded_up(limit: float, count: int) -> None:
    for limit_from in ("random", "first"):
        chosen = select_docs(100, limit=limit, limit_from=limit_from)
        assert len(chosen) == len(set(chosen)) == count
        assert list(chosen) == sorted(chosen)
    assert list(select_docs(100, limit=limit, limit_from="first")) == list(range(count))


def test_a_random_sample_is_the_same_each_time_and_not_the_first_docs() -> None:
    chosen = select_docs(1000, limit=50)
    assert chosen == select_docs(1000, limit=50)
    assert max(chosen) > 500


def test_a_lower_limit_takes_some_of_the_docs_of_a_higher_one() -> None:
    assert set(select_docs(1000, limit=20)) < set(select_docs(1000, limit=300))


def test_samples_are_taken_as_they_are_in_doc_order() -> None:
    assert list(select_docs(20, samples=[7, 2, 11, 7])) == [2, 7, 11]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "limit is 0, expected a number of docs"),
        ({"limit": -3}, "limit is -3"),
        ({"limit": float("nan")}, "limit is nan"),
        ({"limit": float("inf")}, "limit is inf"),
        ({"samples": [20]}, "there is no doc 20; docs are 0 to 19"),
        ({"samples": [-1]}, "there is no doc -1"),
        ({"samples": [1], "limit": 3}, "both given"),
    ],
)
def test_what_cannot_be_met_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select_docs(20, **options)
