"""A part of a task, as a worker sends it: what arrives is what was sent, and no more than that."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import execnet
import pytest

from pytest_lmmeval.doc_records import DocRecord, DocRecords
from pytest_lmmeval.ledger import PartResult, SampleLines, UnaskedDoc
from pytest_lmmeval.records import Failure, Response, Sample
from pytest_lmmeval.session.parcels import pack, unpack

HALF = "half a face: \ud83d"
DIGEST = "0123456789abcdef" * 4
FIELDS = [name for name, value in vars(DocRecord).items() if hasattr(value, "__set_name__")]

SAMPLE = Sample(
    doc_id=0,
    outcome="scored",
    scores={"m,none": (1.0, HALF, math.inf), "huge,none": 2**70, "set,none": {"a": [None]}},
    responses=(
        Response(text=HALF, usage={"completion_tokens": 3}, latency=0.1 + 0.2),
        Response(failure=Failure("server", HALF), attempts=5),
    ),
    filtered={"none": [HALF]},
    target=HALF,
    doc={HALF: 0.1 + 0.2},
    arguments=[HALF, {"until": [HALF]}],
    doc_hash="",
    prompt_hash="",
    target_hash="",
    cluster="c",
    unparsed=("none",),
)
PLAIN = replace(
    SAMPLE,
    doc_id=2**40,
    scores={"m,none": 0.1 + 0.2, "n,none": -3},
    responses=(Response(text="a", usage={"prompt_tokens": 7}, latency=1 / 3),),
    doc_hash=DIGEST,
    prompt_hash=DIGEST,
    target_hash=DIGEST,
    cluster=None,
    unparsed=(),
)


def part_of(*samples: Sample, **more: Any) -> PartResult:
    return PartResult("k", "t", 0, 1, DocRecords(samples), {"model": {"model": HALF}}, **more)


def arrived(part: PartResult) -> PartResult:
    return unpack(execnet.loads(execnet.dumps(pack(part))))


@pytest.mark.parametrize(
    "samples",
    [(), (SAMPLE,), (PLAIN,), (PLAIN, PLAIN), (SAMPLE, PLAIN)],
    ids=["none", "odd", "plain", "two plain", "both"],
)
def test_what_is_kept_of_docs_arrives_whatever_it_is(samples: tuple[Sample, ...]) -> None:
    assert {"scores", "doc_hash", "latencies", "cluster"} <= set(FIELDS)
    found = list(arrived(part_of(*samples)).docs)
    assert [doc.doc_id for doc in found] == [sample.doc_id for sample in samples]
    for doc, sample in zip(found, samples, strict=True):
        (own,) = DocRecords([sample])
        assert {name: getattr(doc, name) for name in FIELDS} == {
            name: getattr(own, name) for name in FIELDS
        }
        assert (doc.scores, doc.target, doc.cluster) == (
            sample.scores,
            sample.target,
            sample.cluster,
        )


def test_what_else_a_part_has_arrives_too() -> None:
    part = part_of(
        SAMPLE,
        span=(1.0, 2.0),
        unasked=[UnaskedDoc(1, "a", "b", "c")],
        lines=SampleLines(b"{}\n\x00", [4]),
        first=[SAMPLE, PLAIN],
    )
    found = arrived(part)
    assert replace(found, docs=part.docs) == part
    assert isinstance(found.unasked[0], UnaskedDoc)
    assert isinstance(found.lines, SampleLines)


def test_scores_that_are_no_numbers_arrive_as_such() -> None:
    scores = {"m,none": math.nan, "n,none": -math.inf}
    (doc,) = arrived(part_of(replace(PLAIN, scores=scores), first=[PLAIN])).docs
    assert repr(doc.scores) == repr(scores)


@pytest.mark.parametrize("value", [Path("x"), print, pickle.Unpickler], ids=repr)
def test_a_parcel_makes_nothing_else(value: object) -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"^a worker sent an object of \w+"):
        unpack(pickle.dumps({"docs": [value]}, protocol=4))
    odd = replace(SAMPLE, doc={"a": value})
    with pytest.raises(pickle.UnpicklingError, match=r"^a worker sent an object of \w+"):
        unpack(pack(part_of(SAMPLE, first=[odd])))
