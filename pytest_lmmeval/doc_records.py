"""What is kept of docs once their samples are written: enough for gates, tables and messages.

Some 250 bytes a doc, in columns: a run of a hundred thousand docs keeps them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from pytest_lmmeval.columns import Mappings, digests, float_lists, packed, texts
from pytest_lmmeval.records import Outcome, Response, Sample

T = TypeVar("T")

# Enough of an answer to recognise it in a list of lost docs.
ANSWER_LENGTH = 60


class _Field(Generic[T]):
    """A field of a record: what the column of its name has for the record's doc."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, record: DocRecord, owner: type) -> T:
        value: T = getattr(record._columns, self._name)[record._place]
        return value


class DocRecord:
    """What is kept of a sample: a row of its part's columns.

    Attributes:
        answers: The start of the filtered answer, by filter.
        failure: Kind and message, when the doc has no answer.
        tokens: Tokens generated for the doc, as far as the model reported them.
        prompt_tokens: Tokens of the doc's prompts, likewise.
        latencies: Seconds that each request took that was sent and answered.
        resized: How many images of the doc were sent smaller than they are.
        recalled: How many of its answers the journal had, so that nothing was sent for them.
    """

    __slots__ = ("_columns", "_place", "doc_id")

    outcome = _Field[Outcome]()
    scores = _Field[Mapping[str, Any]]()
    answers = _Field[Mapping[str, str]]()
    target = _Field[str]()
    doc_hash = _Field[str]()
    prompt_hash = _Field[str]()
    target_hash = _Field[str]()
    cluster = _Field["str | None"]()
    unparsed = _Field[tuple[str, ...]]()
    failure = _Field["str | None"]()
    tokens = _Field[int]()
    prompt_tokens = _Field[int]()
    latencies = _Field[tuple[float, ...]]()
    resized = _Field[int]()
    recalled = _Field[int]()

    def __init__(self, doc_id: int, columns: DocRecords, place: int) -> None:
        self.doc_id = doc_id
        self._columns = columns
        self._place = place


class DocRecords:
    """The records of a part's docs: a column for each field of a record.

    Args:
        samples: The part's samples.
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.doc_id = packed([sample.doc_id for sample in samples])
        self.outcome: Sequence[Outcome] = [sample.outcome for sample in samples]
        self.scores = Mappings([sample.scores for sample in samples])
        self.answers = Mappings([_answers(sample) for sample in samples])
        self.target = texts([_short(sample.target) for sample in samples])
        self.doc_hash = digests([sample.doc_hash for sample in samples])
        self.prompt_hash = digests([sample.prompt_hash for sample in samples])
        self.target_hash = digests([sample.target_hash for sample in samples])
        self.cluster = packed([sample.cluster for sample in samples])
        self.unparsed = [sample.unparsed for sample in samples]
        self.failure = [failure_of(sample) for sample in samples]
        given = [sample.responses for sample in samples]
        self.tokens = packed([_tokens(own, "completion_tokens") for own in given])
        self.prompt_tokens = packed([_tokens(own, "prompt_tokens") for own in given])
        self.latencies = float_lists(
            [[r.latency for r in own if r.latency and r.is_answered] for own in given]
        )
        self.resized = packed([sum([r.resized for r in own]) for own in given])
        self.recalled = packed([sum([r.recalled for r in own]) for own in given])

    def __len__(self) -> int:
        return len(self.outcome)

    def __iter__(self) -> Iterator[DocRecord]:
        return (DocRecord(doc_id, self, place) for place, doc_id in enumerate(self.doc_id))

    def scored(self, key: str) -> Iterator[tuple[int, Any]]:
        """Yield id and score of the docs that have one for a ``"metric,filter"``."""
        for table in self.scores.tables:
            if key in table.columns:
                ids = map(self.doc_id.__getitem__, table.places)
                yield from zip(ids, table.columns[key], strict=True)

    def first_scores(self) -> Iterator[tuple[int, str]]:
        """Yield ids and ``"metric,filter"`` of docs, among them the first one of each."""
        for table in self.scores.tables:
            first = self.doc_id[table.places[0]]
            yield from ((first, key) for key in table.columns)


def failure_of(sample: Sample) -> str | None:
    """Return kind and message of the first failure, when the doc has no answer."""
    for response in sample.responses:
        if response.failure is not None:
            return f"{response.failure.kind}: {response.failure.message}"
    return None


def _tokens(responses: Sequence[Response], kind: str) -> int:
    return sum([response.usage.get(kind, 0) for response in responses])


def _answers(sample: Sample) -> dict[str, str]:
    return {
        name: _short(str(values[0]) if len(values) == 1 else ", ".join(map(str, values)))
        for name, values in sample.filtered.items()
    }


def _short(text: str) -> str:
    # With a space between each two, so many words are too long already.
    words = ANSWER_LENGTH // 2 + 1
    text = " ".join(text.split(None, words)[:words])
    return text if len(text) <= ANSWER_LENGTH else text[: ANSWER_LENGTH - 1] + "…"
