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
from pytest_lmmeval.warnings import LmmWarning

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
        ("loglikelihood", "3", "gave 3 (int), expected text"),
        ("loglikelihood_rolling", "3", "gave 3 (int), expected text"),
    ],
)
def test_a_target_of_the_wrong_kind_is_told_with_its_doc(
    folder: TaskFolder, output_type: str, target: str, message: str
) -> None:
    text = CHOICES.replace("doc_to_target: 1", f"doc_to_target: {target}")
    folder.write("task.yaml", text.replace("multiple_choice", output_type))
    task = folder.task()
    with pytest.raises(TaskError) as caught:
        task.score([0], [pairs(-3, -1, -2)[: len(task.instances(0))]])
    assert message in str(caught.value)
    assert "doc 0" in str(caught.value)


@pytest.mark.parametrize(
    ("gold", "shown"),
    [
        ("0.5", "gave 0.5, expected the index of a choice, its text, or a list of indices"),
        ("1.0", "gave 1.0, expected"),
        ("float('nan')", "gave nan, expected the index .* a column with gaps holds null"),
        ("None", "gave None, expected"),
        ("['no', 'yes']", r"gave \['no', 'yes'\], expected"),
        ("[0, None]", r"gave \[0, None\], expected"),
        ("{'a': 1}", "gave {'a': 1}, expected"),
    ],
)
def test_a_right_answer_that_is_none_is_refused_before_its_doc_is_asked(
    folder: TaskFolder, gold: str, shown: str
) -> None:
    folder.write("own.py", f"def gold(doc):\n    return {gold}\n")
    path = folder.write("task.yaml", CHOICES.replace("target: 1", "target: !function own.gold"))
    with pytest.raises(TaskError, match=rf"doc 1: doc_to_target \(own.gold\) {shown}") as caught:
        folder.task().instances(1)
    assert (caught.value.path, caught.value.line) == (path, 5)


def test_a_gap_in_a_column_of_right_answers_is_told_with_its_doc(folder: TaskFolder) -> None:
    (folder.path / "rows.csv").write_text("question,gold\na,1\nb,\n")
    data = "dataset_path: csv\n    dataset_kwargs: {data_files: {test: rows.csv}}"
    text = CHOICES.replace("custom_dataset: !function docs.splits", data)
    folder.write("task.yaml", text.replace("doc_to_target: 1", "doc_to_target: gold"))
    with pytest.raises(TaskError, match=r"task\.yaml:6: .* doc 0: doc_to_target gave 1\.0, expec"):
        folder.task().instances(0)


def test_a_generated_answer_is_compared_with_a_choice_that_must_be_there(
    folder: TaskFolder,
) -> None:
    text = CHOICES.replace("target: 1", "target: 3").replace("multiple_choice", "generate_until")
    path = folder.write("task.yaml", text)
    with pytest.raises(TaskError, match=r"doc 1: .* gave 3, expected an index into 3") as caught:
        folder.task().instances(1)
    assert (caught.value.path, caught.value.line) == (path, 5)


def test_the_tasks_own_scoring_may_have_another_idea_of_a_right_answer(folder: TaskFolder) -> None:
    folder.write("own.py", "def score(doc, results):\n    return {'n': 1}\n")
    text = (
        CHOICES.replace("target: 1", "target: 0.5") + "    process_results: !function own.score\n"
    )
    folder.write("task.yaml", text.replace("0.5", "\"{{[0.5, 'x']}}\""))
    assert len(folder.task().instances(0)) == 3


def test_right_answers_that_are_not_among_the_choices_are_told_once(folder: TaskFolder) -> None:
    golds = [0, 3, "yes", "YES", -1, [1, 2], [1, 9], []]
    folder.docs([{"question": "q", "answer": gold} for gold in golds])
    path = folder.write("task.yaml", CHOICES.replace("target: 1", "target: answer"))
    task = folder.task()
    with pytest.warns(LmmWarning) as told:
        asked = [task.instances(doc_id) for doc_id in reversed(task.doc_ids())]
    assert len(asked) == 8
    (warning,) = told
    message = str(warning.message)
    assert "'minimal': doc_to_target names a choice that is not there in 5 of 8 docs" in message
    assert "first in doc 1: 3 of 3 choices" in message
    assert (warning.filename, warning.lineno) == (str(path), 5)
    samples = task.score(task.doc_ids(), [pairs(-1, -2, -3)] * 8)
    # The first choice is always the likeliest.
    assert [s.scores["acc,none"] for s in samples] == [1.0, 0, 0, 0, 0, 0, 0, 0]


def test_only_docs_that_are_evaluated_count_as_without_a_right_answer(folder: TaskFolder) -> None:
    folder.docs([{"question": "q", "answer": gold} for gold in (9, 9, 0, 9)])
    folder.write("task.yaml", CHOICES.replace("target: 1", "target: answer"))
    task = folder.task(samples=[2, 3])
    with pytest.warns(LmmWarning, match="in 1 of 2 docs, first in doc 3: 9 of 3 choices"):
        assert [len(task.instances(doc_id)) for doc_id in (2, 3)] == [3, 3]


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
