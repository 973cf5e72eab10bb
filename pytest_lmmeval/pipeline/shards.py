"""Slices of tasks' docs, which the pipeline is given and gives back, and their requests."""

from __future__ import annotations

import concurrent.futures as cf
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Protocol, TypeAlias

from pytest_lmmeval.gates.fuse import next_look
from pytest_lmmeval.models.messages import without_media
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


class Judge(Protocol):
    """Another model, which is asked about each answer. Compared, and kept, with its shard."""

    def ask(self, doc_id: int, responses: Sequence[Response]) -> cf.Future[list[Response]]:
        """Ask it about a doc that is answered; what it says comes behind the doc's responses."""


class Order(Protocol):
    """The order in which docs are sent and sliced, if it is not doc order."""

    @property
    def doc_ids(self) -> Sequence[int]:
        """The docs as they are sent."""


@dataclass(frozen=True)
class Shard:
    """The ``index``-th of ``count`` equal slices of a task's docs, and who judges its answers.

    Several runs of one task share no answer.

    Attributes:
        name: Tells this use of the task from others, in all processes of the run. A doc of a shard
            with a name is asked once in the run: after a worker died, what it was answered counts.
        watched: Whether its docs are scored as soon as somebody may look at them, and not all of
            them at once. It changes no score and no request.
    """

    source: Source
    index: int = 0
    count: int = 1
    judge: Judge | None = None
    order: Order | None = None
    run: int = 1
    name: str = ""
    watched: bool = False

    def doc_ids(self) -> Sequence[int]:
        """Return this slice's docs; none when there are fewer docs than slices."""
        docs = self._all
        return docs[first_doc(self.index, self.count, len(docs)) : self._end]

    def pieces(self) -> list[Sequence[int]]:
        """Return this slice's docs as they are scored together: at least one piece."""
        docs, end = self._all, self._end
        pieces, at = [], first_doc(self.index, self.count, len(docs))
        while self.watched and (look := next_look(at)) < end:
            pieces.append(docs[at:look])
            at = look
        return [*pieces, docs[at:end]]

    @property
    def _all(self) -> Sequence[int]:
        return self.source.doc_ids() if self.order is None else self.order.doc_ids

    @property
    def _end(self) -> int:
        return first_doc(self.index + 1, self.count, len(self._all))


def first_doc(index: int, count: int, docs: int) -> int:
    """Return the place of the first doc of the ``index``-th of ``count`` slices of some docs."""
    return docs * index // count


@dataclass(eq=False, slots=True)
class Piece:
    """Docs of a shard that are scored together, once the last of them is done.

    Attributes:
        doc_ids: The docs, as they are sent.
        left: How many of them are not done.
        samples: Their samples, once they are scored.
    """

    doc_ids: Sequence[int]
    left: int
    samples: list[Sample] | None = None


@dataclass(eq=False)
class Run:
    """One shard on its way: its docs' responses until all are there, then its samples.

    Attributes:
        shard: The shard.
        counts: Whether its docs are docs of the run; a question to a judge is about one of those.
        result: Its samples, once they are there.
        is_over: Whether it has a result or an error; ``result`` knows it too, and takes a lock.
        doc_ids: Its docs.
        responses: By doc, one per request; None for those that are not answered.
        docs_left: How many docs are not done.
        scope: Tells the shard's requests from those of others, and holds nothing.
        scored: Gives the samples of its pieces, in the order in which docs are sent; None when it
            has ended.
    """

    shard: Shard
    counts: bool = True
    result: cf.Future[list[Sample]] = field(default_factory=cf.Future)
    is_over: bool = False
    doc_ids: Sequence[int] = ()
    responses: dict[int, list[Response | None]] = field(default_factory=dict)
    docs_left: int = 0
    scope: object = field(default_factory=object)
    scored: SimpleQueue[list[Sample] | None] = field(default_factory=SimpleQueue)
    _pieces: list[Piece] = field(default_factory=list)
    _piece_of: dict[int, Piece] = field(default_factory=dict)
    _told: int = 0

    def __post_init__(self) -> None:
        # Not through ``self``: in a circle with its result, a run and all of its samples would stay
        # until Python looks for garbage.
        scored = self.scored
        self.result.add_done_callback(lambda _: scored.put(None))

    def open(self, pieces: Sequence[Sequence[int]]) -> list[Piece]:
        """Take in the shard's docs; return the pieces that are done at once, having none."""
        self.doc_ids = [doc_id for piece in pieces for doc_id in piece]
        self.docs_left = len(self.doc_ids)
        self._pieces = [Piece(doc_ids, len(doc_ids)) for doc_ids in pieces]
        self._piece_of = {doc_id: piece for piece in self._pieces for doc_id in piece.doc_ids}
        return [piece for piece in self._pieces if not piece.left]

    def finish(self, doc_id: int) -> Piece | None:
        """Count a doc that is done; return its piece if that is done by this."""
        self.docs_left -= 1
        piece = self._piece_of[doc_id]
        piece.left -= 1
        return None if piece.left else piece

    def take(self, piece: Piece, samples: list[Sample]) -> bool:
        """Take in a piece's samples; with those of the last one, the shard has its result.

        Returns:
            Whether the shard is over.
        """
        if self.is_over:
            return True
        piece.samples = samples
        while self._told < len(self._pieces):
            found = self._pieces[self._told].samples
            if found is None:
                return False
            self.scored.put(found)
            self._told += 1
        whole = [sample for own in self._pieces for sample in own.samples or ()]
        self.is_over = True
        self.result.set_result(whole if self.shard.order is None else in_doc_order(whole))
        return True

    def judgement(self, doc_id: int) -> cf.Future[list[Response]] | None:
        """Ask the shard's judge about a doc; None without one, or where there is no answer."""
        if self.shard.judge is None:
            return None
        responses = [response for response in self.responses[doc_id] if response is not None]
        if not all(r.is_answered for r in responses):
            return None
        return self.shard.judge.ask(doc_id, responses)

    def fail(self, error: BaseException) -> None:
        """End the shard with an error, unless it has ended."""
        if not self.is_over:
            self.is_over = True
            self.responses.clear()
            self.result.set_exception(error)


def in_doc_order(samples: Sequence[Sample]) -> list[Sample]:
    """Return samples in the order of the data set, however they were sent."""
    return sorted(samples, key=lambda sample: sample.doc_id)


@dataclass(eq=False, slots=True)
class Request:
    """One instance on its way.

    Attributes:
        run: The shard it belongs to.
        instance: The request.
        position: Its place among its doc's.
        key: What identical requests have in common; None for one that is always asked.
        alone: Whether it is asked even if an identical one is in flight.
        asked: Digest of what it asks, by which the journal knows it; None where nothing is kept.
    """

    run: Run
    instance: Instance
    position: int
    key: Key | None = None
    alone: bool = False
    asked: bytes | None = None

    def without_media(self) -> Request:
        """Return it with the text of its messages alone, which is all that an answer needs."""
        bare = without_media(self.instance)
        return self if bare is self.instance else replace(self, instance=bare)
