"""The filter pipelines of a task, applied to the responses of many docs at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_lmmeval.errors import LmmError, TaskError, nearest
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.files.schema import check_kind
from pytest_lmmeval.tasks.files.specs import FilterSpec, FilterStep
from pytest_lmmeval.tasks.functions.calls import UserFunction, user_function
from pytest_lmmeval.tasks.functions.user_functions import (
    ANY_FAULT,
    FunctionRef,
    Functions,
    describe,
)
from pytest_lmmeval.tasks.scoring.filter_names import known_filters
from pytest_lmmeval.tasks.scoring.filters import Filter, StripThinkingFilter


@dataclass(frozen=True, slots=True)
class Filtered:
    """What a pipeline made of the responses.

    Attributes:
        values: One per instance.
        missed: Per instance, whether a filter found no answer in it.
    """

    values: list[Any]
    missed: list[bool]


class FilterChain:
    """One pipeline.

    Args:
        spec: Its entry in the YAML.
        config: The task.
        functions: Its modules.

    Raises:
        TaskError: A filter is unknown, or does not take its arguments.
    """

    def __init__(self, spec: FilterSpec, config: TaskConfig, functions: Functions) -> None:
        self.name = spec.name
        self._spec = spec
        self._config = config
        self._functions = functions
        for step in spec.steps:
            named = isinstance(step.function, str) and step.function in self._known
            if named and not any(isinstance(value, FunctionRef) for value in step.kwargs.values()):
                self._make(step)  # Bad arguments shall be found before any request is sent.
        first = spec.steps[0] if spec.steps else None
        k = first.kwargs.get("k") if first and first.function == "take_first_k" else None
        if first and k and k > config.repeats:
            raise self._error(first, f"k={k} needs 'repeats' of at least {k}")

    @property
    def _known(self) -> Mapping[str, type[Filter]]:
        return known_filters(self._config.dialect)

    def apply(self, resps: Sequence[Sequence[Any]], docs: Sequence[Mapping[str, Any]]) -> Filtered:
        """Filter the responses of several instances.

        Args:
            resps: Per instance, the response texts of its repeats.
            docs: The doc of each instance.

        Raises:
            TaskError: A filter failed, or returned another number of values.
        """
        values: list[Any] = [list(texts) for texts in resps]
        missed = [False] * len(values)
        # Where scoring strips reasoning anyway, lmms-eval does not strip it twice.
        if self._config.auto_strip_thinking and not self._config.reasoning_tags:
            values = list(StripThinkingFilter().apply(values, docs))
        for step in self._spec.steps:
            # A new one each time: what a filter keeps in itself must not depend on who ran before.
            made = self._make(step)
            values = self._run(made, step, values, docs)
            flags = getattr(made, "missed", None)
            if flags is not None:
                missed = [old or bool(new) for old, new in zip(missed, flags, strict=True)]
        return Filtered(values, missed)

    def _run(self, made: Any, step: FilterStep, values: list[Any], docs: Any) -> list[Any]:
        count = len(values)
        try:
            values = list(made.apply(values, docs))
        except LmmError:
            raise
        except KeyError as error:
            known = ", ".join(map(str, docs[0])) if docs else ""
            message = f"failed: {describe(error)}; columns of the docs: {known}"
            raise self._error(step, message) from error
        # Filters are the task's own code as often as ours.
        except ANY_FAULT as error:
            raise self._error(step, f"failed: {describe(error)}") from error
        if len(values) != count:
            raise self._error(step, f"returned {len(values)} values for {count} instances")
        return values

    def _make(self, step: FilterStep) -> Any:
        kwargs = {key: self._resolved(value, key) for key, value in step.kwargs.items()}
        factory = self._factory(step)
        if factory in self._known.values():
            self._check_arguments(factory, kwargs, step)
        try:
            return factory(**kwargs)
        except LmmError:
            raise
        # A constructor may check its arguments as it likes; a bad regex is a re.error.
        except ANY_FAULT as error:
            raise self._error(step, f"cannot be made: {describe(error)}") from error

    def _check_arguments(
        self, factory: type[Filter], kwargs: Mapping[str, Any], step: FilterStep
    ) -> None:
        """Check what a filter of ours is given, which otherwise fails when all is answered."""

        def error(message: str) -> TaskError:
            return self._error(step, f"cannot be made: {message}")

        try:
            inspect.signature(factory).bind(**kwargs)
        except TypeError as fault:
            raise error(f"{describe(fault)}") from fault
        for key, value in kwargs.items():
            check_kind(key, value, factory.kinds.get(key, "anything"), error)

    def _factory(self, step: FilterStep) -> Any:
        if not isinstance(step.function, str):
            return self._user_function(step.function, "filter").function
        if step.function not in self._known and step.function not in self._functions.filters:
            self._import_everything()
        known = {**self._functions.filters, **self._known}
        if step.function not in known:
            message = f"is not one of {', '.join(sorted(known))}."
            raise self._error(step, message + nearest(step.function, known))
        return known[step.function]

    def _resolved(self, value: Any, key: str) -> Any:
        if isinstance(value, FunctionRef):
            return self._user_function(value, f"filter {key}").function
        return value

    def _user_function(self, value: Any, role: str) -> UserFunction:
        return user_function(value, role, self._config.task, self._functions)

    def _import_everything(self) -> None:
        """Execute the task's modules: one of them may register the filter that is asked for."""
        for key, value in vars(self._config).items():
            if isinstance(value, FunctionRef):
                self._functions.resolve(value, key)

    def _error(self, step: FilterStep, message: str) -> TaskError:
        name = step.function
        called = name if isinstance(name, str) else getattr(name, "spec", repr(name))
        text = f"task {self._config.task!r}, filter {self.name!r}: {called} {message}"
        return TaskError(text, self._spec.path or self._config.source, step.line)


def filter_docs(
    chains: Sequence[FilterChain],
    answers: Mapping[int, Sequence[Sequence[Any]]],
    docs: Mapping[int, Mapping[str, Any]],
    finish: Callable[[Any], Any],
) -> dict[int, dict[str, Filtered]]:
    """Return what each pipeline makes of the answers to each doc, by doc and pipeline.

    Args:
        chains: The pipelines.
        answers: Per doc and instance, the answers of its repeats.
        docs: The docs, by id.
        finish: What is done to each value in the end.

    Raises:
        TaskError: A filter failed.
    """
    results: dict[int, dict[str, Filtered]] = {doc_id: {} for doc_id in answers}
    if not results:
        return results
    # The filters get the instances of all docs in one list, each with its repeats.
    flat = [repeats for own in answers.values() for repeats in own]
    owners = [docs[doc_id] for doc_id, own in answers.items() for _ in own]
    for chain in chains:
        made = chain.apply(flat, owners)
        start = 0
        for doc_id, own in answers.items():
            span = slice(start, start := start + len(own))
            values = [finish(value) for value in made.values[span]]
            results[doc_id][chain.name] = Filtered(values, made.missed[span])
    return results
