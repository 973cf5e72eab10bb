"""Tasks that ask for likelihoods: what is asked, what is kept, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from task_builders import MINIMAL, QUESTIONS, TaskFolder

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.records import Failure, Response
from pytest_lmmeval.tasks.scoring.likelihoods import ChoiceScores

CHOICES = MINIMAL.replace("doc_to_target: answer", "doc_to_target: 1") + (
    "    output_type: multiple_choice\n    doc_to_choice: ['no', maybe, 'yes']\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    folder = TaskFolder(tmp_path)
    folder.docs(QUESTIONS[:2])
    return folder


def pairs(*logprobs: float) -> list[Response]:
    return [Response(logprob=value, is_greedy=value == max(logprobs)) for value in logprobs]


def test_the_choices_of_a_doc_share_its_prompt_also_in_what_is_kept(folder: TaskFolder) -> None:
    folder.write("task.yaml", CHOICES)
    task = folder.task()
    built = task.instances(0)
    assert [(i.idx, i.request_type, i.continuation) for i in built] == [
        (0, "loglikelihood", " no"),
        (1, "loglikelihood", " maybe"),
        (2, "loglikelihood", " yes"),
    ]
    assert len({i.context for i in built}) == 1
    (sample,) = task.score([0], [pairs(-3, -1, -2)])
    assert sample.arguments == [
        {"context": "What is 0 + 0?", "continuation": " no"},
        {"continuation": " maybe"},
        {"continuation": " yes"},
    ]
    assert sample.filtered == {"none": [[-3, False], [-1, True], [-2, False]]}
    assert sample.scores == {"acc,none": 1.0, "acc_norm,none": 1.0}
    assert (sample.outcome, sample.target) == ("scored", "maybe")


def test_one_choice_without_an_answer_fails_its_doc_alone(folder: TaskFolder) -> None:
    folder.write("task.yaml", CHOICES)
    failed = [*pairs(-3, -1), Response(failure=Failure("server", "500"))]
    first, second = folder.task().score([0, 1], [failed, pairs(-3, -1, -2)])
    assert (first.outcome, first.scores) == ("failed", {})
    assert second.scores["acc,none"] == 1.0


def test_lmms_evals_dialect_scores_choices_by_likelihood_too(folder: TaskFolder) -> None:
    folder.write("task.yaml", CHOICES + "    score_key: score\n")
    task = folder.task(chat=True)
    assert [i.continuation for i in task.instances(0)] == [" no", " maybe", " yes"]
    (sample,) = task.score([0], [pairs(-3, -9, -2)])
    assert sample.scores == {"acc,none": 0.0, "acc_norm,none": 0.0}


def test_the_first_of_equals_wins_and_an_empty_choice_never_per_character() -> None:
    scores = ChoiceScores([(-1.0, True), (-1.0, True)], ["a", ""], 0)
    assert scores.by_metric(["acc", "acc_norm"]) == {"acc": 1.0, "acc_norm": 1.0}


def test_the_brier_score_and_mutual_information_by_hand() -> None:
    values = [(math.log(0.75), True), (math.log(0.25), False), (math.log(0.9), True)]
    made = ChoiceScores([*values, (math.log(0.1), False)], ["a", "b"], 1).by_metric(
        ["acc", "acc_mutual_info", "brier_score", "exact_match"]
    )
    # 0.75 / 0.9 is less than 0.25 / 0.1.
    assert (made["acc"], made["acc_mutual_info"], made["exact_match"]) == (0.0, 1.0, 0)
    assert made["brier_score"] == (1, [pytest.approx(0.75), pytest.approx(0.25)])


@pytest.mark.parametrize(
    ("gold", "expected"), [(9, 0.0), ("b", 1.0), ("z", 0.0), ([0, 1], 1.0), ([5], 0.0), (True, 1.0)]
)
def test_a_right_answer_is_an_index_a_text_or_a_list_of_indices(gold: Any, expected: float) -> None:
    scores = ChoiceScores([(-2.0, False), (-1.0, True)], ["a", "b"], gold)
    assert scores.by_metric(["acc", "exact_match"]) == {"acc": expected, "exact_match": expected}


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("acc_nrom", "Did you mean 'acc_norm'?"),
        ("bleu", "metric 'bleu' is not one of multiple_choice, which has acc, acc_bytes"),
    ],
)
def test_a_metric_that_choices_do_not_have_is_refused_before_any_data(
    folder: TaskFolder, metric: str, message: str
) -> None:
    path = folder.write("task.yaml", CHOICES + f"    metric_list: [{{metric: {metric}}}]\n")
    with pytest.raises(TaskError) as caught:
        folder.task()
    assert message in str(caught.value)
    assert (caught.value.path, caught.value.line) == (path, 8)


@pytest.mark.parametrize(
    ("output_type", "target", "message"),
    [
        ("multiple_choice", "'{{1.5}}'", None),
        ("multiple_choice", "!function own.half", "0.5, expected an index into the choices"),
        ("loglikelihood", "3", "gave 3 (int), expected text"),
        ("loglikelihood_rolling", "3", "gave 3 (int), expected text"),
    ],
)
def test_a_target_of_the_wrong_kind_is_told_with_its_doc(
    folder: TaskFolder, output_type: str, target: str, message: str | None
) -> None:
    folder.write("own.py", "def half(doc):\n    return 0.5\n")
    text = CHOICES.replace("doc_to_target: 1", f"doc_to_target: {target}")
    folder.write("task.yaml", text.replace("multiple_choice", output_type))
    task = folder.task()
    if message is None:
        assert task.score([0], [pairs(-3, -1, -2)])[0].scores["acc,none"] == 0.0
        return
    with pytest.raises(TaskError) as caught:
        task.score([0], [pairs(-3, -1, -2)[: len(task.instances(0))]])
    assert message in str(caught.value)
    assert "doc 0" in str(caught.value)


@pytest.mark.parametrize(
    ("choices", "shown"), [("[1, 2]", r"\[1, 2\]"), ("[]", r"\[\]"), ("\"{{['a', 2]}}\"", "'a', 2")]
)
def test_choices_that_cannot_be_measured_are_told_before_anything_is_asked(
    folder: TaskFolder, choices: str, shown: str
) -> None:
    text = CHOICES.replace("['no', maybe, 'yes']", choices)
    path = folder.write("task.yaml", text)
    with pytest.raises(TaskError, match=f"gave .*{shown}.*, expected a list of texts") as caught:
        folder.task().instances(0)
    assert (caught.value.path, caught.value.line) == (path, 7)


def test_the_tasks_own_scoring_may_have_other_choices(folder: TaskFolder) -> None:
    folder.write("own.py", "def score(doc, results):\n    return {'n': len(results)}\n")
    text = CHOICES.replace("['no', maybe, 'yes']", "[1, 2]")
    folder.write("task.yaml", f"{text}    process_results: !function own.score\n")
    assert [i.continuation for i in folder.task().instances(0)] == [" 1", " 2"]


def test_a_value_in_a_message_is_cut(folder: TaskFolder) -> None:
    choices = "\"{{'[' * 10000}}\""
    folder.write("task.yaml", CHOICES.replace("['no', maybe, 'yes']", choices))
    with pytest.raises(TaskError) as caught:
        folder.task().instances(0)
    assert len(str(caught.value)) < 1000
