"""What an evaluation found: its tasks and groups, as mappings from metrics to values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_lmmeval.errors import UsageError, nearest
from pytest_lmmeval.records import MetricResult, OutcomeCounts, Sample
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.scoring.group_results import GroupResults


class UnknownMetric(UsageError, KeyError):
    """A task was not measured by this metric. A ``KeyError`` too, as mappings need it."""

    def __str__(self) -> str:
        # KeyError's own is the repr of the text.
        return str(self.args[0])


class Measured(Mapping[str, float]):
    """A mapping from metrics to values.

    ``result["exact_match"]`` works where the metric has one filter, ``result["exact_match,none"]``
    always.

    Attributes:
        name: Name of what was measured.
        metrics: All metric results, by ``"metric,filter"``.
    """

    name: str
    metrics: Mapping[str, MetricResult]

    def result(self, name: str) -> MetricResult:
        """Return one metric result.

        Raises:
            UnknownMetric: There is none of this name, or several.
        """
        found = [key for key in self.metrics if name in (key, key.partition(",")[0])]
        if len(found) != 1:
            known = ", ".join(self.metrics)
            problem = f"is ambiguous: {', '.join(found)}" if found else f"was not measured: {known}"
            raise UnknownMetric(
                f"{self.name}: metric {name!r} {problem}.{nearest(name, self.metrics)}"
            )
        return self.metrics[found[0]]

    def __getitem__(self, name: str) -> float:
        return self.result(name).value

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)


@dataclass(frozen=True, eq=False)
class TaskEvaluation(Measured):
    """What a task measured; a mapping from metrics to values.

    Attributes:
        name: Name of the task.
        config: Its configuration.
        metrics: All metric results, by ``"metric,filter"``.
        counts: Outcomes of the docs. A failed doc is in no metric.
        samples: All samples, in doc order.
        about: Fingerprint of the task and identity of the model.
    """

    name: str
    config: TaskConfig = field(repr=False)
    metrics: Mapping[str, MetricResult]
    counts: OutcomeCounts
    samples: Sequence[Sample] = field(repr=False, default=())
    about: Mapping[str, Any] = field(repr=False, default_factory=dict)


@dataclass(frozen=True, eq=False)
class GroupEvaluation(Measured):
    """What a group measured; a mapping from metrics to values.

    Attributes:
        results: Its results, and why there are none if a task of it has none.
    """

    results: GroupResults = field(repr=False)

    @property
    def name(self) -> str:  # type: ignore[override]  # read only, here and there
        """Name of the group."""
        return self.results.name

    @property
    def metrics(self) -> Mapping[str, MetricResult]:  # type: ignore[override]  # read only too
        """All metric results, by ``"metric,filter"``; none for a group that aggregates none."""
        return {row.key: row for row in self.results.metrics}


class Evaluations(dict[str, TaskEvaluation]):
    """Evaluations by the names of their tasks, in order.

    Attributes:
        groups: What the groups measured through which tasks were selected, by their names.
    """

    def __init__(
        self, tasks: Mapping[str, TaskEvaluation], groups: Mapping[str, GroupEvaluation]
    ) -> None:
        super().__init__(tasks)
        self.groups = dict(groups)
