"""The state of one pytest session with benchmarks: models, pipelines, ledger and verdicts."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_lmmeval.baseline_updates import unmatched_glob
from pytest_lmmeval.errors import LmmError, TaskUnavailable, Unsupported, UsageError
from pytest_lmmeval.evaluations import TaskEvaluation
from pytest_lmmeval.evaluator import (
    choose_tasks,
    describe,
    evaluate,
    needs,
    open_pipeline,
    open_task,
    unsupported,
)
from pytest_lmmeval.findings import Findings
from pytest_lmmeval.judging import Judge, NotJudged
from pytest_lmmeval.ledger import Ledger, PartResult
from pytest_lmmeval.model_pool import ModelPool, Worker
from pytest_lmmeval.models.base import LM
from pytest_lmmeval.options import RunConfig, with_settings
from pytest_lmmeval.pipeline import Pipeline
from pytest_lmmeval.plans import GatePlan, Part, TaskPlan, check_model, refuse_shared_baseline
from pytest_lmmeval.records import Sample, Verdict
from pytest_lmmeval.reports.files import ResultFiles
from pytest_lmmeval.reports.progress import ProgressLine
from pytest_lmmeval.reports.table import GateRow
from pytest_lmmeval.reports.terminal import Summary
from pytest_lmmeval.results import results_dict
from pytest_lmmeval.selection import Selection
from pytest_lmmeval.shards import Shard
from pytest_lmmeval.tasks.task import Task, TaskSettings


class BenchmarkRun:
    """Everything that a session with benchmarks knows.

    Attributes:
        config: What the user asked for.
        selection: Tasks asked for by name.
        worker: This process's place under xdist; None for a controller or a lone process.
        models: Models of this process.
        ledger: What was measured so far; filled in the process that sees everything.
        rows: The gates judged so far.
        plans: All plans that were collected, by key.
        unavailable: By model or plan, why nothing can be measured with it, once that is so.
    """

    def __init__(
        self, config: RunConfig, selection: Selection, worker: Worker | None, run_id: str
    ) -> None:
        self.config = config
        self.selection = selection
        self.worker = worker
        self.models = ModelPool(config, worker, run_id)
        self.files = ResultFiles(config)
        self.ledger = Ledger(self.files.add_part)
        self.rows: dict[tuple[str, str], GateRow] = {}
        self.unavailable: dict[str, str] = {}
        self.progress: ProgressLine | None = None
        self._judge = Judge(self.ledger)
        self.plans: dict[str, TaskPlan] = {}
        self._by_baseline: dict[Path, TaskPlan] = {}
        self._judged: dict[str, TaskPlan] = {}
        self._found = Findings(config, self.ledger, self.plans, self._scorer)
        self._tasks: dict[str, Task] = {}
        self._refused: dict[str, LmmError] = {}
        self._told: dict[tuple[str, str], str] = {}
        self._pipelines: dict[int, Pipeline] = {}
        self._opening = threading.Lock()
        self._of_plan: dict[str, Pipeline] = {}
        self._began = time.monotonic()
        self._finished = False

    def check_selection(self) -> None:
        """Fail before anything is collected if a name or a model argument cannot be used.

        Raises:
            pytest.UsageError: Unknown task, model or argument.
        """
        from pytest_lmmeval.tasks.catalog.manager import TaskManager

        try:
            manager = TaskManager(include_path=self.config.include_path)
            manager.select(self.selection.names, dialect=self.config.forced_dialect)
            check_model(self.config, complete=True)
        except LmmError as error:
            raise pytest.UsageError(str(error)) from None

    def add_plan(self, plan: TaskPlan) -> None:
        """Take over a plan that was collected.

        Raises:
            UsageError: Another one has the same baseline.
        """
        if plan.has_baseline:
            refuse_shared_baseline(plan, self._by_baseline.setdefault(plan.baseline, plan))
        self.plans[plan.key] = plan

    # In the process that measures.

    def prepare(self, plan: TaskPlan, fixtures: Mapping[str, Any]) -> None:
        """Make the plan's model ready, once.

        Raises:
            ModelUnavailable: Nothing can be measured with it.
            Unsupported: It cannot be asked what the task asks.
            TaskUnavailable: The task needs what is not there, a package for example.
            TaskError: The task is wrong, or a function that it names.
        """
        if plan.key in self._of_plan:
            return
        model = fixtures["lmm_models"].get(plan.model) if plan.model else fixtures["lmm_model"]
        self._open(plan, model)
        self._of_plan[plan.key] = self.pipeline(model)

    def _open(self, plan: TaskPlan, model: LM) -> Task:
        """Return the plan's task; one that cannot run is opened once, too.

        Raises:
            LmmError: As for ``prepare``.
        """
        if plan.key in self._refused:
            raise self._refused[plan.key]
        if plan.key not in self._tasks:
            try:
                if problem := unsupported(plan.task, model):
                    raise Unsupported(problem)
                args = None if plan.model is None else plan.model.args
                task = open_task(plan.task, plan.config, model, args)
                task.check_requirements()
                self.pipeline(model).require(needs(task))
            except LmmError as error:
                self._refused[plan.key] = error
                raise
            self._tasks[plan.key] = task
        return self._tasks[plan.key]

    def pipeline(self, model: LM) -> Pipeline:
        """Return the model's pipeline, started on first use."""
        # Tests that await several evaluations at once come here from as many threads.
        with self._opening:
            if id(model) not in self._pipelines:
                workers = self.worker.count if self.worker else 1
                self.models.servers.serve(model)
                self._pipelines[id(model)] = open_pipeline(model, workers)
            return self._pipelines[id(model)]

    def measure(self, part: Part, upcoming: Sequence[Part]) -> list[Sample]:
        """Send the part's requests, and those of the parts behind it; return its samples.

        Raises:
            LmmError: The part cannot be measured.
        """
        pipeline = self._of_plan[part.plan.key]
        pipeline.submit(self._shards(upcoming, pipeline.model))
        progress = self.progress

        def tick() -> None:
            if progress is not None:
                progress.draw(f"{part.plan.name} {part.name}", pipeline.progress)

        try:
            return pipeline.result(self._shard(part, pipeline.model), tick=tick)
        finally:
            if progress is not None:
                progress.wipe()

    def _shard(self, part: Part, model: LM) -> Shard:
        return Shard(self._open(part.plan, model), part.index, part.plan.parts)

    def _shards(self, parts: Sequence[Part], model: LM) -> list[Shard]:
        """Return the shards of parts that can run; the others say why not when it is their turn."""
        shards = []
        for part in parts:
            with suppress(LmmError):
                shards.append(self._shard(part, model))
        return shards

    def first_to_tell(self, plan: TaskPlan, name: str, problem: str) -> str:
        """Return the name of the plan's part that was the first to have this problem."""
        return self._told.setdefault((plan.key, problem), name)

    def result(self, part: Part, samples: Sequence[Sample]) -> PartResult:
        """Return what the part's report carries to the process that sees everything."""
        plan = part.plan
        about = describe(self._tasks[plan.key], self._of_plan[plan.key].model)
        return PartResult(plan.key, plan.name, part.index, plan.parts, samples, about)

    def evaluate(self, model: LM, task: str, settings: Mapping[str, Any]) -> TaskEvaluation:
        """Evaluate a task for a test written by hand.

        Raises:
            LmmError: As for ``evaluator.evaluate``.
        """
        config = with_settings(self.config, **settings)
        chosen = choose_tasks(task, config)
        if len(chosen.tasks) != 1:
            names = ", ".join(config.task for config in chosen.tasks)
            raise UsageError(f"expected one task; {str(task)!r} is {names}")
        (evaluation,) = evaluate(self.pipeline(model), chosen.tasks, config).values()
        return evaluation

    # In the process that sees everything.

    def judge(self, plan: TaskPlan, gate: GatePlan) -> Verdict:
        """Judge a gate, or write its baseline if that is what was asked for.

        Raises:
            NotJudged: There is nothing to judge, which is no defect; the text says why.
        """
        self._judged[plan.key] = plan
        try:
            task = self._scorer(plan)
        except TaskUnavailable as error:
            return self._judge.cannot_be_asked(plan, gate, str(error))
        try:
            no_model, unserved = (self.unavailable.get(k) for k in (plan.model_key, plan.key))
            if unserved is not None and no_model is None:
                verdict = self._judge.cannot_be_asked(plan, gate, unserved)
            else:
                verdict = self._judge.judge(plan, gate, task, no_model)
        except NotJudged as skipped:
            if skipped.measured is not None:
                self._enter(plan, gate, task, skipped.measured, "no baseline")
            raise
        written = (plan.key, gate.key) in self._judge.updates.written
        self._enter(plan, gate, task, verdict, "written" if written else "")
        return verdict

    def _enter(
        self, plan: TaskPlan, gate: GatePlan, task: Task, verdict: Verdict, note: str
    ) -> None:
        label = f"{plan.name} {gate.key.removesuffix(',none')}"
        self.rows[plan.key, gate.key] = GateRow(
            label=f"{plan.suite}: {label}" if plan.suite else label,
            scale=task.scale(gate.key.partition(",")[0]),
            verdict=verdict,
            where=(str(gate.path), gate.line),
            note=note,
        )

    def lost_lines(self, plan: TaskPlan, verdict: Verdict) -> list[str]:
        """Name the docs that were lost."""
        return self._judge.lost_lines(plan, verdict)

    def _scorer(self, plan: TaskPlan) -> Task:
        """Return a task for its scoring alone; it opens no data."""
        config = plan.config
        model = plan.model.name if plan.model is not None else config.model
        settings = TaskSettings(
            parity=config.parity, output_path=config.output_path, model_name=model or ""
        )
        return self._tasks.get(plan.key) or Task(plan.task, settings=settings)

    def finish(self) -> None:
        """Cancel what is in flight, release models and servers, write results. May come twice."""
        if self._finished:
            return
        self._finished = True
        with ExitStack() as closing:
            closing.callback(self.models.stop_servers)
            for pipeline in self._pipelines.values():
                closing.callback(pipeline.close)
            if self.worker is None and (self.ledger.tasks or self.rows):
                self._write()

    def let_go(self) -> None:
        """Drop what was measured: pytest walks all objects at its end, and these are many."""
        self.ledger.tasks.clear()
        self._tasks.clear()

    def config_text(self) -> str:
        """Return what ``--lmm-show-config`` shows: of what was measured, else of all collected."""
        # Deferred: few runs show it.
        from pytest_lmmeval.reports.config_text import config_text

        about = {key: measured.about for key, measured in self.ledger.tasks.items()}
        seen = [plan for key, plan in self.plans.items() if key in about]
        return config_text(self.config, seen or list(self.plans.values()), about)

    def _write(self) -> None:
        """Write samples of all tasks, and results of those that are complete."""
        for key, name in self._found.names().items():
            self.files.join_samples(key, name)
        self._found.sum_up()
        named = next((p.model.name for p in self.plans.values() if p.model), None)
        config = replace(self.config, model=self.config.model or named)
        results = results_dict(self._found.tasks.values(), config, self._found.groups)
        results["verdicts"] = [
            {"node_id": "::".join(place), **asdict(row.verdict)}
            for place, row in self.rows.items()
            if row.note != "no baseline"
        ]
        results["incomplete"] = {k: t.missing for k, t in self.ledger.tasks.items() if t.missing}
        self.files.write_results(results)

    def summary(self) -> Summary:
        """Return what the terminal tells at the end."""
        tasks = self.ledger.tasks.values()
        return Summary(
            rows=list(self.rows.values()),
            outcomes={task.key: task.counts for task in tasks},
            incomplete={t.key: (len(t.missing), t.count) for t in tasks if t.missing},
            seconds=time.monotonic() - self._began,
            tokens=sum(doc.tokens for task in tasks for doc in task.docs),
            files=[self.files.written] if self.files.written else [],
            groups=self._found.group_lines(),
            notices=[*self._found.notices, *unmatched_glob(self.config, self._judged.values())],
        )
