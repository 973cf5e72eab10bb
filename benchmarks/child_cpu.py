"""CPU time of processes that a benchmark starts."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def cpu_seconds(command: Sequence[str], folder: Path) -> float:
    """Return the CPU seconds, user and system, that a command and its children took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(command, folder, {})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measurements(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return what a command measured of itself: the JSON on the last line that it prints.

    The command has one thread for numerics, so that its CPU time is the time of its work.
    """
    found: dict[str, Any] = json.loads(_run(command, folder, environment or {}).splitlines()[-1])
    return found


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    threads = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | threads | dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout
