"""The engine without pytest: tasks and a model in, metric results out.

``simple_evaluate`` takes what lm-eval's function of that name takes and returns a dict of the same
layout. ``evaluate`` returns the results as objects. The pytest plugin is a client of this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pytest_lmmeval.config.options import with_settings
from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.doc_records import DocRecords
from pytest_lmmeval.errors import UsageError
from pytest_lmmeval.evaluations import Evaluations, GroupEvaluation, TaskEvaluation
from pytest_lmmeval.ledger import TaskLedger
from pytest_lmmeval.models.arguments import is_secret, parse_arguments
from pytest_lmmeval.models.base import LM, Need
from pytest_lmmeval.pipeline.judge_models import judge_identity, task_judge
from pytest_lmmeval.pipeline.pipeline import Pipeline
from pytest_lmmeval.pipeline.shards import Shard
from pytest_lmmeval.pipeline.started import judge_pipeline_of, pipeline_of
from pytest_lmmeval.records import Sample
from pytest_lmmeval.tasks.catalog.groups import SelectedGroup
from pytest_lmmeval.tasks.catalog.manager import TaskManager
from pytest_lmmeval.tasks.data.media_files import NO_DECODER, asks_for_videos
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.functions.packages import is_installed
from pytest_lmmeval.tasks.output_types import UNSUPPORTED, request_type
from pytest_lmmeval.tasks.scoring.group_results import sum_up_group
from pytest_lmmeval.tasks.task import Task, TaskSettings

Tasks: TypeAlias = str | Path | TaskConfig | Sequence[str | Path | TaskConfig]


def unsupported(task: TaskConfig, model: LM) -> str | None:
    """Return why a model cannot be asked what a task asks, or None if it can."""
    needed = request_type(task.output_type)
    name = model.name or type(model).__name__
    if needed in model.request_types or task.output_type in UNSUPPORTED:
        # What cannot be asked at all is refused where the task is opened, with its own reason.
        return _no_videos(task, model, name) if asks_for_videos(task) else None
    return f"{name} cannot answer {needed} requests, which task {task.task!r} needs"


def _no_videos(task: TaskConfig, model: LM, name: str) -> str | None:
    if "video" not in model.modalities:
        return f"{name} takes no videos, which task {task.task!r} needs"
    if model.decodes_videos and not is_installed("av"):
        return f"task {task.task!r}: {NO_DECODER}"
    return None


def needs(task: Task) -> list[Need]:
    """Return what a task needs that an endpoint may only seem to do."""
    scores = request_type(task.config.output_type) in ("loglikelihood", "loglikelihood_rolling")
    wanted: dict[Need, bool] = {"likelihood": scores, "image": task.shows_images}
    return [need for need, is_wanted in wanted.items() if is_wanted]


def open_task(
    task: TaskConfig,
    config: RunConfig,
    model: LM,
    model_args: Mapping[str, Any] | None = None,
    judge: LM | None = None,
) -> Task:
    """Return the task with the run's settings and the model's way of being asked.

    Args:
        task: The task.
        config: The run's settings.
        model: The model.
        model_args: Its arguments, where they are not those of ``config``.
        judge: The model that scores its answers, if it has a judge.
    """
    if model_args is None:
        model_args = parse_arguments(config.model_args)
    # As in lm-eval the model's arguments go over the task's metadata, and the run's over both.
    hidden = {key for key in model_args if is_secret(key) or key in config.metadata}
    arguments = {key: v for key, v in model_args.items() if key not in hidden}
    return Task(
        task,
        settings=TaskSettings(
            num_fewshot=config.num_fewshot,
            gen_kwargs=config.gen_kwargs,
            system_instruction=config.system_instruction,
            apply_chat_template=bool(config.apply_chat_template),
            fewshot_as_multiturn=config.fewshot_as_multiturn,
            fewshot_seed=config.seed[3] if config.seed[3] is not None else 1234,
            limit=config.limit,
            limit_from=config.limit_from,
            samples=config.samples.get(task.task),
            data_map=config.data_map,
            model_name=model.name,
            model_args=arguments,
            metadata=config.metadata,
            message_format=config.message_format or model.message_format,
            chat=model.chat,
            trust_remote_code=config.trust_remote_code,
            confirm_run_unsafe_code=config.confirm_run_unsafe_code,
            output_path=config.output_path,
            parity=config.parity,
            random_seeds=config.seed[:2],
            judge=judge_identity(judge) if judge is not None else None,
            predict_only=config.predict_only,
        ),
    )


def describe(task: Task, model: LM) -> dict[str, Any]:
    """Return what fingerprints and reports say about a task on a model. Builtin types only."""
    return {
        "fingerprint": task.fingerprint(),
        "model": model.identity(),
        "n_original": task.n_original,
        "n_effective": len(task.doc_ids()),
    }


def evaluate(
    model: LM | Pipeline,
    tasks: Tasks,
    config: RunConfig | None = None,
    *,
    judge: LM | Pipeline | None = None,
    on_progress: Callable[[Pipeline], None] | None = None,
    **settings: Any,
) -> Evaluations:
    """Evaluate tasks on a model, all their requests in one stream.

    Args:
        model: A model, or a started pipeline of one, which stays open.
        tasks: One or several: names, groups, tags, globs or paths of task YAMLs, or
            configurations.
        config: Settings of the run.
        judge: The model that scores the answers of tasks with a judge, in place of the settings'
            ``judge_model``; or a started pipeline of one, which stays open.
        on_progress: Called about twice a second with the pipeline.
        **settings: Fields of ``RunConfig`` that differ from ``config``.

    Returns:
        One evaluation per task, in order, by name; its ``groups`` hold those of groups.

    Raises:
        UsageError: No such task or setting.
        TaskError: A task file is wrong, or a function that it names failed.
        TaskUnavailable: A task needs a package, for example, that is not installed, or a judge.
        JudgeUnavailable: The judge cannot be reached.
        DataError: A data set is not there.
        ModelUnavailable: Nothing can be measured with the model.
        Unsupported: The endpoint cannot do what a task needs.
    """
    config = with_settings(config or RunConfig(), **settings)
    chosen = choose_tasks(tasks, config)
    judging = judge_pipeline_of(chosen.tasks, config, judge)
    with pipeline_of(model, config) as pipeline, judging as judge_pipeline:
        for task in chosen.tasks:
            if problem := unsupported(task, pipeline.model):
                raise UsageError(problem)
        judge_model = judge_pipeline.model if judge_pipeline is not None else None
        opened = [
            open_task(task, config, pipeline.model, judge=judge_model) for task in chosen.tasks
        ]
        for own in opened:
            own.check_requirements()
            pipeline.require(needs(own))
        shards = [Shard(task, judge=task_judge(judge_pipeline, task)) for task in opened]
        pipeline.submit(shards)
        tick = (lambda: on_progress(pipeline)) if on_progress else None
        found = {
            task.name: sum_up(task, pipeline.result(shard, tick=tick), pipeline.model)
            for task, shard in zip(opened, shards, strict=True)
        }
        return Evaluations(found, sum_up_groups(chosen.groups, found))


def sum_up(task: Task, samples: Sequence[Sample], model: LM) -> TaskEvaluation:
    """Aggregate a task's samples."""
    ledger = TaskLedger(task.name, task.name, 1)
    ledger.add(0, DocRecords(samples), {})
    metrics = {key: ledger.result(key, task) for key in ledger.metric_keys()}
    about = describe(task, model)
    return TaskEvaluation(task.name, task.config, metrics, ledger.counts, tuple(samples), about)


def sum_up_groups(
    groups: Sequence[SelectedGroup], tasks: Mapping[str, TaskEvaluation]
) -> dict[str, GroupEvaluation]:
    """Aggregate the groups through which tasks were selected."""
    measured = {name: list(task.metrics.values()) for name, task in tasks.items()}
    made = [sum_up_group(group, measured) for group in groups]
    return {results.name: GroupEvaluation(results) for results in made}


@dataclass(frozen=True)
class Choice:
    """What is to be evaluated.

    Attributes:
        tasks: The tasks.
        groups: The groups through which they were chosen.
    """

    tasks: Sequence[TaskConfig]
    groups: Sequence[SelectedGroup]


def choose_tasks(tasks: Tasks, config: RunConfig) -> Choice:
    """Return the tasks that names and the like stand for.

    Raises:
        UsageError: A name stands for nothing, or two for one task.
    """
    manager = TaskManager(include_path=config.include_path)
    chosen: list[TaskConfig] = []
    groups: dict[str, SelectedGroup] = {}
    for task in [tasks] if isinstance(tasks, str | Path | TaskConfig) else tasks:
        if isinstance(task, TaskConfig):
            chosen.append(task)
        else:
            specs = manager.select([str(task)], dialect=config.forced_dialect)
            chosen += [spec.config for spec in specs]
            groups |= {own.group.name: own for spec in specs for own in spec.within}
    chosen = [task.under(config.parity).with_metadata(config.metadata) for task in chosen]
    names = [task.task for task in chosen]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UsageError(f"selected twice: {', '.join(sorted(twice))}")
    return Choice(chosen, list(groups.values()))


def simple_evaluate(
    model: str | LM,
    model_args: str | Mapping[str, Any] | None = None,
    tasks: Tasks = (),
    *,
    batch_size: int | str | None = None,
    max_batch_size: int | None = None,
    device: str | None = None,
    log_samples: bool = True,
    **settings: Any,
) -> dict[str, Any]:
    """Evaluate tasks on a model named by the user, and return lm-eval's results dict.

    Args:
        model: Registered name, or a model.
        model_args: Arguments of a model given by name.
        tasks: As for ``evaluate``.
        batch_size: Requests per call of an in-process model.
        max_batch_size: Upper bound of an automatic batch size.
        device: Device of an in-process model.
        log_samples: Whether the dict holds the samples.
        **settings: Further fields of ``RunConfig``: num_fewshot, limit, gen_kwargs, ….

    Raises:
        UsageError: No such model, argument, task or setting; otherwise as ``evaluate``.
    """
    # Deferred: a run with a model of the user's own needs no registry and no layout.
    from pytest_lmmeval.models.registry import create_model
    from pytest_lmmeval.results import TaskResults, results_dict, sample_rows

    if isinstance(model, str):
        name = model
        chosen = create_model(
            model,
            model_args or "",
            batch_size=batch_size,
            max_batch_size=max_batch_size,
            device=device,
            chat_template=with_settings(RunConfig(), **settings).chat_template,
        )
    else:
        name, chosen = type(model).__name__, model
    given: dict[str, Any] = {"model": name, "model_args": model_args or "", "device": device}
    given |= {"batch_size": batch_size, "max_batch_size": max_batch_size}
    config = with_settings(RunConfig(), **given, **settings)
    evaluations = evaluate(chosen, tasks, config)
    results = results_dict(
        [
            TaskResults(e.name, e.config, list(e.metrics.values()), e.counts, e.about)
            for e in evaluations.values()
        ],
        config,
        [group.results for group in evaluations.groups.values()],
    )
    if log_samples:
        results["samples"] = {
            e.name: [row for sample in e.samples for row in sample_rows(sample)]
            for e in evaluations.values()
        }
    return results
