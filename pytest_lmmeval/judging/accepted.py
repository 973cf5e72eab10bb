"""What a gate is compared with: the accepted run, and what keeps the two from being compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pytest_lmmeval.gates.baseline import Baseline, BaselineMetric
from pytest_lmmeval.gates.baseline_file import read_baseline
from pytest_lmmeval.gates.closest import closest_baseline
from pytest_lmmeval.gates.staleness import FieldChange, stale_fields
from pytest_lmmeval.ledger import TaskLedger
from pytest_lmmeval.plans.gate_plans import GatePlan
from pytest_lmmeval.plans.task_plans import TaskPlan


@dataclass(frozen=True)
class Accepted:
    """What the accepted run measured.

    Attributes:
        metric: The gate's metric; None if there is no baseline, or not of it.
        stale: What is not as it was.
        notes: What a reader should know about the baseline.
    """

    metric: BaselineMetric | None = None
    stale: Sequence[FieldChange] = ()
    notes: tuple[str, ...] = ()


def accepted_metric(
    plan: TaskPlan, gate: GatePlan, measured: TaskLedger, now: Callable[[], Baseline]
) -> Accepted:
    """Return what a gate is compared with.

    Args:
        plan: The task's plan.
        gate: The gate.
        measured: What the task measured now.
        now: Returns the baseline that this would make; called only if there is one.

    Raises:
        LmmError: The baseline cannot be read.
    """
    baseline, notes = accepted_baseline(plan) if gate.rule.baseline else (None, ())
    metric = baseline.metrics.get(gate.key) if baseline is not None else None
    if baseline is None or metric is None:
        return Accepted(notes=notes)
    unread = any((doc.failure or "").startswith("media:") for doc in measured.docs)
    comparable = _without_digests(now(), baseline) if unread else now()
    return Accepted(metric, stale_fields(baseline, comparable), notes)


def accepted_baseline(plan: TaskPlan) -> tuple[Baseline | None, tuple[str, ...]]:
    """Return a plan's baseline, or that of the closest hardware with a note that says so.

    Raises:
        LmmError: It cannot be read.
    """
    own = read_baseline(plan.baseline)
    variant = plan.config.variant
    found = closest_baseline(plan.baseline, variant) if own is None else None
    if found is None:
        return own, ()
    near, note = found
    # Another variant was asked for on purpose, so that alone does not make it stale.
    return replace(near, key=replace(near.key, variant=variant)), (note,)


def _without_digests(now: Baseline, then: Baseline) -> Baseline:
    """Leave the digests out of the comparison, because some docs could not be read.

    A doc whose image is broken has no prompt. It counts as failed, and must not make the baseline
    look like that of other data.
    """
    digests = ("data_sha256", "prompt_sha256", "target_sha256")
    return replace(now, docs=replace(now.docs, **{d: getattr(then.docs, d) for d in digests}))
