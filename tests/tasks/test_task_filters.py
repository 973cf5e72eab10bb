"""Filters find answers as the peers' do, and say where they found none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from task_builders import MINIMAL, QUESTIONS, TaskFolder, answer

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.tasks.scoring.filter_names import known_filters

GOLDEN = json.loads(Path(__file__).with_name("lm_eval_0.4.13.json").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    folder = TaskFolder(tmp_path)
    folder.docs(QUESTIONS[:3])
    return folder


def apply(name: str, responses: list[str], doc: dict[str, Any] | None = None, **kw: Any) -> Any:
    (value,) = known_filters("lm_eval")[name](**kw).apply([responses], [doc or {}])
    return value


@pytest.mark.parametrize(
    ("kwargs", "text", "expected"),
    [
        ({}, "x #### 1,234. y", "1,234."),
        (
            {"regex_pattern": "(-?[$0-9.,]{2,})|(-?[0-9]+)", "group_select": -1},
            "a 12 b 7",
            "7",
        ),
        ({"regex_pattern": "A|(B)"}, "zz A", ""),
        ({}, "nothing", "[invalid]"),
    ],
)
def test_regex_gives_lm_evals_recorded_values(
    kwargs: dict[str, Any], text: str, expected: str
) -> None:
    assert expected in [value for ((value,),) in GOLDEN["regex"]]
    assert apply("regex", [text], **kwargs) == [expected]


@pytest.mark.parametrize(("text", "expected"), GOLDEN["multi_choice_regex"])
def test_multi_choice_regex_gives_lm_evals_recorded_values(text: str, expected: Any) -> None:
    doc = {"choices": ["Guilty", "Guilty of Romance", "No"]}
    kwargs: dict[str, Any] = {"regex_pattern": r"(\([A-Z]\))", "ignore_case": True}
    assert [apply("multi_choice_regex", [text], doc, ignore_punctuation=True, **kwargs)] == expected


@pytest.mark.parametrize(
    ("name", "kwargs", "responses", "expected"),
    [
        ("take_first", {}, ["a", "b"], "a"),
        ("take_first_k", {"k": 2}, ["a", "b", "c"], ["a", "b"]),
        ("majority_vote", {}, ["b", "a", "a", "b"], ["b"]),
        ("lowercase", {}, ["AbC"], ["abc"]),
        ("uppercase", {}, ["AbC"], ["ABC"]),
        ("remove_whitespace", {}, ["  a b\n"], ["a b"]),
        ("map", {"mapping_dict": {"a": 1}, "default_value": 0}, ["a", "b"], [1, 0]),
        ("custom", {"filter_fn": lambda resps, docs: [r[::-1] for r in resps]}, [1, 2], [2, 1]),
        ("strip_thinking", {}, ["<think>x</think> a <thinking>y</thinking>b"], ["a b"]),
        (
            "regex",
            {"regex_pattern": "(a)|(b)", "fallback": "?"},
            ["xb", "ya", "z"],
            ["b", "a", "?"],
        ),
        (
            "regex",
            {"regex_pattern": "[0-9]", "group_select": 2},
            ["1 2", "1 2 3"],
            ["[invalid]", "3"],
        ),
    ],
)
def test_the_simple_filters_do_what_their_names_say(
    name: str, kwargs: dict[str, Any], responses: list[Any], expected: Any
) -> None:
    assert apply(name, responses, **kwargs) == expected


def test_lmms_evals_remove_whitespace_drops_one_leading_space() -> None:
    (value,) = known_filters("lmms_eval")["remove_whitespace"]().apply([["  a ", "b"]], [{}])
    assert value == [" a ", "b"]


def test_lmms_evals_multi_choice_regex_takes_the_first_choice_that_is_found() -> None:
    doc = {"choices": ["Guilty", "Guilty of Romance"]}
    resps = [["Guilty of Romance"]]
    assert list(known_filters("lm_eval")["multi_choice_regex"]().apply(resps, [doc])) == [["(B)"]]
    assert list(known_filters("lmms_eval")["multi_choice_regex"]().apply(resps, [doc])) == [["(A)"]]


NUMBER = "    filter_list: [{name: n, filter: [{function: regex}, {function: take_first}]}]\n"


def test_a_doc_in_whose_answer_no_result_was_found_is_unparsed(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL + NUMBER)
    samples = answer(folder.task(), ["#### 0", "it is 2", "#### 5"])
    assert [sample.outcome for sample in samples] == ["scored", "unparsed", "scored"]
    assert [sample.scores["exact_match,n"] for sample in samples] == [1.0, 0.0, 0.0]


def test_a_filter_of_the_task_may_say_where_it_found_nothing(folder: TaskFolder) -> None:
    folder.write(
        "own.py",
        """
        class Word:
            def apply(self, resps, docs):
                self.missed = [not r[0].strip() for r in resps]
                return [r[0].strip() for r in resps]
        """,
    )
    more = "    filter_list: [{name: w, filter: [{function: !function own.Word}]}]\n"
    folder.write("task.yaml", MINIMAL + more)
    samples = answer(folder.task(), ["0", "  ", "x"])
    assert [sample.outcome for sample in samples] == ["scored", "unparsed", "scored"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("[{function: regexx}]", "regexx is not one of .*Did you mean 'regex'?"),
        ("[{function: regex, pattern: x}]", "regex cannot be made: TypeError: .*'pattern'"),
        ("[{function: regex, regex_pattern: '('}]", "regex cannot be made: .*error: missing"),
        (
            "[{function: take_first_k}]",
            "take_first_k cannot be made: .*missing a required arg.*'k'",
        ),
        ("[{function: take_first_k, k: '1'}]", "k is '1', expected a whole number of at least 1"),
        ("[{function: regex, group_select: '0'}]", "group_select is '0', expected a whole number"),
        ("[{function: map, mapping_dict: [a]}]", r"mapping_dict is \['a'\], expected a mapping"),
        ("[{function: multi_choice_regex, ignore_case: 'no'}]", "ignore_case is 'no', expected t"),
        ("[{function: multi_choice_regex, regexes_to_ignore: a}]", "'a', expected a list"),
        ("[{function: take_first_k, k: 2}]", "take_first_k k=2 needs 'repeats' of at least 2"),
        ("[{function: multi_choice_regex}]", "KeyError: 'choices'; columns of the docs: question"),
        ("[{function: !function own.Lost}]", "own.Lost returned 0 values for 3 instances"),
        ("[{function: !function own.Failing}]", "own.Failing failed: ZeroDivisionError: division"),
        ("[{function: custom, filter_fn: !function own.gone}]", "own has no 'gone'"),
    ],
)
def test_a_filter_that_cannot_be_used_is_named_with_its_line(
    folder: TaskFolder, steps: str, message: str
) -> None:
    folder.write(
        "own.py",
        """
        class Lost:
            def apply(self, resps, docs):
                return []

        class Failing:
            def apply(self, resps, docs):
                1 / 0
        """,
    )
    path = folder.write(
        "task.yaml", MINIMAL + f"    filter_list:\n    - name: f\n      filter: {steps}\n"
    )
    with pytest.raises(TaskError, match=message) as caught:
        answer(folder.task(), ["a", "b", "c"])
    assert (caught.value.path, caught.value.line) == (path, 8)


@pytest.mark.parametrize(
    "step",
    [
        "function: regex, regex_pattern: '('",
        "function: regex, group_select: '0'",
        "function: take_first_k, k: 2",
        "function: map, mapping_dict: x",
    ],
)
def test_arguments_of_a_named_filter_are_checked_before_any_data(
    folder: TaskFolder, step: str
) -> None:
    folder.write("docs.py", "raise AssertionError('opened')\n")
    steps = f"[{{{step}}}]"
    folder.write("task.yaml", MINIMAL + f"    filter_list: [{{name: f, filter: {steps}}}]\n")
    with pytest.raises(TaskError, match=r"cannot be made|needs 'repeats'"):
        folder.task()


def test_what_a_filter_keeps_in_itself_is_gone_the_next_time(folder: TaskFolder) -> None:
    folder.write(
        "own.py",
        """
        class Counting:
            def __init__(self):
                self.seen = 0

            def apply(self, resps, docs):
                self.seen += len(resps)
                return [str(self.seen) for _ in resps]
        """,
    )
    more = "    filter_list: [{name: c, filter: [{function: !function own.Counting}]}]\n"
    folder.write("task.yaml", MINIMAL + more)
    task = folder.task()
    for _ in range(2):
        assert answer(task, ["x"] * 3)[0].filtered["c"] == ["3"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("score_key: score", "a"),
        ("reasoning_tags: none", "<think>b</think> a"),
        ("reasoning_tags: [['<r>', '</r>']]", "<think>b</think> a"),
        ('reasoning_tags: \'[["<think>", "</think>"]]\'', "a"),
        ("reasoning_tags: none\n    auto_strip_thinking: true", "a"),
    ],
)
def test_lmms_eval_takes_reasoning_out_before_it_scores(
    folder: TaskFolder, more: str, expected: str
) -> None:
    folder.write("task.yaml", MINIMAL + f"    {more}\n")
    said = ["<think>b</think> a"] * 3
    assert answer(folder.task(), said)[0].filtered["none"] == [expected]
