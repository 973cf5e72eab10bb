"""Shots are lm-eval's, and do not depend on which docs are asked for, when, or by whom."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from task_builders import MINIMAL, TaskFolder, ask

from pytest_lmmeval.errors import TaskError

GOLDEN = json.loads(Path(__file__).with_name("lm_eval_0.4.13.json").read_text())
ROWS = [{"question": f"Q{n}", "answer": f"A{n}"} for n in range(20)]


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    folder = TaskFolder(tmp_path)
    folder.docs(ROWS, train=ROWS)
    return folder


def shots(context: object) -> list[int]:
    """Return the numbers of the shots in a prompt ``Q14 A14\\n\\nQ3 A3\\n\\nQ0``."""
    assert isinstance(context, str)
    return [int(piece.split()[0][1:]) for piece in context.split("\n\n")[:-1]]


@pytest.mark.parametrize(
    ("golden", "count", "split"),
    [
        ("sampler_default_n2_x4", 2, "train"),
        ("sampler_default_n2_evaldoc_x4", 2, "test"),
        ("sampler_default_n5_x2", 5, "train"),
    ],
)
def test_draws_are_those_of_lm_eval(
    folder: TaskFolder, golden: str, count: int, split: str
) -> None:
    folder.write("task.yaml", MINIMAL + f"    fewshot_split: {split}\n    num_fewshot: {count}\n")
    expected = GOLDEN[golden]
    assert [shots(context) for context in ask(folder.task())[: len(expected)]] == expected


def test_the_first_docs_are_those_of_lm_eval(folder: TaskFolder) -> None:
    more = "    fewshot_split: test\n    fewshot_config: {sampler: first_n}\n"
    folder.write("task.yaml", MINIMAL + more)
    contexts = ask(folder.task(num_fewshot=3))
    assert shots(contexts[0]) == GOLDEN["first_n_evaldoc0"]
    assert shots(contexts[7]) == [0, 1, 2]


def test_shots_do_not_depend_on_which_docs_are_asked_for(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL + "    fewshot_split: test\n    num_fewshot: 3\n")
    whole = ask(folder.task())
    backwards = folder.task()
    assert [backwards.instances(i)[0].context for i in reversed(range(20))] == whole[::-1]
    limited = folder.task(limit=4)
    assert ask(limited) == [whole[doc_id] for doc_id in limited.doc_ids()]
    assert ask(folder.task(samples=[17, 3])) == [whole[3], whole[17]]


def test_shots_do_not_depend_on_threads(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL + "    fewshot_split: test\n    num_fewshot: 3\n")
    whole = ask(folder.task())
    task = folder.task()
    found: dict[int, object] = {}

    def work(start: int) -> None:
        for doc_id in range(start, 20, 4):
            found[doc_id] = task.instances(doc_id)[0].context

    threads = [threading.Thread(target=work, args=(start,)) for start in (3, 1, 2, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[doc_id] for doc_id in range(20)] == whole


def test_another_seed_draws_other_shots(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL + "    fewshot_split: train\n    num_fewshot: 3\n")
    assert ask(folder.task(fewshot_seed=7)) != ask(folder.task())


def test_a_task_without_shots_opens_no_pool(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL + "    fewshot_split: not_there\n")
    assert ask(folder.task())[0] == "Q0"
    assert folder.task().num_fewshot == 0


@pytest.mark.parametrize(
    ("own", "wanted", "expected"), [("", None, 0), ("", 2, 2), ("3", None, 3), ("3", 2, 2)]
)
def test_the_run_decides_the_number_of_shots(
    folder: TaskFolder, own: str, wanted: int | None, expected: int
) -> None:
    folder.write("task.yaml", MINIMAL + (f"    num_fewshot: {own}\n" if own else ""))
    assert folder.task(num_fewshot=wanted).num_fewshot == expected


def test_a_task_that_says_zero_stays_at_zero(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL + "    num_fewshot: 0\n")
    assert folder.task(num_fewshot=5).num_fewshot == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("    num_fewshot: 21\n", "num_fewshot is 21, but the shots come from 20 docs"),
        (
            "    num_fewshot: 20\n    fewshot_split: test\n",
            "come from 20 docs and one of them may be the doc itself",
        ),
        (
            "    num_fewshot: 20\n    fewshot_split: test\n"
            "    fewshot_config: {sampler: first_n}\n",
            "only 19 docs can be shots",
        ),
        ("    num_fewshot: 1\n    fewshot_config: {sampler: frist_n}\n", "Did you mean 'first_n'"),
        (
            "    num_fewshot: 1\n    fewshot_config: {sampler: !function docs.X}\n",
            "X is not suppor",
        ),
    ],
)
def test_shots_that_cannot_be_had_are_told(folder: TaskFolder, more: str, message: str) -> None:
    folder.write("task.yaml", MINIMAL + more)
    with pytest.raises(TaskError, match=message):
        ask(folder.task())


def test_a_shot_without_a_text_for_answer_is_told(folder: TaskFolder) -> None:
    folder.docs([{"question": f"Q{n}", "answer": 3} for n in range(4)])
    folder.write("task.yaml", MINIMAL + "    num_fewshot: 1\n")
    with pytest.raises(TaskError, match="doc_to_target gave 3 for a shot, expected text"):
        ask(folder.task())


def test_shots_may_stand_in_the_yaml(folder: TaskFolder) -> None:
    folder.write(
        "task.yaml",
        MINIMAL
        + """
    num_fewshot: 1
    fewshot_config:
      sampler: first_n
      samples:
        - {question: Shot, answer: shown}
    """,
    )
    assert ask(folder.task())[0] == "Shot shown\n\nQ0"


def test_of_fewshot_config_lmms_eval_reads_the_sampler_alone(folder: TaskFolder) -> None:
    # ConfigurableTask.fewshot_docs and ContextSampler of lmms-eval 0.7.3 read nothing else in it;
    # its mmlu_pro and gsm8k_cot carry keys of lm-eval's there.
    path = folder.write(
        "task.yaml",
        MINIMAL
        + """
    dialect: lmms_eval
    fewshot_split: train
    num_fewshot: 1
    fewshot_config:
      sampler: first_n
      samples:
        - {question: Shot, answer: shown}
      doc_to_text: "Other {{question}}"
      doc_to_target: ""
    """,
    )
    assert path.exists()
    # Q0 is the doc that is asked about, which lmms-eval drops from the shots drawn for it.
    assert ask(folder.task())[1] == "Q0 A0\n\nQ1"
