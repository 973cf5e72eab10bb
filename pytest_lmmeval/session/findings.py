"""What a session found: results of its tasks and groups, from the ledger and the plans.

A task has results once all its parts are in, whether or not it was gated. A group has them once all
its tasks have, deselected ones included.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import LmmError
from pytest_lmmeval.ledger import Ledger, TaskLedger
from pytest_lmmeval.plans.task_plans import TaskPlan, own_settings
from pytest_lmmeval.records import MetricResult
from pytest_lmmeval.reports.numbers import points_text, value_text
from pytest_lmmeval.reports.table import Z_90
from pytest_lmmeval.results import TaskResults
from pytest_lmmeval.tasks.catalog.groups import SelectedGroup
from pytest_lmmeval.tasks.scoring.group_results import GroupResults, sum_up_group
from pytest_lmmeval.tasks.task import Task


@dataclass
class Findings:
    """Sums up a session, in the process that sees everything.

    Attributes:
        config: The run's settings.
        ledger: What was measured.
        plans: All plans that were collected, by key.
        scorer: Gives a plan's task, for its aggregation.
        tasks: Results of the complete tasks, by their plans' keys; filled by ``sum_up``.
        groups: Those of the groups; filled by ``sum_up``.
        notices: What the reader should know beside; filled by ``sum_up``.
    """

    config: RunConfig
    ledger: Ledger
    plans: Mapping[str, TaskPlan]
    scorer: Callable[[TaskPlan], Task]
    tasks: dict[str, TaskResults] = field(default_factory=dict)
    groups: list[GroupResults] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def names(self) -> dict[str, str]:
        """Return what each measured task is called, by key.

        Two suites may use one task; then their keys tell the uses apart.
        """
        measured = self.ledger.tasks
        uses = Counter(task.name for task in measured.values())
        return {key: t.name if uses[t.name] == 1 else key for key, t in measured.items()}

    def sum_up(self) -> None:
        """Aggregate what is complete."""
        names = self.names()
        # By name, because under xdist tasks come in as their parts happen to be through.
        for key, measured in sorted(self.ledger.tasks.items()):
            plan = self.plans.get(key)
            if plan is not None and not measured.missing:
                task, own = self.scorer(plan), own_settings(plan, self.config)
                self.tasks[key] = task_results(names[key], plan, measured, task, own)
        # A warning at the end of a session would reach nobody, or with -W error end it.
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            self.groups = list(self._summed_groups())
        self.notices = list(dict.fromkeys(str(warning.message) for warning in told))
        self.notices += [
            f"{names[key]}: {measured.resized} images were sent smaller than they are, as the "
            "model's image_max_pixels or max_size_in_mb ask for"
            for key, measured in self.ledger.tasks.items()
            if measured.resized
        ]

    def _summed_groups(self) -> Iterator[GroupResults]:
        found = self._selected()
        uses = Counter(name for _, name in found)
        for (scope, name), group in found.items():
            measured = {
                plan.task.task: self.tasks[key].metrics
                for key, plan in self.plans.items()
                if plan.scope == scope and key in self.tasks and name in plan.group_names
            }
            unique = name if uses[name] == 1 else f"{scope}::{name}"
            yield sum_up_group(group, measured, unique)

    def _selected(self) -> dict[tuple[str, str], SelectedGroup]:
        """Return the groups of which something was measured, by the suite that asks and name."""
        plans = [plan for key, plan in self.plans.items() if key in self.ledger.tasks]
        return {(plan.scope, own.group.name): own for plan in plans for own in plan.within}

    def group_lines(self) -> list[str]:
        """Return a line for each group's metric, and for each group that lacks its numbers."""
        lines = []
        for group in self.groups:
            count = f"{len(group.selected.tasks)} tasks"
            for row in group.metrics:
                value = self._value_text(group, row)
                name = row.key.removesuffix(",none")
                lines.append(f"group {group.name} {name}: {value}, {count}, n={row.n}")
            if group.missing:
                lines.append(f"group {group.name}: no number, {group.missing}")
        return lines

    def _value_text(self, group: GroupResults, row: MetricResult) -> str:
        scales = {
            self.scorer(plan).scale(row.metric)
            for plan in self.plans.values()
            if plan.task.task in group.selected.tasks
        }
        scale = scales.pop() if len(scales) == 1 else None
        if row.stderr is None:
            return value_text(row.value, scale)
        half = points_text(Z_90 * row.stderr, scale).lstrip("+")
        return f"{value_text(row.value, scale)} ±{half}"


def task_results(
    name: str, plan: TaskPlan, measured: TaskLedger, task: Task, settings: Mapping[str, Any]
) -> TaskResults:
    """Sum up all metrics of a complete task; one whose aggregation fails is left to its gate."""
    metrics = []
    for key in measured.metric_keys():
        with suppress(LmmError):
            metrics.append(measured.result(key, task))
    return TaskResults(name, plan.task, metrics, measured.counts, measured.about, settings)
