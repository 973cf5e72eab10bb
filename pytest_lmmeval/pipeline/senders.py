"""How requests reach a model: one by one, many in flight, or in batches."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from pytest_lmmeval.errors import ModelUnavailable
from pytest_lmmeval.models.base import LM, AsyncLM
from pytest_lmmeval.pipeline.answers import Answers
from pytest_lmmeval.pipeline.batching import answer_each, batches, failed
from pytest_lmmeval.pipeline.docs import Docs
from pytest_lmmeval.pipeline.progress import Progress
from pytest_lmmeval.pipeline.shards import Request, Run
from pytest_lmmeval.pipeline.work import Work

# How many batches are built ahead so that they can be sorted by length, which saves padding.
BATCHES_SORTED_TOGETHER = 8


class RequestSender(Protocol):
    """Takes requests from the work that there is, and sees them answered."""

    async def start(self) -> list[Coroutine[Any, Any, None]]:
        """Start the model, and return what sends requests until it is cancelled."""

    async def close(self) -> None:
        """Close the model."""


class OneByOne:
    """Keeps a number of single requests in flight; see ``RequestSender``.

    Args:
        model: Who is asked.
        concurrency: How many requests are in flight at most.
        work: What is to be sent.
        docs: Builds it.
        answers: Takes what comes back.
        progress: Counts what is in flight.
    """

    def __init__(
        self,
        model: AsyncLM,
        concurrency: int,
        work: Work,
        docs: Docs,
        answers: Answers,
        progress: Progress,
    ) -> None:
        self._model = model
        self._concurrency = concurrency
        self._work = work
        self._docs = docs
        self._answers = answers
        self._progress = progress

    async def start(self) -> list[Coroutine[Any, Any, None]]:
        """Start the model; see ``RequestSender``."""
        await self._model.astart()
        return [self._send(place) for place in range(self._concurrency)]

    async def close(self) -> None:
        """Close the model."""
        await self._model.aclose()

    async def _send(self, place: int) -> None:
        """One slot: take the next request, or build the next doc's, and see it answered."""
        adaptive = self._model.adaptive
        while True:
            if adaptive is not None:
                await adaptive.opened(place)
            request = await self._next_request()
            if not self._answers.must_ask(request):
                # A long run of answers that are known must not hold up the loop.
                await asyncio.sleep(0)
                continue
            self._progress.in_flight += 1
            asked = [request.instance]
            if request.key is None:
                # The model has the media, and lets them go when it has made a body of them.
                request = request.without_media()
            try:
                response = await self._model.respond(asked.pop())
            except ModelUnavailable as error:
                self._work.die(error)
                return
            except Exception as error:  # a user's model may raise anything: this request failed
                response = failed(error)
            finally:
                self._progress.in_flight -= 1
            await self._answers.take([request], [response])

    async def _next_request(self) -> Request:
        work = self._work
        while True:
            if work.requests:
                return work.requests.popleft()
            if work.to_continue:
                work.requests.extend(await self._docs.next_requests(*work.to_continue.popleft()))
            elif work.docs:
                run, doc_id = work.docs.popleft()
                if not run.is_over:
                    work.requests.extend(await self._docs.requests(run, doc_id))
            else:
                work.arrived.clear()
                await work.arrived.wait()
                continue
            if len(work.requests) > 1:
                work.arrived.set()


class InBatches:
    """Hands batches to a model that computes in this process, on a thread; see ``RequestSender``.

    A batch never crosses the border of a shard: padding changes the last digits of a result, and
    the same docs must share a batch however the shards are spread over workers.

    Args:
        model: Who is asked.
        work: What is to be sent.
        docs: Builds it.
        answers: Takes what comes back.
        progress: Counts what is in flight.
    """

    def __init__(
        self, model: LM, work: Work, docs: Docs, answers: Answers, progress: Progress
    ) -> None:
        self._model = model
        self._work = work
        self._docs = docs
        self._answers = answers
        self._progress = progress
        self._thread = cf.ThreadPoolExecutor(1, "lmm-model")

    async def start(self) -> list[Coroutine[Any, Any, None]]:
        """Start the model; see ``RequestSender``."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._model.start)
        return [self._send()]

    async def close(self) -> None:
        """Close the model."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._model.close)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _send(self) -> None:
        """Send batches sorted by length."""
        work, size = self._work, max(1, self._model.batch_size)
        while True:
            run, doc_id = await self._next_doc()
            requests = await self._docs.requests(run, doc_id)
            while len(requests) < size * BATCHES_SORTED_TOGETHER and self._next_is_of(run):
                requests += await self._docs.requests(*work.docs.popleft())
            work.requests.extend(requests)
            await self._send_all(size)

    async def _next_doc(self) -> tuple[Run, int]:
        work = self._work
        while True:
            while not work.docs:
                work.arrived.clear()
                await work.arrived.wait()
            run, doc_id = work.docs.popleft()
            if not run.is_over:
                return run, doc_id

    def _next_is_of(self, run: Run) -> bool:
        docs = self._work.docs
        return bool(docs) and docs[0][0] is run and not run.is_over

    async def _send_all(self, size: int) -> None:
        """Send what is built, and what follows from it: failed requests' followers, next rounds."""
        work = self._work
        while work.requests or work.to_continue:
            await asyncio.sleep(0)
            while work.to_continue:
                work.requests.extend(await self._docs.next_requests(*work.to_continue.popleft()))
            asked = [request for request in work.requests if self._answers.must_ask(request)]
            work.requests.clear()
            for batch in batches(asked, size):
                if not work.is_dead:
                    await self._send_batch(batch)

    async def _send_batch(self, batch: Sequence[Request]) -> None:
        instances = [request.instance for request in batch]
        loop = asyncio.get_running_loop()
        self._progress.in_flight += len(batch)
        try:
            responses = await loop.run_in_executor(
                self._thread, answer_each, self._model, instances
            )
        except ModelUnavailable as error:
            self._work.die(error)
            return
        finally:
            self._progress.in_flight -= len(batch)
        await self._answers.take(batch, responses)
