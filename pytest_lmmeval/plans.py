"""What is to be evaluated, decided before any data set or model is touched.

A plan says which task is run with which settings on which model, in how many parts, and which gates
judge it against which baseline. Task YAMLs and suites both become plans; collectors, items and the
controller of an xdist run read nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_lmmeval.errors import TaskError, UsageError, nearest
from pytest_lmmeval.gates.baseline_file import baseline_path
from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.options import RunConfig
from pytest_lmmeval.recorded_config import recorded_settings, written_arguments
from pytest_lmmeval.selection import VIRTUAL_FOLDER
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.scoring.scored_together import scored_together

if TYPE_CHECKING:
    from pytest_lmmeval.tasks.catalog.groups import SelectedGroup
    from pytest_lmmeval.tasks.catalog.manager import TaskSpec

# Enough for four workers to balance, little enough for a report; fixed, so that collecting opens no
# data set and node ids stay the same.
PARTS = 16


@dataclass(frozen=True)
class ModelPlan:
    """A model as a suite or the command line names it.

    Attributes:
        name: Registered name.
        args: Arguments of its constructor.
        server: How to launch the server that it talks to, if the run is to do so.
        batch_size: Overrides the model's own.
        max_batch_size: Upper bound of an automatic batch size.
        device: Overrides the model's own.
        chat_template: Name of the template that prompts go through.
    """

    name: str
    args: Mapping[str, Any] = field(default_factory=dict, repr=False)  # may hold a key
    server: Mapping[str, Any] | None = field(default=None, repr=False)
    batch_size: int | str | None = None
    max_batch_size: int | None = None
    device: str | None = None
    chat_template: str | None = None

    @property
    def key(self) -> str:
        """Tells this plan from others, so that equal ones share one model; shows no argument."""
        options = (self.batch_size, self.max_batch_size, self.device, self.chat_template)
        whole = repr((self.name, sorted(self.args.items()), self.server, options))
        return hashlib.sha256(whole.encode(errors="backslashreplace")).hexdigest()


@dataclass(frozen=True)
class GatePlan:
    """One metric that is judged.

    Attributes:
        key: ``"metric,filter"``, also the item's name.
        rule: When it passes.
        path: The file that asks for it, and so the item's location.
        line: 1-based line in ``path``.
        explicit: Whether a suite or task YAML asks for it. A gate that merely follows from a task's
            metrics is skipped when there is no baseline; an explicit one is then an error.
    """

    key: str
    rule: GateRule
    path: Path
    line: int = 1
    explicit: bool = False


@dataclass(frozen=True)
class TaskPlan:
    """One use of a task.

    Attributes:
        key: Node id of its collector, unique in the run.
        name: Name of the task.
        task: Its configuration.
        config: The run's settings, with the suite's laid over them.
        gates: What is judged.
        baseline: The baseline file.
        suite: Name of the suite, if one asks for the task.
        model: The suite's model; None means the run's.
        tags: Names by which ``-m`` selects the items.
        within: The groups through which it was asked for.
    """

    key: str
    name: str
    task: TaskConfig
    config: RunConfig
    gates: tuple[GatePlan, ...]
    baseline: Path
    suite: str | None = None
    model: ModelPlan | None = None
    tags: tuple[str, ...] = ()
    within: tuple[SelectedGroup, ...] = ()

    @property
    def scope(self) -> str:
        """Node id of the suite that asks for it; empty without one. Groups are summed up in it."""
        return self.key.rpartition("::")[0]

    @property
    def group_names(self) -> frozenset[str]:
        """Names of the groups through which it was asked for."""
        return frozenset(own.group.name for own in self.within)

    @property
    def place(self) -> str:
        """Where it is asked for: the file, and the task in it if it is a suite or group."""
        virtual = self.key.startswith(f"{VIRTUAL_FOLDER}/")
        return str(self.task.source) if virtual else self.key

    @property
    def has_baseline(self) -> bool:
        """Whether one of its gates compares with a baseline."""
        return any(gate.rule.baseline for gate in self.gates)

    @property
    def model_key(self) -> str:
        """Tells the plan's model from others in the run; empty for the run's own."""
        return self.model.key if self.model is not None else ""

    @property
    def parts(self) -> int:
        """In how many parts the docs are evaluated: one, where docs must be scored together."""
        if scored_together(self.task, self.config.parity):
            return 1
        return self.task.parts or PARTS


@dataclass(frozen=True)
class Part:
    """One slice of a plan's docs.

    Attributes:
        plan: The plan.
        index: Which of its ``parts`` slices, from 0.
    """

    plan: TaskPlan
    index: int

    @property
    def name(self) -> str:
        """Name of the part's item: ``part:01`` is the first."""
        return f"part:{self.index + 1:02d}"


def run_model(config: RunConfig) -> ModelPlan | None:
    """Return the model that the command line or ini names, if any."""
    # Deferred: collecting a task needs no models.
    from pytest_lmmeval.models.arguments import parse_arguments

    if config.model is None:
        return None
    return ModelPlan(
        name=config.model,
        args=parse_arguments(config.model_args),
        batch_size=config.batch_size,
        max_batch_size=config.max_batch_size,
        device=config.device,
        chat_template=config.chat_template,
    )


def check_model(config: RunConfig, *, complete: bool) -> None:
    """Tell a wrong model or argument of the command line before anything is collected.

    Args:
        config: The run's settings.
        complete: Whether the arguments are all there are. (A suite may have the others.)

    Raises:
        UsageError: The option that is wrong, and what it should be.
    """
    if config.model is None:
        return
    # Deferred: a session without a model needs none of them.
    from pytest_lmmeval.models.registry import create_model, find_model

    option = "--lmm-model"
    try:
        find_model(config.model)
        option = "--lmm-model-args"
        plan = run_model(config)
        if plan is not None and complete:
            create_model(plan.name, plan.args, chat_template=plan.chat_template)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def own_settings(plan: TaskPlan, run: RunConfig) -> dict[str, Any]:
    """Return the settings of a task, and the model, that its suite has in place of the run's."""
    of_run = recorded_settings(run)
    own = recorded_settings(plan.config)
    settings = {name: value for name, value in own.items() if value != of_run[name]}
    if plan.model is not None:
        settings["model"] = plan.model.name
        settings["model_args"] = written_arguments(plan.model.args)
    return settings


def refuse_shared_baseline(plan: TaskPlan, other: TaskPlan) -> None:
    """Refuse a task that another file of the run has, too: both would write one baseline.

    Raises:
        UsageError: They are not the same, but their baselines are.
    """
    if plan.key != other.key:
        raise UsageError(
            f"task {plan.name!r} is selected twice, by {other.place} and by {plan.place}, and both "
            f"would use the baseline {plan.baseline}; run them one after the other with a "
            "--lmm-variant each, rename one, or list both in a suite and give one a 'name'"
        )


def plan_task(spec: TaskSpec, config: RunConfig, key: str) -> TaskPlan:
    """Plan a task that a YAML or a name stands for, outside any suite.

    Raises:
        TaskError: A gate in the task's YAML cannot be used.
    """
    return TaskPlan(
        key=key,
        name=spec.name,
        task=spec.config.with_metadata(config.metadata),
        config=config,
        gates=plan_gates(spec.config, spec.config.gates, config, own_place(spec)),
        baseline=baseline_path(
            config.baseline_dir or config.root / "lmm-baselines", spec.name, config.variant
        ),
        tags=(*spec.tags, *spec.groups),
        within=spec.within,
    )


@dataclass(frozen=True)
class Place:
    """Where gates are written.

    Attributes:
        path: The file.
        line: 1-based line of what has no line of its own.
        lines: 1-based lines of the gates, by their names.
    """

    path: Path
    line: int = 1
    lines: Mapping[str, int] = field(default_factory=dict)


def own_place(spec: TaskSpec) -> Place:
    """Return the place of the gates that a task's own YAML asks for."""
    return Place(spec.path, lines=spec.config.gate_lines)


def plan_gates(
    task: TaskConfig,
    asked: Mapping[str, Any],
    config: RunConfig,
    place: Place,
    defaults: Mapping[str, Any] | None = None,
) -> tuple[GatePlan, ...]:
    """Plan the gates that a file asks for, or one for each of the task's metrics.

    Args:
        task: The task.
        asked: Rules by ``"metric,filter"``, or by the metric alone where it has one filter.
        config: The run's settings; a share of failed docs that the command line gives wins.
        place: Where the gates are asked for.
        defaults: Rule settings that each gate starts from.

    Raises:
        TaskError: The task has no such metric, or a rule's setting cannot be used.
    """
    failed = {} if config.max_failed is None else {"max_failed": config.max_failed}
    base = {**failed, **(defaults or {})}
    last = failed if "max_failed" in config.by_command_line else {}
    known = [f"{metric},{filter_name}" for metric, filter_name in task.metric_keys]
    if not asked:
        rule = GateRule.from_mapping({**base, **last}, path=place.path, line=place.line)
        own = place.path == task.source
        return tuple(
            GatePlan(key, rule, place.path, task.metric_line(key) if own else place.line)
            for key in known
        )
    gates: dict[str, GatePlan] = {}
    for name, settings in asked.items():
        line = place.lines.get(name, place.line)
        key = _metric_key(str(name), task, known, place.path, line)
        if key in gates:
            raise TaskError(f"gate {name!r}: {key} has a gate already", place.path, line)
        if not isinstance(settings, Mapping | None):
            found = f"gate {name!r}: expected a mapping, found {settings!r}"
            raise TaskError(found, place.path, line)
        merged = {**base, **(settings or {}), **last}
        rule = GateRule.from_mapping(merged, path=place.path, line=line)
        gates[key] = GatePlan(key, rule, place.path, line, explicit=True)
    return tuple(gates.values())


def _metric_key(name: str, task: TaskConfig, known: list[str], path: Path, line: int) -> str:
    """Return the ``"metric,filter"`` that a gate's name stands for."""
    keys = [key for key in known if name in (key, key.partition(",")[0])]
    if len(keys) == 1:
        return keys[0]
    found = f"is ambiguous: {', '.join(keys)}" if keys else f"is not one of {', '.join(known)}"
    hint = nearest(name, [*known, *(key.partition(",")[0] for key in known)])
    raise TaskError(f"gate {name!r} of task {task.task!r} {found}.{hint}", path, line)
