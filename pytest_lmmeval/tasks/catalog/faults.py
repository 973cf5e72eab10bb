"""What is said of names that stand for nothing, for two things, or for one in two ways."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import UsageError, nearest
from pytest_lmmeval.tasks.catalog.expansion import Pick
from pytest_lmmeval.tasks.catalog.index import Index
from pytest_lmmeval.tasks.files.schema import shown
from pytest_lmmeval.warnings import LmmWarning

# Unreadable files that a message shows.
_MOST = 5


def unknown(name: str, index: Index, folders: Sequence[Path]) -> UsageError:
    """Return the error for a name that stands for nothing.

    Args:
        name: What the user asked for.
        index: What there is.
        folders: Where it was looked for.
    """
    kind = "file" if Path(name).suffix in (".yaml", ".yml") else "task, group or tag"
    where = ", ".join(map(str, folders)) or "no folder"
    message = f"there is no {kind} {name!r} (looked in {where})."
    lines = [message + nearest(name, index.all_names())]
    reasons = list(index.unreadable.values())
    if reasons:
        lines.append("It may be in one of the files there that cannot be read:")
        lines += [f"  {reason}" for reason in reasons[:_MOST]]
    if len(reasons) > _MOST:
        lines.append(f"  and {len(reasons) - _MOST} more, which --lmm-tasks=list shows")
    return UsageError("\n".join(lines))


def two_ways(first: Pick, second: Pick) -> UsageError:
    """Return the error for one name that comes out as two tasks, or with two settings."""
    if first.path != second.path:
        message = f"two tasks are called {first.name!r}: {first.path} and {second.path}"
        return UsageError(message)
    differing = ", ".join(_differing(first.overrides, second.overrides))
    return UsageError(
        f"task {first.name!r} comes out in two ways, {_way(first)} and {_way(second)}, and these "
        f"differ in {differing}; results go by the task's name, so leave one of them out, or "
        "include the task's file in one with a name of its own"
    )


def _way(pick: Pick) -> str:
    steps = [f"{step.group!r} ({step.path}:{step.line})" for step in pick.way]
    return "through " + " → ".join(steps) if steps else f"by its own name ({pick.path})"


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys((*first, *second)):
        values = [shown(w[key]) if key in w else "as its file has it" for w in (first, second)]
        if values[0] != values[1]:
            yield f"{key} ({values[0]} against {values[1]})"


def warn_of_shadowed(pick: Pick) -> None:
    """Warn where other files of the same folder define a task's name too."""
    for other in pick.shadowed:
        message = (
            f"task {pick.name!r} is defined in {pick.path} and in {other}; the first counts, so "
            "give one of them another name"
        )
        warnings.warn_explicit(message, LmmWarning, str(other), 1)
