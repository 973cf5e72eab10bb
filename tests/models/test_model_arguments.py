"""Argument strings are parsed as lm-eval parses them, and what is malformed is named."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_lmmeval.errors import UsageError
from pytest_lmmeval.models.arguments import parse_arguments

# What lm-eval 0.4.13's simple_parse_args_string returns for the same text.
SAME_AS_LM_EVAL: dict[str, dict[str, Any]] = {
    "a=1,b=true,c=None,d=1e-3,e=x=y": {"a": 1, "b": True, "c": None, "d": 0.001, "e": "x=y"},
    "model=gpt-4o,num_concurrent=16": {"model": "gpt-4o", "num_concurrent": 16},
    "a=-1,b=FALSE,c=none,d=TRUE": {"a": -1, "b": False, "c": None, "d": True},
    "a='123',b=\"x y\"": {"a": "123", "b": "x y"},
    "a=007,b=1.5,c=1.": {"a": 7, "b": 1.5, "c": 1.0},
    "a=,b=2": {"a": "", "b": 2},
    "": {},
    "  a = ": {"a": ""},
    "a=1,,b=2,": {"a": 1, "b": 2},
    "url=http://h:8000/v1?x=1": {"url": "http://h:8000/v1?x=1"},
    "path=it's,b=1": {"path": "it's", "b": 1},
}


@pytest.mark.parametrize("text", SAME_AS_LM_EVAL)
def test_values_are_what_lm_eval_makes_of_them(text: str) -> None:
    parsed = parse_arguments(text)
    assert {name.strip(): value for name, value in parsed.items()} == SAME_AS_LM_EVAL[text]
    assert [type(value) for value in parsed.values()] == [
        type(value) for value in SAME_AS_LM_EVAL[text].values()
    ]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ('f={"x":1,"y":[1,2]},g=[1,2]', {"f": {"x": 1, "y": [1, 2]}, "g": [1, 2]}),
        ("stop=['a,b', \"c\"],n=1", {"stop": ["a,b", "c"], "n": 1}),
        ('a="x,y=z",b=1', {"a": "x,y=z", "b": 1}),
        ('header={"X-A": "}, {"},b=2', {"header": {"X-A": "}, {"}, "b": 2}),
        ('{"a": 1, "b": "x,y"}', {"a": 1, "b": "x,y"}),
        ("a=x[1,b=2", {"a": "x[1", "b": 2}),
    ],
)
def test_quotes_and_brackets_hold_a_value_together(text: str, parsed: dict[str, Any]) -> None:
    assert parse_arguments(text) == parsed


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a=1,oops,b=2", "'oops'"),
        ("a=1,=2", "'=2'"),
        ("a=1,b=[1,2", "'b=[1'"),
        ('a=1,b="x', "'b=\"x'"),
        ("a=[EOS]", "quotes"),
        ("a=[1]x", "quotes"),
        ("a=1,a=2", "'a'"),
        ('{"a": ', "JSON"),
    ],
)
def test_the_malformed_piece_is_named(text: str, named: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_arguments(text)
    assert named in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["api_key sk-verysecret", "api_key='sk-verysecret", "header={Authorization: sk-verysecret"],
)
def test_a_malformed_piece_with_a_key_is_not_shown(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_arguments(f"a=1,{text}")
    assert "verysecret" not in str(error.value)
