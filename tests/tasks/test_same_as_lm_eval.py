"""Prompts, scores and aggregates are those of lm-eval, which is run beside ours."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import lm_eval_likelihood_cases
import pytest
from lm_eval_cases import TASKS, write_cases
from lm_eval_peer import Case, likelihood, run_peer
from task_builders import TaskFolder, as_dicts

from pytest_lmmeval.records import Instance, MetricResult, OutcomeCounts, Response, Sample
from pytest_lmmeval.tasks.group_results import aggregate_group
from pytest_lmmeval.tasks.manager import TaskManager
from pytest_lmmeval.tasks.task import Task, TaskSettings
from pytest_lmmeval.warnings import LmmWarning

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
    *(case.name for case in lm_eval_likelihood_cases.CASES),
]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Case], Path, dict[str, Any]]:
    """All cases, their folder, and what lm-eval measured."""
    folder = TaskFolder(tmp_path_factory.mktemp("peer"))
    cases = write_cases(folder)
    assert [case.name for case in cases] == [*NAMES, "group"]
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


def respond(instance: Instance, case: Case) -> Response:
    """Answer as the scripted model of the other side does."""
    if instance.request_type == "generate_until":
        return Response(text=case.answers[instance.doc_id][instance.repeat])
    context, continuation = asked(instance)
    if instance.request_type == "loglikelihood_rolling":
        return Response(logprob=likelihood("", context)[0])
    return Response(None, *likelihood(context, continuation))


def asked(instance: Instance) -> list[str]:
    """Return context and continuation; a chat is JSON."""
    context = instance.context
    text = context if isinstance(context, str) else json.dumps(as_dicts(context))
    return [text, instance.continuation]


@pytest.mark.parametrize("name", NAMES)
def test_prompts_scores_and_values_are_the_same(
    both: tuple[dict[str, Case], Path, dict[str, Any]], name: str
) -> None:
    cases, folder, measured = both
    case, peer = cases[name], measured[name]
    task = make_task(case, folder)
    built = [task.instances(doc_id) for doc_id in task.doc_ids()]
    compare_requests(built, case, peer)
    responses = [[respond(instance, case) for instance in instances] for instances in built]
    samples = task.score(task.doc_ids(), responses)
    compare_samples(samples, peer["samples"])
    compare_values(task, samples, peer["results"])


def compare_requests(built: list[list[Instance]], case: Case, peer: dict[str, Any]) -> None:
    flat = [instance for instances in built for instance in instances]
    likelihoods = [i for i in flat if i.request_type.startswith("loglikelihood")]
    assert [asked(instance) for instance in likelihoods] == peer["asked"]
    first = [] if likelihoods else [instances[0] for instances in built]
    prompts = [as_dicts(i.context) if case.chat else i.context for i in first]
    assert prompts == peer["prompts"]
    assert [dict(instance.gen_kwargs) for instance in first] == peer["gen_kwargs"]


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


def test_groups_are_aggregated_alike(
    both: tuple[dict[str, Case], Path, dict[str, Any]],
) -> None:
    cases, folder, measured = both
    manager = TaskManager([folder])
    specs = manager.select(["all_choices"])
    settings = TaskSettings(bootstrap_iters=cases["group"].bootstrap_iters)
    results = {s.name: results_of(Task(s, settings=settings), cases["group"]) for s in specs}
    assert sorted(manager.groups) == sorted(measured["group"]["groups"])
    for name, theirs in measured["group"]["groups"].items():
        members = {spec.name: results[spec.name] for spec in specs if name in spec.groups}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LmmWarning)  # of metrics that not every task has
            ours = {row.key: row for row in aggregate_group(manager.groups[name], members)}
        assert set(ours) == {key for key in theirs if "," in key and "_stderr," not in key}
        for key, row in ours.items():
            stderr = theirs[key.replace(",", "_stderr,")]
            assert row.value == pytest.approx(theirs[key], rel=1e-12)
            assert row.stderr == (None if stderr == "N/A" else pytest.approx(stderr, rel=1e-9))
            assert row.n == theirs["sample_count"][key]


def results_of(task: Task, case: Case) -> list[MetricResult]:
    built = [task.instances(doc_id) for doc_id in task.doc_ids()]
    samples = task.score(task.doc_ids(), [[respond(i, case) for i in doc] for doc in built])
    rows = []
    for key in samples[0].scores:
        metric, _, name = key.partition(",")
        value, stderr = task.aggregate(metric, name, [sample.scores[key] for sample in samples])
        counts = OutcomeCounts(scored=len(samples))
        up = task.higher_is_better(metric)
        rows.append(MetricResult(task.name, metric, name, value, stderr, len(samples), up, counts))
    return rows
