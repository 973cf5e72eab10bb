"""From the name of a task, group or tag to the task files behind it; reads no task.

A pick is a task file with what the groups on the way to it lay over its keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import TaskError, UsageError, nearest
from pytest_lmmeval.tasks.catalog.groups import Group, Member, load_group
from pytest_lmmeval.tasks.catalog.index import Index, read_entry, task_files


@dataclass(frozen=True, slots=True)
class Step:
    """An entry of a group's list that was followed: the group, its file, the entry's line."""

    group: str
    path: Path
    line: int


@dataclass(frozen=True)
class Pick:
    """A task on its way to being selected: where it is, and what to lay over it.

    Attributes:
        name: The task's name.
        path: Its file.
        overrides: Keys to lay over it.
        groups: The groups through which it is selected, outer ones first.
        inline_line: Set for one that a group file defines itself.
        way: The entries of groups that led to it, outer ones first.
        shadowed: Other files of its folder that define the name too, and do not count.
    """

    name: str
    path: Path
    overrides: Mapping[str, Any]
    groups: tuple[str, ...] = ()
    inline_line: int | None = None
    way: tuple[Step, ...] = ()
    shadowed: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Scope:
    """Where names are looked up, and the groups that were met."""

    indexes: tuple[Index, ...]
    groups: dict[str, Group]

    def knows(self, name: str) -> bool:
        """Whether a name stands for something."""
        return any(index.knows(name) for index in self.indexes)


def from_folder(folder: Path) -> Iterator[Pick]:
    """Yield the tasks in a folder and below it.

    Raises:
        UsageError: There is none.
    """
    entries = [entry for entry in map(read_entry, task_files(folder)) if entry is not None]
    tasks = [entry for entry in entries if entry.kind == "task"]
    if not tasks:
        raise UsageError(f"there is no task in the folder {folder}")
    for entry in tasks:
        yield Pick(entry.name, entry.path, {})


def from_name(name: str, scope: Scope) -> Iterator[Pick]:
    """Yield the tasks that a known name stands for.

    Raises:
        TaskError: A group file cannot be used.
    """
    yield from _from_name(name, {}, (), scope)


def from_group(group: Group, scope: Scope) -> Iterator[Pick]:
    """Yield the tasks of a group.

    Raises:
        TaskError: A task of it is not there, or it goes in a circle.
    """
    yield from _from_group(group, {}, (), scope)


def _from_name(
    name: str, overrides: Mapping[str, Any], way: tuple[Step, ...], scope: Scope
) -> Iterator[Pick]:
    index = next(index for index in scope.indexes if index.knows(name))
    entry = index.entries.get(name)
    if entry is None:
        for task in index.tags[name]:
            yield from _from_name(task, overrides, way, Scope((index,), scope.groups))
    elif entry.kind == "task":
        others = tuple(index.shadowed.get(name, ()))
        yield Pick(name, entry.path, overrides, _groups(way), way=way, shadowed=others)
    else:
        yield from _from_group(load_group(entry.path), overrides, way, scope)


def _from_group(
    group: Group, overrides: Mapping[str, Any], way: tuple[Step, ...], scope: Scope
) -> Iterator[Pick]:
    above = _groups(way)
    if group.name in above:
        circle = " → ".join([*above[above.index(group.name) :], group.name])
        raise TaskError(f"groups go in a circle: {circle}", group.path, group.line)
    scope.groups[group.name] = group
    for member in group.members:
        # The caller's settings win over the group's, and a member's own over both.
        laid = {**group.overrides, **overrides, **member.overrides}
        step = Step(group.name, member.path, member.line)
        yield from _from_member(member, laid, (*way, step), scope)


def _from_member(
    member: Member, overrides: dict[str, Any], way: tuple[Step, ...], scope: Scope
) -> Iterator[Pick]:
    groups = _groups(way)
    if scope.knows(member.name):
        yield from _from_name(member.name, overrides, way, scope)
    elif member.group is not None:
        yield from _from_group(member.group, overrides, way, scope)
    elif overrides:
        name = f"{groups[-1]}::{member.name}"
        yield Pick(name, member.path, {**overrides, "task": name}, groups, member.line, way)
    else:
        known = set().union(*(index.all_names() for index in scope.indexes))
        message = f"group {groups[-1]!r}: there is no task {member.name!r}."
        raise TaskError(message + nearest(member.name, known), member.path, member.line)


def _groups(way: tuple[Step, ...]) -> tuple[str, ...]:
    return tuple(step.group for step in way)
