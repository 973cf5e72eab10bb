"""The line that says what is measured, before anything of a benchmark was imported."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from pytest_lmmeval.config.options import OPTIONS
from pytest_lmmeval.config.run_config import RunConfig

# Fields that may hold a key, the one that changes nothing, and those that are not worth a place.
_UNTOLD = {"model_args", "judge_model_args", "metadata", "progress"} | {
    *("model", "tasks", "show_config"),
    *("baseline_dir", "data_map", "include_path", "output_path"),
}


def header_line(config: RunConfig, tasks: Sequence[str]) -> str:
    """Say what is measured; a model's arguments may hold a key and are left out.

    Args:
        config: The run's settings; those that are not their defaults are told.
        tasks: The tasks asked for by name.
    """
    pieces = [f"model {config.model}" if config.model else "model as suites or fixtures have it"]
    if tasks:
        pieces.append(f"tasks {', '.join(_as_typed(task, config.root) for task in tasks)}")
    default = RunConfig()
    for option in OPTIONS:
        value = getattr(config, option.dest)
        if option.dest not in _UNTOLD and value != getattr(default, option.dest):
            pieces.append(f"{option.flag.removeprefix('--lmm-')} {_as_one_word(value)}")
    return f"lmmeval: {'; '.join(pieces)}"


def _as_one_word(value: object) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return shlex.quote(f"{value:.0f}" if whole else str(value))


def _as_typed(task: str, root: Path) -> str:
    """Return the path of a task file as it reads from the project's folder."""
    below = task.endswith((".yaml", ".yml")) and Path(task).is_relative_to(root)
    return Path(task).relative_to(root).as_posix() if below else task
