"""From a doc to its requests, on a thread where a task's own code or its media take long."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
from collections.abc import Callable
from functools import partial

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.base import LM, AsyncLM
from pytest_lmmeval.models.beside_loop import BesideLoop
from pytest_lmmeval.pipeline.request_digests import request_digests
from pytest_lmmeval.pipeline.shards import Request, Run
from pytest_lmmeval.pipeline.sharing import shared_key
from pytest_lmmeval.records import Failure, Instance, Response


class RequestBuilder:
    """Builds the requests of docs and makes room for their responses in the shard.

    A doc whose media cannot be read has no request, and a response that says so.

    Args:
        model: Who will be asked.
        pool: Builds what must not hold up the event loop.
    """

    def __init__(self, model: LM, pool: cf.Executor) -> None:
        self._model = model
        self._pool = pool
        self._beside_loop = BesideLoop(pool)

    async def first(self, run: Run, doc_id: int) -> list[Request]:
        """Build a doc's requests.

        Raises:
            Exception: Whatever the task's prompt code raises.
        """
        run.responses[doc_id] = []
        return await self._extend(run, doc_id, partial(run.shard.source.instances, doc_id))

    async def next(self, run: Run, doc_id: int) -> list[Request]:
        """Build the requests that follow from a doc's responses; none when it is done.

        Raises:
            Exception: Whatever the task's prompt code raises.
        """
        answered = [response for response in run.responses[doc_id] if response is not None]
        build = partial(run.shard.source.next_instances, doc_id, answered)
        return await self._extend(run, doc_id, build)

    async def _extend(
        self, run: Run, doc_id: int, build: Callable[[], list[Instance]]
    ) -> list[Request]:
        source, responses = run.shard.source, run.responses[doc_id]
        first = len(responses)
        try:
            work = partial(self._requests, run, build, first)
            if source.has_rounds:
                built = await asyncio.get_running_loop().run_in_executor(self._pool, work)
            elif source.has_media:
                built = await self._beside_loop.do(work)
            else:
                built = work()
        except RequestError as error:
            responses.append(Response(failure=Failure(error.kind, error.message)))
            return []
        responses += [None] * len(built)
        return built

    def _requests(self, run: Run, build: Callable[[], list[Instance]], first: int) -> list[Request]:
        instances = build()
        # The last digits of an answer depend on its batch. Where the parts of a task may run in
        # several processes, what a part gets must not depend on which of them run here.
        in_batches = not isinstance(self._model, AsyncLM) and self._model.batch_size > 1
        scope = run.scope if in_batches and run.shard.count > 1 else run.shard.run
        asked = request_digests(instances)
        return [
            Request(run, instance, place, shared_key(instance, digest, scope), asked=digest)
            for place, (instance, digest) in enumerate(
                zip(instances, asked, strict=True), start=first
            )
        ]
