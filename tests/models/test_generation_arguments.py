"""Generation arguments mean for models in this process what they mean for lm-eval's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from asking import request

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.generation import read_generation
from pytest_lmmeval.models.local.sampling import sampling_arguments
from pytest_lmmeval.warnings import LmmWarning


def sampling(**gen_kwargs: Any) -> Mapping[str, Any]:
    asked = request("x", gen_kwargs=gen_kwargs)
    found = sampling_arguments(asked, read_generation(asked))
    return {name: found[name] for name in ("do_sample", "temperature") if name in found}


# lm-eval 0.4.13: normalize_gen_kwargs and what HFLM hands to generate().
@pytest.mark.parametrize(
    ("gen_kwargs", "expected"),
    [
        ({}, {"do_sample": False}),
        ({"temperature": 0.5}, {"do_sample": True, "temperature": 0.5}),
        ({"temperature": 0.5, "do_sample": False}, {"do_sample": False}),
        ({"temperature": 0.5, "do_sample": True}, {"do_sample": True, "temperature": 0.5}),
        ({"temperature": 0}, {"do_sample": False}),
        ({"do_sample": True}, {"do_sample": True}),
    ],
)
def test_a_task_samples_where_lm_eval_samples(
    gen_kwargs: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert sampling(**gen_kwargs) == expected


def test_of_two_limits_lm_evals_first_counts_and_is_told_once() -> None:
    # Told once per process: numbers that no other test has.
    asked = request("x", gen_kwargs={"max_tokens": 907, "max_new_tokens": 509})
    with pytest.warns(LmmWarning, match="max_new_tokens=509 and max_tokens=907 contradict"):
        assert read_generation(asked).max_tokens == 509
    assert read_generation(asked).max_tokens == 509


def test_two_limits_of_lmms_eval_are_refused() -> None:
    gen_kwargs = {"max_tokens": 9, "max_new_tokens": 5}
    with pytest.raises(RequestError, match="contradict each other; give one of them"):
        read_generation(request("x", gen_kwargs=gen_kwargs, dialect="lmms_eval"))
