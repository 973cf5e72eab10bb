"""What a ledger keeps of docs: what gates and tables ask for as it was, in a few hundred bytes."""

from __future__ import annotations

import gc
import hashlib
import math
import tracemalloc
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_lmmeval.doc_records import DocRecords
from pytest_lmmeval.ledger import TaskLedger
from pytest_lmmeval.pipeline.shards import Run, Shard
from pytest_lmmeval.records import Failure, Instance, Response, Sample

HALF = "half a face: \ud83d"


def sample(doc_id: int, scores: Mapping[str, Any] | None = None, **fields: Any) -> Sample:
    hashes = [hashlib.sha256(f"{doc_id} {i}".encode()).hexdigest() for i in range(3)]
    usage = {"prompt_tokens": 7, "completion_tokens": doc_id}
    made = Sample(
        doc_id=doc_id,
        outcome="scored",
        scores={"m,none": 0.5} if scores is None else scores,
        responses=(Response(text="a", usage=usage, latency=doc_id + 0.5),),
        filtered={"none": [f"answer {doc_id}"]},
        target=f"target {doc_id}",
        doc={},
        arguments=[],
        doc_hash=hashes[0],
        prompt_hash=hashes[1],
        target_hash=hashes[2],
    )
    return replace(made, **fields)


def ledger(*parts: Sequence[Sample]) -> TaskLedger:
    made = TaskLedger("task", "task", len(parts))
    for index, samples in enumerate(parts):
        made.add(index, DocRecords(samples), {})
    return made


@pytest.mark.parametrize(
    "score",
    [0.1 + 0.2, 1, True, None, 2**70, "a", HALF, "", [1, [2.5]], {"a": None}, (1.0, 2), -0.0],
    ids=repr,
)
@pytest.mark.parametrize("other", [1.5, 3, "b", None], ids=repr)
def test_a_score_comes_back_as_it_was_beside_any_other(score: Any, other: Any) -> None:
    samples = [sample(0, {"m,none": score}), sample(1, {"m,none": other}), sample(2, {})]
    for kept in (ledger(samples), ledger(samples[:2])):
        first, second = (doc.scores["m,none"] for doc in kept.docs[:2])
        assert repr([first, second]) == repr([score, other])
    assert ledger(samples).docs[2].scores == {}
    assert list(ledger(samples).scores("m,none")) == [0, 1]


def test_nan_stays_nan() -> None:
    (found,) = ledger([sample(0, {"m,none": math.nan})]).scores("m,none").values()
    assert math.isnan(found)


def test_what_else_gates_ask_for_is_there_doc_by_doc() -> None:
    refused = Response(failure=Failure("server", "HTTP 500"))
    seen = replace(sample(1).responses[0], resized=2, recalled=True)
    failed = sample(3, {}, outcome="failed", responses=(refused,), filtered={}, doc_hash=HALF)
    several = sample(1, responses=(seen, seen), unparsed=("none",), cluster="image 1")
    docs = ledger([sample(0), several], [failed]).docs
    assert [doc.doc_id for doc in docs] == [0, 1, 3]
    assert [doc.outcome for doc in docs] == ["scored", "scored", "failed"]
    assert [doc.answers for doc in docs] == [{"none": "answer 0"}, {"none": "answer 1"}, {}]
    assert [doc.target for doc in docs] == ["target 0", "target 1", "target 3"]
    assert [doc.failure for doc in docs] == [None, None, "server: HTTP 500"]
    assert [doc.latencies for doc in docs] == [(0.5,), (1.5, 1.5), ()]
    assert [doc.tokens for doc in docs] == [0, 2, 0]
    assert [doc.prompt_tokens for doc in docs] == [7, 14, 0]
    assert [doc.cluster for doc in docs] == [None, "image 1", None]
    assert [doc.unparsed for doc in docs] == [(), ("none",), ()]
    assert [doc.resized for doc in docs] == [0, 4, 0]
    assert [doc.recalled for doc in docs] == [0, 2, 0]
    digest = hashlib.sha256(b"0 0").hexdigest()
    assert [doc.doc_hash for doc in docs] == [digest, several.doc_hash, HALF]


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
        (" a\n\n  b\t", "a b"),
        ("a " * 30 + "b", "a " * 29 + "a…"),
        ("a " * 29 + "bc", "a " * 29 + "bc"),
    ],
)
def test_an_answer_is_kept_as_one_line_of_at_most_60_characters(answer: str, shown: str) -> None:
    (doc,) = ledger([sample(0, filtered={"none": [answer]})]).docs
    assert doc.answers == {"none": shown}


def test_docs_and_metrics_come_in_doc_order_however_docs_are_sliced() -> None:
    parts = [
        [sample(1, {"b,none": 1.0, "a,none": 2}), sample(4, {"c,none": 4})],
        [sample(0, {}), sample(2, {"a,none": 0.5, "d,none": 1})],
        [],
    ]
    kept = ledger(*parts)
    assert [doc.doc_id for doc in kept.docs] == [0, 1, 2, 4]
    assert kept.metric_keys() == ["b,none", "a,none", "d,none", "c,none"]
    assert kept.scores("a,none") == {1: 2, 2: 0.5}
    assert kept.scores("e,none") == {}
    assert (kept.counts.scored, kept.tokens) == (4, 7)


def test_a_part_that_arrives_again_replaces_the_first() -> None:
    kept = ledger([sample(0), sample(1)])
    kept.add(0, DocRecords([sample(0, {"m,none": 1.0}), sample(1)]), {})
    assert kept.scores("m,none") == {0: 1.0, 1: 0.5}


def test_a_doc_takes_a_few_hundred_bytes() -> None:
    docs = 2_000
    kept = ledger([], [])
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        kept.add(0, DocRecords([sample(i) for i in range(docs)]), {})
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (after - before) / docs < 400


class _Task:
    has_media = False
    has_rounds = False

    def doc_ids(self) -> Sequence[int]:
        return range(2)

    def instances(self, doc_id: int) -> list[Instance]:
        return []

    def next_instances(self, doc_id: int, responses: Sequence[Response]) -> list[Instance]:
        return []

    def score(self, doc_ids: Sequence[int], responses: Sequence[object]) -> list[Sample]:
        return [sample(i) for i in doc_ids]


@pytest.fixture
def _no_look_for_garbage() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_look_for_garbage")
def test_samples_go_with_whoever_took_them() -> None:
    run = Run(Shard(_Task()))
    (piece,) = (run.open([range(2)]), run.finish(0), run.finish(1))[2:]
    assert piece is not None
    run.take(piece, [sample(0), sample(1)])
    assert len(run.result.result()) == 2
    there = weakref.ref(run)
    del run, piece
    assert there() is None
