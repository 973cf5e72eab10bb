"""Prompts, scores and aggregates are those of lm-eval, which is run beside ours."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from lm_eval_cases import TASKS, write_cases
from lm_eval_peer import Case, run_peer
from task_builders import TaskFolder, as_dicts

from pytest_lmmeval.records import Response, Sample
from pytest_lmmeval.tasks.manager import TaskManager
from pytest_lmmeval.tasks.task import Task, TaskSettings

NAMES = [name for name in TASKS if name != "voted"] + [
    "voted",
    "first five",
    "zero stays zero",
    "system",
    "system and shots",
    "turns",
    "one turn",
    "turns with prefix",
    "one turn with prefix",
    "more replicates",
    "no standard errors",
    "gsm8k",
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Case], Path, dict[str, Any]]:
    """All cases, their folder, and what lm-eval measured."""
    folder = TaskFolder(tmp_path_factory.mktemp("peer"))
    cases = write_cases(folder)
    assert [case.name for case in cases] == NAMES
    return {case.name: case for case in cases}, folder.path, run_peer(folder.path, cases)


def make_task(case: Case, folder: Path) -> Task:
    manager = TaskManager([folder])
    overrides: dict[str, Any] = {}
    if case.task == "gsm8k":
        files = {split: str(folder / f"{split}.jsonl") for split in ("train", "test")}
        overrides = {"dataset_path": "json", "dataset_name": None}
        overrides["dataset_kwargs"] = {"data_files": files}
    (spec,) = manager.select([case.task], overrides=overrides)
    settings = TaskSettings(
        num_fewshot=case.num_fewshot,
        limit=case.limit,
        limit_from="first",
        chat=case.chat,
        fewshot_as_multiturn=case.multiturn,
        system_instruction=case.system,
        gen_kwargs=case.gen_kwargs,
        bootstrap_iters=case.bootstrap_iters,
    )
    return Task(spec, settings=settings)


def evaluate(task: Task, case: Case) -> tuple[list[Any], list[Any], list[Sample]]:
    """Return prompts, generation arguments and samples."""
    built = [task.instances(doc_id) for doc_id in task.doc_ids()]
    responses = [
        [Response(text=case.answers[instance.doc_id][instance.repeat]) for instance in instances]
        for instances in built
    ]
    first = [instances[0] for instances in built]
    samples = task.score(task.doc_ids(), responses)
    return [i.context for i in first], [dict(i.gen_kwargs) for i in first], samples


@pytest.mark.parametrize("name", NAMES)
def test_prompts_scores_and_values_are_the_same(
    both: tuple[dict[str, Case], Path, dict[str, Any]], name: str
) -> None:
    cases, folder, measured = both
    case, peer = cases[name], measured[name]
    task = make_task(case, folder)
    contexts, gen_kwargs, samples = evaluate(task, case)

    prompts = [as_dicts(context) for context in contexts] if case.chat else contexts
    assert prompts == peer["prompts"]
    assert gen_kwargs == peer["gen_kwargs"]
    compare_samples(samples, peer["samples"])
    compare_values(task, samples, peer["results"])


def compare_samples(samples: list[Sample], theirs: list[dict[str, Any]]) -> None:
    by_id = {sample.doc_id: sample for sample in samples}
    assert {row["doc_id"] for row in theirs} == set(by_id)
    for row in theirs:
        sample = by_id[row["doc_id"]]
        assert sample.filtered[row["filter"]] == row["filtered_resps"]
        assert sample.target_hash == row["target_hash"]
        ours = {
            key.partition(",")[0]: value
            for key, value in sample.scores.items()
            if key.endswith(f",{row['filter']}")
        }
        for metric in row["metrics"]:
            expected = row[metric]
            value = ours.pop(metric)
            assert (list(value) if isinstance(value, tuple) else value) == expected
        assert not ours


def compare_values(task: Task, samples: list[Sample], theirs: dict[str, Any]) -> None:
    keys = [key for key in theirs if "," in key and "_stderr," not in key]
    assert {key for sample in samples for key in sample.scores} == set(keys)
    for key in keys:
        metric, _, filter_name = key.partition(",")
        scores = [sample.scores[key] for sample in samples]
        value, stderr = task.aggregate(metric, filter_name, scores)
        assert value == pytest.approx(theirs[key], rel=1e-12)
        expected = theirs[f"{metric}_stderr,{filter_name}"]
        assert (stderr is None) == (expected == "N/A")
        if stderr is not None:
            assert math.isclose(stderr, expected, rel_tol=1e-9)
