"""The state of one pytest session with benchmarks: models, pipelines, ledger and verdicts."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from typing import Any

import pytest

from pytest_lmmeval.errors import LmmError, Unsupported, UsageError
from pytest_lmmeval.evaluator import (
    TaskEvaluation,
    choose_tasks,
    describe,
    evaluate,
    open_pipeline,
    open_task,
    unsupported,
)
from pytest_lmmeval.judging import Judge, NotJudged, is_updated
from pytest_lmmeval.ledger import Ledger, PartResult, TaskLedger
from pytest_lmmeval.model_pool import ModelPool, Worker
from pytest_lmmeval.models.base import LM
from pytest_lmmeval.options import RunConfig, with_settings
from pytest_lmmeval.pipeline import Pipeline
from pytest_lmmeval.plans import GatePlan, Part, TaskPlan, check_model
from pytest_lmmeval.records import Sample, Verdict
from pytest_lmmeval.reports.files import ResultFiles
from pytest_lmmeval.reports.progress import ProgressLine
from pytest_lmmeval.reports.table import GateRow
from pytest_lmmeval.reports.terminal import Summary
from pytest_lmmeval.results import TaskResults, results_dict
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
        self._plans: dict[str, TaskPlan] = {}
        self._tasks: dict[str, Task] = {}
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
        from pytest_lmmeval.tasks.manager import TaskManager

        try:
            TaskManager(include_path=self.config.include_path).select(self.selection.names)
            check_model(self.config, complete=True)
        except LmmError as error:
            raise pytest.UsageError(str(error)) from None

    # In the process that measures.

    def prepare(self, plan: TaskPlan, fixtures: Mapping[str, Any]) -> None:
        """Make the plan's model ready, once.

        Raises:
            ModelUnavailable: Nothing can be measured with it.
            Unsupported: It cannot be asked what the task asks.
        """
        if plan.key in self._of_plan:
            return
        model = fixtures["lmm_models"].get(plan.model) if plan.model else fixtures["lmm_model"]
        if problem := unsupported(plan.task, model):
            raise Unsupported(problem)
        self._of_plan[plan.key] = self.pipeline(model)

    def pipeline(self, model: LM) -> Pipeline:
        """Return the model's pipeline, started on first use."""
        # Tests that await several evaluations at once come here from as many threads.
        with self._opening:
            if id(model) not in self._pipelines:
                workers = self.worker.count if self.worker else 1
                self._pipelines[id(model)] = open_pipeline(model, workers)
            return self._pipelines[id(model)]

    def measure(self, part: Part, upcoming: Sequence[Part]) -> list[Sample]:
        """Send the part's requests, and those of the parts behind it; return its samples.

        Raises:
            LmmError: The part cannot be measured.
        """
        pipeline = self._of_plan[part.plan.key]
        pipeline.submit([self._shard(other, pipeline.model) for other in upcoming])
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
        plan = part.plan
        if plan.key not in self._tasks:
            self._tasks[plan.key] = open_task(plan.task, plan.config, model)
        return Shard(self._tasks[plan.key], part.index, plan.parts)

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
        if len(chosen) != 1:
            names = ", ".join(config.task for config in chosen)
            raise UsageError(f"expected one task; {str(task)!r} is {names}")
        (evaluation,) = evaluate(self.pipeline(model), chosen, config).values()
        return evaluation

    # In the process that sees everything.

    def judge(self, plan: TaskPlan, gate: GatePlan) -> Verdict:
        """Judge a gate, or write its baseline if that is what was asked for.

        Raises:
            NotJudged: There is nothing to judge, which is no defect; the text says why.
        """
        self._plans[plan.key] = plan
        task = self._scorer(plan)
        try:
            reason = self.unavailable.get(plan.model_key) or self.unavailable.get(plan.key)
            verdict = self._judge.judge(plan, gate, task, reason)
        except NotJudged as skipped:
            if skipped.measured is not None:
                self._enter(plan, gate, task, skipped.measured, "no baseline")
            raise
        written = (plan.key, gate.key) in self._judge.updated
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
        return self._tasks.get(plan.key) or Task(plan.task, settings=TaskSettings())

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

    def _write(self) -> None:
        """Write samples of all tasks, and results of those that are complete."""
        complete = []
        uses = Counter(measured.name for measured in self.ledger.tasks.values())
        for key, measured in self.ledger.tasks.items():
            # Two suites may use one task; only the keys of these uses differ.
            name = measured.name if uses[measured.name] == 1 else key
            self.files.join_samples(key, name)
            plan = self._plans.get(key)
            if plan is not None and not measured.missing:
                complete.append(task_results(name, plan, measured, self._scorer(plan)))
        named = next((p.model.name for p in self._plans.values() if p.model), None)
        results = results_dict(complete, replace(self.config, model=self.config.model or named))
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
            notices=self._notices(),
        )

    def _notices(self) -> list[str]:
        """Tell a glob that matches nothing from one whose gates could not be written."""
        glob = self.config.update_baseline
        plans = self._plans.values()
        gates = [(plan, gate) for plan in plans for gate in plan.gates]
        if glob is None or not gates or any(is_updated(plan, gate) for plan, gate in gates):
            return []
        names = ", ".join(f"{plan.name}::{gate.key}" for plan, gate in gates)
        return [f"--lmm-update-baseline: {glob!r} matches none of {names}"]


def task_results(name: str, plan: TaskPlan, measured: TaskLedger, task: Task) -> TaskResults:
    """Sum up all metrics of a complete task; one whose aggregation fails is left to its gate."""
    metrics = []
    for key in measured.metric_keys():
        with suppress(LmmError):
            metrics.append(measured.result(key, task))
    return TaskResults(name, plan.task, metrics, measured.counts, measured.about)
