"""Slices of tasks' docs, which are what the pipeline is given and gives back."""

from __future__ import annotations

import concurrent.futures as cf
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pytest_lmmeval.records import Instance, Response, Sample


class Source(Protocol):
    """The part of a task that the pipeline needs. Called from worker threads."""

    @property
    def has_media(self) -> bool:
        """Whether building a request decodes media, which must not hold up the event loop."""

    def doc_ids(self) -> Sequence[int]:
        """Return the docs to evaluate, opening the data set if need be."""

    def instances(self, doc_id: int) -> list[Instance]:
        """Build the requests of one doc."""

    def score(
        self, doc_ids: Sequence[int], responses: Sequence[Sequence[Response]]
    ) -> list[Sample]:
        """Filter and score the responses of these docs."""


@dataclass(frozen=True)
class Shard:
    """The ``index``-th of ``count`` equal slices of a task's docs."""

    source: Source
    index: int = 0
    count: int = 1

    def doc_ids(self) -> Sequence[int]:
        """Return this slice's docs; none when there are fewer docs than slices."""
        docs = self.source.doc_ids()
        low, high = (len(docs) * i // self.count for i in (self.index, self.index + 1))
        return docs[low:high]


@dataclass
class Progress:
    """What has been done so far, for whoever draws it."""

    docs_known: int = 0
    docs_done: int = 0
    docs_failed: int = 0
    in_flight: int = 0


@dataclass(eq=False)
class Run:
    """One shard on its way: its docs' responses until all are there, then its samples."""

    shard: Shard
    result: cf.Future[list[Sample]] = field(default_factory=cf.Future)
    doc_ids: Sequence[int] = ()
    responses: dict[int, list[Response | None]] = field(default_factory=dict)
    docs_left: int = 0

    def fail(self, error: BaseException) -> None:
        """End the shard with an error, unless it has ended."""
        if not self.result.done():
            self.responses.clear()
            self.result.set_exception(error)
