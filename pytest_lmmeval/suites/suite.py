"""Suites: ``*.lmm.yaml`` files that say which tasks are gated how, on which model.

    lmmeval: 1
    profile: pr
    models:
      hf_vision: {pretrained: ./checkpoint}
    defaults: {max_drop: 1pp, must_detect: 3pp}
    tasks:
      - task: ./easy_vqa.yaml
        limit: 1000
        gates:
          exact_match: {floor: 0.6}

Task YAMLs, and values that begin with ``./`` or ``../``, are relative to the suite. The first model
is the default; ``--lmm-model`` picks another of them, or one that the suite does not name. What the
command line gives wins over the suite, and the suite over an ini file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_lmmeval.config.options import parse_setting
from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import TaskError, UsageError, nearest
from pytest_lmmeval.gates.baseline_file import baseline_path
from pytest_lmmeval.gates.policy import POLICY_KEYS, GatePolicy
from pytest_lmmeval.gates.profiles import DEFAULT_PROFILE, profile_rule
from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.plans.extending import with_more_docs
from pytest_lmmeval.plans.gate_plans import Place, own_place, plan_gates
from pytest_lmmeval.plans.pools import Pool, group_pools
from pytest_lmmeval.plans.task_plans import TaskPlan
from pytest_lmmeval.suites.judge import with_judge
from pytest_lmmeval.suites.keys import FORMAT, KEYS, PRICE_KEYS, SETTINGS, TASK_KEYS
from pytest_lmmeval.suites.models import SuiteModels, anchored
from pytest_lmmeval.suites.pools import suite_pools
from pytest_lmmeval.suites.texts import SuiteText
from pytest_lmmeval.tasks.catalog.manager import TaskManager, TaskSpec
from pytest_lmmeval.tasks.files.yaml_files import Block, parse_file


@dataclass(frozen=True)
class PlannedSuite:
    """What a suite asks for.

    Attributes:
        plans: Its tasks.
        pools: Its gates over several tasks: its own, and those of groups.
    """

    plans: list[TaskPlan]
    pools: list[Pool]


def plan_suite(path: Path, config: RunConfig, key: str) -> PlannedSuite:
    """Plan a suite.

    Args:
        path: The suite.
        config: The run's settings; those of the command line win over the suite's.
        key: The suite's node id, which the plans' keys begin with.

    Raises:
        TaskError: The suite or one of its tasks cannot be used.
    """
    suite = _Suite(path, config, key)
    plans = suite.plans()
    own = suite.pools(plans)
    pooled = {member.plan.key for pool in own for member in pool.members}
    plans = [replace(plan, in_pool=plan.key in pooled) for plan in plans]
    return PlannedSuite(plans, [*own, *group_pools(plans, f"{key}::{{}}")])


def read_suite(path: Path, config: RunConfig, key: str) -> list[TaskPlan]:
    """Plan the tasks of a suite; arguments and errors are those of ``plan_suite``."""
    return plan_suite(path, config, key).plans


class _Suite:
    """One suite on its way to plans."""

    def __init__(self, path: Path, config: RunConfig, key: str) -> None:
        self._path = path
        self._key = key
        self._text = SuiteText(path)
        self._body = parse_file(path)
        self._name = path.name.removesuffix(path.suffix).removesuffix(".lmm")
        self._manager = TaskManager(include_path=config.include_path)
        self._given = config
        self._config = config
        self._defaults: Mapping[str, Any] = {}
        self._prices: Mapping[str, float] = {}
        self._models = SuiteModels(path, self._body, config)

    def plans(self) -> list[TaskPlan]:
        self._read_head()
        plans: dict[str, TaskPlan] = {}
        for entry in map(self._entry, self._entries("tasks")):
            for plan in self._plans_of(entry):
                if plan.name in plans:
                    message = f"task {plan.name!r} stands here twice; give one of them a 'name'"
                    raise TaskError(message, self._path, entry.line)
                plans[plan.name] = plan
        return [*plans.values(), *self._plans_of_configs()]

    def pools(self, plans: Sequence[TaskPlan]) -> list[Pool]:
        """Plan the gates over several of the suite's tasks."""
        return suite_pools(self._text, self._body, plans, self._key, self._config, self._defaults)

    def _read_head(self) -> None:
        """Read what holds for all tasks."""
        text, body = self._text, self._body
        text.check_keys(body, KEYS, "a suite")
        if body.get("lmmeval") != FORMAT:
            found = body.get("lmmeval")
            raise text.error(f"expected 'lmmeval: {FORMAT}', found {found!r}", body, "lmmeval")
        self._config = self._with_profile(
            self._settings(text.mapping(body, "settings"), self._given)
        )
        self._config = with_judge(self._path, body, self._config)
        text.mapping(body, "models")
        self._prices = self._read_prices()
        self._defaults = text.mapping(body, "defaults")
        # Read for its errors, which belong to these lines and not to those of a gate.
        line = text.line(body, "defaults")
        GatePolicy.from_mapping(self._defaults, path=self._path, line=line)
        rule = {key: value for key, value in self._defaults.items() if key not in POLICY_KEYS}
        GateRule.from_mapping(rule, path=self._path, line=line)

    def _with_profile(self, config: RunConfig) -> RunConfig:
        if "profile" in config.by_command_line:
            return config
        name = self._text.name(self._body, "profile", config.profile or DEFAULT_PROFILE)
        try:
            profile_rule(name)
        except UsageError as error:
            raise self._text.error(str(error), self._body, "profile") from None
        return replace(config, profile=name)

    def _read_prices(self) -> Mapping[str, float]:
        prices = self._text.mapping(self._body, "prices")
        self._text.check_keys(prices, PRICE_KEYS, "'prices'")
        for key, price in prices.items():
            if isinstance(price, bool) or not isinstance(price, int | float) or not price >= 0:
                message = f"{key!r}: expected a price per million tokens, found {price!r}"
                raise self._text.error(message, prices, key)
        return {key: float(price) for key, price in prices.items()}

    def _entries(self, key: str) -> list[Any]:
        entries = self._body.get(key)
        if entries is None and key == "tasks" and self._body.get("configs"):
            return []
        if not isinstance(entries, list) or not entries:
            message = f"expected a list of {key}, found {entries!r}"
            raise self._text.error(message, self._body, key)
        return entries

    def _plans_of_configs(self) -> Iterable[TaskPlan]:
        """Plan the configs of other tools that the suite names."""
        if "configs" not in self._body:
            return
        # Deferred: few suites name any.
        from pytest_lmmeval.suites.engine_configs.configs import plan_config

        for name in self._entries("configs"):
            if not isinstance(name, str) or not (self._path.parent / name).is_file():
                message = f"configs: expected the path of a config file, found {name!r}"
                raise self._text.error(message, self._body, "configs")
            path = self._path.parent / name
            for plan in plan_config(path, self._config, f"{self._key}::{path.stem}"):
                within = f"{path.stem}.{plan.name}"
                baseline = baseline_path(
                    self._baselines() / self._name, within, plan.config.variant
                )
                yield replace(
                    plan,
                    key=f"{self._key}::{within}",
                    name=within,
                    suite=self._name,
                    baseline=baseline,
                )

    def _entry(self, written: Any) -> Block:
        line = self._text.line(self._body, "tasks")
        if isinstance(written, str):
            entry = Block(self._path, line)
            entry["task"] = written
            return entry
        if not isinstance(written, Block) or not isinstance(written.get("task"), str):
            message = f"expected a task's name or 'task: …', found {written!r}"
            raise TaskError(message, self._path, getattr(written, "line", line))
        self._text.check_keys(written, (*TASK_KEYS, *SETTINGS), "a task of a suite")
        return written

    def _plans_of(self, entry: Block) -> Iterable[TaskPlan]:
        config = self._settings({k: entry[k] for k in SETTINGS if k in entry}, self._config, entry)
        specs = self._select(entry, config)
        if "name" in entry and len(specs) > 1:
            message = f"'name' needs a single task; {entry['task']!r} is {len(specs)}"
            raise TaskError(message, self._path, self._text.line(entry, "name"))
        return [self._plan(spec, entry, config) for spec in specs]

    def _select(self, entry: Block, config: RunConfig) -> list[TaskSpec]:
        name = anchored(entry["task"], self._path.parent)
        if name.endswith((".yaml", ".yml")):
            name = str(self._path.parent / name)
        try:
            return self._manager.select([name], dialect=config.forced_dialect)
        except UsageError as error:
            raise TaskError(str(error), self._path, self._text.line(entry, "task")) from None

    def _plan(self, spec: TaskSpec, entry: Block, config: RunConfig) -> TaskPlan:
        spec = spec.under(config.parity)
        # A task that a group defines is called group::task.
        name = self._text.name(entry, "name", spec.name.replace("::", "."))
        asked = self._text.mapping(entry, "gates")
        place = Place(self._path, self._text.line(entry, "gates"), getattr(asked, "lines", {}))
        if not asked and spec.config.gates:
            asked, place = spec.config.gates, own_place(spec)
        variant = config.variant
        if "variant" not in config.by_command_line:
            variant = self._text.name(self._body, "variant", variant)
        plan = TaskPlan(
            key=f"{self._key}::{name}",
            name=name,
            task=spec.config.with_metadata(config.metadata),
            config=replace(config, variant=variant),
            gates=plan_gates(
                spec.config,
                asked,
                config,
                place,
                {**self._defaults, **({"xfail": entry["xfail"]} if "xfail" in entry else {})},
                priced=bool(self._prices),
            ),
            baseline=baseline_path(self._baselines() / self._name, name, variant),
            suite=self._name,
            model=self._models.of(entry),
            tags=(*spec.tags, *spec.groups, *self._text.words(entry, "tags")),
            within=spec.within,
            prices=self._prices,
        )
        return with_more_docs(plan)

    def _baselines(self) -> Path:
        """Return the folder of the baselines: beside the suite, unless a folder is asked for."""
        asked = self._given.baseline_dir
        own = "baselines" in self._body and "baseline_dir" not in self._given.by_command_line
        if asked is not None and not own:
            return asked
        return self._path.parent / self._text.name(self._body, "baselines", "baselines")

    def _settings(
        self, given: Mapping[str, Any], config: RunConfig, entry: Block | None = None
    ) -> RunConfig:
        """Lay settings over the defaults; what the command line gave stays."""
        lines = getattr(given if entry is None else entry, "lines", {})
        changes = {}
        for name, value in given.items():
            if name not in SETTINGS:
                known = ", ".join(SETTINGS)
                message = f"unknown setting {name!r}.{nearest(str(name), SETTINGS)} Known: {known}"
                raise TaskError(message, self._path, lines.get(name))
            try:
                parsed = parse_setting(name, value, self._path.parent)
            except UsageError as error:
                raise TaskError(str(error), self._path, lines.get(name)) from None
            if name not in config.by_command_line:
                changes[name] = parsed
        try:
            return replace(config, **changes)
        except UsageError as error:
            line = next((lines[name] for name in changes if name in lines), None)
            raise TaskError(str(error), self._path, line) from None
