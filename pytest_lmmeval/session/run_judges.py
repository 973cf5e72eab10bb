"""The judges of a session, each started when the first task that it judges is opened."""

from __future__ import annotations

from collections.abc import Callable

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import JudgeUnavailable, ModelUnavailable
from pytest_lmmeval.models.base import LM
from pytest_lmmeval.pipeline.judge_models import TaskJudge, check_judge_model, no_judge, task_judge
from pytest_lmmeval.pipeline.pipeline import Pipeline
from pytest_lmmeval.plans.task_plans import judge_model
from pytest_lmmeval.session.model_pool import ModelPool
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.functions.judge_use import needs_judge
from pytest_lmmeval.tasks.task import Task


class RunJudges:
    """Finds the judge of a task.

    Args:
        models: The models of this process.
        open_pipeline: Returns a model's pipeline, started on first use.
    """

    def __init__(self, models: ModelPool, open_pipeline: Callable[[LM], Pipeline]) -> None:
        self._models = models
        self._open_pipeline = open_pipeline
        self._gone: dict[str, JudgeUnavailable] = {}

    def pipeline(self, task: TaskConfig, config: RunConfig) -> Pipeline | None:
        """Return the pipeline of a task's judge; None for a task without one.

        Raises:
            TaskUnavailable: No judge model is named.
            UsageError: The model cannot judge.
            JudgeUnavailable: It cannot be reached.
        """
        if not needs_judge(task) or config.predict_only:
            return None
        plan = judge_model(config)
        if plan is None:
            raise no_judge(task)
        if plan.key in self._gone:
            raise self._gone[plan.key]
        try:
            model = self._models.get(plan)
            check_judge_model(task, model)
            return self._open_pipeline(model)
        except ModelUnavailable as error:
            self._gone[plan.key] = gone = JudgeUnavailable(f"the judge: {error}")
            raise gone from error

    def model(self, task: TaskConfig, config: RunConfig) -> LM | None:
        """Return the model that judges a task, started; None for a task without a judge.

        Raises:
            LmmError: As for ``pipeline``.
        """
        pipeline = self.pipeline(task, config)
        return None if pipeline is None else pipeline.model

    def of(self, task: Task, config: RunConfig, name: str, run: int) -> TaskJudge | None:
        """Return who judges a task that was opened; None for one without a judge.

        Args:
            task: The task.
            config: Its settings.
            name: Tells this use of the task from others.
            run: Which of several runs it is.
        """
        return task_judge(self.pipeline(task.config, config), task, name, run)
