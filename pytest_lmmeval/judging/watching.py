"""What a task is watched for while it is measured, from its plan, its gates and its baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from pytest_lmmeval.doc_records import DocRecords
from pytest_lmmeval.errors import LmmError
from pytest_lmmeval.gates.baseline import Baseline
from pytest_lmmeval.gates.baseline_file import read_baseline
from pytest_lmmeval.gates.comparison import mean_factor
from pytest_lmmeval.gates.first_docs import FirstDocs
from pytest_lmmeval.gates.partial_baseline import at_docs
from pytest_lmmeval.gates.policy import today
from pytest_lmmeval.gates.verdict import judge
from pytest_lmmeval.gates.watch import FirstLook, Watch, in_sending_order, seen_whole
from pytest_lmmeval.gates.watched_gate import Armed, SeenDoc, Sequential
from pytest_lmmeval.judging.baseline_updates import is_updated
from pytest_lmmeval.judging.gate_scores import metric_scores
from pytest_lmmeval.ledger import PartResult, TaskLedger
from pytest_lmmeval.pipeline.shards import first_doc
from pytest_lmmeval.plans.early_ends import ends_in_sequence, first_docs, has_fuse, is_watched
from pytest_lmmeval.plans.extending import first_look
from pytest_lmmeval.plans.gate_plans import GatePlan
from pytest_lmmeval.plans.task_plans import TaskPlan
from pytest_lmmeval.records import Sample, Verdict
from pytest_lmmeval.tasks.task import Task


@dataclass(frozen=True)
class Sending:
    """How a task's docs are sent.

    Attributes:
        docs: How many there are.
        largest_cluster: Docs in the largest cluster; None where they are sent in doc order, which
            tells little of those to come.
    """

    docs: int
    largest_cluster: int | None

    @classmethod
    def of(cls, part: PartResult) -> Sending:
        """Return how the docs of a part's task were sent."""
        return cls(part.about["n_effective"], part.about.get("largest_cluster"))


def first_of(
    plan: TaskPlan, sending: Sending, first: int, samples: Sequence[Sample]
) -> Sequence[Sample]:
    """Return those of neighbouring samples by which is seen whether anything works, if it is.

    Args:
        plan: The task's plan.
        sending: How its docs are sent.
        first: The place of the first of them in the order in which docs are sent, from 0.
        samples: The samples, in doc order.
    """
    wanted = seen_whole(first_docs(plan)) - first if is_watched(plan) else 0
    if wanted <= 0:
        return ()
    return in_sending_order(samples, random=sending.largest_cluster is not None)[:wanted]


def seen(part: PartResult) -> list[SeenDoc]:
    """Return the docs of a part as a watch takes them."""
    samples = {sample.doc_id: sample for sample in part.first}
    return [samples.get(doc.doc_id, doc) for doc in part.docs]


def watch_of(plan: TaskPlan, task: Task, sending: Sending) -> Watch:
    """Return what watches a task.

    Args:
        plan: The task's plan.
        task: The task, for the scale of its metrics.
        sending: How its docs are sent.
    """
    accepted = None
    with suppress(LmmError):  # a gate says what is wrong with the file
        accepted = read_baseline(plan.baseline) if plan.has_baseline else None
    random = sending.largest_cluster is not None
    comparable = accepted if random else None
    armed = dict(_armed(plan, task, comparable)) if comparable and has_fuse(plan) else {}
    return Watch(
        # With the last part there is nothing left to stop.
        first_doc(plan.parts - 1, plan.parts, sending.docs),
        armed,
        largest=sending.largest_cluster,
        broken=_first_docs(plan, task, accepted).problem if has_fuse(plan) else lambda _: None,
        sequential=ends_in_sequence(plan) and armed.keys() == {gate.key for gate in plan.gates},
        first_look=_first_look(plan, task, comparable),
    )


def _first_docs(plan: TaskPlan, task: Task, accepted: Baseline | None) -> FirstDocs:
    updated = any(is_updated(plan, gate) for gate in plan.gates)
    return FirstDocs(
        accepted.metrics if accepted is not None else {},
        lambda key: task.higher_is_better(key.partition(",")[0]),
        all_kinds=accepted is not None or updated,
    )


def _armed(plan: TaskPlan, task: Task, accepted: Baseline) -> Iterator[tuple[str, Armed]]:
    """Yield the gates that may end the task: those that would turn the run red, or may pass."""
    for gate in plan.gates:
        baseline = accepted.metrics.get(gate.key)
        metric = gate.key.partition(",")[0]
        policy = gate.policy
        harmless = policy.is_advisory(today()) or policy.expected(today()) is not None
        sequential = ends_in_sequence(plan)
        if gate.side is not None or not gate.rule.baseline or baseline is None:
            continue
        if harmless and not sequential:
            continue
        scale = task.scale(metric)
        factor = None if scale is None else mean_factor(baseline, scale)
        if scale is None or factor is None or is_updated(plan, gate):
            continue
        try:
            max_drop, must_detect = gate.rule.margins(baseline.value, scale)
        except LmmError:
            continue  # the verdict says so
        looks = Sequential(gate.rule.early_alpha, must_detect, gate.rule.max_failed)
        yield (
            gate.key,
            Armed(
                baseline,
                factor,
                scale,
                max_drop,
                trips=not harmless,
                sequential=looks if sequential else None,
            ),
        )


def _first_look(plan: TaskPlan, task: Task, accepted: Baseline | None) -> FirstLook | None:
    """Return the declared first look at a task, if it has one and all of its gates take part."""
    docs = first_docs(plan)
    gates = [gate for gate in map(first_look, plan.gates) if gate is not None]
    if docs is None or accepted is None or any(is_updated(plan, gate) for gate in gates):
        return None
    if {gate.key for gate in plan.gates} - accepted.metrics.keys() or len(gates) < len(plan.gates):
        return None

    def look(samples: Sequence[Sample]) -> Mapping[str, Verdict] | None:
        with suppress(LmmError):  # the verdict over all docs says what is wrong
            found = {gate.key: _judged(plan, gate, task, accepted, samples) for gate in gates}
            if all(verdict.outcome in ("PASS", "FAIL") for verdict in found.values()):
                return found
        return None

    return FirstLook(docs, look)


def _judged(
    plan: TaskPlan, gate: GatePlan, task: Task, accepted: Baseline, samples: Sequence[Sample]
) -> Verdict:
    """Judge a gate on a part of its docs."""
    measured = TaskLedger(plan.name, plan.key, 1)
    measured.add(0, DocRecords(samples), {})
    value = partial(task.value_of_statistics, gate.key.partition(",")[0])
    metric = at_docs(accepted.metrics[gate.key], [sample.doc_id for sample in samples], value)
    scores = metric_scores(measured, gate, task)
    return replace(judge(gate.rule, scores, metric, aggregate=value), stderr=scores.stderr)
