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

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import TaskError, UsageError, nearest
from pytest_lmmeval.gates.baseline_file import baseline_path
from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.options import RunConfig, parse_setting
from pytest_lmmeval.plans import ModelPlan, Place, TaskPlan, own_place, plan_gates
from pytest_lmmeval.suite_models import check_plan, plan_model
from pytest_lmmeval.tasks.catalog.manager import TaskManager, TaskSpec
from pytest_lmmeval.tasks.files.yaml_files import Block, parse_file

FORMAT = 1
KEYS = ("lmmeval", "profile", "models", "defaults", "settings", "tasks", "baselines", "variant")
TASK_KEYS = ("task", "name", "gates", "model", "tags")
# Settings that a suite may give for all its tasks or for one.
SETTINGS = (
    "num_fewshot",
    "gen_kwargs",
    "limit",
    "limit_from",
    "system_instruction",
    "apply_chat_template",
    "fewshot_as_multiturn",
    "message_format",
    "data_map",
    "metadata",
    "max_failed",
    "parity",
    "dialect",
)
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "pr": {"on_undecided": "warn"},
    "nightly": {"on_undecided": "warn"},
    "release": {"on_undecided": "fail"},
}


def read_suite(path: Path, config: RunConfig, key: str) -> list[TaskPlan]:
    """Plan the tasks of a suite.

    Args:
        path: The suite.
        config: The run's settings; those of the command line win over the suite's.
        key: The suite's node id, which the plans' keys begin with.

    Raises:
        TaskError: The suite or one of its tasks cannot be used.
    """
    return _Suite(path, config, key).plans()


class _Suite:
    """One suite on its way to plans."""

    def __init__(self, path: Path, config: RunConfig, key: str) -> None:
        self._path = path
        self._key = key
        self._body = parse_file(path)
        self._name = path.name.removesuffix(path.suffix).removesuffix(".lmm")
        self._manager = TaskManager(include_path=config.include_path)
        self._given = config
        self._config = config
        self._defaults: Mapping[str, Any] = {}
        self._models: dict[str, Any] = {}
        self._checked: dict[str, ModelPlan] = {}

    def plans(self) -> list[TaskPlan]:
        self._check_keys(self._body, KEYS, "a suite")
        if self._body.get("lmmeval") != FORMAT:
            found = self._body.get("lmmeval")
            raise self._error(f"expected 'lmmeval: {FORMAT}', found {found!r}", "lmmeval")
        self._config = self._settings(self._mapping(self._body, "settings"), self._given)
        self._models = dict(self._mapping(self._body, "models"))
        written = self._mapping(self._body, "defaults")
        # Read for its errors, which belong to these lines and not to those of a gate.
        GateRule.from_mapping(written, path=self._path, line=self._line(self._body, "defaults"))
        self._defaults = {**self._profile(), **written}
        entries = self._body.get("tasks")
        if not isinstance(entries, list) or not entries:
            raise self._error(f"expected a list of tasks, found {entries!r}", "tasks")
        plans: dict[str, TaskPlan] = {}
        for entry in map(self._entry, entries):
            for plan in self._plans_of(entry):
                if plan.name in plans:
                    message = f"task {plan.name!r} stands here twice; give one of them a 'name'"
                    raise TaskError(message, self._path, entry.line)
                plans[plan.name] = plan
        return list(plans.values())

    def _entry(self, written: Any) -> Block:
        line = self._line(self._body, "tasks")
        if isinstance(written, str):
            entry = Block(self._path, line)
            entry["task"] = written
            return entry
        if not isinstance(written, Block) or not isinstance(written.get("task"), str):
            message = f"expected a task's name or 'task: …', found {written!r}"
            raise TaskError(message, self._path, getattr(written, "line", line))
        self._check_keys(written, (*TASK_KEYS, *SETTINGS), "a task of a suite")
        return written

    def _plans_of(self, entry: Block) -> Iterable[TaskPlan]:
        config = self._settings({k: entry[k] for k in SETTINGS if k in entry}, self._config, entry)
        specs = self._select(entry, config)
        if "name" in entry and len(specs) > 1:
            message = f"'name' needs a single task; {entry['task']!r} is {len(specs)}"
            raise TaskError(message, self._path, self._line(entry, "name"))
        return [self._plan(spec, entry, config) for spec in specs]

    def _select(self, entry: Block, config: RunConfig) -> list[TaskSpec]:
        name = self._here(entry["task"])
        if name.endswith((".yaml", ".yml")):
            name = str(self._path.parent / name)
        try:
            return self._manager.select([name], dialect=config.forced_dialect)
        except UsageError as error:
            raise TaskError(str(error), self._path, self._line(entry, "task")) from None

    def _plan(self, spec: TaskSpec, entry: Block, config: RunConfig) -> TaskPlan:
        # A task that a group defines is called group::task.
        name = self._text(entry, "name", spec.name.replace("::", "."))
        asked = self._mapping(entry, "gates")
        place = Place(self._path, self._line(entry, "gates"), getattr(asked, "lines", {}))
        if not asked and spec.config.gates:
            asked, place = spec.config.gates, own_place(spec)
        variant = config.variant
        if "variant" not in config.by_command_line:
            variant = self._text(self._body, "variant", variant)
        return TaskPlan(
            key=f"{self._key}::{name}",
            name=name,
            task=spec.config.with_metadata(config.metadata),
            config=replace(config, variant=variant),
            gates=plan_gates(spec.config, asked, config, place, self._defaults),
            baseline=baseline_path(self._baselines() / self._name, name, variant),
            suite=self._name,
            model=self._model(entry),
            tags=(*spec.tags, *spec.groups, *self._tags(entry)),
            within=spec.within,
        )

    def _baselines(self) -> Path:
        """Return the folder of the baselines: beside the suite, unless a folder is asked for."""
        asked = self._given.baseline_dir
        own = "baselines" in self._body and "baseline_dir" not in self._given.by_command_line
        if asked is not None and not own:
            return asked
        return self._path.parent / self._text(self._body, "baselines", "baselines")

    def _tags(self, entry: Block) -> tuple[str, ...]:
        tags = entry.get("tags") or []
        tags = (tags,) if isinstance(tags, str) else tuple(tags) if isinstance(tags, list) else None
        if tags is None or not all(isinstance(tag, str) and tag for tag in tags):
            message = f"'tags': expected a list of words, found {entry['tags']!r}"
            raise TaskError(message, self._path, self._line(entry, "tags"))
        return tags

    def _model(self, entry: Block) -> ModelPlan | None:
        """Return the model for a task; None where it is not the suite's but the run's."""
        if "model" in self._given.by_command_line:
            asked = str(self._given.model)
            return self._plan_model(asked) if asked in self._models else None
        name = entry.get("model", next(iter(self._models), None))
        if name is None:
            return None
        if not isinstance(name, str) or name not in self._models:
            known = ", ".join(self._models) or "none"
            message = f"model {name!r} is not one of the suite's: {known}."
            hint = nearest(str(name), self._models)
            raise TaskError(message + hint, self._path, self._line(entry, "model"))
        return self._plan_model(name)

    def _plan_model(self, name: str) -> ModelPlan:
        """Plan a model of the suite, once."""
        if name in self._checked:
            return self._checked[name]
        models = self._mapping(self._body, "models")
        line = self._line(models, name)
        args = models[name]
        if not isinstance(args, Mapping | None):
            message = f"model {name!r}: expected a mapping of arguments, found {args!r}"
            raise TaskError(message, self._path, line)
        try:
            plan = plan_model(name, self._here(args or {}), self._given)
            check_plan(plan)
        except UsageError as error:
            raise TaskError(f"model {name!r}: {error}", self._path, line) from None
        self._checked[name] = plan
        return plan

    def _here(self, value: Any) -> Any:
        """Anchor paths that are written relative to the suite."""
        if isinstance(value, str) and value.startswith(("./", "../")):
            return str((self._path.parent / value).resolve())
        if isinstance(value, list):
            return [self._here(inner) for inner in value]
        if isinstance(value, Mapping):
            return {name: self._here(inner) for name, inner in value.items()}
        return value

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

    def _profile(self) -> Mapping[str, Any]:
        name = self._text(self._body, "profile", "pr")
        if name not in PROFILES:
            known = ", ".join(PROFILES)
            message = f"profile {name!r} is not one of {known}.{nearest(name, PROFILES)}"
            raise self._error(message, "profile")
        return PROFILES[name]

    def _text(self, block: Block, key: str, default: str) -> str:
        value = block.get(key, default)
        # "::" separates the pieces of a node id, and pytest loses one that holds "[" under --lf.
        if not isinstance(value, str) or not value or "::" in value or "[" in value:
            message = f"{key!r}: expected a name, found {value!r}"
            raise TaskError(message, self._path, self._line(block, key))
        return value

    def _mapping(self, block: Block, key: str) -> Mapping[str, Any]:
        value = block.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            message = f"{key!r}: expected a mapping, found {value!r}"
            raise TaskError(message, self._path, self._line(block, key))
        return value

    def _check_keys(self, block: Block, known: tuple[str, ...], what: str) -> None:
        for name in block:
            if name not in known:
                hint = nearest(str(name), known)
                message = f"unknown key {name!r} in {what}.{hint} Known: {', '.join(known)}"
                raise TaskError(message, self._path, self._line(block, name))

    def _error(self, message: str, key: str) -> TaskError:
        return TaskError(message, self._path, self._line(self._body, key))

    @staticmethod
    def _line(block: Mapping[str, Any], key: str) -> int:
        """Return the line of a key, or of the block where the key is missing."""
        if not isinstance(block, Block):
            return 1
        return block.lines.get(str(key), block.line)
