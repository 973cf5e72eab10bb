"""Slices of tasks' docs, which the pipeline is given and gives back, and their requests."""

from __future__ import annotations

import concurrent.futures as cf
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from pytest_lmmeval.records import Instance, Response, Sample

# What two identical requests have in common: whose answers may be mixed, and what is asked.
Key: TypeAlias = "tuple[object, bytes]"


class Source(Protocol):
    """The part of a task that the pipeline needs. Called from worker threads."""

    @property
    def has_media(self) -> bool:
        """Whether building a request decodes media, which must not hold up the event loop."""

    @property
    def has_rounds(self) -> bool:
        """Whether a doc may have further requests once it is answered."""

    def doc_ids(self) -> Sequence[int]:
        """Return the docs to evaluate, opening the data set if need be."""

    def instances(self, doc_id: int) -> list[Instance]:
        """Build the requests of one doc."""

    def next_instances(self, doc_id: int, responses: Sequence[Response]) -> list[Instance]:
        """Build the requests that follow from a doc's responses so far; none when it is done.

        Called only if ``has_rounds``, and never for a doc with a failed response.
        """

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
    """One shard on its way: its docs' responses until all are there, then its samples.

    Attributes:
        shard: The shard.
        result: Its samples, once they are there.
        doc_ids: Its docs.
        responses: By doc, one per request; None for those that are not answered.
        docs_left: How many docs are not done.
        scope: Tells the shard's requests from those of others, and holds nothing.
    """

    shard: Shard
    result: cf.Future[list[Sample]] = field(default_factory=cf.Future)
    doc_ids: Sequence[int] = ()
    responses: dict[int, list[Response | None]] = field(default_factory=dict)
    docs_left: int = 0
    scope: object = field(default_factory=object)

    def fail(self, error: BaseException) -> None:
        """End the shard with an error, unless it has ended."""
        if not self.result.done():
            self.responses.clear()
            self.result.set_exception(error)


@dataclass(frozen=True, slots=True)
class Request:
    """One instance on its way.

    Attributes:
        run: The shard it belongs to.
        instance: The request.
        position: Its place among its doc's.
        key: What identical requests have in common; None for one that is always asked.
        alone: Whether it is asked even if an identical one is in flight.
    """

    run: Run
    instance: Instance
    position: int
    key: Key | None = None
    alone: bool = False
