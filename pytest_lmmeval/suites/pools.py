"""The gates of a whole suite (``suite_gates``): all docs of several tasks, judged as one.

    suite_gates:
      pooled: {max_drop: 0.3pp, must_detect: 1pp}
      maths: {tasks: [gsm8k, math_*], metrics: [exact_match]}

Of each task one metric is taken, because two metrics of the same docs say the same twice: by
default the first that has a gate, which compares, can turn the run red, and has a full score.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import TaskError, nearest
from pytest_lmmeval.gates.policy import POLICY_KEYS, GatePolicy
from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.plans.gate_plans import GatePlan, settings_around
from pytest_lmmeval.plans.pools import Pool, PoolMember
from pytest_lmmeval.plans.task_plans import TaskPlan
from pytest_lmmeval.suites.keys import POOL_KEYS
from pytest_lmmeval.suites.texts import SuiteText
from pytest_lmmeval.tasks.files.yaml_files import Block
from pytest_lmmeval.tasks.scoring.summary import full_score


def suite_pools(
    text: SuiteText,
    body: Block,
    plans: Sequence[TaskPlan],
    key: str,
    config: RunConfig,
    defaults: Mapping[str, Any],
) -> list[Pool]:
    """Read a suite's ``suite_gates``.

    Args:
        text: The suite.
        body: What it holds.
        plans: Its tasks.
        key: Its node id.
        config: The run's settings, with the suite's laid over them.
        defaults: Rule settings that each gate starts from.

    Raises:
        TaskError: A gate cannot be used, or there is nothing that it could judge.
    """
    asked = text.mapping(body, "suite_gates")
    for name in asked:
        if not isinstance(name, str):
            raise text.error(f"suite_gates: {name!r}: expected a name", asked, name)
    return [_Reader(text, asked, name, plans).pool(key, config, defaults) for name in asked]


class _Reader:
    """One gate on its way to a pool."""

    def __init__(
        self, text: SuiteText, asked: Mapping[str, Any], name: str, plans: Sequence[TaskPlan]
    ) -> None:
        self._text = text
        self._asked = asked
        self._name = name
        self._plans = plans
        self._given = text.mapping(asked, name)

    def pool(self, key: str, config: RunConfig, defaults: Mapping[str, Any]) -> Pool:
        self._check_name()
        gate = self._gate(*settings_around(config, defaults))
        members = tuple(self._members(self._words("tasks"), self._words("metrics")))
        if not members:
            raise self._error("no task of the suite has a gated metric that could be pooled")
        return Pool(key, self._name, gate, members)

    def _check_name(self) -> None:
        name = self._name
        if not name or "::" in name or "[" in name:
            raise self._error("expected a name")
        if any(name == plan.name for plan in self._plans):
            raise self._error("a task of the suite has this name")

    def _gate(self, base: Mapping[str, Any], last: Mapping[str, Any]) -> GatePlan:
        own = {key: value for key, value in self._given.items() if key not in POOL_KEYS}
        given = {**base, **own, **last}
        path, line = self._text.path, self._line()
        rule = GateRule.from_mapping(
            {key: value for key, value in given.items() if key not in POLICY_KEYS},
            path=path,
            line=line,
        )
        if not rule.baseline:
            raise self._error("it compares with the baselines of its tasks; leave out 'baseline'")
        if "extend" in (*own, own.get("on_undecided")):
            raise self._error("a pool is not asked again; write 'on_undecided: warn' or 'fail'")
        if own.get("early_stop") == "sequential":
            raise self._error("a pool is judged on all docs; leave out 'early_stop'")
        policy = GatePolicy.from_mapping(given, path=path, line=line)
        return GatePlan(self._name, rule.ended_by("fuse"), path, line, True, policy)

    def _words(self, key: str) -> tuple[str, ...]:
        given = self._given.get(key)
        words = [given] if isinstance(given, str) else given
        if words is None:
            return ()
        if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
            raise self._error(f"{key!r}: expected a list of names, found {given!r}")
        return tuple(words)

    def _members(self, tasks: Sequence[str], metrics: Sequence[str]) -> Iterator[PoolMember]:
        self._check_names("tasks", tasks, [plan.name for plan in self._plans])
        keys = [gate.key for plan in self._plans for gate in _comparing(plan)]
        self._check_names("metrics", metrics, [*keys, *(key.partition(",")[0] for key in keys)])
        for plan in self._plans:
            if tasks and not any(fnmatch.fnmatchcase(plan.name, task) for task in tasks):
                continue
            gate = self._named(plan, metrics) if metrics else _default(plan)
            if gate is not None:
                yield PoolMember(plan, gate)
            elif plan.name in tasks:
                raise self._error(f"task {plan.name!r} has no such gated metric with a full score")

    def _check_names(self, key: str, names: Sequence[str], known: Sequence[str]) -> None:
        for name in names:
            if not any(fnmatch.fnmatchcase(each, name) for each in known):
                choices = ", ".join(dict.fromkeys(known))
                hint = nearest(name, known)
                raise self._error(f"{key}: {name!r} is not one of {choices}.{hint}")

    def _named(self, plan: TaskPlan, metrics: Sequence[str]) -> GatePlan | None:
        found = [
            gate
            for gate in _comparing(plan)
            if gate.key in metrics or gate.key.partition(",")[0] in metrics
        ]
        if len(found) > 1:
            keys = ", ".join(gate.key for gate in found)
            raise self._error(f"task {plan.name!r} has {keys}, of the same docs; name one of them")
        return found[0] if found else None

    def _line(self) -> int:
        return self._text.line(self._asked, self._name)

    def _error(self, message: str) -> TaskError:
        return TaskError(f"suite_gates: {self._name!r}: {message}", self._text.path, self._line())


def _comparing(plan: TaskPlan) -> list[GatePlan]:
    return [gate for gate in plan.gates if gate.side is None and gate.compares]


def _default(plan: TaskPlan) -> GatePlan | None:
    """Return the first gate whose failure counts and whose metric has a full score."""
    for gate in _comparing(plan):
        tolerated = gate.policy.tier == "advisory" or gate.policy.xfail is not None
        if not tolerated and _has_full_score(plan, gate.key.partition(",")[0]):
            return gate
    return None


def _has_full_score(plan: TaskPlan, metric: str) -> bool:
    specs = {spec.name: spec for spec in plan.task.metrics}
    aggregation = specs[metric].aggregation if metric in specs else "mean"
    return full_score(plan.task, metric, aggregation) is not None
