"""The way of a doc through the pipeline: built, answered, perhaps continued and judged, scored."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
from collections.abc import Awaitable
from functools import partial

from pytest_lmmeval.models.base import LM, AsyncLM
from pytest_lmmeval.pipeline.progress import Progress
from pytest_lmmeval.pipeline.request_building import RequestBuilder
from pytest_lmmeval.pipeline.shards import Piece, Request, Run
from pytest_lmmeval.pipeline.work import Work
from pytest_lmmeval.records import Response


class Docs:
    """Builds docs' requests when they are wanted, and scores docs in pieces when they are done.

    Args:
        model: Who is asked.
        work: Where docs go that have another round.
        pool: Does what must not hold up the event loop.
        progress: Counts docs.
    """

    def __init__(self, model: LM, work: Work, pool: cf.Executor, progress: Progress) -> None:
        self._model = model
        self._work = work
        self._pool = pool
        self._progress = progress
        self._builder = RequestBuilder(model, pool)

    async def requests(self, run: Run, doc_id: int) -> list[Request]:
        """Return a doc's requests; none if it has none, or its shard has ended."""
        return await self._built(run, doc_id, self._builder.first(run, doc_id))

    async def next_requests(self, run: Run, doc_id: int) -> list[Request]:
        """Return the requests of a doc's next round; none if that was the last one."""
        if run.is_over:
            return []
        return await self._built(run, doc_id, self._builder.next(run, doc_id))

    async def _built(
        self, run: Run, doc_id: int, building: Awaitable[list[Request]]
    ) -> list[Request]:
        requests: list[Request] = []
        try:
            requests = await building
        except Exception as error:  # a user's prompt code may raise anything: its shard ends
            self._work.end(run, error)
        if run.is_over:
            return []
        if not requests:
            self._finish(run, doc_id)
        return requests

    def answered(self, request: Request, response: Response) -> None:
        """Take in the response to a request, and see its doc on when that was the last one."""
        run, doc_id = request.run, request.instance.doc_id
        if run.is_over:
            return
        responses = run.responses[doc_id]
        responses[request.position] = response
        if None in responses:
            return
        goes_on = run.shard.source.has_rounds
        if goes_on and all(r is not None and r.is_answered for r in responses):
            self._work.go_on(run, doc_id)
        elif (judgement := run.judgement(doc_id)) is not None:
            self._work.spawn(self._judged(run, doc_id, judgement))
        else:
            self._finish(run, doc_id)

    async def _judged(self, run: Run, doc_id: int, judgement: cf.Future[list[Response]]) -> None:
        try:
            said = await asyncio.wrap_future(judgement)
        except Exception as error:  # a user's code that asks the judge may raise anything, too
            self._work.end(run, error)
            return
        if not run.is_over:
            run.responses[doc_id] += said
            self._finish(run, doc_id)

    def _finish(self, run: Run, doc_id: int) -> None:
        if run.counts:
            self._progress.docs_done += 1
            self._progress.docs_failed += any(r and r.failure for r in run.responses[doc_id])
        piece = run.finish(doc_id)
        if piece is not None:
            self._work.spawn(self.score(run, piece))

    async def score(self, run: Run, piece: Piece) -> None:
        """Score a piece of a shard, all of whose docs are done."""
        if run.is_over:
            return
        doc_ids = piece.doc_ids
        responses = [[r for r in run.responses.pop(i) if r is not None] for i in doc_ids]
        score = partial(run.shard.source.score, doc_ids, responses)
        # Answers must not wait for scores. But a model in this process computes in a thread of its
        # own; a third one that scores while this one builds would only make them fight for the
        # interpreter.
        # Code that asks a judge may have a loop of its own, which this one would not let run.
        elsewhere = isinstance(self._model, AsyncLM) or run.shard.judge is not None
        loop = asyncio.get_running_loop()
        try:
            samples = await loop.run_in_executor(self._pool, score) if elsewhere else score()
        except Exception as error:  # a user's scoring code may raise anything: its shard ends
            self._work.end(run, error)
        else:
            if run.take(piece, samples):
                self._work.done(run)
