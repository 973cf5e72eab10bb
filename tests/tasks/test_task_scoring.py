"""Each doc becomes a sample, whatever happened to its requests."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from task_builders import MINIMAL, QUESTIONS, TaskFolder, answer

from pytest_lmmeval.doc_records import DocRecords
from pytest_lmmeval.errors import DataError, TaskError, UsageError
from pytest_lmmeval.ledger import PartResult
from pytest_lmmeval.records import Failure, Response
from pytest_lmmeval.session.parcels import pack, unpack
from pytest_lmmeval.tasks.task import Task

NUMBER = "    filter_list: [{name: n, filter: [{function: regex}, {function: take_first}]}]\n"
JUDGED = (
    MINIMAL
    + """
    process_results: !function judge.judge
    metric_list: [{metric: right, aggregation: mean}]
"""
)


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    folder = TaskFolder(tmp_path)
    folder.docs(QUESTIONS[:4])
    return folder


def judged(folder: TaskFolder, body: str, more: str = "") -> Task:
    folder.write(
        "judge.py", f"import random\nimport numpy as np\n\ndef judge(doc, results):\n    {body}\n"
    )
    folder.write("task.yaml", JUDGED + more)
    return folder.task()


def test_failed_requests_fail_their_doc_alone(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL + NUMBER)
    task = folder.task()
    failure = Response(failure=Failure("timeout", "no answer in 5 s"))
    responses = [Response(text="#### 0"), failure, Response(text="#### 4", finish_reason="length")]
    responses.append(Response(text="no number", finish_reason="stop"))
    samples = task.score(task.doc_ids(), [[response] for response in responses])
    assert [s.outcome for s in samples] == ["scored", "failed", "truncated", "unparsed"]
    assert [s.scores.get("exact_match,n") for s in samples] == [1.0, None, 1.0, 0.0]
    assert samples[1].scores == samples[1].filtered == {}
    assert samples[1].responses == (failure,)
    assert samples[1].target == "2"
    assert samples[1].doc_hash


def test_all_docs_may_fail(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL)
    failure = [Response(failure=Failure("server", "500"))]
    samples = folder.task().score([2, 0], [failure, failure])
    assert [(sample.doc_id, sample.outcome) for sample in samples] == [(2, "failed"), (0, "failed")]


def test_one_failed_repeat_fails_its_doc(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL + "    repeats: 2\n")
    task = folder.task()
    assert [instance.repeat for instance in task.instances(0)] == [0, 1]
    both = [Response(text="0"), Response(failure=Failure("server", "500"))]
    (sample,) = task.score([0], [both])
    assert sample.outcome == "failed"
    assert len(sample.arguments) == 2


def test_a_sample_is_made_of_builtin_types_and_survives_a_journey(folder: TaskFolder) -> None:
    body = "return {'right': np.float64(0.5), 'n': np.int64(3), 'flag': np.bool_(True), "
    body += "'pair': (np.float32(0.25), [None, 'x']), 'map': {'k': np.array(2)}}"
    samples = answer(judged(folder, body), ["x"] * 4)
    assert samples[0].scores == {
        "right,none": 0.5,
        "n,none": 3,
        "flag,none": True,
        "pair,none": (0.25, [None, "x"]),
        "map,none": {"k": 2},
    }
    builtin = {dict, list, tuple, str, int, float, bool, type(None)}
    assert _types(dataclasses.asdict(samples[0])) <= builtin
    part = PartResult("k", "t", 0, 1, DocRecords(samples), {}, first=samples)
    arrived = unpack(pack(part))
    assert arrived.first == samples
    assert [doc.scores for doc in arrived.docs] == [sample.scores for sample in samples]


def _types(value: Any) -> set[type]:
    found = {type(value)}
    if isinstance(value, dict):
        found |= {kind for item in value.items() for part in item for kind in _types(part)}
    elif isinstance(value, list | tuple):
        found |= {kind for item in value for kind in _types(item)}
    return found


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "return {'right': np.zeros(3)}",
            "returned a score 'right' that holds numpy.ndarray; only",
        ),
        ("return {'right': {1, 2}}", "that holds builtins.set"),
        ("return 3", "returned int, expected a mapping from metrics to scores"),
        ("return {'right': doc['nothing']}", r"raised KeyError: 'nothing' \(.*judge\.py:5\)"),
        ("raise SystemExit(1)", "raised SystemExit: 1"),
    ],
)
def test_process_results_that_fails_names_task_doc_and_function(
    folder: TaskFolder, body: str, message: str
) -> None:
    task = judged(folder, body)
    with pytest.raises(TaskError, match=message) as caught:
        answer(task, ["x"] * 4)
    assert "task 'minimal', doc 0: process_results (judge.judge)" in str(caught.value)
    assert caught.value.line == 7


def test_scores_that_are_guessed_do_not_depend_on_who_was_scored_before(folder: TaskFolder) -> None:
    task = judged(folder, "return {'right': random.random() + np.random.rand()}")
    whole = [sample.scores["right,none"] for sample in answer(task, ["x"] * 4)]
    alone = task.score([2], [[Response(text="x")]])
    assert alone[0].scores["right,none"] == whole[2]
    assert len(set(whole)) == 4


def test_code_that_imports_numpy_when_it_is_called_draws_the_same_numbers(
    folder: TaskFolder,
) -> None:
    folder.write(
        "judge.py",
        """
        def judge(doc, results):
            import numpy as np

            return {"right": np.random.rand()}
        """,
    )
    folder.rows("rows.jsonl", QUESTIONS[:4])
    rows = "dataset_path: json\n    dataset_kwargs: {data_files: {test: rows.jsonl}}"
    path = folder.write("task.yaml", JUDGED.replace("custom_dataset: !function docs.splits", rows))
    # Another process, because here NumPy has been imported.
    script = f"""
import sys
from pytest_lmmeval.records import Response
from pytest_lmmeval.tasks.catalog.manager import TaskManager
from pytest_lmmeval.tasks.task import Task
task = Task(TaskManager().select([{str(path)!r}])[0])
task.doc_ids()
assert "numpy" not in sys.modules
samples = task.score([0, 1], [[Response(text="x")]] * 2)
print([sample.scores["right,none"] for sample in samples])
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    scores = [sample.scores["right,none"] for sample in answer(folder.task(), ["x"] * 4)]
    assert json.loads(done.stdout) == scores[:2]


def test_scoring_leaves_the_global_random_numbers_alone(folder: TaskFolder) -> None:
    import random

    task = judged(folder, "return {'right': random.random()}")
    random.seed(5)
    expected = random.random()
    random.seed(5)
    answer(task, ["x"] * 4)
    assert random.random() == expected


def test_a_sample_keeps_what_was_asked_with_digests(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL)
    task = folder.task(system_instruction="Be brief.", chat=True)
    first, second = answer(task, ["0"] * 4)[:2]
    content = [{"type": "text", "text": "What is 0 + 0?"}]
    assert first.arguments[0]["context"] == [
        {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": content},
    ]
    assert first.arguments[0]["gen_kwargs"]["max_gen_toks"] == 256
    assert first.doc == QUESTIONS[0]
    assert len({first.prompt_hash, second.prompt_hash, first.doc_hash, second.doc_hash}) == 4
    # SHA-256 of "0".
    assert first.target_hash == "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9"


def test_digests_are_the_same_where_the_requests_were_built_elsewhere(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL)
    here = answer(folder.task(), ["0"] * 4)
    elsewhere = folder.task().score(range(4), [[Response(text="0")]] * 4)
    assert here == elsewhere


@pytest.mark.parametrize(
    ("key", "body", "expected"),
    [
        ("question", "return {'right': 1.0}", "What is 1 + 1?"),
        ("!function judge.group", "return {'right': 1.0}", "group 2"),
        ("clip", "return {'right': {'clip': 'c' + doc['answer']}}", "c2"),
    ],
)
def test_the_cluster_is_a_column_a_function_or_part_of_a_score(
    folder: TaskFolder, key: str, body: str, expected: str
) -> None:
    body += "\n\ndef group(doc):\n    return 'group ' + doc['answer']"
    task = judged(folder, body, f"    cluster_key: {key}\n")
    assert answer(task, ["x"] * 4)[1].cluster == expected


def test_a_cluster_that_is_nowhere_is_told(folder: TaskFolder) -> None:
    task = judged(folder, "return {'right': 1.0}", "    cluster_key: clap\n")
    with pytest.raises(DataError, match="no column 'clap', which cluster_key names; they have"):
        answer(task, ["x"] * 4)


def test_unsafe_code_needs_permission_before_any_request(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL + "    unsafe_code: true\n")
    with pytest.raises(UsageError, match="--lmm-confirm-run-unsafe-code"):
        folder.task().doc_ids()
    assert len(folder.task(confirm_run_unsafe_code=True).doc_ids()) == 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("output_type: multiple_choice", "multiple_choice needs 'doc_to_choice'"),
        ("output_type: generate_visual_cot", "'generate_visual_cot' is not supported yet"),
        ("use_prompt: promptsource:x", "'use_prompt': prompts of promptsource"),
        ("doc_to_audio: sound", "'doc_to_audio': not supported; in lmms-eval's form"),
        ("class: !function x.Y", "'class': tasks in Python are written for lm-eval's own"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_line(
    folder: TaskFolder, more: str, message: str
) -> None:
    path = folder.write("task.yaml", MINIMAL + f"    {more}\n")
    with pytest.raises(TaskError, match=message) as caught:
        folder.task()
    assert (caught.value.path, caught.value.line) == (path, 6)


def test_a_task_that_asks_nothing_is_refused(folder: TaskFolder) -> None:
    folder.write("task.yaml", MINIMAL.replace("doc_to_text", "description"))
    with pytest.raises(TaskError, match="neither 'doc_to_text' nor 'doc_to_messages'"):
        folder.task()


def test_the_fingerprint_changes_with_what_decides_the_score(folder: TaskFolder) -> None:
    task = judged(folder, "return {'right': 1.0}", "    metadata: {version: 2}\n")
    first = task.fingerprint()
    assert (first["task_version"], first["dialect"], first["num_fewshot"]) == ("2", "lm_eval", 0)
    assert _types(first) <= {dict, list, str, int, float, bool, type(None)}
    assert (
        judged(folder, "return {'right': 1.0}").fingerprint()["scorer_version"]
        == (first["scorer_version"])
    )
    changed = judged(folder, "return {'right': 0.0}").fingerprint()
    assert changed["scorer_version"] != first["scorer_version"]
    asked = folder.task(num_fewshot=2, fewshot_seed=9, gen_kwargs={"top_k": 3}).fingerprint()
    assert asked["num_fewshot"] == 2
    assert asked["settings"]["fewshot_seed"] == 9
    assert asked["gen_kwargs"]["top_k"] == 3


def test_the_fingerprint_does_not_change_with_the_place_of_a_file(
    folder: TaskFolder, tmp_path: Path
) -> None:
    here = judged(folder, "return {'right': 1.0}").fingerprint()
    other = TaskFolder(tmp_path / "elsewhere")
    other.path.mkdir()
    other.docs(QUESTIONS)
    there = judged(other, "return {'right': 1.0}", "\n\n").fingerprint()
    assert here == there
