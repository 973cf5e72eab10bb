"""What the pipeline has to do, on its event loop, and the ways in which that ends early."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

from pytest_lmmeval.errors import LmmError, ModelUnavailable
from pytest_lmmeval.pipeline.shards import Request, Run


class Work:
    """Queues of what is to be done, in order, and the coroutines that do it.

    Attributes:
        opening: Shards whose docs are not known yet.
        docs: Docs that were not asked yet.
        to_continue: Docs that are answered and may have another round.
        requests: Requests that are built and not sent.
        to_open: Set when there is something in ``opening``.
        arrived: Set when there is something for whoever sends.
    """

    def __init__(self) -> None:
        self.opening: deque[Run] = deque()
        self.docs: deque[tuple[Run, int]] = deque()
        self.to_continue: deque[tuple[Run, int]] = deque()
        self.requests: deque[Request] = deque()
        self.to_open = asyncio.Event()
        self.arrived = asyncio.Event()
        self._live: set[Run] = set()
        self._tasks: set[asyncio.Future[None]] = set()
        self._dead: LmmError | None = None

    @property
    def is_dead(self) -> bool:
        """Whether the model is gone."""
        return self._dead is not None

    def add(self, runs: Sequence[Run]) -> None:
        """Queue shards behind those that are queued."""
        for run in runs:
            if self._dead is not None:
                run.fail(self._dead)
                continue
            self._live.add(run)
            self.opening.append(run)
        self.to_open.set()

    def add_docs(self, run: Run) -> None:
        """Queue a shard's docs."""
        self.docs.extend((run, doc_id) for doc_id in run.doc_ids)
        self.arrived.set()

    def go_on(self, run: Run, doc_id: int) -> None:
        """Queue a doc that is answered, before all that were not asked yet."""
        self.to_continue.append((run, doc_id))
        self.arrived.set()

    def ask_again(self, request: Request) -> None:
        """Queue a request that waited for another one in vain."""
        self.requests.append(request)
        self.arrived.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a coroutine that ends with the pipeline."""
        task: asyncio.Future[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_end)

    def done(self, run: Run) -> None:
        """Let go of a shard that has its result."""
        self._live.discard(run)

    def end(self, run: Run, error: BaseException) -> None:
        """End a shard with an error."""
        self._live.discard(run)
        run.fail(error)

    def die(self, error: LmmError) -> None:
        """The model is gone: nothing that is queued or comes later can be answered."""
        self._dead = error
        for queue in (self.requests, self.to_continue, self.docs, self.opening):
            queue.clear()
        self._end_all(error)

    async def stop(self) -> None:
        """Cancel everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._end_all(ModelUnavailable("the run was stopped before this part was done"))

    def _end_all(self, error: BaseException) -> None:
        for run in list(self._live):
            self.end(run, error)

    def _on_end(self, task: asyncio.Future[None]) -> None:
        """A coroutine that ended by a defect of ours must not leave waiters hanging."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end_all(error)
