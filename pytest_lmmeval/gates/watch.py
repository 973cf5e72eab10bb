"""Watches a task while it is measured: are its gates decided, or does nothing work at all?

Docs are looked at in the order in which they are sent, which is fixed before the run: those that
are done early wait for the ones before them. So whoever looks, at however many at a time, finds the
same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from pytest_lmmeval.gates.fuse import ALPHA, dispatch_rank
from pytest_lmmeval.gates.watched_gate import Armed, Decided, SeenDoc, WatchedGate
from pytest_lmmeval.records import OutcomeCounts, Sample, Verdict

SeenDocT = TypeVar("SeenDocT", bound=SeenDoc)

FIRST_DOCS: Final = 32


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a task is measured no further.

    Attributes:
        docs: How many docs were looked at.
        counts: What became of them.
        reason: What a person should read.
        decided: What is known of the gates, by metric; none where the machinery is what does not
            work.
        verdicts: What the first of two looks says of each gate, by metric, if that is it.
    """

    docs: int
    counts: OutcomeCounts
    reason: str
    decided: Mapping[str, Decided] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FirstLook:
    """A look at all gates that was declared beforehand.

    Attributes:
        docs: After how many docs.
        judge: Judges the gates on them; None if one of them cannot tell.
    """

    docs: int
    judge: Callable[[Sequence[Sample]], Mapping[str, Verdict] | None]


class Watch:
    """Watches one task.

    Args:
        docs: How many docs are looked at: with the last ones there is nothing left to stop.
        armed: The gates that may end it, by metric.
        largest: Docs in the largest cluster; None where docs are not sent in random order.
        broken: Returns what is wrong with the machinery, judging by the first docs; None if it may
            be fine.
        sequential: Whether the task ends when all of these gates are decided, for there are no
            others.
        first_look: A look at all gates; None if there is none.

    Attributes:
        stop: Why the task is measured no further, once that is so.
    """

    def __init__(
        self,
        docs: int,
        armed: Mapping[str, Armed],
        *,
        largest: int | None,
        broken: Callable[[Sequence[Sample]], str | None],
        sequential: bool = False,
        first_look: FirstLook | None = None,
    ) -> None:
        self.stop: Stop | None = None
        self._end = docs
        self._random = largest is not None
        self._clustered = largest is not None and largest > 1
        self._gates = {key: WatchedGate(gate, largest or 1) for key, gate in armed.items()}
        self._broken = broken
        self._sequential = sequential and bool(armed)
        self._first_look = first_look
        self._waiting: dict[int, Sequence[SeenDoc]] = {}
        self._seen = 0
        self._counts: Counter[str] = Counter()
        self._docs = 0
        self._first: list[Sample] = []
        self._open: list[SeenDoc] = []

    def add(self, first: int, docs: Sequence[SeenDoc], *, waits: bool = True) -> Stop | None:
        """Take in neighbouring docs, and return why to stop, if so.

        Args:
            first: The place of the first of them in the order in which docs are sent, from 0.
            docs: The docs, in any order. Those that were taken in already are left out. The first
                ``seen_whole`` of a task are samples, of the others what is kept of them will do.
            waits: Whether they are kept where docs before them are missing. They are not to be
                where those never come, as in a process that measures some of the parts.
        """
        if self._is_over or first + len(docs) <= self._seen:
            return self.stop
        if first > self._seen and (not waits or self._wants_no_more_than(first)):
            return self.stop
        self._waiting[first] = in_sending_order(docs, random=self._random)
        while self.stop is None and any(place <= self._seen for place in self._waiting):
            place = min(self._waiting)
            new = self._waiting.pop(place)[self._seen - place : self._end - place]
            self._seen += len(new)
            self._look(new)
        return self.stop

    @property
    def _is_over(self) -> bool:
        """Whether nothing is left that could stop the task."""
        return self._wants_no_more_than(len(self._first))

    def _wants_no_more_than(self, docs: int) -> bool:
        """Whether nothing but the first docs could stop the task."""
        return not self._gates and not self._first_look and docs >= FIRST_DOCS

    def _look(self, docs: Sequence[SeenDoc]) -> None:
        """Look at docs one by one, so that it is all the same how many came at a time."""
        for doc in docs:
            self._keep(doc)
            if self.stop is None:
                self._bet(doc)
            if self.stop is None and self._first_look and len(self._first) == self._first_look.docs:
                self._judge(self._first_look)
            if self.stop is not None:
                return

    def _keep(self, doc: SeenDoc) -> None:
        """Keep the first docs, and see by them whether anything works."""
        if len(self._first) >= seen_whole(self._first_look.docs if self._first_look else None):
            return
        assert isinstance(doc, Sample), "what is kept of a doc does not tell what was answered"
        self._first.append(doc)
        if len(self._first) == FIRST_DOCS:
            problem = self._broken(self._first)
            if problem is not None:
                self.stop = Stop(FIRST_DOCS, _counts(self._first), problem)

    def _judge(self, look: FirstLook) -> None:
        self._first_look, first = None, self._first[: look.docs]
        verdicts = look.judge(first)
        if verdicts is not None:
            reason = f"the first of two looks, after {look.docs} docs, is enough"
            self.stop = Stop(look.docs, _counts(first), reason, verdicts=verdicts)

    def _bet(self, doc: SeenDoc) -> None:
        """Let gates bet on a doc; the docs of a cluster are one bet, once they are all there."""
        if self._clustered and (not self._open or _group(self._open[0]) == _group(doc)):
            self._open.append(doc)
            return
        docs, self._open = (self._open, [doc]) if self._clustered else ([doc], [])
        self._docs += len(docs)
        self._counts.update(each.outcome for each in docs)
        for key, gate in self._gates.items():
            gate.add(key, docs)
        if any(gate.tripped for gate in self._gates.values()):
            self._trip()
        elif self._sequential and all(gate.outcome for gate in self._gates.values()):
            reason = f"every gate is decided after {self._docs} docs (sequential)"
            self._stop(reason, list(self._gates))

    def _trip(self) -> None:
        tripped = [key for key, gate in self._gates.items() if gate.tripped]
        names = ", ".join(key.removesuffix(",none") for key in tripped)
        reason = f"{names} has certainly failed after {self._docs} docs (fuse, alpha {ALPHA:g})"
        self._stop(reason, tripped)

    def _stop(self, reason: str, keys: Sequence[str]) -> None:
        decided = {key: self._gates[key].decided() for key in keys}
        self.stop = Stop(self._docs, OutcomeCounts(**self._counts), reason, decided)


def seen_whole(look: int | None) -> int:
    """Return how many docs of a task, as they are sent, are looked at with all of their answers.

    Args:
        look: After how many docs a look at all gates was declared; None for no such look.
    """
    return max(FIRST_DOCS, look or 0)


def in_sending_order(docs: Sequence[SeenDocT], *, random: bool) -> Sequence[SeenDocT]:
    """Return neighbouring docs, given in doc order, as they are sent."""
    return sorted(docs, key=_rank) if random else docs


def _counts(samples: Sequence[Sample]) -> OutcomeCounts:
    return OutcomeCounts(**Counter[str](sample.outcome for sample in samples))


def _rank(doc: SeenDoc) -> tuple[bytes, bytes]:
    return dispatch_rank(doc.doc_id, doc.cluster)


def _group(doc: SeenDoc) -> object:
    # Ids are no texts, so they cannot meet a cluster's.
    return doc.doc_id if doc.cluster is None else doc.cluster
