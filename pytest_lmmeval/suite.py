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

Task YAMLs, and arguments that begin with ``./`` or ``../``, are relative to the suite. The first
model is the default; ``--lmm-model`` picks another of them, or one that the suite does not name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import TaskError, UsageError, nearest
from pytest_lmmeval.gates.baseline_file import baseline_path
from pytest_lmmeval.options import RunConfig, parse_setting, replace
from pytest_lmmeval.plans import ModelPlan, TaskPlan, plan_gates, run_model
from pytest_lmmeval.tasks.loader import Block, parse_file
from pytest_lmmeval.tasks.manager import TaskManager, TaskSpec

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
    "max_failed",
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
        config: The run's settings; those that the user gave win over the suite's.
        key: The suite's node id, which the plans' keys begin with.

    Raises:
        TaskError: The suite or one of its tasks cannot be used.
        UsageError: A task that it names is not known.
    """
    return _Suite(path, config, key).plans()


class _Suite:
    """One suite on its way to plans."""

    def __init__(self, path: Path, config: RunConfig, key: str) -> None:
        self._path = path
        self._config = config
        self._key = key
        self._body = parse_file(path)
        self._name = path.name.removesuffix(path.suffix).removesuffix(".lmm")
        self._manager = TaskManager(include_path=config.include_path)

    def plans(self) -> list[TaskPlan]:
        self._check_keys(self._body, KEYS, "a suite")
        if self._body.get("lmmeval") != FORMAT:
            found = self._body.get("lmmeval")
            raise self._error(f"expected 'lmmeval: {FORMAT}', found {found!r}", "lmmeval")
        settings = self._settings(self._mapping("settings"), self._config)
        defaults = {**self._profile(), **self._mapping("defaults")}
        models = self._models()
        entries = self._body.get("tasks")
        if not isinstance(entries, list) or not entries:
            raise self._error("expected a list of tasks", "tasks")
        plans: list[TaskPlan] = []
        for entry in entries:
            plans += self._entry(entry, settings, defaults, models)
        self._refuse_twins(plans)
        return plans

    def _entry(
        self,
        entry: Any,
        config: RunConfig,
        defaults: Mapping[str, Any],
        models: Mapping[str, ModelPlan],
    ) -> list[TaskPlan]:
        if isinstance(entry, str):
            entry = _block({"task": entry}, self._path, self._body.lines.get("tasks", 1))
        if not isinstance(entry, Block) or not isinstance(entry.get("task"), str):
            line = getattr(entry, "line", self._body.lines.get("tasks", 1))
            raise TaskError(
                f"expected a task's name or 'task: …', found {entry!r}", self._path, line
            )
        self._check_keys(entry, (*TASK_KEYS, *SETTINGS), "a task of a suite")
        config = self._settings({k: entry[k] for k in SETTINGS if k in entry}, config, entry)
        specs = self._select(entry)
        if "name" in entry and len(specs) > 1:
            raise TaskError(
                f"'name' needs a single task; {entry['task']!r} is {len(specs)}",
                self._path,
                entry.line,
            )
        return [self._plan(spec, entry, config, defaults, models) for spec in specs]

    def _select(self, entry: Block) -> list[TaskSpec]:
        name = entry["task"]
        if name.endswith((".yaml", ".yml")):
            name = str(self._path.parent / name)
        try:
            return self._manager.select([name])
        except UsageError as error:
            raise TaskError(str(error), self._path, entry.lines.get("task")) from None

    def _plan(
        self,
        spec: TaskSpec,
        entry: Block,
        config: RunConfig,
        defaults: Mapping[str, Any],
        models: Mapping[str, ModelPlan],
    ) -> TaskPlan:
        name = str(entry.get("name", spec.name))
        asked = entry.get("gates") or {}
        if not isinstance(asked, Mapping):
            raise TaskError(f"'gates': expected a mapping, found {asked!r}", self._path, entry.line)
        gates = plan_gates(
            spec.config,
            asked or spec.config.gates,
            self._path,
            getattr(asked, "lines", {}),
            {**_max_failed(config), **defaults},
            line=entry.line,
        )
        beside = self._path.parent / str(self._body.get("baselines", "baselines"))
        root = (self._config.baseline_dir or beside) / self._name
        variant = config.variant
        if variant == "default":
            variant = str(self._body.get("variant", "default"))
        return TaskPlan(
            key=f"{self._key}::{name}",
            name=name,
            task=spec.config,
            config=replace(config, variant=variant),
            gates=gates,
            baseline=baseline_path(root, name, variant),
            suite=self._name,
            model=self._model(entry, models),
            tags=(*spec.tags, *spec.groups, *map(str, entry.get("tags", ()))),
        )

    def _model(self, entry: Block, models: Mapping[str, ModelPlan]) -> ModelPlan | None:
        """Return the suite's model for a task; None where the run names one that it does not."""
        asked = run_model(self._config)
        if asked is not None:
            known = models.get(asked.name)
            if known is None:
                return None
            args = {**known.args, **asked.args}
            return ModelPlan(
                asked.name, args, known.server, asked.batch_size, asked.max_batch_size, asked.device
            )
        name = entry.get("model", next(iter(models), None))
        if name is not None and name not in models:
            raise TaskError(
                f"model {name!r} is not one of the suite's: {', '.join(models)}."
                f"{nearest(str(name), models)}",
                self._path,
                entry.lines.get("model"),
            )
        return models[name] if name is not None else None

    def _models(self) -> dict[str, ModelPlan]:
        models = {}
        for name, args in self._mapping("models").items():
            if not isinstance(args or {}, Mapping):
                raise self._error(f"model {name!r}: expected a mapping, found {args!r}", "models")
            args = {k: self._here(v) for k, v in (args or {}).items()}
            server = args.pop("server", None)
            models[name] = ModelPlan(
                name,
                args,
                server,
                batch_size=self._config.batch_size,
                max_batch_size=self._config.max_batch_size,
                device=self._config.device,
            )
        return models

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
        """Lay settings over the defaults; what the user gave on the command line stays."""
        where = entry or self._body.get("settings")
        lines = getattr(where, "lines", {})
        untouched, changes = RunConfig(), {}
        for name, value in given.items():
            if name not in SETTINGS:
                raise TaskError(
                    f"unknown setting {name!r}.{nearest(name, SETTINGS)} "
                    f"Known: {', '.join(SETTINGS)}",
                    self._path,
                    lines.get(name),
                )
            if getattr(self._config, name) != getattr(untouched, name):
                continue
            try:
                changes[name] = parse_setting(name, self._here(value))
            except UsageError as error:
                raise TaskError(str(error), self._path, lines.get(name)) from None
        return replace(config, **changes)

    def _profile(self) -> Mapping[str, Any]:
        name = self._body.get("profile", "pr")
        if name not in PROFILES:
            hint = nearest(str(name), PROFILES)
            raise self._error(
                f"profile {name!r} is not one of {', '.join(PROFILES)}.{hint}", "profile"
            )
        return PROFILES[name]

    def _mapping(self, key: str) -> Mapping[str, Any]:
        value = self._body.get(key) or {}
        if not isinstance(value, Mapping):
            raise self._error(f"{key!r}: expected a mapping, found {value!r}", key)
        return value

    def _check_keys(self, block: Block, known: tuple[str, ...], what: str) -> None:
        for name in block:
            if name not in known:
                raise TaskError(
                    f"unknown key {name!r} in {what}.{nearest(name, known)} "
                    f"Known: {', '.join(known)}",
                    self._path,
                    block.lines.get(name),
                )

    def _refuse_twins(self, plans: list[TaskPlan]) -> None:
        seen: set[str] = set()
        for plan in plans:
            if plan.name in seen:
                raise self._error(
                    f"task {plan.name!r} stands here twice; give one of them a 'name'", "tasks"
                )
            seen.add(plan.name)

    def _error(self, message: str, key: str) -> TaskError:
        return TaskError(message, self._path, self._body.lines.get(key, 1))


def _max_failed(config: RunConfig) -> Mapping[str, Any]:
    return {} if config.max_failed is None else {"max_failed": config.max_failed}


def _block(values: Mapping[str, Any], path: Path, line: int) -> Block:
    block = Block(path, line)
    block.update(values)
    return block
