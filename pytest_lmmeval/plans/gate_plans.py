"""The gates of a task, decided before anything runs: which metric, by which rule, asked for where.

A gate judges a metric of the task by its name, or one of the numbers beside the scores
(``gates.side``) by theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import TaskError, nearest
from pytest_lmmeval.gates.old_rules import OldRule
from pytest_lmmeval.gates.policy import POLICY_KEYS, GatePolicy
from pytest_lmmeval.gates.profiles import DEFAULT_PROFILE, profile_rule
from pytest_lmmeval.gates.rules import EarlyStop, GateRule
from pytest_lmmeval.gates.side import SIDE_UNITS, SideRule
from pytest_lmmeval.tasks.files.config import TaskConfig

if TYPE_CHECKING:
    from pytest_lmmeval.tasks.catalog.manager import TaskSpec


@dataclass(frozen=True)
class GatePlan:
    """One metric, or one number beside the scores, that is judged.

    Attributes:
        key: ``"metric,filter"``, or the number's name; also the item's name.
        rule: When the metric passes.
        path: The file that asks for it, and so the item's location.
        line: 1-based line in ``path``.
        explicit: Whether a suite or task YAML asks for it. A gate that merely follows from a task's
            metrics is skipped when there is no baseline; an explicit one is then an error.
        policy: What its verdict does to the run.
        side: When a number beside the scores passes; None for a metric.
        old: The rule of the engine's config that asks for it, to be told beside.
    """

    key: str
    rule: GateRule
    path: Path
    line: int = 1
    explicit: bool = False
    policy: GatePolicy = field(default_factory=GatePolicy)
    side: SideRule | None = None
    old: OldRule | None = None

    @property
    def compares(self) -> bool:
        """Whether it compares with a baseline."""
        return self.rule.baseline if self.side is None else self.side.baseline


@dataclass(frozen=True)
class Place:
    """Where gates are written.

    Attributes:
        path: The file.
        line: 1-based line of what has no line of its own.
        lines: 1-based lines of the gates, by their names.
    """

    path: Path
    line: int = 1
    lines: Mapping[str, int] = field(default_factory=dict)


def own_place(spec: TaskSpec) -> Place:
    """Return the place of the gates that a task's own YAML asks for."""
    return Place(spec.path, lines=spec.config.gate_lines)


def plan_gates(
    task: TaskConfig,
    asked: Mapping[str, Any],
    config: RunConfig,
    place: Place,
    defaults: Mapping[str, Any] | None = None,
    *,
    priced: bool = False,
) -> tuple[GatePlan, ...]:
    """Plan the gates that a file asks for, or one for each of the task's metrics.

    Args:
        task: The task.
        asked: Rules by ``"metric,filter"``, or by the metric alone where it has one filter; and by
            the names of numbers beside the scores.
        config: The run's settings; a share of failed docs that the command line gives wins.
        place: Where the gates are asked for.
        defaults: Rule settings that each gate starts from, over those of the run's profile.
        priced: Whether prices of tokens are known.

    Raises:
        TaskError: The task has no such metric, or a rule's setting cannot be used.
    """
    return tuple(_Planner(task, config, place, defaults or {}, priced).gates(asked))


def settings_around(
    config: RunConfig, defaults: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the settings that a gate starts from, and those that win over its own.

    Args:
        config: The run's settings; a share of failed docs that the command line gives wins.
        defaults: What a suite says for all its gates.
    """
    failed = {} if config.max_failed is None else {"max_failed": config.max_failed}
    base = {**profile_rule(config.profile or DEFAULT_PROFILE), **failed, **defaults}
    return base, failed if "max_failed" in config.by_command_line else {}


def early_stop(config: RunConfig, given: Mapping[str, Any]) -> EarlyStop | None:
    """Return what ends a gate early if it is not for the gate to say; None if it is.

    Args:
        config: The run's settings; those of the command line win over the gate's.
        given: The gate's keys.
    """
    if config.profile == "release":
        return "fuse"  # what is decided there is decided on all docs
    if "early_stop" in given and "early_stop" not in config.by_command_line:
        return None
    return config.early_stop


class _Planner:
    """The gates of one task on their way to plans."""

    def __init__(
        self,
        task: TaskConfig,
        config: RunConfig,
        place: Place,
        defaults: Mapping[str, Any],
        priced: bool,
    ) -> None:
        self._task = task
        self._place = place
        self._config = config
        self._priced = priced
        self._base, self._last = settings_around(config, defaults)
        self._known = [f"{metric},{filter_name}" for metric, filter_name in task.metric_keys]

    def gates(self, asked: Mapping[str, Any]) -> list[GatePlan]:
        metrics = {name: rule for name, rule in asked.items() if not self._is_side(str(name))}
        gates = self._asked(metrics) if metrics else self._of_all_metrics()
        # Behind the metrics' gates: how a speed is judged depends on their verdicts.
        return [*gates, *(self._side(str(n), asked[n]) for n in asked if n not in metrics)]

    def _is_side(self, name: str) -> bool:
        """Whether a name is that of a number beside the scores; a task's own metric comes first."""
        own = {key.partition(",")[0] for key in self._known}
        return name in SIDE_UNITS and name not in own

    def _of_all_metrics(self) -> list[GatePlan]:
        place = self._place
        own = place.path == self._task.source
        given: dict[str, Any] = {**self._base, **self._last}
        return [
            self._plan(key, given, self._task.metric_line(key) if own else place.line)
            for key in self._known
        ]

    def _asked(self, asked: Mapping[str, Any]) -> list[GatePlan]:
        gates: dict[str, GatePlan] = {}
        for name, settings in asked.items():
            line = self._line(name)
            key = self._metric_key(str(name), line)
            if key in gates:
                raise self._error(f"gate {name!r}: {key} has a gate already", line)
            given = {**self._base, **self._mapping(name, settings), **self._last}
            gates[key] = self._plan(key, given, line, explicit=True)
        return list(gates.values())

    def _plan(
        self, key: str, given: Mapping[str, Any], line: int, *, explicit: bool = False
    ) -> GatePlan:
        path = self._place.path
        own = {name: value for name, value in given.items() if name not in POLICY_KEYS}
        rule = GateRule.from_mapping(own, path=path, line=line)
        return GatePlan(
            key,
            rule.ended_by(early_stop(self._config, given)),
            path,
            line,
            explicit,
            GatePolicy.from_mapping(given, path=path, line=line),
        )

    def _side(self, name: str, settings: object) -> GatePlan:
        path, line = self._place.path, self._line(name)
        if name == "cost" and not self._priced:
            needed = "a suite with prices: {prompt: 0.15, completion: 0.60} per million tokens"
            raise self._error(f"gate 'cost' needs {needed}", line)
        policy: dict[str, Any] = {k: self._base[k] for k in POLICY_KEYS if k in self._base}
        given: dict[str, Any] = {**policy, **self._mapping(name, settings), **self._last}
        own = {key: value for key, value in given.items() if key not in POLICY_KEYS}
        side = SideRule.from_mapping(name, own, path=path, line=line)
        bounds = GateRule(max_failed=side.max_failed, baseline=side.baseline)
        known = GatePolicy.from_mapping(given, path=path, line=line)
        return GatePlan(name, bounds, path, line, True, known, side)

    def _mapping(self, name: object, settings: object) -> Mapping[str, Any]:
        if not isinstance(settings, Mapping | None):
            found = f"gate {name!r}: expected a mapping, found {settings!r}"
            raise self._error(found, self._line(name))
        return settings or {}

    def _metric_key(self, name: str, line: int) -> str:
        """Return the ``"metric,filter"`` that a gate's name stands for."""
        known = self._known
        keys = [key for key in known if name in (key, key.partition(",")[0])]
        if len(keys) == 1:
            return keys[0]
        found = f"is ambiguous: {', '.join(keys)}" if keys else f"is not one of {', '.join(known)}"
        choices = [*known, *(key.partition(",")[0] for key in known), *SIDE_UNITS]
        hint = nearest(name, choices)
        if not keys:
            hint += f" Beside the scores there are {', '.join(SIDE_UNITS)}"
        raise self._error(f"gate {name!r} of task {self._task.task!r} {found}.{hint}", line)

    def _line(self, name: object) -> int:
        return self._place.lines.get(str(name), self._place.line)

    def _error(self, message: str, line: int) -> TaskError:
        return TaskError(message, self._place.path, line)
