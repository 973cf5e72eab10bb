"""Started pipelines: of a model that a caller has, and of the judge that its tasks need."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import JudgeUnavailable, ModelUnavailable
from pytest_lmmeval.models.arguments import parse_arguments
from pytest_lmmeval.models.base import LM, AsyncLM
from pytest_lmmeval.pipeline.journal.journal import Journal
from pytest_lmmeval.pipeline.journal.places import Journals
from pytest_lmmeval.pipeline.judge_models import check_judge_model, no_judge
from pytest_lmmeval.pipeline.open_files import make_room
from pytest_lmmeval.pipeline.pipeline import Pipeline
from pytest_lmmeval.pipeline.serving import own_servers
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.functions.judge_use import needs_judge
from pytest_lmmeval.warnings import LmmWarning


def concurrency(model: LM, workers: int = 1) -> int:
    """Return this process's share of the requests that may be in flight over all workers."""
    total = model.num_concurrent if isinstance(model, AsyncLM) else 1
    return max(1, total // max(1, workers))


def open_pipeline(model: LM, workers: int = 1, journal: Journal | None = None) -> Pipeline:
    """Return a started pipeline.

    Raises:
        ModelUnavailable: Nothing can be measured with the model.
    """
    if isinstance(model, AsyncLM) and model.adaptive is not None:
        model.adaptive.share(max(1, workers))
    at_once = concurrency(model, workers)
    make_room(at_once)
    pipeline = Pipeline(model, concurrency=at_once, journal=journal)
    try:
        pipeline.start()
    except BaseException:  # Ctrl-C too must not leave the loop's thread behind
        pipeline.close()
        raise
    return pipeline


def pipeline_of(model: LM | Pipeline, config: RunConfig) -> AbstractContextManager[Pipeline]:
    """Give a started pipeline: the one that is given, or one of its own for a model."""
    return nullcontext(model) if isinstance(model, Pipeline) else _own_pipeline(model, config)


@contextmanager
def judge_pipeline_of(
    tasks: Sequence[TaskConfig], config: RunConfig, judge: LM | Pipeline | None
) -> Iterator[Pipeline | None]:
    """Give a started pipeline of the judge; None where no task has one.

    Args:
        tasks: The tasks.
        config: Names the judge, if ``judge`` does not.
        judge: The judge, or a started pipeline of it.

    Raises:
        TaskUnavailable: There is none, and a task needs one.
        UsageError: The model cannot judge.
        JudgeUnavailable: It cannot be reached.
    """
    judged = next(filter(needs_judge, tasks), None)
    if judged is None or config.predict_only:
        yield None
        return
    if judge is None and config.judge_model is not None:
        # Deferred: a run without a judge needs no registry.
        from pytest_lmmeval.models.registry import create_model

        judge = create_model(config.judge_model, parse_arguments(config.judge_model_args))
    if judge is None:
        raise no_judge(judged)
    check_judge_model(judged, judge.model if isinstance(judge, Pipeline) else judge)
    with ExitStack() as opened:
        try:
            pipeline = opened.enter_context(pipeline_of(judge, config))
        except ModelUnavailable as error:
            raise JudgeUnavailable(f"the judge: {error}") from error
        yield pipeline


@contextmanager
def _own_pipeline(model: LM, config: RunConfig) -> Iterator[Pipeline]:
    """Give a started pipeline of a model, whose server is launched if it asks for one."""
    journals = Journals(config, secrets.token_hex(16))
    asked = journals.stand_in(model)
    with own_servers() as servers:
        servers.serve(asked)
        # Without a file of the caller's choice nothing is kept: there is no project to keep it in.
        pipeline = open_pipeline(asked, journal=journals.open() if journals.is_for_good else None)
        try:
            yield pipeline
        finally:
            pipeline.close()
            if problem := journals.problem():
                warnings.warn(LmmWarning(problem), stacklevel=2)
