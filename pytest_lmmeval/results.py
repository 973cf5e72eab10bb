"""Results and samples in lm-eval's layout, with what it leaves out added.

The keys of lm-eval 0.4.13 keep their names and meaning, so that tools which read its files read
ours. Added per task: ``task_settings``, ``outcomes``, ``fingerprints`` and ``model_identity``; per
run: ``library_versions``, and why a group has no number (``incomplete_groups``); per sample:
``outcome``, ``latency``, ``usage``, ``finish_reason``, ``shared``, ``error``.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pytest_lmmeval.config.recorded_config import recorded_settings, recorded_task
from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.doc_records import failure_of
from pytest_lmmeval.records import MetricResult, OutcomeCounts, Response, Sample
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.scoring.group_results import GroupResults

LIBRARIES = (
    "Jinja2",
    "Pillow",
    "datasets",
    "evaluate",
    "numpy",
    "rouge-score",
    "sacrebleu",
    "scikit-learn",
    "scipy",
    "torch",
    "transformers",
)


@dataclass(frozen=True)
class TaskResults:
    """What a task contributes to the results.

    Attributes:
        name: Name of the task in this run.
        config: Its configuration.
        metrics: Its metric results.
        counts: Outcomes of its docs.
        about: Fingerprint, model identity and sizes, as ``evaluator.describe`` returns them.
        settings: What its suite has in place of the run's settings.
    """

    name: str
    config: TaskConfig
    metrics: Sequence[MetricResult]
    counts: OutcomeCounts
    about: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)


def results_dict(
    tasks: Iterable[TaskResults], run: RunConfig, groups: Iterable[GroupResults] = ()
) -> dict[str, Any]:
    """Return lm-eval's results dict, without samples.

    Args:
        tasks: Results of the tasks.
        run: The run's settings.
        groups: Results of the groups through which they were selected.
    """
    tasks, groups = list(tasks), list(groups)
    of_groups = {group.name: group_values(group) for group in groups}
    shots = {task.name: _num_fewshot(task, run) for task in tasks}
    directions: dict[str, dict[str, bool | None]] = {
        task.name: {m.metric: m.higher_is_better for m in task.metrics} for task in tasks
    }
    return {
        "results": {task.name: _values(task) for task in tasks} | of_groups,
        **({"groups": made} if (made := _with_numbers(groups)) else {}),
        "group_subtasks": {group.name: list(group.selected.children) for group in groups},
        "configs": {
            task.name: recorded_task(task.config, task.about.get("fingerprint", {}))
            for task in tasks
        },
        "versions": {task.name: _version(task.config) for task in tasks}
        | {group.name: group.selected.group.version or "N/A" for group in groups},
        "n-shot": shots | shots_of_groups(groups, shots),
        "higher_is_better": directions | directions_of_groups(groups, directions),
        "n-samples": {
            task.name: {
                "original": task.about.get("n_original"),
                "effective": task.about.get("n_effective", task.counts.total),
            }
            for task in tasks
        },
        "config": recorded_settings(run),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "lmmeval_version": version("pytest-lmmeval"),
        "model_name": next((t.about["model"].get("model") for t in tasks if t.about), run.model),
        "library_versions": library_versions(),
        "task_settings": {task.name: _task_settings(task, run) for task in tasks},
        "outcomes": {task.name: dataclasses.asdict(task.counts) for task in tasks},
        "fingerprints": {task.name: dict(task.about.get("fingerprint", {})) for task in tasks},
        "model_identity": {task.name: dict(task.about.get("model", {})) for task in tasks},
        "incomplete_groups": {group.name: group.missing for group in groups if group.missing},
    }


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that have a say in scores, as far as they are there."""
    found = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _task_settings(task: TaskResults, run: RunConfig) -> dict[str, Any]:
    """Return whose rules a task followed, and the seeds that its shots and scores depend on."""
    python, numpy, torch, fewshot = run.seed
    seeds = {"random": python, "numpy": numpy, "torch": torch, "fewshot": fewshot}
    # A suite may ask for parity for one of its tasks.
    chosen = task.about.get("fingerprint", {}).get("settings", {})
    own = {"settings": dict(task.settings)} if task.settings else {}
    return {"dialect": task.config.dialect, "parity": chosen.get("parity"), "seeds": seeds} | own


def _with_numbers(groups: Iterable[GroupResults]) -> dict[str, Any]:
    return {group.name: group_values(group) for group in groups if group.metrics}


def _version(config: TaskConfig) -> Any:
    """Return the version as the YAML has it, a number or text; lm-eval says "Yaml" for none."""
    return config.metadata["version"] if config.version else "Yaml"


def group_values(group: GroupResults) -> dict[str, Any]:
    """Return what lm-eval writes of a group; without numbers its name alone."""
    own = group.selected.group
    values: dict[str, Any] = {"alias": own.alias or group.name, "name": group.name}
    if not group.metrics:
        return values
    values["sample_len"] = group.docs
    values |= _metric_values(group.metrics)
    values["sample_count"] = {row.key: row.n for row in group.metrics}
    return values


def shots_of_groups(groups: Sequence[GroupResults], shots: Mapping[str, int]) -> dict[str, int]:
    """Return the number of shots of each group whose own tasks agree about it."""
    found: dict[str, int] = {}
    for group in groups:
        numbers = {shots[name] for name in group.selected.children if name in shots}
        if len(numbers) == 1:
            found[group.name] = numbers.pop()
    return found


def directions_of_groups(
    groups: Sequence[GroupResults], directions: Mapping[str, Mapping[str, bool | None]]
) -> dict[str, dict[str, bool | None]]:
    """Return the direction of each metric of a group's own tasks; None where they disagree."""
    found: dict[str, dict[str, bool | None]] = {}
    for group in groups:
        own: dict[str, bool | None] = {}
        for child in group.selected.children:
            for metric, higher in directions.get(child, {}).items():
                own[metric] = higher if own.setdefault(metric, higher) == higher else None
        if own:
            found[group.name] = own
    return found


def _values(task: TaskResults) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": task.name,
        "alias": task.config.task_alias or task.name,
        "sample_len": task.counts.total,
    }
    return values | _metric_values(task.metrics)


def _metric_values(metrics: Iterable[MetricResult]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for metric in metrics:
        values[metric.key] = metric.value
        stderr = "N/A" if metric.stderr is None else metric.stderr
        values[f"{metric.metric}_stderr,{metric.filter}"] = stderr
    return values


def _num_fewshot(task: TaskResults, run: RunConfig) -> int:
    own = task.config.num_fewshot
    if "fingerprint" in task.about:
        return int(task.about["fingerprint"]["num_fewshot"])
    # As in lm-eval, a 0 in the YAML stands against the option.
    return (own or 0) if own == 0 or run.num_fewshot is None else run.num_fewshot


def sample_rows(sample: Sample) -> list[dict[str, Any]]:
    """Return a sample as rows of ``samples_*.jsonl``: one per filter, as lm-eval writes them."""
    by_filter: dict[str, dict[str, Any]] = {name: {} for name in sample.filtered}
    for key, score in sample.scores.items():
        metric, _, name = key.partition(",")
        by_filter.setdefault(name, {})[metric] = score
    return [_sample_row(sample, name, own) for name, own in (by_filter or {"none": {}}).items()]


def _sample_row(sample: Sample, name: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    responses = sample.responses
    return {
        "doc_id": sample.doc_id,
        "doc": dict(sample.doc),
        "target": sample.target,
        "arguments": _arguments(sample.arguments),
        "resps": [[_answer(response)] for response in responses],
        "filtered_resps": list(sample.filtered.get(name, ())),
        "filter": name,
        "metrics": list(scores),
        "doc_hash": sample.doc_hash,
        "prompt_hash": sample.prompt_hash,
        "target_hash": sample.target_hash,
        **scores,
        "outcome": sample.outcome,
        "latency": [round(response.latency, 6) for response in responses],
        "usage": [dict(response.usage) for response in responses],
        "finish_reason": [response.finish_reason for response in responses],
        "reasoning": [response.reasoning for response in responses],
        "shared": [response.shared for response in responses],
        "error": failure_of(sample),
    }


def _answer(response: Response) -> Any:
    if response.failure is not None:
        return None
    if response.text is not None:
        return response.text
    # lm-eval writes likelihoods as text.
    pair = [str(response.logprob)]
    return pair if response.is_greedy is None else [*pair, str(response.is_greedy)]


def _arguments(arguments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Number what was asked, as lm-eval does: the context, then what goes with it.

    A sample leaves out a context that is that of the instance before.
    """
    named, context = {}, None
    for i, given in enumerate(arguments):
        context = given.get("context", context)
        pieces = {"arg_0": context}
        for name, value in given.items():
            if name != "context":
                pieces[f"arg_{len(pieces)}"] = value
        named[f"gen_args_{i}"] = pieces
    return named
