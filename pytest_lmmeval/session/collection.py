"""Collectors: a task YAML, a suite, and a task within a suite.

None of them opens a data set or a model, so that collecting is quick, safe and the same in every
process. Node ids are built here and nowhere else: ``lmm-tasks/ai2d.yaml::part:01`` for a task that
is known by name, and the file's own path for one that lies in the project.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_lmmeval.config.file_names import VIRTUAL_FOLDER, is_suite
from pytest_lmmeval.errors import LmmError
from pytest_lmmeval.plans.calibration import repeated
from pytest_lmmeval.plans.extending import further_runs, with_more_docs
from pytest_lmmeval.plans.pools import group_pools
from pytest_lmmeval.plans.task_plans import Part, TaskPlan, plan_task
from pytest_lmmeval.session.item_order import gates_behind_parts, in_sending_order
from pytest_lmmeval.session.items import GateItem, PartItem, mark_name
from pytest_lmmeval.session.pool_collection import NamedGroup, named_groups, pools_in, take_pools
from pytest_lmmeval.session.state import run_of

if TYPE_CHECKING:
    from pytest_lmmeval.config.run_config import RunConfig
    from pytest_lmmeval.suites.suite import PlannedSuite
    from pytest_lmmeval.tasks.catalog.manager import TaskSpec


def items_of(plan: TaskPlan, parent: pytest.Collector) -> list[pytest.Item]:
    """Return a task's items: its parts, then its gates.

    Raises:
        pytest.Collector.CollectError: The task was collected from another place already.
    """
    runs = [plan, *repeated(plan)]
    # Workers do not know whether docs are asked again: see the controller's scheduling.
    repeats = [] if hasattr(parent.config, "workerinput") else further_runs(plan)
    try:
        for each in [*runs, *repeats]:
            run_of(parent.config).add_plan(each)
    except LmmError as error:
        raise parent.CollectError(str(error)) from None
    register_tags(parent.config, plan.marks)
    parts = [
        PartItem.from_parent(parent, name=part.name, part=part, plan=part.plan)
        for part in (Part(each, index) for each in runs for index in range(each.parts))
    ]
    gates = [
        GateItem.from_parent(parent, name=gate.key, gate=gate, plan=plan, parts=parts)
        for gate in plan.gates
    ]
    further = [
        PartItem.from_parent(parent, name=part.name, part=part, plan=part.plan, repeats=plan)
        for part in (Part(each, index) for each in repeats for index in range(each.parts))
    ]
    for gate in gates:
        if gate.gate.rule.extend is not None:
            gate.further = further
    return [*parts, *further, *gates]


def is_distributed(config: pytest.Config) -> bool:
    """Whether other processes measure, or this one does for another."""
    return hasattr(config, "workerinput") or config.pluginmanager.hasplugin("dsession")


class TaskFile(pytest.File):
    """A task YAML: its parts, then its gates."""

    def __init__(self, *, spec: TaskSpec, **kw: object) -> None:
        super().__init__(**kw)  # type: ignore[arg-type]  # pytest.File's arguments, untyped there
        self.spec = spec
        self.task_name = spec.name

    @cached_property
    def plan(self) -> TaskPlan:
        """The task's plan; a gate in its YAML that cannot be used is a ``TaskError``."""
        plan = plan_task(self.spec, run_of(self.config).config, self.nodeid)
        return with_more_docs(plan)

    @cached_property
    def items(self) -> list[pytest.Item]:
        """The task's items, which gates over several tasks need as well."""
        try:
            return items_of(self.plan, self)
        except LmmError as error:
            raise self.CollectError(str(error)) from None

    def collect(self) -> Iterable[pytest.Item]:
        """Plan the task and make its items."""
        return self.items


class SuiteFile(pytest.File):
    """A ``*.lmm.yaml`` suite, or an engine's config: a collector per task."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Read the file and plan its tasks."""
        run = run_of(self.config)
        try:
            suite = self._planned(run.config)
        except LmmError as error:
            raise self.CollectError(str(error)) from None
        tasks = [SuiteTask.from_parent(self, name=plan.name, plan=plan) for plan in suite.plans]
        return [*tasks, *pools_in(self, suite.pools, tasks)]

    def _planned(self, config: RunConfig) -> PlannedSuite:
        # Deferred: a session collects either kind, and mostly neither.
        from pytest_lmmeval.suites.suite import PlannedSuite, plan_suite

        if is_suite(self.path):
            return plan_suite(self.path, config, self.nodeid)
        from pytest_lmmeval.suites.engine_configs.configs import plan_config

        return PlannedSuite(plan_config(self.path, config, self.nodeid), [])


class GroupFile(pytest.File):
    """A group's YAML: a collector per task."""

    def __init__(self, *, specs: Sequence[TaskSpec], **kw: object) -> None:
        super().__init__(**kw)  # type: ignore[arg-type]  # pytest.File's arguments, untyped there
        self.specs = specs

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        """Plan the tasks."""
        config = run_of(self.config).config
        tasks = []
        for spec in self.specs:
            name = spec.name.replace("::", ".")
            try:
                plan = with_more_docs(plan_task(spec, config, f"{self.nodeid}::{name}"))
            except LmmError as error:
                raise self.CollectError(str(error)) from None
            tasks.append(SuiteTask.from_parent(self, name=name, plan=plan))
        pools = group_pools([task.plan for task in tasks], f"{self.nodeid}::{{}}")
        return [*tasks, *pools_in(self, pools, tasks)]


class SuiteTask(pytest.Collector):
    """A task within a suite or a group."""

    def __init__(self, *, plan: TaskPlan, **kw: object) -> None:
        super().__init__(**kw)  # type: ignore[arg-type]  # pytest.Collector's, untyped there
        self.plan = plan

    @cached_property
    def items(self) -> list[pytest.Item]:
        """The task's items, which gates over several tasks need as well."""
        return items_of(self.plan, self)

    def collect(self) -> Iterable[pytest.Item]:
        """Make the task's items."""
        return self.items


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
    # Deferred: only a session with benchmarks reads any YAML.
    from pytest_lmmeval.suites.engine_configs.configs import is_config

    if is_suite(path) or is_config(path):
        return SuiteFile.from_parent(parent, path=path, nodeid=nodeid)
    try:
        specs = select_tasks(parent.config, [str(path)])
    except LmmError as error:
        return BrokenFile.from_parent(parent, path=path, nodeid=nodeid, reason=str(error))
    if len(specs) != 1 or specs[0].groups:
        return GroupFile.from_parent(parent, path=path, nodeid=nodeid, specs=specs)
    return TaskFile.from_parent(parent, path=path, nodeid=nodeid, spec=specs[0])


def named_files(session: pytest.Session) -> list[TaskFile | NamedGroup]:
    """Return the collectors of tasks and groups that names or typed node ids ask for.

    Raises:
        UsageError: There is no such task, group, tag or file.
    """
    selection = run_of(session.config).selection
    if not selection.names:
        return []
    specs = select_tasks(session.config, selection.names)
    tasks = [
        TaskFile.from_parent(
            session, path=spec.path, nodeid=_spec_node_id(spec, session.config), spec=spec
        )
        for spec in specs
    ]
    files: list[TaskFile | NamedGroup] = [*tasks, *named_groups(session, tasks)]
    return [file for file in files if selection.wants_task(file.task_name)]


def collect_named(session: pytest.Session) -> list[pytest.Item]:
    """Collect the items of all tasks that are known by name."""
    selection = run_of(session.config).selection
    return [
        item
        for file in named_files(session)
        for item in session.genitems(file)
        if selection.wants_item(file.task_name, item.name)
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
    take_pools(gates)
    rest = in_sending_order([item for item in items if not isinstance(item, GateItem)])
    if hasattr(session.config, "workerinput"):
        session.items[:] = [*rest, *gates]
    else:
        session.items[:] = gates_behind_parts(rest, gates)
    return len(added)
