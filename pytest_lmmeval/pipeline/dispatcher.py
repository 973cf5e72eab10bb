"""The pipeline's inner side, on its event loop: what goes out next, and what fails with it.

- A request that fails for good belongs to its doc; so does a doc whose media cannot be read.
- A task that cannot be opened, built or scored ends its shard with that error.
- A model that is gone ends all shards; a judge that is gone ends those that it judges.
- Any other exception is a defect, of a user's model or of ours; it ends where it happened and never
  leaves a waiter hanging.

A request is built when a slot is free for it, so memory is a function of the concurrency and not of
the docs. One that is identical to another is not sent (``sharing`` has the rules), nor is one whose
answer is in the journal. An answer counts, and its slot is free, once the journal has it on disk. A
doc of several rounds is continued before another one is begun.
"""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
import os
from collections.abc import Sequence

from pytest_lmmeval.models.base import LM, AsyncLM
from pytest_lmmeval.pipeline.answers import Answers
from pytest_lmmeval.pipeline.docs import Docs
from pytest_lmmeval.pipeline.journal.journal import Journal
from pytest_lmmeval.pipeline.progress import Progress
from pytest_lmmeval.pipeline.senders import InBatches, OneByOne, RequestSender
from pytest_lmmeval.pipeline.shards import Run
from pytest_lmmeval.pipeline.work import Work


class Dispatcher:
    """Opens shards in order, has their requests sent and hands them back.

    Args:
        model: Who is asked.
        concurrency: Requests in flight, for an ``AsyncLM``.
        progress: Counts.
        journal: Finds and keeps answers.
    """

    def __init__(self, model: LM, concurrency: int, progress: Progress, journal: Journal) -> None:
        self._progress = progress
        self._journal = journal
        self._pool = cf.ThreadPoolExecutor(min(4, os.cpu_count() or 1), "lmm-build")
        self._work = work = Work()
        self._docs = docs = Docs(model, work, self._pool, progress)
        answers = Answers(work, docs, journal, progress)
        self._sender: RequestSender = (
            OneByOne(model, concurrency, work, docs, answers, progress)
            if isinstance(model, AsyncLM)
            else InBatches(model, work, docs, answers, progress)
        )

    async def start(self) -> None:
        """Start the model, then the workers."""
        for worker in (*await self._sender.start(), self._open_shards()):
            self._work.spawn(worker)

    def add(self, runs: Sequence[Run]) -> None:
        """Queue shards behind those that are queued."""
        self._work.add(runs)

    def cancel(self, runs: Sequence[Run], error: BaseException) -> None:
        """End shards that are not wanted any more; what of them is in flight is not waited for."""
        for run in runs:
            if not run.is_over:
                self._progress.docs_known -= run.docs_left if run.counts else 0
                self._work.end(run, error)

    async def stop(self) -> None:
        """Cancel everything in flight and close the model."""
        await self._work.stop()
        try:
            await self._sender.close()
        finally:
            self._journal.close()
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def _open_shards(self) -> None:
        """Turn shards into docs, in order; the next data set opens while requests are in flight."""
        work, loop = self._work, asyncio.get_running_loop()
        while True:
            while not work.opening:
                work.to_open.clear()
                await work.to_open.wait()
            run = work.opening.popleft()
            if run.is_over:
                continue
            try:
                pieces = await loop.run_in_executor(self._pool, run.shard.pieces)
            except Exception as error:  # a user's loading code may raise anything: its shard ends
                work.end(run, error)
                continue
            for piece in run.open(pieces):
                work.spawn(self._docs.score(run, piece))
            if run.counts:
                whole = len(run.shard.source.doc_ids())
                self._progress.open(run.shard.name, len(run.doc_ids), whole)
            work.add_docs(run)
