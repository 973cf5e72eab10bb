"""Prompts, scores and aggregates are those of lm-eval, which is run beside ours.

All numbers are compared exactly, to the last bit: both sides ask one model, and ours does its
arithmetic in lm-eval's order.
"""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lm_eval_cases import CASES, GROUP_CASES, TEXTS, select, write_cases
from lm_eval_peer import Case, Scripted, run_peer
from task_builders import TaskFolder, as_dicts
from tiny_language_model import TinyLanguageModel, save_tiny_gpt2

from pytest_lmmeval.records import (
    ImagePart,
    Instance,
    MetricResult,
    OutcomeCounts,
    Response,
    Sample,
    TextPart,
)
from pytest_lmmeval.tasks.catalog.manager import TaskSpec
from pytest_lmmeval.tasks.scoring.group_results import aggregate_group
from pytest_lmmeval.tasks.task import Task, TaskSettings
from pytest_lmmeval.warnings import LmmWarning

# lm-eval warns of the same docs, each time that it scores one.
SAID_THERE_TOO = (
    "ignore:task .* names a choice that is not there:pytest_lmmeval.warnings.LmmWarning"
)


@dataclass(frozen=True)
class Both:
    """The folder of all cases, what lm-eval measured, and the model that both sides ask."""

    folder: Path
    model: TinyLanguageModel
    peer: dict[str, Any]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = TaskFolder(tmp_path_factory.mktemp("peer"))
    write_cases(folder)
    model = TinyLanguageModel(save_tiny_gpt2(tmp_path_factory.mktemp("model"), TEXTS))
    cases = [*CASES, *GROUP_CASES]
    peer = run_peer(folder.path, cases, lambda case: Scripted(case, model))
    return Both(folder.path, model, peer)


def make_task(case: Case, spec: TaskSpec) -> Task:
    settings = TaskSettings(
        num_fewshot=case.num_fewshot,
        limit=case.limit,
        parity="lm_eval",
        samples=case.samples,
        chat=case.chat,
        fewshot_as_multiturn=case.multiturn,
        system_instruction=case.system,
        gen_kwargs=case.gen_kwargs,
        bootstrap_iters=case.bootstrap_iters,
        confirm_run_unsafe_code=True,
    )
    return Task(spec, settings=settings)


def asked(instance: Instance) -> list[str]:
    """Return context and continuation; a chat is JSON."""
    context = instance.context
    text = context if isinstance(context, str) else json.dumps(as_dicts(context))
    return [text, instance.continuation]


def respond(instance: Instance, case: Case, model: TinyLanguageModel) -> Response:
    """Answer as lm-eval's side does."""
    if instance.request_type == "generate_until":
        return Response(text=case.answers[instance.doc_id][instance.repeat])
    context, continuation = asked(instance)
    if instance.request_type == "loglikelihood_rolling":
        return Response(logprob=model.likelihood("", context)[0])
    logprob, is_greedy = model.likelihood(context, continuation)
    return Response(logprob=logprob, is_greedy=is_greedy)


def score(task: Task, case: Case, both: Both) -> tuple[list[list[Instance]], list[Sample]]:
    built = [task.instances(doc_id) for doc_id in task.doc_ids()]
    responses = [[respond(i, case, both.model) for i in instances] for instances in built]
    return built, task.score(task.doc_ids(), responses)


@pytest.mark.filterwarnings(SAID_THERE_TOO)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_prompts_scores_and_values_are_the_same(both: Both, case: Case) -> None:
    peer = both.peer[case.name]
    _, (spec,) = select(case, both.folder)
    task = make_task(case, spec)
    built, samples = score(task, case, both)
    compare_requests(built, case, peer)
    compare_samples(samples, peer["samples"][case.task])
    compare_values(task, samples, peer["results"][case.task])


def compare_requests(built: list[list[Instance]], case: Case, peer: dict[str, Any]) -> None:
    flat = [instance for instances in built for instance in instances]
    likelihoods = [i for i in flat if i.request_type.startswith("loglikelihood")]
    assert [asked(instance) for instance in likelihoods] == peer["asked"]
    first = [] if likelihoods else [instances[0] for instances in built]
    prompts = [as_dicts(i.context) if case.chat else plain(i) for i in first]
    assert prompts == peer["prompts"]
    assert [images(instance) for instance in first] == [
        [image.tobytes() for image in shown] for shown in peer["images"]
    ]
    assert [dict(instance.gen_kwargs) for instance in first] == peer["gen_kwargs"]


def plain(instance: Instance) -> str:
    """Return a prompt without its images, which lm-eval hands over beside it."""
    if isinstance(instance.context, str):
        return instance.context
    (message,) = instance.context
    return "".join(part.text for part in message.content if isinstance(part, TextPart))


def images(instance: Instance) -> list[Any]:
    parts = [p for m in instance.context if not isinstance(m, str) for p in m.content]
    return [part.image.tobytes() for part in parts if isinstance(part, ImagePart)]


def compare_samples(samples: list[Sample], theirs: list[dict[str, Any]]) -> None:
    by_id = {sample.doc_id: sample for sample in samples}
    assert {row["doc_id"] for row in theirs} == set(by_id)
    for row in theirs:
        sample = by_id[row["doc_id"]]
        assert as_json(sample.filtered[row["filter"]]) == row["filtered_resps"]
        assert sample.target_hash == row["target_hash"]
        ours = {
            key.partition(",")[0]: as_json(value)
            for key, value in sample.scores.items()
            if key.endswith(f",{row['filter']}")
        }
        assert set(ours) == set(row["metrics"])
        for metric, value in ours.items():
            assert same(value, row[metric]), metric


def as_json(value: Any) -> Any:
    """Return a value with tuples as lists, as lm-eval writes them."""
    return json.loads(json.dumps(value))


def same(ours: Any, theirs: Any) -> bool:
    """Whether two scores are equal; NaN is NaN."""
    both_nan = isinstance(ours, float) and isinstance(theirs, float) and math.isnan(ours)
    return bool(math.isnan(theirs) if both_nan else ours == theirs)


def compare_values(task: Task, samples: list[Sample], theirs: dict[str, Any]) -> None:
    keys = [key for key in theirs if "," in key and "_stderr," not in key]
    assert {key for sample in samples for key in sample.scores} == set(keys)
    for key in keys:
        metric, _, filter_name = key.partition(",")
        scores = [sample.scores[key] for sample in samples]
        value, stderr = task.aggregate(metric, filter_name, scores)
        assert same(value, theirs[key]), key
        expected = theirs[f"{metric}_stderr,{filter_name}"]
        assert (stderr is None) == (expected == "N/A"), key
        assert stderr is None or same(stderr, expected), key


@pytest.mark.filterwarnings(SAID_THERE_TOO)
@pytest.mark.parametrize("case", GROUP_CASES, ids=lambda case: case.name)
def test_groups_are_aggregated_alike(both: Both, case: Case) -> None:
    theirs = both.peer[case.name]
    manager, specs = select(case, both.folder)
    tasks = {spec.name: make_task(case, spec) for spec in specs}
    results = {name: results_of(task, case, both) for name, task in tasks.items()}
    assert set(tasks) == set(theirs["samples"])
    assert {n for n, g in manager.groups.items() if g.metrics} == set(theirs["groups"])
    for name, values in theirs["groups"].items():
        members = {spec.name: results[spec.name] for spec in specs if name in spec.groups}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LmmWarning)  # of metrics that not every task has
            ours = {row.key: row for row in aggregate_group(manager.groups[name], members)}
        assert set(ours) == {key for key in values if "," in key and "_stderr," not in key}
        for key, row in ours.items():
            stderr = values[key.replace(",", "_stderr,")]
            assert row.value == values[key], (name, key)
            assert row.stderr == (None if stderr == "N/A" else stderr), (name, key)
            assert row.n == values["sample_count"][key]


def results_of(task: Task, case: Case, both: Both) -> list[MetricResult]:
    _, samples = score(task, case, both)
    rows = []
    for key in samples[0].scores:
        metric, _, name = key.partition(",")
        value, stderr = task.aggregate(metric, name, [sample.scores[key] for sample in samples])
        counts = OutcomeCounts(scored=len(samples))
        up = task.higher_is_better(metric)
        rows.append(MetricResult(task.name, metric, name, value, stderr, len(samples), up, counts))
    return rows


def test_the_model_of_the_likelihoods_is_right_and_wrong(both: Both) -> None:
    found = {
        tuple(pair) for case in CASES for pair in both.peer[case.name]["asked"] if len(pair) == 2
    }
    greedy = [both.model.likelihood(*pair)[1] for pair in found]
    assert 10 < sum(greedy) < len(greedy) - 10
