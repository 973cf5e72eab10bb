"""The engine without pytest: tasks and a model in, metric results out.

``simple_evaluate`` takes what lm-eval's function of that name takes and returns a dict of the same
layout. ``evaluate`` returns the results as objects. The pytest plugin is a client of this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from pytest_lmmeval.errors import UsageError, nearest
from pytest_lmmeval.ledger import TaskLedger
from pytest_lmmeval.models.base import LM, AsyncLM
from pytest_lmmeval.options import RunConfig, with_settings
from pytest_lmmeval.pipeline import Pipeline
from pytest_lmmeval.records import MetricResult, OutcomeCounts, Sample
from pytest_lmmeval.shards import Shard
from pytest_lmmeval.tasks.config import TaskConfig
from pytest_lmmeval.tasks.manager import TaskManager
from pytest_lmmeval.tasks.task import Task, TaskSettings

Tasks: TypeAlias = str | Path | TaskConfig | Sequence[str | Path | TaskConfig]


class UnknownMetric(UsageError, KeyError):
    """A task was not measured by this metric. A ``KeyError`` too, as mappings need it."""

    def __str__(self) -> str:
        # KeyError's own is the repr of the text.
        return str(self.args[0])


@dataclass(frozen=True)
class TaskEvaluation(Mapping[str, float]):
    """What a task measured; a mapping from metrics to values.

    ``result["exact_match"]`` works where the metric has one filter, ``result["exact_match,none"]``
    always.

    Attributes:
        name: Name of the task.
        config: Its configuration.
        metrics: All metric results, by ``"metric,filter"``.
        counts: Outcomes of the docs. A failed doc is in no metric.
        samples: All samples, in doc order.
        about: Fingerprint of the task and identity of the model.
    """

    name: str
    config: TaskConfig = field(repr=False)
    metrics: Mapping[str, MetricResult]
    counts: OutcomeCounts
    samples: Sequence[Sample] = field(repr=False, default=())
    about: Mapping[str, Any] = field(repr=False, default_factory=dict)

    def result(self, name: str) -> MetricResult:
        """Return one metric result.

        Raises:
            UnknownMetric: There is none of this name, or several.
        """
        found = [key for key in self.metrics if name in (key, key.partition(",")[0])]
        if len(found) != 1:
            known = ", ".join(self.metrics)
            problem = f"is ambiguous: {', '.join(found)}" if found else f"was not measured: {known}"
            raise UnknownMetric(
                f"{self.name}: metric {name!r} {problem}.{nearest(name, self.metrics)}"
            )
        return self.metrics[found[0]]

    def __getitem__(self, name: str) -> float:
        return self.result(name).value

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)


def unsupported(task: TaskConfig, model: LM) -> str | None:
    """Return why a model cannot be asked what a task asks, or None if it can."""
    likelihoods = "loglikelihood" if task.output_type == "multiple_choice" else task.output_type
    if likelihoods in model.request_types:
        return None
    name = model.name or type(model).__name__
    return f"{name} cannot answer {likelihoods} requests, which task {task.task!r} needs"


def open_task(task: TaskConfig, config: RunConfig, model: LM) -> Task:
    """Return the task with the run's settings and the model's way of being asked."""
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
            message_format=config.message_format or model.message_format,
            chat=model.chat,
            trust_remote_code=config.trust_remote_code,
            confirm_run_unsafe_code=config.confirm_run_unsafe_code,
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


def concurrency(model: LM, workers: int = 1) -> int:
    """Return this process's share of the requests that may be in flight over all workers."""
    total = model.num_concurrent if isinstance(model, AsyncLM) else 1
    return max(1, total // max(1, workers))


def open_pipeline(model: LM, workers: int = 1) -> Pipeline:
    """Return a started pipeline.

    Raises:
        ModelUnavailable: Nothing can be measured with the model.
    """
    pipeline = Pipeline(model, concurrency=concurrency(model, workers))
    try:
        pipeline.start()
    except BaseException:  # Ctrl-C too must not leave the loop's thread behind
        pipeline.close()
        raise
    return pipeline


def evaluate(
    model: LM | Pipeline,
    tasks: Tasks,
    config: RunConfig | None = None,
    *,
    on_progress: Callable[[Pipeline], None] | None = None,
    **settings: Any,
) -> dict[str, TaskEvaluation]:
    """Evaluate tasks on a model, all their requests in one stream.

    Args:
        model: A model, or a started pipeline of one, which stays open.
        tasks: One or several: names, groups, tags, globs or paths of task YAMLs, or
            configurations.
        config: Settings of the run.
        on_progress: Called about twice a second with the pipeline.
        **settings: Fields of ``RunConfig`` that differ from ``config``.

    Returns:
        One evaluation per task, in order, by name.

    Raises:
        UsageError: No such task or setting.
        TaskError: A task file is wrong, or a function that it names failed.
        DataError: A data set is not there.
        ModelUnavailable: Nothing can be measured with the model.
    """
    config = with_settings(config or RunConfig(), **settings)
    chosen = choose_tasks(tasks, config)
    pipeline = model if isinstance(model, Pipeline) else open_pipeline(model)
    try:
        for task in chosen:
            if problem := unsupported(task, pipeline.model):
                raise UsageError(problem)
        opened = [open_task(task, config, pipeline.model) for task in chosen]
        shards = [Shard(task) for task in opened]
        pipeline.submit(shards)
        tick = (lambda: on_progress(pipeline)) if on_progress else None
        return {
            task.name: sum_up(task, pipeline.result(shard, tick=tick), pipeline.model)
            for task, shard in zip(opened, shards, strict=True)
        }
    finally:
        if pipeline is not model:
            pipeline.close()


def sum_up(task: Task, samples: Sequence[Sample], model: LM) -> TaskEvaluation:
    """Aggregate a task's samples."""
    ledger = TaskLedger(task.name, task.name, 1)
    ledger.add(0, samples, {})
    metrics = {key: ledger.result(key, task) for key in ledger.metric_keys()}
    about = describe(task, model)
    return TaskEvaluation(task.name, task.config, metrics, ledger.counts, tuple(samples), about)


def choose_tasks(tasks: Tasks, config: RunConfig) -> list[TaskConfig]:
    """Return the tasks that names and the like stand for.

    Raises:
        UsageError: A name stands for nothing, or two for one task.
    """
    manager = TaskManager(include_path=config.include_path)
    chosen: list[TaskConfig] = []
    for task in [tasks] if isinstance(tasks, str | Path | TaskConfig) else tasks:
        if isinstance(task, TaskConfig):
            chosen.append(task)
        else:
            chosen += [spec.config for spec in manager.select([str(task)])]
    names = [task.task for task in chosen]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise UsageError(f"selected twice: {', '.join(sorted(twice))}")
    return chosen


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
    )
    if log_samples:
        results["samples"] = {
            e.name: [row for sample in e.samples for row in sample_rows(sample)]
            for e in evaluations.values()
        }
    return results
