"""What is done unlike lmms-eval on purpose.

That parity brings its way back is shown by the record of ``test_same_as_lmms_eval.py``, which has
the same tasks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lmms_eval_task_cases import write_tasks
from task_builders import MINIMAL, QUESTIONS, TaskFolder, answer, values

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.records import Message, Response, Sample
from pytest_lmmeval.tasks.catalog.manager import TaskManager
from pytest_lmmeval.tasks.files.schema import Dialect
from pytest_lmmeval.tasks.task import Task, TaskSettings

RECORD = json.loads(Path(__file__).with_name("lmms_eval_0.7.3.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lmms")
    write_tasks(path)
    return path


def make_task(folder: Path, name: str, **settings: Any) -> Task:
    (spec,) = TaskManager([folder]).select([name])
    return Task(spec, settings=TaskSettings(chat=True, **settings))


def messages(task: Task, doc_id: int) -> list[tuple[str, str]]:
    context = task.instances(doc_id)[0].context
    assert not isinstance(context, str)
    assert all(isinstance(message, Message) for message in context)
    return [(message.role, message.text) for message in context]


def said(task: Task, text: str) -> list[Sample]:
    return task.score(task.doc_ids(), [[Response(text=text)] for _ in task.doc_ids()])


@pytest.mark.parametrize("name", ["text_shots_same", "text_shots_first"])
def test_a_doc_with_an_image_is_never_among_its_own_shots(folder: Path, name: str) -> None:
    task = make_task(folder, name, message_format="simple", num_fewshot=2)
    for doc_id in task.doc_ids():
        ((_, text),) = messages(task, doc_id)
        *shots, question = text.split("\n\n")
        assert len(shots) == 2
        assert not any(shot.startswith(question) for shot in shots)
    case = {"text_shots_same": "shots of the same split", "text_shots_first": "first shots"}[name]
    theirs = [row["messages"][0]["content"][0]["text"] for row in RECORD[case]["asked"]]
    assert any(text.count(text.split("\n\n")[-1]) > 1 for text in theirs)


def test_the_first_shots_are_as_many_as_asked_for(tmp_path: Path) -> None:
    folder = TaskFolder(tmp_path)
    folder.docs(QUESTIONS[:5])
    more = "    dialect: lmms_eval\n    validation_split: test\n    num_fewshot: 2\n"
    own = MINIMAL.replace("    test_split: test\n", "")
    folder.write("task.yaml", own + more + "    fewshot_config: {sampler: first_n}\n")
    whole = "    fewshot_split: test\n"
    folder.write("named.yaml", (folder.path / "task.yaml").read_text() + whole.strip() + "\n")

    def counts(parity: Dialect | None) -> list[int]:
        task = folder.task("named.yaml", parity=parity, message_format="simple")
        return [str(task.instances(i)[0].context).count("\n\n") for i in task.doc_ids()]

    assert counts(None) == [2, 2, 2, 2, 2]
    # Docs 0 and 1 would be their own shots, and lmms-eval puts none in their place.
    assert counts("lmms_eval") == [1, 1, 2, 2, 2]


def test_the_system_instruction_is_a_message_of_every_chat(folder: Path) -> None:
    for name in ("column", "aliases"):
        task = make_task(folder, name, message_format="chat", system_instruction="Be brief.")
        assert messages(task, 0)[0] == ("system", "Be brief.")
    task = make_task(folder, "messages", message_format="chat", system_instruction="Be brief.")
    assert [role for role, _ in messages(task, 0)] == ["system", "system", "user"]


def test_the_median_is_that_of_the_sorted_scores(folder: Path) -> None:
    task = make_task(folder, "guessed")
    assert task.value("lucky", [0.9, 0.1, 0.2, 0.3]) == 0.3  # the upper one of 0.2 and 0.3
    assert make_task(folder, "guessed", parity="lmms_eval").value("lucky", [0.9, 0.1, 0.2]) == 0.1


def test_the_standard_error_of_a_median_is_that_of_its_own_kind(folder: Path) -> None:
    scores = [0.0, 1.0, 2.0, 50.0]
    _, ours = make_task(folder, "guessed").aggregate("lucky", "none", scores)
    _, theirs = make_task(folder, "guessed", parity="lmms_eval").aggregate("lucky", "none", scores)
    # The middle of an unsorted resample is any score: its spread is that of the scores.
    assert theirs == pytest.approx(21.2, abs=0.5)
    assert ours is not None
    assert ours != pytest.approx(theirs)


def test_of_several_targets_the_best_counts(folder: Path) -> None:
    samples = said(make_task(folder, "several"), "root")
    # "leaf", "root", "stem", "seed": root itself shares r, o and t.
    assert values(samples, "shared,none")[0] == pytest.approx(0.3)
    # "Stem" is one target, not four letters: it shares t.
    assert values(samples, "shared,none")[2] == pytest.approx(0.1)
    assert values(samples, "exact_match,none") == [1.0, 0.0, 0.0, 0.0]


def test_unequal_numbers_of_references_are_told(folder: Path) -> None:
    task = make_task(folder, "unequal")
    with pytest.raises(TaskError, match="docs have different numbers of references"):
        task.value("chrf", values(said(task, "root"), "chrf,none"))


OCRBENCH = """
    dialect: lmms_eval
    process_results: !function ocr.score
    metric_list:
      - metric: ocrbench_accuracy
        aggregation: !function ocr.ocrbench_aggregate_accuracy
        higher_is_better: true
"""
# lmms-eval's function of this name returns the number of right docs over that of the benchmark.
OCR = """
def score(doc, results):
    return {"ocrbench_accuracy": {"score": int(doc["answer"] in results[0])}}


def ocrbench_aggregate_accuracy(results):
    return sum(result["score"] for result in results) / 1000
"""


@pytest.mark.parametrize(("parity", "expected"), [(None, 0.75), ("lmms_eval", 0.003)])
def test_ocrbench_is_the_share_of_the_docs_that_were_scored(
    tmp_path: Path, parity: Dialect | None, expected: float
) -> None:
    folder = TaskFolder(tmp_path)
    folder.docs(QUESTIONS[:4])
    folder.write("ocr.py", OCR)
    folder.write("task.yaml", MINIMAL + OCRBENCH)
    task = folder.task(parity=parity)
    samples = answer(task, ["it is 0", "2", "four", "6"])
    scores = values(samples, "ocrbench_accuracy,none")
    assert task.value("ocrbench_accuracy", scores) == pytest.approx(expected)


def test_docs_that_a_task_shuffles_stay_the_same(tmp_path: Path) -> None:
    folder = TaskFolder(tmp_path)
    folder.docs(QUESTIONS)
    folder.write(
        "mix.py",
        """
        import random

        def docs(rows):
            return random.sample(rows, len(rows))
        """,
    )
    folder.write("task.yaml", MINIMAL + "    process_docs: !function mix.docs\n")
    first, second = ([folder.task().instances(i)[0].context for i in range(8)] for _ in range(2))
    assert first == second
    assert first != sorted(map(str, first))
