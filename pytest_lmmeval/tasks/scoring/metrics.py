"""Metrics: from a response and the right answers to a score."""

from __future__ import annotations

import functools
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_lmmeval.errors import TaskError, TaskUnavailable, nearest
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.files.schema import check_switch
from pytest_lmmeval.tasks.files.specs import METRIC_DEFAULTS, MetricSpec
from pytest_lmmeval.tasks.functions.calls import UserFunction, user_function
from pytest_lmmeval.tasks.functions.user_functions import ANY_FAULT, Functions
from pytest_lmmeval.tasks.output_types import LIKELIHOOD_METRICS
from pytest_lmmeval.tasks.scoring.evaluate_library import WELL_KNOWN, metric_of
from pytest_lmmeval.tasks.scoring.translation import CORPUS_METRICS

_ARGUMENTS = {
    "anls": ("thresh_hold",),
    "exact_match": ("regexes_to_ignore", "ignore_case", "ignore_punctuation", "ignore_numbers"),
}
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NO_DIGITS = str.maketrans("", "", string.digits)


def exact_match(
    predictions: Sequence[Any],
    references: Sequence[Any],
    *,
    regexes_to_ignore: Sequence[str] | None = None,
    ignore_case: bool = False,
    ignore_punctuation: bool = False,
    ignore_numbers: bool = False,
) -> float:
    """Share of predictions that equal their reference once what is ignored is gone.

    Ignored in this order: the regexes, in theirs; case; ASCII punctuation; ASCII digits. One
    prediction is compared with all references, and one reference with all predictions.

    Raises:
        ValueError: There are several of both, and not equally many.
        TypeError: Something that is to be normalised is no text.
    """
    if regexes_to_ignore or ignore_case or ignore_punctuation or ignore_numbers:
        normal = functools.partial(
            _normal, regexes_to_ignore or (), ignore_case, ignore_punctuation, ignore_numbers
        )
        predictions, references = list(map(normal, predictions)), list(map(normal, references))
    pairs = _broadcast(predictions, references)
    return sum([a == b for a, b in pairs]) / len(pairs) if pairs else 0.0


def _normal(
    regexes: Sequence[str], case: bool, punctuation: bool, digits: bool, text: object
) -> str:
    if not isinstance(text, str):
        raise TypeError(f"exact_match can ignore parts of text only, not of {text!r}")
    for regex in regexes:
        text = re.sub(regex, "", text)
    text = text.lower() if case else text
    text = text.translate(_NO_PUNCTUATION) if punctuation else text
    return text.translate(_NO_DIGITS) if digits else text


def anls(
    predictions: Sequence[Any], references: Sequence[Any], *, thresh_hold: float = 0.5
) -> float:
    """Average normalised Levenshtein similarity of one prediction: to the nearest reference.

    Case and runs of white space do not count; a similarity below ``thresh_hold`` is 0. As in
    lmms-eval, the distance is divided by the length of the longer text before normalising.

    Source: Biten et al. (2019), Scene Text Visual Question Answering.
    """
    prediction = predictions[0]
    shares = []
    for reference in references:
        first, second = (" ".join(text.lower().split()) for text in (reference, prediction))
        longer = max(len(reference.upper()), len(prediction.upper()))
        shares.append(edit_distance(first, second) / longer if longer else 0.0)
    similarity = 1 - min(shares)
    return similarity if similarity >= thresh_hold else 0.0


def edit_distance(first: str, second: str) -> int:
    """Return Levenshtein's distance: how many characters to add, drop or replace."""
    row = list(range(len(first) + 1))
    for i, wanted in enumerate(second, 1):
        above, row = row, [i]
        for j, found in enumerate(first, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (found != wanted)))
    return row[-1]


def _broadcast(left: Sequence[Any], right: Sequence[Any]) -> list[tuple[Any, Any]]:
    if len(left) == 1:
        left = [left[0]] * len(right)
    elif len(right) == 1:
        right = [right[0]] * len(left)
    return list(zip(left, right, strict=True))


@dataclass(frozen=True)
class Metric:
    """A metric of a task.

    Attributes:
        spec: Its entry in the YAML.
        config: The task.
        functions: The task's modules.
    """

    spec: MetricSpec
    config: TaskConfig
    functions: Functions

    @property
    def name(self) -> str:
        """Its name in results."""
        return self.spec.name

    @property
    def is_of_corpus(self) -> bool:
        """Whether it is computed from the references and answers of all docs at once."""
        own = self.spec.function is not None or self.spec.from_library
        return not own and self.name in CORPUS_METRICS

    @functools.cached_property
    def function(self) -> UserFunction | None:
        """The function of a metric that is not built in: the task's own, or the library's.

        Raises:
            TaskUnavailable: The library, or the metric in it, cannot be had.
            TaskError: The task's own function cannot be imported.
        """
        spec, role = self.spec, f"metric {self.name}"
        if spec.function is not None:
            return user_function(spec.function, role, self.config.task, self.functions)
        if not spec.from_library:
            return None
        try:
            loaded = metric_of(spec.path and spec.path.parent, spec.name).load()
        except TaskUnavailable as error:
            message = f"task {self.config.task!r}: {error.message}"
            raise TaskUnavailable(message, spec.path, spec.line) from error
        return UserFunction(loaded.compute, role, self.config.task)

    def check(self) -> None:
        """Check that it can be computed, if it is one of the library's.

        Raises:
            TaskUnavailable: It cannot.
        """
        if not self.config.scores_itself and self.spec.from_library:
            assert self.function is not None, "the library's metrics are functions"

    def score(self, predictions: list[Any], references: list[Any], doc_id: int) -> Any:
        """Return what the metric makes of a doc: a number, or anything its aggregation takes.

        A metric that is computed over all docs at once gives ``[reference, prediction]``. A
        function is called with ``references`` and ``predictions``, as Hugging Face's are, and if it
        does not take those, with one list of the two.

        Raises:
            TaskError: It failed.
        """
        if self.function is not None:
            return self._call(self.function, predictions, references, doc_id)
        if self.name == "exact_match":
            return exact_match(predictions, references, **self.spec.kwargs)
        if self.name == "anls":
            return anls(predictions, references, **self.spec.kwargs)
        if self.name == "bypass":
            return None
        return [references[0], predictions[0]]

    def _call(
        self, function: UserFunction, predictions: list[Any], references: list[Any], doc_id: int
    ) -> Any:
        kwargs = self.spec.kwargs
        try:
            # Straight through, because a TypeError is how the peers notice the other interface.
            return function.function(references=references, predictions=predictions, **kwargs)
        except TypeError as first:
            try:
                return function.function([references[0], predictions[0]])
            except TypeError:
                raise function.failed(first, doc_id) from first
            # As below.
            except ANY_FAULT as error:
                raise function.failed(error, doc_id) from error
        # It is the user's code, so anything may come.
        except ANY_FAULT as error:
            raise function.failed(error, doc_id) from error


def make_metrics(config: TaskConfig, functions: Functions) -> list[Metric]:
    """Return a task's metrics.

    Raises:
        TaskError: One is unknown, or gets an argument that it does not take.
    """
    return [_make(spec, config, functions) for spec in config.metrics]


def _make(spec: MetricSpec, config: TaskConfig, functions: Functions) -> Metric:
    # With process_results only the aggregation of a metric is used.
    known = LIKELIHOOD_METRICS.get(config.output_type)
    if known is not None and not config.scores_itself:
        # A name is all that counts here; many say hf_evaluate, which nothing looks at.
        if spec.name not in known:
            message = f"metric {spec.name!r} is not one of {config.output_type}, which has "
            message += f"{', '.join(known)}.{nearest(spec.name, known)}"
            raise metric_error(config, spec, message)
    elif not config.scores_itself and spec.function is None:
        _check_built_in(spec, config)
    return Metric(spec, config, functions)


def _check_built_in(spec: MetricSpec, config: TaskConfig) -> None:
    if spec.from_library:
        return
    if spec.name not in METRIC_DEFAULTS:
        known = sorted(METRIC_DEFAULTS)
        message = f"metric {spec.name!r} is not one of {', '.join(known)}."
        message += nearest(spec.name, [*known, *WELL_KNOWN])
        message += " One of Hugging Face's evaluate library needs 'hf_evaluate: true'"
        raise metric_error(config, spec, message)
    if spec.name in _ARGUMENTS:
        _check_arguments(spec, config)


def _check_arguments(spec: MetricSpec, config: TaskConfig) -> None:
    for key, value in spec.kwargs.items():
        if key not in _ARGUMENTS[spec.name]:
            message = f"{spec.name} takes no {key!r}.{nearest(key, _ARGUMENTS[spec.name])}"
            raise metric_error(config, spec, message)
        if key == "regexes_to_ignore":
            _check_regexes(value, spec, config)
        elif key.startswith("ignore_"):
            error = functools.partial(metric_error, config, spec)
            check_switch(f"{spec.name}: {key}", value, error)


def _check_regexes(value: Any, spec: MetricSpec, config: TaskConfig) -> None:
    if value is not None and not isinstance(value, list | tuple):
        message = f"exact_match: regexes_to_ignore is {value!r}, expected a list"
        raise metric_error(config, spec, message)
    for regex in value or ():
        try:
            re.compile(regex)
        except (re.error, TypeError) as error:
            message = f"exact_match: {regex!r} is no regular expression: {error}"
            raise metric_error(config, spec, message) from error


def metric_error(config: TaskConfig, spec: MetricSpec, message: str) -> TaskError:
    """Return an error that points at a metric's entry in the YAML."""
    return TaskError(f"task {config.task!r}: {message}", spec.path or config.source, spec.line)
