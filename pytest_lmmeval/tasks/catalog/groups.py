"""Group files: a name for several tasks, with settings laid over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import TaskError, nearest
from pytest_lmmeval.tasks.files.schema import check_kind, check_switch
from pytest_lmmeval.tasks.files.yaml_files import Block, Document, Origin, load_source
from pytest_lmmeval.tasks.functions.user_functions import FunctionRef

# What describes the group itself; every other key is laid over all of its tasks.
_OWN_KEYS = frozenset(
    {"group", "group_alias", "task", "tag", "aggregate_metric_list", "metadata", "include"}
)
_METRIC_KEYS = ("metric", "aggregation", "weight_by_size", "filter_list")


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


@dataclass(frozen=True, slots=True)
class GroupMetric:
    """An entry of ``aggregate_metric_list``.

    Attributes:
        metric: The metric that is averaged over the group's tasks.
        filters: Under which filters; None for all that its tasks have.
        weight_by_size: Whether tasks count by their numbers of docs, or all alike.
        path: The group file.
        line: 1-based line of the entry.
    """

    metric: str
    filters: tuple[str, ...] | None
    weight_by_size: bool
    path: Path
    line: int


@dataclass(frozen=True)
class Group:
    """A group of tasks.

    Attributes:
        name: Its name; a group within a group is called ``outer::inner``.
        path: The file.
        line: 1-based line where it starts.
        members: Its tasks, groups and tags, in order.
        overrides: Keys that it lays over all of them.
        metrics: What it averages over its tasks.
        alias: What reports call it, if not by its name.
        version: Its version, as its metadata has it.
    """

    name: str
    path: Path
    line: int
    members: tuple[Member, ...]
    overrides: Mapping[str, Any]
    metrics: tuple[GroupMetric, ...] = ()
    alias: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class SelectedGroup:
    """A group whose tasks were selected through it.

    Attributes:
        group: The group.
        tasks: Names of its tasks, those of groups within it included.
        children: Names of the tasks and groups that it holds itself.
    """

    group: Group
    tasks: tuple[str, ...]
    children: tuple[str, ...]


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
    place = document.origins.get("group_alias", Origin(document.path, line))
    wrong = partial(TaskError, path=place.path, line=place.line)
    check_kind("group_alias", values.get("group_alias"), "text number", wrong)
    return Group(
        name=name,
        path=document.path,
        line=line,
        members=members,
        overrides=overrides,
        metrics=_metrics(values.get("aggregate_metric_list"), name, document, line),
        alias=str(values["group_alias"]) if values.get("group_alias") is not None else None,
        version=_version(values.get("metadata")),
    )


def _version(metadata: Any) -> str | None:
    version = metadata.get("version") if isinstance(metadata, Mapping) else None
    return None if version is None else str(version)


def _metrics(value: Any, group: str, document: Document, line: int) -> tuple[GroupMetric, ...]:
    entries = [value] if isinstance(value, Mapping) else value or []
    if not isinstance(entries, list):
        message = f"group {group!r}: aggregate_metric_list is {value!r}, expected a list"
        raise TaskError(message, document.path, line)
    return tuple(_metric(entry, group, document, line) for entry in entries)


def _metric(entry: Any, group: str, document: Document, line: int) -> GroupMetric:
    at = entry.line if isinstance(entry, Block) else line

    def error(message: str) -> TaskError:
        text = f"group {group!r}: aggregate_metric_list: {message}"
        return TaskError(text, document.path, at)

    if not isinstance(entry, Mapping):
        raise error(f"expected mappings, found {entry!r}")
    for key in entry:
        if key not in _METRIC_KEYS:
            raise error(f"there is no key {key!r}.{nearest(str(key), _METRIC_KEYS)}")
    metric, filters = entry.get("metric"), entry.get("filter_list")
    if metric is None:
        raise error("has no 'metric'")
    if isinstance(metric, FunctionRef):
        metric = metric.name  # by which its tasks' results are known
    check_kind("metric", metric, "name", error)
    # Functions are taken for the mean, as lm-eval 0.4.13 computes the mean whatever is said here.
    aggregation = entry.get("aggregation", "mean")
    if aggregation != "mean" and not isinstance(aggregation, FunctionRef):
        raise error(f"aggregation is {aggregation!r}, and there is only 'mean'")
    if isinstance(filters, str):
        filters = [filters]
    check_kind("filter_list", filters, "names", error)
    names = None if filters is None else tuple(filters)
    weight = entry.get("weight_by_size")
    if not isinstance(weight, int):
        check_switch("weight_by_size", weight, error)
    weighted = bool(entry.get("weight_by_size", True))
    return GroupMetric(metric, names, weighted, document.path, at)


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
