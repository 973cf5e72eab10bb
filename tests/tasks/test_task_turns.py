"""Texts are joined as lm-eval joins them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_lmmeval.tasks.prompts.turns import joined

GOLDEN = json.loads(Path(__file__).with_name("lm_eval_0.4.13.json").read_text())


@pytest.mark.parametrize(("first", "second", "delimiter", "expected"), GOLDEN["maybe_delimit"])
def test_a_delimiter_stands_only_where_there_is_no_white_space(
    first: str | None, second: str | None, delimiter: str, expected: str
) -> None:
    assert joined(first, second, delimiter) == expected
