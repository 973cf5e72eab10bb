"""The parts of a run in the process that measures them: sent ahead of their turn, or cut short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from pytest_lmmeval.doc_records import DocRecords
from pytest_lmmeval.evaluator import describe
from pytest_lmmeval.judging.stopping import Stopped, Stopping
from pytest_lmmeval.judging.watching import Sending, first_of
from pytest_lmmeval.ledger import PartResult, UnaskedDoc
from pytest_lmmeval.pipeline.garbage import no_look
from pytest_lmmeval.pipeline.pipeline import Pipeline
from pytest_lmmeval.pipeline.shards import first_doc, in_doc_order
from pytest_lmmeval.plans.task_plans import Part, TaskPlan
from pytest_lmmeval.records import Failure, Response, Sample
from pytest_lmmeval.reports.files import sample_lines
from pytest_lmmeval.session.open_tasks import OpenTasks


class Measuring:
    """Measures parts whose tasks are open.

    Attributes:
        leave_if_cut_off: Ends the process if it is a worker whose controller is gone.
    """

    def __init__(self, opened: OpenTasks, stopping: Stopping) -> None:
        self.leave_if_cut_off: Callable[[], None] = lambda: None
        self._open = opened
        self._stopping = stopping
        self._sent: set[tuple[str, int, int]] = set()
        self._told: dict[tuple[str, str], str] = {}

    def measure(self, part: Part, upcoming: Sequence[Part]) -> list[Sample]:
        """Send the part's requests, and those of the parts behind it; return its samples.

        Raises:
            Stopped: The part is not to be measured any more.
            LmmError: The part cannot be measured.
        """
        plan, pipeline = part.plan, self._open.pipeline_of(part.plan)
        self._submit([part], pipeline)
        self._submit([p for p in upcoming if p.key not in self._sent], pipeline)
        shard = self._open.shard(part, pipeline.model)
        watch, measured = self._open.watch, list[Sample]()

        def tick() -> None:
            self.leave_if_cut_off()
            self._leave_if_stopped(plan, pipeline)
            watch.look(self._open.state)

        def look(samples: Sequence[Sample]) -> None:
            self._look(part, samples, after=len(measured))
            measured.extend(samples)
            self._leave_if_stopped(plan, pipeline)

        try:
            self._leave_if_stopped(plan, pipeline)
            watch.look(self._open.state)
            return pipeline.result(shard, tick=tick, look=look)
        except Stopped as stopped:
            stopped.samples = in_doc_order(measured)
            if len(measured) == len(shard.doc_ids()):
                return in_doc_order(measured)
            raise
        finally:
            watch.rest()

    def _look(self, part: Part, samples: Sequence[Sample], after: int) -> None:
        task, sending = self._open.task(part.plan), self._sending(part)
        remote = self._open.worker is not None
        self._stopping.look(
            part, task, sending, samples, after=after, remote=remote, waits=not remote
        )

    def _sending(self, part: Part) -> Sending:
        task, order = self._open.task(part.plan), self._open.orders.get(part.plan.key)
        return Sending(len(task.doc_ids()), None if order is None else order.largest_cluster)

    def _submit(self, parts: Sequence[Part], pipeline: Pipeline) -> None:
        """Queue parts, each task's before the next one is opened: the first must not wait."""
        for _, group in groupby(parts, key=lambda part: part.plan.key):
            own_parts = list(group)
            self._sent |= {part.key for part in own_parts}
            if self._stopping.reason(own_parts[0].plan) is None:
                pipeline.submit(self._open.shards(own_parts, pipeline.model))

    def _leave_if_stopped(self, plan: TaskPlan, pipeline: Pipeline) -> None:
        reason = self._stopping.reason(plan)
        if reason is not None:
            parts = [Part(plan, index) for index in range(plan.parts)]
            stopped = Stopped(reason)
            pipeline.cancel(self._open.shards(parts, pipeline.model), stopped)
            raise stopped

    def unasked(self, part: Part, measured: Sequence[Sample]) -> PartResult:
        """Read the other docs of a part that is not measured any further.

        Raises:
            LmmError: They cannot be read.
        """
        plan = part.plan
        shard = self._open.shard(part, self._open.pipeline_of(plan).model)
        ids = sorted(set(shard.doc_ids()) - {sample.doc_id for sample in measured})
        nothing = Response(failure=Failure("model", "not asked"))
        samples = self._open.task(plan).score(ids, [[nothing] for _ in ids])
        docs = [UnaskedDoc(s.doc_id, s.doc_hash, s.prompt_hash, s.target_hash) for s in samples]
        return replace(self.result(part, measured, None), unasked=docs)

    def first_to_tell(self, plan: TaskPlan, name: str, problem: str) -> str:
        """Return the name of the plan's part that was the first to have this problem."""
        return self._told.setdefault((plan.key, problem), name)

    def result(
        self, part: Part, samples: Sequence[Sample], span: tuple[float, float] | None
    ) -> PartResult:
        """Return what the part's report carries to the process that sees everything."""
        plan, writer = part.plan, self._open.worker or self._open.config
        about = describe(self._open.task(plan), self._open.pipeline_of(plan).model)
        if plan.key in self._open.orders:
            about["largest_cluster"] = self._open.orders[plan.key].largest_cluster
        sending = self._sending(part)
        place = first_doc(part.index, plan.parts, sending.docs)
        with no_look():  # all that is made of them is kept, or gone at once
            return PartResult(
                plan.key,
                plan.name,
                part.index,
                plan.parts,
                DocRecords(samples),
                about,
                span,
                lines=sample_lines(samples) if writer.writes_samples else None,
                first=first_of(plan, sending, place, samples),
            )
