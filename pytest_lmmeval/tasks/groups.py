"""Group files: a name for several tasks, with settings laid over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.tasks.loader import Block, Document, load_source

# What describes the group itself; every other key is laid over all of its tasks.
_OWN_KEYS = frozenset(
    {"group", "group_alias", "task", "tag", "aggregate_metric_list", "metadata", "include"}
)


@dataclass(frozen=True)
class Member:
    """An entry of a group's ``task`` list.

    Attributes:
        name: The task, group or tag that it names.
        overrides: Keys that the entry lays over it.
        path: The group file.
        line: The entry's 1-based line, as far as it is known.
        group: The group that the entry itself defines, if it does.
    """

    name: str
    path: Path
    line: int
    overrides: Mapping[str, Any] = field(default_factory=dict)
    group: Group | None = None


@dataclass(frozen=True)
class Group:
    """A group of tasks.

    Attributes:
        name: Its name; a group within a group is called ``outer::inner``.
        path: The file.
        line: 1-based line where it starts.
        members: Its tasks, groups and tags, in order.
        overrides: Keys that it lays over all of them.
    """

    name: str
    path: Path
    line: int
    members: tuple[Member, ...]
    overrides: Mapping[str, Any]


def load_group(path: Path) -> Group:
    """Read a group file.

    Raises:
        TaskError: It cannot be read, or its list of tasks is not one.
    """
    document = load_source(path).merged(first_include_wins=False)
    line = document.origins["group"].line
    return _group(str(document.values["group"]), document.values, document, line)


def _group(name: str, values: Mapping[str, Any], document: Document, line: int) -> Group:
    tasks = values.get("task")
    if isinstance(tasks, str):
        tasks = [tasks]
    if not isinstance(tasks, list) or not tasks:
        message = f"group {name!r}: 'task' is {tasks!r}, expected a list of names"
        raise TaskError(message, document.path, line)
    members = tuple(_member(item, name, document, line) for item in tasks)
    overrides = {key: value for key, value in values.items() if key not in _OWN_KEYS}
    return Group(name, document.path, line, members, overrides)


def _member(item: Any, group: str, document: Document, line: int) -> Member:
    if isinstance(item, Block):
        line = item.line
    name = item.get("group", item.get("task")) if isinstance(item, Mapping) else item
    if not isinstance(name, str):
        message = f"group {group!r}: {item!r} is no member; expected a name or a mapping with one"
        raise TaskError(message, document.path, line)
    if not isinstance(item, Mapping):
        return Member(name, document.path, line)
    if "group" not in item:
        overrides = {key: value for key, value in item.items() if key != "task"}
        return Member(name, document.path, line, overrides)
    inline = _group(f"{group}::{name}", item, document, line) if "task" in item else None
    # An inline group carries its settings itself; for a known one they are laid over it.
    overrides = {key: value for key, value in item.items() if key not in _OWN_KEYS}
    return Member(name, document.path, line, overrides, inline)
