"""What a process has open: models, the pipelines that ask them, and tasks with their shards."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from pytest_lmmeval.config.options import with_settings
from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import LmmError, Unsupported, UsageError
from pytest_lmmeval.evaluations import TaskEvaluation
from pytest_lmmeval.evaluator import choose_tasks, evaluate, needs, open_task, unsupported
from pytest_lmmeval.models.base import LM
from pytest_lmmeval.pipeline.journal.places import Journals
from pytest_lmmeval.pipeline.pipeline import Pipeline
from pytest_lmmeval.pipeline.progress import Progress
from pytest_lmmeval.pipeline.random_order import RandomOrder
from pytest_lmmeval.pipeline.shards import Shard
from pytest_lmmeval.pipeline.started import open_pipeline
from pytest_lmmeval.plans.early_ends import is_watched
from pytest_lmmeval.plans.task_plans import Part, TaskPlan
from pytest_lmmeval.session.model_pool import ModelPool, Worker
from pytest_lmmeval.session.progress import Unwatched, Watch
from pytest_lmmeval.session.run_judges import RunJudges
from pytest_lmmeval.tasks.task import Task, TaskSettings


class OpenTasks:
    """Models, pipelines and tasks of one process, each opened when it is first needed.

    Attributes:
        config: What the user asked for.
        worker: This process's place under xdist; None for a controller or a lone process.
        models: Models of this process.
        journals: Where its answers are kept.
        watch: Who wants to know how far the requests are.
        orders: The random orders of the tasks that have one, by plan.
        failed_by_hand: Whether a doc failed in a test that was written by hand.
    """

    def __init__(self, config: RunConfig, worker: Worker | None, run_id: str) -> None:
        self.config = config
        self.worker = worker
        self.models = ModelPool(config, worker, run_id)
        self.journals = Journals(config, run_id)
        self.watch: Watch = Unwatched()
        self.orders: dict[str, RandomOrder] = {}
        self.failed_by_hand = False
        self._tasks: dict[str, Task] = {}
        self._refused: dict[str, LmmError] = {}
        self._pipelines: dict[int, Pipeline] = {}
        self._of_plan: dict[str, Pipeline] = {}
        self._opening = threading.Lock()
        self._judges = RunJudges(self.models, self.pipeline)

    def prepare(self, plan: TaskPlan, fixtures: Mapping[str, Any]) -> None:
        """Make the plan's model ready, once.

        Raises:
            ModelUnavailable: Nothing can be measured with it.
            Unsupported: It cannot be asked what the task asks.
            TaskUnavailable: The task needs what is not there, a package or a judge for example.
            JudgeUnavailable: The model that judges its answers cannot be reached.
            TaskError: The task is wrong, or a function that it names.
        """
        if plan.key in self._of_plan:
            return
        model = fixtures["lmm_models"].get(plan.model) if plan.model else fixtures["lmm_model"]
        model = self.journals.stand_in(model)
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
                judge = self._judges.model(plan.task, plan.config)
                args = None if plan.model is None else plan.model.args
                task = open_task(plan.task, plan.config, model, args, judge)
                task.check_requirements()
                self.pipeline(model).require(needs(task))
            except LmmError as error:
                self._refused[plan.key] = error
                raise
            self._tasks[plan.key] = task
        return self._tasks[plan.key]

    def task(self, plan: TaskPlan) -> Task:
        """Return the task of a plan that was prepared."""
        return self._tasks[plan.key]

    def pipeline_of(self, plan: TaskPlan) -> Pipeline:
        """Return the pipeline of a plan that was prepared."""
        return self._of_plan[plan.key]

    def pipeline(self, model: LM) -> Pipeline:
        """Return the model's pipeline, started on first use."""
        # Tests that await several evaluations at once come here from as many threads.
        with self._opening:
            model = self.journals.stand_in(model)
            if id(model) not in self._pipelines:
                workers = self.worker.count if self.worker else 1
                self.models.servers.serve(model)
                self._pipelines[id(model)] = open_pipeline(model, workers, self.journals.open())
            return self._pipelines[id(model)]

    def shard(self, part: Part, model: LM) -> Shard:
        """Return a part's docs as the pipeline takes them.

        Raises:
            LmmError: The part's task cannot run.
        """
        task = self._open(part.plan, model)
        plan = part.plan
        judge = self._judges.of(task, plan.config, plan.key, plan.run)
        order = self._order(plan, task)
        watched = is_watched(plan)
        return Shard(task, part.index, plan.parts, judge, order, plan.run, plan.key, watched)

    def shards(self, parts: Sequence[Part], model: LM) -> list[Shard]:
        """Return the shards of parts that can run; the others say why not when it is their turn."""
        shards = []
        for part in parts:
            with suppress(LmmError):
                shards.append(self.shard(part, model))
        return shards

    def _order(self, plan: TaskPlan, task: Task) -> RandomOrder | None:
        """Return the order of a plan's docs; whether it has a baseline yet makes no difference."""
        if not plan.has_baseline or plan.config.parity or plan.parts == 1:
            return None
        return self.orders.setdefault(plan.key, RandomOrder(task))

    def scorer(self, plan: TaskPlan) -> Task:
        """Return a task for its scoring alone; it opens no data."""
        config = plan.config
        model = plan.model.name if plan.model is not None else config.model
        settings = TaskSettings(
            parity=config.parity, output_path=config.output_path, model_name=model or ""
        )
        return self._tasks.get(plan.key) or Task(plan.task, settings=settings)

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
        (asked,) = chosen.tasks
        judge = self._judges.pipeline(asked, config)
        failed_before = self.failed_by_hand
        self.failed_by_hand = True
        pipeline = self.pipeline(model)
        try:
            (evaluation,) = evaluate(
                pipeline,
                asked,
                config,
                judge=judge,
                on_progress=lambda _: self.watch.look(self.state),
            ).values()
        finally:
            self.watch.rest()
        self.failed_by_hand = failed_before or evaluation.counts.failed > 0
        return evaluation

    def state(self) -> Progress:
        """Return how far the requests of this process are."""
        return Progress.total(pipeline.state() for pipeline in list(self._pipelines.values()))

    def close(self) -> None:
        """Cancel what is in flight."""
        with ExitStack() as closing:
            for pipeline in self._pipelines.values():
                closing.callback(pipeline.close)

    def let_go(self) -> None:
        """Drop the tasks and their docs."""
        self._tasks.clear()
