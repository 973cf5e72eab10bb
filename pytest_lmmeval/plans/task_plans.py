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

from pytest_lmmeval.config.file_names import VIRTUAL_FOLDER
from pytest_lmmeval.config.recorded_config import recorded_settings, written_arguments
from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import UsageError
from pytest_lmmeval.gates.baseline_file import baseline_path
from pytest_lmmeval.plans.gate_plans import GatePlan, own_place, plan_gates
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.functions.judge_use import needs_judge
from pytest_lmmeval.tasks.scoring.scored_together import scored_together

if TYPE_CHECKING:
    from pytest_lmmeval.tasks.catalog.groups import SelectedGroup
    from pytest_lmmeval.tasks.catalog.manager import TaskSpec

# Enough for four workers to balance, little enough for a report; fixed, so that collecting opens no
# data set and node ids stay the same.
PARTS = 16
# Mark of the items of tasks whose answers a model judges.
JUDGED = "judge"


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
        prices: Price per million tokens, of "prompt" and "completion"; empty if none is known.
        run: Which of several runs it is, from 1, when noise is measured.
        first_docs: How many docs are looked at first, where the others are asked only if that
            cannot tell; None if all are asked.
        in_pool: Whether a gate over several tasks of its suite judges its docs, too.
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
    prices: Mapping[str, float] = field(default_factory=dict)
    run: int = 1
    first_docs: int | None = None
    in_pool: bool = False

    @property
    def is_pooled(self) -> bool:
        """Whether its docs are judged together with those of other tasks, too."""
        return self.in_pool or any(own.group.metrics for own in self.within)

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
        return any(gate.compares for gate in self.gates)

    @property
    def marks(self) -> tuple[str, ...]:
        """Names of the marks that its items have: its tags, and whether a model judges it."""
        return (*self.tags, JUDGED) if needs_judge(self.task) else self.tags

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
    def key(self) -> tuple[str, int, int]:
        """Tells it from others in the run."""
        return self.plan.key, self.plan.run, self.index

    @property
    def name(self) -> str:
        """Name of the part's item: ``part:01`` is the first, ``run:2:part:01`` of another run."""
        run = "" if self.plan.run == 1 else f"run:{self.plan.run}:"
        return f"{run}part:{self.index + 1:02d}"


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


def judge_model(config: RunConfig) -> ModelPlan | None:
    """Return the model that scores answers, if one is named."""
    # Deferred: as above.
    from pytest_lmmeval.models.arguments import parse_arguments

    if config.judge_model is None:
        return None
    return ModelPlan(config.judge_model, parse_arguments(config.judge_model_args))


def check_judge_model(config: RunConfig) -> None:
    """Tell a wrong judge, or argument of it, before anything is collected.

    Raises:
        UsageError: The option that is wrong, and what it should be.
    """
    if config.judge_model is None:
        if config.judge_model_args:
            raise UsageError("--lmm-judge-model-args: there is no --lmm-judge-model that has them")
        return
    # Deferred: a session without a judge needs no models for it.
    from pytest_lmmeval.models.registry import create_model, find_model

    option = "--lmm-judge-model"
    try:
        find_model(config.judge_model)
        option = "--lmm-judge-model-args"
        plan = judge_model(config)
        if plan is not None:
            create_model(plan.name, plan.args)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


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
    spec = spec.under(config.parity)
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
