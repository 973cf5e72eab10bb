"""Which tasks have docs that cannot be scored in parts."""

from __future__ import annotations

from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.files.schema import Dialect
from pytest_lmmeval.tasks.files.specs import FilterStep
from pytest_lmmeval.tasks.functions.user_functions import FunctionRef
from pytest_lmmeval.tasks.scoring.filter_names import known_filters


def scored_together(config: TaskConfig, parity: Dialect | None) -> bool:
    """Whether what a doc scores may depend on the task's other docs.

    A filter of the task's own is called with the responses to all docs, and may compare them. The
    peers' random numbers, which parity brings back, run on from doc to doc.

    A task that states its ``parts`` says by this that its filters look at each doc alone.
    """
    if parity is not None and _scores_by_own_code(config):
        return True
    return config.parts is None and _filters_by_own_code(config)


def _scores_by_own_code(config: TaskConfig) -> bool:
    own_metric = any(metric.function is not None for metric in config.metrics)
    return config.process_results is not None or own_metric or _filters_by_own_code(config)


def _filters_by_own_code(config: TaskConfig) -> bool:
    return any(_is_own_code(step, config.dialect) for spec in config.filters for step in spec.steps)


def _is_own_code(step: FilterStep, dialect: Dialect) -> bool:
    # A name that is not known is one that the task's module registers.
    given = step.kwargs.values()
    return step.function not in known_filters(dialect) or any(
        isinstance(value, FunctionRef) or callable(value) for value in given
    )
