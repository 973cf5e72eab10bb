"""What has been measured so far, in the one process that sees everything.

A part of a task arrives (from an xdist worker, or from this process) as the two things that are
needed of it: the lines that go to a file, and what gates and tables ask of each doc, which is kept.
The process that measured it made both of its samples. Partial data is never summed up: a task has
results only when all its parts are in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, Protocol, TypeAlias

from pytest_lmmeval.doc_records import DocRecord, DocRecords
from pytest_lmmeval.records import MetricResult, OutcomeCounts, Sample

PartSink: TypeAlias = "Callable[[PartResult], None]"

_doc_id = attrgetter("doc_id")


class Aggregator(Protocol):
    """The part of a task that sums up scores. Needs no data set."""

    def aggregate(
        self, metric: str, filter_name: str, values: Sequence[Any], /
    ) -> tuple[float, float | None]:
        """Return a metric's value and standard error over the docs' scores."""

    def higher_is_better(self, metric: str, /) -> bool:
        """Return the metric's direction."""


class UnaskedDoc(NamedTuple):
    """A doc of a stopped task: its digests, as in a sample."""

    doc_id: int
    doc_hash: str
    prompt_hash: str
    target_hash: str


class SampleLines(NamedTuple):
    """Docs as they are written to a file of samples.

    Attributes:
        whole: Lines of JSON, in doc order; a doc has one or more.
        sizes: How many bytes each doc has.
    """

    whole: bytes
    sizes: Sequence[int]


@dataclass(frozen=True, slots=True)
class PartResult:
    """What one part of a task measured.

    Attributes:
        key: What tells this use of the task from others in the run.
        name: Name of the task.
        index: Which part it is, from 0.
        count: How many parts there are.
        docs: What is kept of the part's samples, in doc order.
        about: What is the same for all parts: the task's fingerprint, the model's identity and the
            size of the data set. Builtin types only.
        span: When its measuring began and ended, in seconds of the system's clock.
        unasked: The docs that were only read, because the task was stopped; ``docs`` are the
            others, which were sent before these.
        lines: The samples as they are written; None where they are not.
        first: Those samples that are among the first docs of a task, by which is seen whether
            anything works; in the order in which they were sent.
    """

    key: str
    name: str
    index: int
    count: int
    docs: DocRecords
    about: Mapping[str, Any]
    span: tuple[float, float] | None = None
    unasked: Sequence[UnaskedDoc] = ()
    lines: SampleLines | None = None
    first: Sequence[Sample] = ()

    @property
    def is_measured(self) -> bool:
        """Whether there is more than docs that were only read."""
        return len(self.docs) > 0 or not self.unasked


@dataclass
class TaskLedger:
    """All that was measured of one task.

    Attributes:
        name: Name of the task.
        key: What tells this use of the task from others in the run.
        count: Number of its parts.
        about: The ``about`` of its parts' payloads.
    """

    name: str
    key: str
    count: int
    about: dict[str, Any] = field(default_factory=dict)
    _parts: dict[int, DocRecords] = field(default_factory=dict)
    _unasked: dict[int, Sequence[UnaskedDoc]] = field(default_factory=dict)
    _spans: dict[int, tuple[float, float]] = field(default_factory=dict)

    def add(
        self,
        index: int,
        docs: DocRecords,
        about: Mapping[str, Any],
        span: tuple[float, float] | None = None,
    ) -> None:
        """Take in a part. One that arrives again (run twice after a crash) replaces the first."""
        self._parts[index] = docs
        self.about = dict(about)
        if span is not None:
            self._spans[index] = (span[0], span[1])

    def add_unasked(self, index: int, docs: Sequence[UnaskedDoc], about: Mapping[str, Any]) -> None:
        """Take in docs of a part that were only read; it stays missing."""
        self._unasked[index] = docs
        self.about = dict(about)

    @property
    def is_read(self) -> bool:
        """Whether the docs of all parts are known, asked or not."""
        return len(self._parts.keys() | self._unasked.keys()) == self.count

    @property
    def read_docs(self) -> list[DocRecord | UnaskedDoc]:
        """All docs that are known, asked or not, in doc order."""
        unasked = [doc for docs in self._unasked.values() for doc in docs]
        return sorted([*self.docs, *unasked], key=_doc_id)

    @property
    def seconds(self) -> float | None:
        """Wall time from the first part's beginning to the last one's end, if it is known."""
        if not self._spans:
            return None
        spans = self._spans.values()
        return max(end for _, end in spans) - min(begin for begin, _ in spans)

    @property
    def missing(self) -> list[int]:
        """Indices of parts without a result, or with one for some of their docs."""
        complete = self._parts.keys() - self._unasked.keys()
        return [index for index in range(self.count) if index not in complete]

    @property
    def docs(self) -> list[DocRecord]:
        """All records so far, in doc order, however docs were sliced into parts."""
        return sorted([doc for part in self._parts.values() for doc in part], key=_doc_id)

    @property
    def counts(self) -> OutcomeCounts:
        """Outcomes of all docs so far."""
        counted = Counter[str]()
        for part in self._parts.values():
            counted.update(part.outcome)
        return OutcomeCounts(**counted)

    @property
    def tokens(self) -> int:
        """How many tokens were generated so far, as far as the model reported them."""
        return sum(sum(part.tokens) for part in self._parts.values())

    @property
    def resized(self) -> int:
        """How many images were sent smaller than they are, so far."""
        return sum(sum(part.resized) for part in self._parts.values())

    @property
    def recalled(self) -> int:
        """How many answers the journal had, so far."""
        return sum(sum(part.recalled) for part in self._parts.values())

    def metric_keys(self) -> list[str]:
        """Return every ``"metric,filter"`` that some doc has a score for, by its first doc."""
        found = [part.first_scores() for part in self._parts.values()]
        return list(dict.fromkeys(key for _, key in sorted(chain(*found), key=itemgetter(0))))

    def scores(self, key: str) -> dict[int, Any]:
        """Return by id, in doc order, the scores of the docs that have one for a metric's key."""
        found: dict[int, Any] = {}
        for part in self._parts.values():
            found.update(part.scored(key))
        return dict(sorted(found.items(), key=itemgetter(0)))

    def result(
        self, key: str, aggregator: Aggregator, scores: Mapping[int, Any] | None = None
    ) -> MetricResult:
        """Sum up one metric over the docs that were answered.

        Args:
            key: The metric's ``"metric,filter"``.
            aggregator: What sums up.
            scores: What ``scores`` returns for the key, where the caller has it.

        Raises:
            LmmError: The task's aggregation failed.
            KeyError: No doc has a score for this metric.
        """
        metric, _, name = key.partition(",")
        values = list((self.scores(key) if scores is None else scores).values())
        if not values:
            raise KeyError(key)
        value, stderr = aggregator.aggregate(metric, name, values)
        better = aggregator.higher_is_better(metric)
        return MetricResult(
            self.name, metric, name, value, stderr, len(values), better, self.counts
        )


class Ledger:
    """All tasks of a run, by key.

    Args:
        sink: Gets each part that is measured, for what is not kept of it.
    """

    def __init__(self, sink: PartSink | None = None) -> None:
        self.tasks: dict[str, TaskLedger] = {}
        self._sink = sink

    def add(self, part: PartResult) -> None:
        """Take in a part."""
        task = self.tasks.setdefault(part.key, TaskLedger(part.name, part.key, part.count))
        if part.is_measured:
            if self._sink is not None:
                self._sink(part)
            task.add(part.index, part.docs, part.about, part.span)
        if part.unasked:
            task.add_unasked(part.index, part.unasked, part.about)
