"""A task's metrics over all docs: which aggregation, direction and scale each has."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pytest_lmmeval.errors import TaskError, TaskUnavailable, nearest
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.files.specs import METRIC_DEFAULTS, Function, MetricSpec
from pytest_lmmeval.tasks.functions.calls import user_function
from pytest_lmmeval.tasks.functions.submissions import Submissions
from pytest_lmmeval.tasks.functions.user_functions import Functions, describe
from pytest_lmmeval.tasks.parity import OURS, Differences
from pytest_lmmeval.tasks.scoring.aggregation import MEAN, Aggregation, stderr
from pytest_lmmeval.tasks.scoring.translation import (
    CORPUS_METRICS,
    is_installed,
    resampled_score,
)

# Full scores of the peers' metrics, where the metric is a mean of numbers between 0 and this.
_SCALES = {
    "acc": 1.0,
    "acc_bytes": 1.0,
    "acc_mutual_info": 1.0,
    "acc_norm": 1.0,
    "anls": 1.0,
    "exact_match": 1.0,
}

# The peers' aggregations that divide by the number of docs of the whole benchmark, and by what,
# however many docs they get.
_DIVIDE_BY = {"ocrbench_aggregate_accuracy": 1000}


def full_score(config: TaskConfig, metric: str, aggregation: str | Function) -> float | None:
    """Return a metric's full score: what the task says, else that of a known metric."""
    scale = config.scale
    if isinstance(scale, Mapping):
        given = scale.get(metric)
        return None if given is None else float(given)
    if scale is not None:
        return float(scale)
    return _SCALES.get(metric) if aggregation == "mean" else None


class Summary:
    """Aggregates the metrics of a task. Needs no data.

    Args:
        config: The task.
        functions: Its modules.
        bootstrap_iters: Replicates of bootstrapped standard errors.
        differences: What is done unlike the peer.
        submissions: Where aggregations write files; by default none is kept.

    Attributes:
        expanded: Which entry a score belongs to that a metric's function returned beside others;
            filled by scoring, so known only to the process that scored.
        without_number: Metrics whose aggregation returned None, which those do that only write a
            file.

    Raises:
        TaskError: A metric names an aggregation that there is not.
    """

    def __init__(
        self,
        config: TaskConfig,
        functions: Functions,
        bootstrap_iters: int,
        differences: Differences = OURS,
        submissions: Submissions | None = None,
    ) -> None:
        self._config = config
        self._submissions = submissions or Submissions(config.task)
        self._differences = differences
        self._functions = functions
        self._iterations = bootstrap_iters
        self._specs = {spec.name: spec for spec in config.metrics}
        self.expanded: dict[str, MetricSpec] = {}
        self.without_number: set[str] = set()
        for spec in config.metrics:
            if isinstance(spec.aggregation, str):
                self._named(spec.aggregation, spec.name)
            if spec.aggregation in CORPUS_METRICS and not is_installed():
                message = f"task {config.task!r}: metric {spec.name!r} needs sacrebleu, which is "
                message += "not installed: pip install 'pytest-lmmeval[metrics]'"
                raise TaskUnavailable(message, spec.path, spec.line)

    def _named(self, name: str, metric: str) -> Aggregation:
        if name == "mean":
            return MEAN
        if name in self._others:
            return self._others[name]
        known = sorted(self._others)
        message = f"aggregation {name!r} of metric {metric!r} is not supported; there are: "
        message += f"{', '.join(known)}.{nearest(name, known)}"
        raise self._error(metric, message)

    @functools.cached_property
    def _others(self) -> Mapping[str, Aggregation]:
        # Deferred: NumPy, see there.
        from pytest_lmmeval.tasks.scoring.known_aggregations import aggregations

        return aggregations(self._config.dialect, self._differences)

    def aggregate(self, metric: str, values: Sequence[Any]) -> tuple[float, float | None]:
        """Return the value over all docs and its standard error, None where there is none."""
        value = self.value(metric, values, final=True)
        aggregation = self._aggregation(metric)
        if not isinstance(aggregation, str):
            return value, None
        try:
            # As lm-eval does, because a resample of these takes it long.
            short = metric in CORPUS_METRICS
            iterations = min(self._iterations, 100) if short else self._iterations
            return value, stderr(self._named(aggregation, metric), values, iterations)
        # As in value().
        except (ArithmeticError, TypeError, ValueError, IndexError) as error:
            raise self._failed(metric, aggregation, error) from error

    def value(self, metric: str, values: Sequence[Any], *, final: bool = False) -> float:
        """Return the value over docs; ``final`` if these are the run's and not a resample."""
        if not values:
            return math.nan
        aggregation = self._aggregation(metric)
        if not isinstance(aggregation, str):
            return self._call(aggregation, metric, values, final)
        try:
            return self._named(aggregation, metric).value(values)
        # Scores of the wrong shape fail in whatever step comes first.
        except (ArithmeticError, TypeError, ValueError, IndexError) as error:
            raise self._failed(metric, aggregation, error) from error

    def statistics(self, metric: str, values: Sequence[Any]) -> list[Any]:
        """Return what of each doc's score the value depends on: counts instead of texts."""
        aggregation = self._aggregation(metric)
        if not (isinstance(aggregation, str) and aggregation in CORPUS_METRICS and values):
            return list(values)
        try:
            rows = self._named(aggregation, metric).prepare(values).tolist()
        # As in value().
        except (ArithmeticError, TypeError, ValueError, IndexError) as error:
            raise self._failed(metric, aggregation, error) from error
        return [[int(count) if count == int(count) else count for count in row] for row in rows]

    def value_of_statistics(self, metric: str, rows: Sequence[Any]) -> float:
        """Return the value over docs of which ``statistics`` is known."""
        aggregation = self._aggregation(metric)
        if isinstance(aggregation, str) and aggregation in CORPUS_METRICS:
            return resampled_score(aggregation, rows)
        return self.value(metric, rows)

    def higher_is_better(self, metric: str) -> bool:
        """Return a metric's direction."""
        spec = self._spec(metric)
        return spec.higher_is_better if spec else METRIC_DEFAULTS.get(metric, ("", True))[1]

    def scale(self, metric: str) -> float | None:
        """Return a metric's full score: what the task says, else that of a known metric."""
        return full_score(self._config, metric, self._aggregation(metric))

    def _spec(self, metric: str) -> MetricSpec | None:
        known = self._specs.get(metric) or self.expanded.get(metric)
        if known is not None or self._config.scores_itself:
            return known
        specs = self._specs.values()
        parents = [spec for spec in specs if spec.function is not None or spec.from_library]
        if any(spec.aggregation != parents[0].aggregation for spec in parents):
            names = " or ".join(repr(spec.name) for spec in parents)
            message = f"score {metric!r} may come from metric {names}, which are aggregated "
            message += "differently; let one function return one score, or use process_results"
            raise TaskError(f"task {self._config.task!r}: {message}", self._config.source)
        return parents[0] if parents else None

    def _aggregation(self, metric: str) -> str | Function:
        spec = self._spec(metric)
        return spec.aggregation if spec is not None else "mean"

    def _call(self, value: Function, metric: str, values: Sequence[Any], final: bool) -> float:
        role = f"aggregation of {metric}"
        fresh: Literal["executed", "put back"] = "executed" if final else "put back"
        function = user_function(value, role, self._config.task, self._functions, fresh=fresh)
        if self._config.dialect == "lmms_eval" and _wants_arguments(function.function):
            with self._submissions.command_line(final=final) as arguments:
                found = function.call(list(values), args=arguments)
        else:
            found = function.call(list(values))
        if found is None:
            self.without_number.add(metric)
            return math.nan
        try:
            return float(found) * self._correction(function.name, len(values))
        except (TypeError, ValueError) as error:
            kind = type(found).__name__
            raise function.error(f"returned {kind}, expected a number") from error

    def _correction(self, function: str, scored: int) -> float:
        """Return what turns a share of the whole benchmark into one of the scored docs."""
        size = _DIVIDE_BY.get(function.rpartition(".")[2])
        return size / scored if size and self._differences.share_of_docs else 1.0

    def _failed(self, metric: str, aggregation: str, error: Exception) -> TaskError:
        message = f"{aggregation} of metric {metric!r} failed: {describe(error)}"
        return self._error(metric, f"{message}; its scores may need an aggregation of their own")

    def _error(self, metric: str, message: str) -> TaskError:
        spec = self._spec(metric)
        path, line = (spec.path, spec.line) if spec else (self._config.source, None)
        return TaskError(f"task {self._config.task!r}: {message}", path, line)


def _wants_arguments(function: Any) -> bool:
    try:
        return "args" in inspect.signature(function).parameters
    except ValueError:  # Some built-in callables have no signature.
        return False
