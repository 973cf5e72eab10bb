"""The state of one pytest session with benchmarks: what was asked for, measured and judged."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import LmmError
from pytest_lmmeval.judging.baseline_updates import unmatched_glob
from pytest_lmmeval.judging.stopping import Stopping
from pytest_lmmeval.judging.watching import Sending, seen
from pytest_lmmeval.ledger import Ledger, PartResult
from pytest_lmmeval.plans.task_plans import (
    Part,
    TaskPlan,
    check_judge_model,
    check_model,
    refuse_shared_baseline,
)
from pytest_lmmeval.reports.files import ResultFiles
from pytest_lmmeval.reports.terminal import Summary
from pytest_lmmeval.results import results_dict
from pytest_lmmeval.session.findings import Findings
from pytest_lmmeval.session.measuring import Measuring
from pytest_lmmeval.session.model_pool import Worker
from pytest_lmmeval.session.open_tasks import OpenTasks
from pytest_lmmeval.session.progress import ProgressReport
from pytest_lmmeval.session.selection import Selection
from pytest_lmmeval.session.verdicts import Verdicts


class BenchmarkRun:
    """Everything that a session with benchmarks knows.

    Attributes:
        config: What the user asked for.
        selection: Tasks asked for by name.
        worker: This process's place under xdist; None for a controller or a lone process.
        plans: All plans that were collected, by key.
        open: Models, pipelines and tasks of this process.
        measuring: The parts that this process measures.
        ledger: What was measured so far; filled in the process that sees everything.
        verdicts: The gates judged so far, there too.
        progress: How far the run is, there too.
    """

    def __init__(
        self, config: RunConfig, selection: Selection, worker: Worker | None, run_id: str
    ) -> None:
        self.config = config
        self.selection = selection
        self.worker = worker
        self.plans: dict[str, TaskPlan] = {}
        self.open = OpenTasks(config, worker, run_id)
        self.progress = ProgressReport()
        self._stopping = Stopping(run_id)
        self.measuring = Measuring(self.open, self._stopping)
        self._files = ResultFiles(config)
        self.ledger = Ledger(self._files.add_part)
        self.verdicts = Verdicts(self.ledger, self._stopping, self.open.scorer)
        self._by_baseline: dict[Path, TaskPlan] = {}
        self._found = Findings(config, self.ledger, self.plans, self.open.scorer)
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
            check_judge_model(self.config)
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

    def take(self, part: PartResult, *, remote: bool) -> None:
        """Take in a part, and see whether the next ones of its task are to be measured at all."""
        self.ledger.add(part)
        plan = self.plans.get(part.key)
        if plan is not None and len(part.docs):
            with suppress(LmmError):  # what is wrong with the task is told by its gates
                whole, task = Part(plan, part.index), self.open.scorer(plan)
                self._stopping.look(whole, task, Sending.of(part), seen(part), remote=remote)

    def finish(self) -> None:
        """Cancel what is in flight, release models and servers, write results. May come twice."""
        if self._finished:
            return
        self._finished = True
        with ExitStack() as closing:
            closing.callback(self.open.models.stop_servers)
            if self.worker is None:
                closing.callback(self._stopping.clear)
            closing.callback(self.open.close)
            self.open.watch.end(self.open.state())
            if self.worker is None and (self.ledger.tasks or self.verdicts.rows):
                self._write()

    def settle(self, *, to_its_end: bool) -> None:
        """Drop the answers that no later run will need. In the process that sees everything.

        Args:
            to_its_end: Whether nothing broke the session off.
        """
        tasks = self.ledger.tasks.values()
        complete = not any(task.missing or task.counts.failed for task in tasks)
        unmeasured = self.verdicts.unavailable or self.open.failed_by_hand
        clean = to_its_end and complete and not unmeasured
        self.open.journals.finish(clean=clean)

    def let_go(self) -> None:
        """Drop what was measured: pytest walks all objects at its end, and these are many."""
        self.ledger.tasks.clear()
        self.open.let_go()

    def config_text(self) -> str:
        """Return what ``--lmm-show-config`` shows: of what was measured, else of all collected."""
        # Deferred: few runs show it.
        from pytest_lmmeval.reports.config_text import config_text

        about = {key: measured.about for key, measured in self.ledger.tasks.items()}
        seen = [plan for key, plan in self.plans.items() if key in about]
        plans = seen or list(self.plans.values())
        return config_text(self.config, plans, about, self.progress.levels)

    def _write(self) -> None:
        """Write samples of all tasks, and results of those that are complete.

        Both in an order that does not depend on which part was through first.
        """
        for key, name in self._found.names().items():
            self._files.join_samples(key, name)
        self._found.sum_up()
        named = next((p.model.name for p in self.plans.values() if p.model), None)
        config = replace(self.config, model=self.config.model or named)
        results = results_dict(self._found.tasks.values(), config, self._found.groups)
        results["verdicts"] = [
            {"node_id": "::".join(place), **asdict(row.verdict)}
            for place, row in sorted(self.verdicts.rows.items())
            if row.note != "no baseline"
        ]
        tasks, names = sorted(self.ledger.tasks.items()), self._found.names()
        results["resized_images"] = {names[key]: t.resized for key, t in tasks if t.resized}
        results["recalled_answers"] = {names[key]: t.recalled for key, t in tasks if t.recalled}
        results["incomplete"] = {key: task.missing for key, task in tasks if task.missing}
        if self.progress.levels:
            results["num_concurrent"] = dict(self.progress.levels)
        self._files.write_results(results)

    def summary(self) -> Summary:
        """Return what the terminal tells at the end."""
        tasks = self.ledger.tasks.values()
        return Summary(
            rows=list(self.verdicts.rows.values()),
            outcomes={task.key: task.counts for task in tasks},
            incomplete={t.key: (len(t.missing), t.count) for t in tasks if t.missing},
            seconds=time.monotonic() - self._began,
            tokens=sum(task.tokens for task in tasks),
            files=[self._files.written] if self._files.written else [],
            groups=self._found.group_lines(),
            notices=[
                *self._found.notices,
                *unmatched_glob(self.config, self.verdicts.plans.values()),
                *self.open.journals.notices(sum(task.recalled for task in tasks)),
            ],
        )
