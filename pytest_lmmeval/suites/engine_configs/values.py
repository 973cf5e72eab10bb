"""Typed access to an engine's config, and what all kinds of configs have in common."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_lmmeval.config.options import parse_setting
from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import TaskError, UsageError
from pytest_lmmeval.gates.baseline_file import baseline_path
from pytest_lmmeval.gates.old_rules import OldRule
from pytest_lmmeval.gates.profiles import DEFAULT_PROFILE, profile_rule
from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.plans.gate_plans import GatePlan
from pytest_lmmeval.plans.task_plans import ModelPlan
from pytest_lmmeval.suites.models import plan_model
from pytest_lmmeval.tasks.files.yaml_files import Block
from pytest_lmmeval.warnings import LmmWarning


@dataclass(frozen=True)
class EngineConfig:
    """One file.

    Attributes:
        path: The file.
        body: Its keys.
        run: The run's settings.
    """

    path: Path
    body: Block
    run: RunConfig

    def text(self, key: str) -> str:
        """Return a text that must be there.

        Raises:
            TaskError: It is not.
        """
        value = self.body.get(key)
        if not isinstance(value, str) or not value:
            raise self.error(f"{key!r}: expected a text, found {value!r}", key)
        return value

    def number(self, key: str, default: float | None = None, block: Block | None = None) -> float:
        """Return a finite number.

        Raises:
            TaskError: It is none, or it is missing and has no default.
        """
        block = self.body if block is None else block
        value = block.get(key, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise self.error(f"{key!r}: expected a number, found {value!r}", key, block)
        return float(value)

    def whole(self, key: str, default: int | None = None) -> int:
        """Return a whole number, 0 or more.

        Raises:
            TaskError: It is none, or it is missing and has no default.
        """
        value = self.body.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.error(f"{key!r}: expected a whole number, 0 or more, found {value!r}", key)
        return value

    def error(self, message: str, key: str, block: Block | None = None) -> TaskError:
        """Return an error that points at a key."""
        block = self.body if block is None else block
        return TaskError(message, self.path, block.lines.get(key, block.line))

    def settings(self, **given: Any) -> RunConfig:
        """Lay settings over the run's; what the command line gave stays.

        Raises:
            TaskError: A value cannot be used.
        """
        changes = {}
        for name, value in given.items():
            if value is None or name in self.run.by_command_line:
                continue
            try:
                changes[name] = parse_setting(name, value)
            except UsageError as error:
                raise self.error(str(error), name) from None
        return replace(self.run, **changes)

    def model(
        self, name: str, args: Mapping[str, Any], server: Mapping[str, Any]
    ) -> ModelPlan | None:
        """Return the served model of the file; None where the run names a model.

        Args:
            name: The model class that asks it.
            args: Its arguments.
            server: How it is served.
        """
        if self.run.model is not None:
            return None
        plan = plan_model(name, {**args, "server": dict(server)}, self.run)
        # Whoever says where a server is wants none launched.
        return replace(plan, server=None) if "base_url" in plan.args else plan

    def gate(self, key: str, old: OldRule, line: int, baseline: Path) -> GatePlan:
        """Return the gate of one expected value.

        Its band is a floor, and docs are compared as well once there is a baseline.
        """
        given = profile_rule(self.run.profile or DEFAULT_PROFILE)
        there = baseline.is_file()
        rule = GateRule.from_mapping(
            {**given, "floor": max(0.0, old.bound), "baseline": there}, path=self.path, line=line
        )
        return GatePlan(key, rule, self.path, line, explicit=True, old=old)

    def baseline(self, task: str) -> Path:
        """Return where the baseline of one of the file's tasks lies: beside the file."""
        root = self.run.baseline_dir or self.path.parent / "baselines" / self.path.stem
        return baseline_path(root, task, self.run.variant)

    def warn_of_unused(self, used: Sequence[str]) -> None:
        """Tell keys that change nothing here."""
        unused = [key for key in self.body if key not in used]
        if unused:
            names = ", ".join(map(repr, unused))
            warnings.warn(LmmWarning(f"{self.path}: nothing is made of {names}"), stacklevel=2)


def vllm_server(
    model: str, flags: Sequence[str], env: Mapping[str, Any], wait: float
) -> dict[str, Any]:
    """Return the ``server:`` section that serves a model with vLLM."""
    return {
        "cmd": ["vllm", "serve", model, "--port", "{port}", *flags],
        "env": dict(env),
        "ready_timeout": wait,
        "model": model,
    }


def tensor_parallel() -> str:
    """Return the number of devices, which vLLM's scripts take from the environment."""
    return os.environ.get("LM_EVAL_TP_SIZE", "1")
