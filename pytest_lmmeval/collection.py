"""Collectors: a task YAML, a suite, and a task within a suite.

None of them opens a data set or a model, so that collecting is quick, safe and the same in every
process. Node ids are built here and nowhere else: ``lmm-tasks/ai2d.yaml::part:01`` for a task that
is known by name, and the file's own path for one that lies in the project.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_lmmeval.errors import LmmError
from pytest_lmmeval.items import GateItem, PartItem, mark_name
from pytest_lmmeval.plans import Part, TaskPlan, plan_task
from pytest_lmmeval.selection import VIRTUAL_FOLDER, is_suite
from pytest_lmmeval.state import run_of

if TYPE_CHECKING:
    from pytest_lmmeval.tasks.catalog.manager import TaskSpec


def items_of(plan: TaskPlan, parent: pytest.Collector) -> list[pytest.Item]:
    """Return a task's items: its parts, then its gates.

    Raises:
        pytest.Collector.CollectError: The task was collected from another place already.
    """
    try:
        run_of(parent.config).add_plan(plan)
    except LmmError as error:
        raise parent.CollectError(str(error)) from None
    register_tags(parent.config, plan.tags)
    parts = [
        PartItem.from_parent(parent, name=part.name, part=part, plan=plan)
        for part in (Part(plan, index) for index in range(plan.parts))
    ]
    gates = [
        GateItem.from_parent(parent, name=gate.key, gate=gate, plan=plan, parts=parts)
        for gate in plan.gates
    ]
    return [*parts, *gates]


class TaskFile(pytest.File):
    """A task YAML: its parts, then its gates."""

    def __init__(self, *, spec: TaskSpec, **kw: object) -> None:
        super().__init__(**kw)  # type: ignore[arg-type]  # pytest.File's arguments, untyped there
        self.spec = spec

    def collect(self) -> Iterable[pytest.Item]:
        """Plan the task and make its items."""
        try:
            plan = plan_task(self.spec, run_of(self.config).config, self.nodeid)
        except LmmError as error:
            raise self.CollectError(str(error)) from None
        return items_of(plan, self)


class SuiteFile(pytest.File):
    """A ``*.lmm.yaml`` suite: a collector per task."""

    def collect(self) -> Iterable[pytest.Collector]:
        """Read the suite and plan its tasks."""
        from pytest_lmmeval.suite import read_suite

        run = run_of(self.config)
        try:
            plans = read_suite(self.path, run.config, self.nodeid)
        except LmmError as error:
            raise self.CollectError(str(error)) from None
        return [SuiteTask.from_parent(self, name=plan.name, plan=plan) for plan in plans]


class GroupFile(pytest.File):
    """A group's YAML: a collector per task."""

    def __init__(self, *, specs: Sequence[TaskSpec], **kw: object) -> None:
        super().__init__(**kw)  # type: ignore[arg-type]  # pytest.File's arguments, untyped there
        self.specs = specs

    def collect(self) -> Iterable[pytest.Collector]:
        """Plan the tasks."""
        config = run_of(self.config).config
        for spec in self.specs:
            name = spec.name.replace("::", ".")
            try:
                plan = plan_task(spec, config, f"{self.nodeid}::{name}")
            except LmmError as error:
                raise self.CollectError(str(error)) from None
            yield SuiteTask.from_parent(self, name=name, plan=plan)


class SuiteTask(pytest.Collector):
    """A task within a suite or a group."""

    def __init__(self, *, plan: TaskPlan, **kw: object) -> None:
        super().__init__(**kw)  # type: ignore[arg-type]  # pytest.Collector's, untyped there
        self.plan = plan

    def collect(self) -> Iterable[pytest.Item]:
        """Make the task's items."""
        return items_of(self.plan, self)


class BrokenFile(pytest.File):
    """A file that cannot be planned; collecting it reports why."""

    def __init__(self, *, reason: str, **kw: object) -> None:
        super().__init__(**kw)  # type: ignore[arg-type]  # pytest.File's arguments, untyped there
        self.reason = reason

    def collect(self) -> Iterable[pytest.Item]:
        """Report the reason as a collection error."""
        raise self.CollectError(self.reason)


def register_tags(config: pytest.Config, tags: Sequence[str]) -> None:
    """Make tags known as markers, which ``--strict-markers`` asks for."""
    known = {line.partition(":")[0] for line in config.getini("markers")}
    for tag in tags:
        name = mark_name(tag)
        if name not in known:
            config.addinivalue_line("markers", f"{name}: benchmarks with the tag or group {tag!r}")


def select_tasks(config: pytest.Config, names: Sequence[str]) -> list[TaskSpec]:
    """Return the tasks that names stand for in this run.

    Raises:
        UsageError: A name stands for nothing.
        TaskError: A task or group file cannot be used.
    """
    from pytest_lmmeval.tasks.catalog.manager import TaskManager

    settings = run_of(config).config
    manager = TaskManager(include_path=settings.include_path)
    return manager.select(names, dialect=settings.forced_dialect)


def collector_at(path: Path, parent: pytest.Collector) -> pytest.Collector:
    """Return the collector of a suite or task file; one that cannot be read says so on collect."""
    nodeid = node_id(path, parent.config)
    if is_suite(path):
        return SuiteFile.from_parent(parent, path=path, nodeid=nodeid)
    try:
        specs = select_tasks(parent.config, [str(path)])
    except LmmError as error:
        return BrokenFile.from_parent(parent, path=path, nodeid=nodeid, reason=str(error))
    if len(specs) != 1 or specs[0].groups:
        return GroupFile.from_parent(parent, path=path, nodeid=nodeid, specs=specs)
    return TaskFile.from_parent(parent, path=path, nodeid=nodeid, spec=specs[0])


def named_tasks(session: pytest.Session) -> list[TaskFile]:
    """Return the collectors of tasks that ``--lmm-tasks`` or typed node ids name.

    Raises:
        UsageError: There is no such task, group, tag or file.
    """
    selection = run_of(session.config).selection
    if not selection.names:
        return []
    specs = select_tasks(session.config, selection.names)
    return [
        TaskFile.from_parent(
            session, path=spec.path, nodeid=_spec_node_id(spec, session.config), spec=spec
        )
        for spec in specs
        if selection.wants_task(spec.name)
    ]


def collect_named(session: pytest.Session) -> list[pytest.Item]:
    """Collect the items of all tasks that are known by name."""
    selection = run_of(session.config).selection
    return [
        item
        for file in named_tasks(session)
        for item in session.genitems(file)
        if selection.wants_item(file.spec.name, item.name)
    ]


def _spec_node_id(spec: TaskSpec, config: pytest.Config) -> str:
    """Return the file's own path if it is the project's and holds just this task."""
    own = spec.path.stem == spec.name and spec.path.is_relative_to(config.rootpath)
    if spec.library or not own:
        # A task that a group defines is called group::task.
        return f"{VIRTUAL_FOLDER}/{spec.name.replace('::', '.')}.yaml"
    return node_id(spec.path, config)


def node_id(path: Path, config: pytest.Config) -> str:
    """Return a file's node id: relative to rootdir if it lies there, else its absolute path."""
    if path.is_relative_to(config.rootpath):
        return path.relative_to(config.rootpath).as_posix()
    return path.as_posix()


def close_selection(session: pytest.Session) -> int:
    """Make every selected gate select its parts, and put it behind them.

    To be called when ``-k``, ``-m``, ``--lf`` and every other plugin had their say. In an xdist
    worker gates go last, which keeps the indices of all other items valid for a scheduler that is
    not shown the gates.

    Returns:
        The number of parts that were added.
    """
    chosen = set(session.items)
    added: list[pytest.Item] = []
    for gate in (item for item in session.items if isinstance(item, GateItem)):
        missing = [part for part in gate.parts if part not in chosen]
        chosen.update(missing)
        added += missing
    items = [*added, *session.items]
    gates = [item for item in items if isinstance(item, GateItem)]
    rest = [item for item in items if not isinstance(item, GateItem)]
    if hasattr(session.config, "workerinput"):
        session.items[:] = [*rest, *gates]
    else:
        session.items[:] = _gates_behind_parts(rest, gates)
    return len(added)


def _gates_behind_parts(
    rest: Sequence[pytest.Item], gates: Sequence[GateItem]
) -> list[pytest.Item]:
    """Merge, each gate as soon as its last part is through."""
    place = {item: i for i, item in enumerate(rest)}
    due: dict[int, list[pytest.Item]] = {}
    for gate in gates:
        due.setdefault(max(place[part] for part in gate.parts), []).append(gate)
    return [item for i, part in enumerate(rest) for item in (part, *due.get(i, []))]
