"""Metrics and aggregations give the values that lm-eval gave."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest
from task_builders import MINIMAL, QUESTIONS, TaskFolder, answer

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.tasks.scoring.aggregation import mean_stderr, stderr
from pytest_lmmeval.tasks.scoring.known_aggregations import AGGREGATIONS
from pytest_lmmeval.tasks.scoring.metrics import anls, exact_match

GOLDEN = json.loads(Path(__file__).with_name("lm_eval_0.4.13.json").read_text())


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    folder = TaskFolder(tmp_path)
    folder.docs(QUESTIONS[:3])
    return folder


def with_metrics(folder: TaskFolder, metrics: str, more: str = "") -> Path:
    return folder.write("task.yaml", MINIMAL + f"    metric_list: [{metrics}]\n    {more}\n")


@pytest.mark.parametrize(("said", "gold", "kwargs", "expected"), GOLDEN["exact_match"])
def test_exact_match_gives_lm_evals_recorded_values(
    said: str, gold: str, kwargs: dict[str, Any], expected: float
) -> None:
    assert exact_match([said], [gold], **kwargs) == expected


@pytest.mark.parametrize(
    ("said", "gold", "kwargs", "expected"),
    [
        # Regexes see the text before its case and punctuation are gone.
        ("The A.", "b.", {"regexes_to_ignore": ["[Tt]he A", "b"]}, 1.0),
        ("THE a", "a", {"regexes_to_ignore": ["the "], "ignore_case": True}, 0.0),
        (
            "a(1)",
            "A",
            {"ignore_case": True, "ignore_punctuation": True, "ignore_numbers": True},
            1.0,
        ),
        ("“a”", "a", {"ignore_punctuation": True}, 0.0),
    ],
)
def test_exact_match_ignores_in_lm_evals_order(
    said: str, gold: str, kwargs: dict[str, Any], expected: float
) -> None:
    assert exact_match([said], [gold], **kwargs) == expected


def test_exact_match_is_the_share_over_all_pairs() -> None:
    assert exact_match(["a", "b", "a"], ["a"]) == pytest.approx(2 / 3)
    assert exact_match(["a"], ["a", "b"]) == 0.5
    assert exact_match([3], [3]) == 1.0
    with pytest.raises(TypeError, match="parts of text only, not of 3"):
        exact_match([3], ["3"], ignore_case=True)


@pytest.mark.parametrize("name", ["perplexity", "median", "nanmean"])
@pytest.mark.parametrize("iterations", [100, 1000, 2500, 10000])
def test_bootstrapped_standard_errors_are_lm_evals(name: str, iterations: int) -> None:
    golden = GOLDEN[f"boot_{name}"]
    assert AGGREGATIONS[name].value(golden["xs"]) == pytest.approx(golden["value"], rel=1e-15)
    error = stderr(AGGREGATIONS[name], golden["xs"], iterations)
    assert error == pytest.approx(golden[f"iters{iterations}"], rel=1e-12)


@pytest.mark.parametrize(("name", "golden"), [("f1", "f1"), ("matthews_corrcoef", "mcc")])
def test_classification_over_all_docs_gives_lm_evals_recorded_values(
    name: str, golden: str
) -> None:
    items = GOLDEN[golden]["items"]
    assert AGGREGATIONS[name].value(items) == pytest.approx(GOLDEN[golden]["value"], rel=1e-15)
    assert stderr(AGGREGATIONS[name], items, 1000) == pytest.approx(
        GOLDEN[golden]["boot1000"], rel=1e-12
    )


@pytest.mark.parametrize(
    ("name", "golden"), [("bleu", "bleu"), ("chrf", "chrf"), ("chrf++", "chrfpp"), ("ter", "ter")]
)
def test_corpus_metrics_give_lm_evals_recorded_values(name: str, golden: str) -> None:
    items = GOLDEN[golden]["items"]
    assert AGGREGATIONS[name].value(items) == pytest.approx(GOLDEN[golden]["value"], rel=1e-15)
    assert stderr(AGGREGATIONS[name], items, 100) == pytest.approx(
        GOLDEN[golden]["boot100"], rel=1e-12
    )


def test_a_corpus_metric_without_sacrebleu_says_what_to_install(
    folder: TaskFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with_metrics(folder, "{metric: chrf}")
    with pytest.raises(TaskError, match=r"pip install 'pytest-lmmeval\[metrics\]'$"):
        folder.task()


def test_a_corpus_metric_takes_several_references_if_every_doc_has_as_many() -> None:
    several = [[["the cat sat on a mat", "x"], ["the cat sat on a mat"]]] * 2
    assert AGGREGATIONS["bleu"].value(several) == pytest.approx(100.0)
    with pytest.raises(ValueError, match="different numbers of references"):
        AGGREGATIONS["bleu"].value([["a", "a"], [["a", "b"], "a"]])
    with pytest.raises(ValueError, match="a doc has 2 predictions"):
        AGGREGATIONS["ter"].value([["a", ["a", "b"]]])


@pytest.mark.parametrize(
    ("said", "golds", "expected"),
    [
        ("Paris", ["paris"], 1.0),
        ("pariss", ["paris", "london"], 5 / 6),
        ("abc", ["xyz"], 0.0),
        ("ab", ["abcd"], 0.5),
        ("a  b", ["A B"], 1.0),
        ("", [""], 1.0),
    ],
)
def test_anls_by_hand(said: str, golds: list[str], expected: float) -> None:
    assert anls([said], golds) == pytest.approx(expected)
    assert anls([said], golds, thresh_hold=0.9) == (expected if expected >= 0.9 else 0.0)


def test_the_standard_error_of_a_mean_is_lm_evals() -> None:
    golden = GOLDEN["mean_stderr"]
    assert mean_stderr(golden["xs"]) == pytest.approx(golden["v"], rel=1e-15)
    assert stderr(AGGREGATIONS["mean"], golden["xs"], 100_000) == mean_stderr(golden["xs"])


@pytest.mark.parametrize(
    ("name", "golden", "items", "value"),
    [
        ("weighted_perplexity", "weighted_perplexity", "items", "value"),
        ("bits_per_byte", "bits_per_byte", "items", "value"),
        ("brier_score", "brier", "items", "value"),
    ],
)
def test_aggregations_over_pairs_give_lm_evals_recorded_values(
    name: str, golden: str, items: str, value: str
) -> None:
    assert AGGREGATIONS[name].value(GOLDEN[golden][items]) == pytest.approx(GOLDEN[golden][value])
    assert stderr(AGGREGATIONS[name], GOLDEN[golden][items], 1000) is None


@pytest.mark.parametrize(
    ("name", "items", "expected"),
    [
        ("mean", [True, False, 2], 1.0),
        ("median", [3, 1, 2, 4], 3.0),
        ("nanmean", [1.0, math.nan, 3.0], 2.0),
        ("perplexity", [-math.log(2), -math.log(8)], 4.0),
        ("bypass", [None], 999.0),
    ],
)
def test_aggregations_by_hand(name: str, items: list[Any], expected: float) -> None:
    assert AGGREGATIONS[name].value(items) == pytest.approx(expected)


def test_a_mean_of_nothing_but_nan_is_nan() -> None:
    assert math.isnan(AGGREGATIONS["nanmean"].value([math.nan]))


def test_a_value_needs_docs_and_a_standard_error_two_of_them(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL)
    task = folder.task()
    value, error = task.aggregate("exact_match", "none", [])
    assert math.isnan(value)
    assert error is None
    assert task.aggregate("exact_match", "none", [1.0]) == (1.0, None)
    assert task.aggregate("exact_match", "none", [1.0, 0.0]) == (0.5, 0.5)
    no_errors = folder.task(bootstrap_iters=0)
    assert no_errors.aggregate("exact_match", "none", [1.0, 0.0]) == (0.5, None)
    assert task.value("exact_match", [1.0, 0.0]) == 0.5


def test_aggregating_needs_no_data(folder: TaskFolder) -> None:
    folder.write("docs.py", "raise AssertionError('opened')\n")
    folder.write("task.yaml", MINIMAL)
    assert folder.task().aggregate("exact_match", "none", [1.0, 0.0]) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (
            "{metric: exact_mach}",
            "metric 'exact_mach' is not one of .*Did you mean 'exact_match",
        ),
        ("{metric: my_own}", "One of Hugging Face's evaluate library needs 'hf_evaluate: true'"),
        (
            "{metric: exact_match, ignore_cases: true}",
            "takes no 'ignore_cases'. Did you mean 'ignor",
        ),
        ("{metric: exact_match, regexes_to_ignore: ['(']}", r"'\(' is no regular expression"),
        (
            "{metric: exact_match, ignore_case: 'no'}",
            "ignore_case is 'no', a text, which counts as true; write false without quotes",
        ),
        ("{metric: exact_match, ignore_punctuation: ' False'}", "is ' False', a text, which"),
        ("{metric: exact_match, ignore_numbers: '0'}", "is '0', a text, which counts as true"),
        ("{metric: exact_match, ignore_case: 0.5}", "is 0.5, expected true or false"),
        (
            "{metric: exact_match, regexes_to_ignore: x}",
            "regexes_to_ignore is 'x', expected a list",
        ),
        ("{metric: exact_match, aggregation: maen}", "aggregation 'maen' .* Did you mean 'mean'?"),
        (
            "{metric: anls, threshold: 0.5}",
            "takes no 'threshold'. Did you mean 'thresh_hold'?",
        ),
    ],
)
def test_a_metric_that_cannot_be_used_is_named_before_any_data(
    folder: TaskFolder, metrics: str, message: str
) -> None:
    folder.write("docs.py", "raise AssertionError('opened')\n")
    path = with_metrics(folder, metrics)
    with pytest.raises(TaskError, match=message) as caught:
        folder.task()
    assert (caught.value.path, caught.value.line) == (path, 6)


FUNCTIONS = """
def fails(references, predictions):
    raise KeyError("inside")

def wrong(references, predictions, **kw):
    return "a" + 1

def many(references, predictions):
    return {"one": 1.0, "two": 2.0}

def odd(references, predictions):
    return object()

def text(items):
    return "high"

def nothing(items):
    return None

def double(items):
    return 2 * sum(items)

def broken(items):
    return items[99]
"""


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("{metric: !function own.fails}", r"metric fails \(own.fails\) raised KeyError: 'inside'"),
        ("{metric: !function own.wrong}", r"\(own.wrong\) raised TypeError: can only concatenate"),
        (
            "{metric: !function own.odd}",
            r"\(own.odd\) returned a score 'odd' that holds builtins.ob",
        ),
    ],
)
def test_a_metric_function_that_fails_names_task_doc_and_function(
    folder: TaskFolder, metrics: str, message: str
) -> None:
    folder.write("own.py", FUNCTIONS)
    path = with_metrics(folder, metrics)
    with pytest.raises(TaskError, match=message) as caught:
        answer(folder.task(), ["x"] * 3)
    assert "task 'minimal', doc 0: " in str(caught.value)
    assert (caught.value.path, caught.value.line) == (path, 6)


@pytest.mark.parametrize(
    ("aggregation", "message"),
    [
        (
            "!function own.text",
            r"aggregation of exact_match \(own.text\) returned str, expected a n",
        ),
        ("!function own.broken", r"\(own.broken\) raised IndexError"),
        ("brier_score", "brier_score of metric 'exact_match' failed: TypeError"),
    ],
)
def test_an_aggregation_that_fails_is_named(
    folder: TaskFolder, aggregation: str, message: str
) -> None:
    folder.write("own.py", FUNCTIONS)
    with_metrics(folder, f"{{metric: exact_match, aggregation: {aggregation}}}")
    with pytest.raises(TaskError, match=message):
        folder.task().aggregate("exact_match", "none", [1.0, 0.0])


def test_an_aggregation_for_a_submission_has_no_value(folder: TaskFolder) -> None:
    folder.write("own.py", FUNCTIONS)
    with_metrics(folder, "{metric: exact_match, aggregation: !function own.nothing}")
    value, error = folder.task().aggregate("exact_match", "none", [1.0])
    assert math.isnan(value)
    assert error is None


def test_scores_that_one_function_returns_together_share_its_aggregation(
    folder: TaskFolder,
) -> None:
    folder.write("own.py", FUNCTIONS)
    many = (
        "{metric: !function own.many, aggregation: !function own.double, higher_is_better: false}"
    )
    with_metrics(folder, many)
    # Another process has not scored, and aggregates the same.
    for task in (folder.task(), folder.task()):
        assert task.aggregate("two", "none", [2.0, 2.0]) == (8.0, None)
        assert task.higher_is_better("two") is False
        answer(task, ["x"] * 3)


def test_scores_that_may_come_from_two_functions_are_refused_where_it_matters(
    folder: TaskFolder,
) -> None:
    folder.write("own.py", FUNCTIONS)
    one = "{metric: !function own.many, aggregation: !function own.double}"
    with_metrics(folder, f"{one}, {{metric: !function own.odd}}")
    with pytest.raises(TaskError, match="score 'two' may come from metric 'many' or 'odd'"):
        folder.task().aggregate("two", "none", [2.0])


@pytest.mark.parametrize(
    ("more", "metric", "expected"),
    [
        ("", "exact_match", 1.0),
        ("scale: 100", "exact_match", 100.0),
        ("scale: {own: 5}", "own", 5.0),
        ("scale: {own: 5}", "exact_match", None),
        ("", "own", None),
    ],
)
def test_the_scale_is_the_tasks_or_that_of_a_known_metric(
    folder: TaskFolder, more: str, metric: str, expected: float | None
) -> None:
    folder.write("task.yaml", MINIMAL + (f"    {more}\n" if more else ""))
    assert folder.task().scale(metric) == expected


def test_directions_are_the_yamls_or_the_peers(folder: TaskFolder) -> None:
    with_metrics(folder, "{metric: exact_match, higher_is_better: false}, {metric: perplexity}")
    task = folder.task()
    assert not task.higher_is_better("exact_match")
    assert not task.higher_is_better("perplexity")
    assert task.higher_is_better("something_else")
