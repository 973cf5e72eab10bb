"""What the journal costs: one of a million answers, and each request of a run.

Prints how long it takes to open such a file, to look up the keys of a run of 10,000 requests, to
write 10,000 answers in groups of 64, and to drop a run; and what writing an answer adds to a
request of a pipeline whose model answers at once.

    python benchmarks/journal_size.py [rows]
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pytest_lmmeval.models.base import AsyncLM
from pytest_lmmeval.pipeline.journal.answer_text import decoded, encoded
from pytest_lmmeval.pipeline.journal.journal import Journal
from pytest_lmmeval.pipeline.journal.store import Entry, Store
from pytest_lmmeval.pipeline.pipeline import Pipeline
from pytest_lmmeval.pipeline.shards import Shard
from pytest_lmmeval.records import Instance, Message, Response, Sample, TextPart

ROWS = 1_000_000
LOOKED_UP = 10_000
GROUP = 64
ANSWER = Response(
    text="The answer is 42. " * 12,
    finish_reason="stop",
    usage={"prompt_tokens": 321, "completion_tokens": 48},
    latency=0.4321,
)


def entry(number: int) -> Entry:
    """Return the answer of one doc."""
    key = hashlib.blake2b(b"%d" % number, digest_size=16).digest()
    return Entry(key, f"lmm-tasks/task.yaml/{number}/0/0", encoded(ANSWER))


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print how long a block takes."""
    began = time.perf_counter()
    yield
    print(f"{what:60} {time.perf_counter() - began:8.3f} s", flush=True)


def measure_store(path: Path, rows: int) -> None:
    """Print what a file of many answers costs."""
    with timed(f"write {rows:,} answers"):
        store = Store(path, "earlier")
        for start in range(0, rows, 1000):
            store.write([entry(i) for i in range(start, start + 1000)])
        store.close()
    print(f"{'size':60} {path.stat().st_size / 1e6:8.0f} MB")
    step = max(1, rows // LOOKED_UP)
    wanted = [entry(i) for i in range(0, rows, step)][:LOOKED_UP]
    with timed("open"):
        store = Store(path, "now")
    with timed(f"look up {len(wanted):,} answers that are there"):
        for one in wanted:
            found = store.find(one.key, one.doc, of_earlier_runs=True)
            assert found is not None
            decoded(found.answer)
    new = [entry(rows + i) for i in range(LOOKED_UP)]
    with timed(f"look up {len(new):,} answers that are not there"):
        assert not any(store.find(one.key, one.doc, of_earlier_runs=True) for one in new)
    with timed(f"write {len(new):,} answers in groups of {GROUP}"):
        for start in range(0, len(new), GROUP):
            store.write(new[start : start + GROUP])
    with timed("drop what this run wrote"):
        store.forget(older_than=0.0, own=True)
    store.close()


class AtOnce(AsyncLM):
    """Answers at once."""

    num_concurrent = GROUP

    async def respond(self, request: Instance) -> Response:
        """Return the answer."""
        return ANSWER


class Docs:
    """Docs with a prompt of some length."""

    has_media = False
    has_rounds = False

    def __init__(self, count: int) -> None:
        self._count = count

    def doc_ids(self) -> Sequence[int]:
        """Return all."""
        return range(self._count)

    def instances(self, doc_id: int) -> list[Instance]:
        """Return the request of one."""
        text = f"{doc_id} " + "How many are there, and why? " * 20
        arguments = {"until": ["\n"], "max_gen_toks": 64, "temperature": 0}
        context = (Message("user", (TextPart(text),)),)
        return [Instance("docs", doc_id, 0, "generate_until", context, gen_kwargs=arguments)]

    def next_instances(self, doc_id: int, responses: Sequence[Response]) -> list[Instance]:
        """Return none."""
        return []

    def score(
        self, doc_ids: Sequence[int], responses: Sequence[Sequence[Response]]
    ) -> list[Sample]:
        """Score nothing."""
        return []


def measure_pipeline(folder: Path, docs: int) -> None:
    """Print what a request costs with and without a journal, taking turns."""
    best = {"without": float("inf"), "with": float("inf")}
    for turn in range(5):
        for name in best:
            store = Store(folder / f"pipeline-{turn}", "run") if name == "with" else None
            pipeline = Pipeline(AtOnce(), concurrency=GROUP, journal=Journal(store))
            pipeline.start()
            shard = Shard(Docs(docs), name="docs")
            began = time.process_time()
            pipeline.submit([shard])
            pipeline.result(shard)
            best[name] = min(best[name], (time.process_time() - began) / docs)
            pipeline.close()
    for name, seconds in best.items():
        print(f"{f'CPU of one request {name} a journal':60} {seconds * 1e6:8.1f} us")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        measure_pipeline(Path(folder), LOOKED_UP)
        measure_store(Path(folder) / "journal.sqlite", int(sys.argv[1]) if sys.argv[1:] else ROWS)
