"""The request pipeline: one event loop in one thread, bounded, in order.

Shards (slices of tasks' docs) enter in the order in which they are submitted, and their requests
leave in that order with at most ``concurrency`` in flight. Nothing drains at the border of a shard
or a task; whoever needs a shard waits for that shard only. The dispatcher, which runs on the loop,
has the rules for what fails with what.
"""

from __future__ import annotations

import asyncio
import dataclasses
import queue
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from pytest_lmmeval.errors import ModelUnavailable
from pytest_lmmeval.models.base import LM, AsyncLM, Need
from pytest_lmmeval.pipeline.dispatcher import Dispatcher
from pytest_lmmeval.pipeline.garbage import look_as_usual, look_rarely
from pytest_lmmeval.pipeline.journal.journal import Journal
from pytest_lmmeval.pipeline.progress import Progress
from pytest_lmmeval.pipeline.shards import Run, Shard
from pytest_lmmeval.records import Sample

T = TypeVar("T")


class Pipeline:
    """Sends the requests of shards to one model and scores what comes back.

    All methods are for the thread that owns the pipeline.

    Args:
        model: The model; an ``AsyncLM`` gets single requests, any other ``LM`` gets batches.
        concurrency: Requests in flight, for an ``AsyncLM``.
        journal: Where answers are kept; None keeps none. Closed with the pipeline.
    """

    def __init__(self, model: LM, *, concurrency: int = 1, journal: Journal | None = None) -> None:
        self.model = model
        self.progress = Progress()
        self.journal = journal or Journal()
        self._dispatcher = Dispatcher(model, max(1, concurrency), self.progress, self.journal)
        self._runs: dict[Shard, Run] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the loop and the model.

        Raises:
            ModelUnavailable: Nothing can be measured with the model.
        """
        loop = asyncio.new_event_loop()
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever, name="lmm-pipeline", daemon=True)
        self._thread.start()
        look_rarely()
        self._wait_for(self._dispatcher.start())
        self.journal.begin(self.model)

    def require(self, needs: Iterable[Need]) -> None:
        """Check by asking that the started model does what a task needs; once for each need.

        Raises:
            Unsupported: It does not.
        """
        if isinstance(self.model, AsyncLM):
            for need in needs:
                self._wait_for(self.model.probe(need))

    def submit(self, shards: Sequence[Shard]) -> None:
        """Queue those shards that are not queued yet, behind those that are."""
        new = {shard: Run(shard) for shard in shards if shard not in self._runs}
        self._runs |= new
        if new and self._loop is not None:
            self._loop.call_soon_threadsafe(self._dispatcher.add, list(new.values()))

    def pass_on(self, shard: Shard) -> Run:
        """Queue a shard whose result nobody comes for here. May be called from any thread."""
        run = Run(shard, counts=False)
        if self._loop is None:
            run.fail(ModelUnavailable("the run was stopped before this was asked"))
        else:
            self._loop.call_soon_threadsafe(self._dispatcher.add, [run])
        return run

    def knows(self, shard: Shard) -> bool:
        """Whether the shard was submitted and its result not yet taken."""
        return shard in self._runs

    def result(
        self,
        shard: Shard,
        *,
        tick: Callable[[], None] | None = None,
        look: Callable[[Sequence[Sample]], None] | None = None,
    ) -> list[Sample]:
        """Wait for a shard and return its samples in doc order.

        Args:
            shard: A submitted shard; its result can be taken once.
            tick: Called about twice a second while waiting.
            look: Called with the samples of each piece of the shard, in the order in which docs are
                sent; may raise to leave.

        Raises:
            LmmError: The shard could not be built or scored, or the model is gone.
        """
        run = self._runs[shard]
        while True:
            try:
                piece = run.scored.get(timeout=None if tick is None else 0.5)
            except queue.Empty:
                piece = []
            if tick is not None:
                tick()
            if piece is None:
                break
            if piece and look is not None:
                look(piece)
        samples = run.result.result()
        del self._runs[shard]
        return samples

    def cancel(self, shards: Iterable[Shard], error: BaseException) -> None:
        """End those of the shards whose results were not taken; nothing more of them is sent."""
        runs = [self._runs.pop(shard) for shard in shards if shard in self._runs]
        if runs and self._loop is not None:
            self._loop.call_soon_threadsafe(self._dispatcher.cancel, runs, error)

    def state(self) -> Progress:
        """Return how far the requests are, what they wait for, and the level that was found."""
        model, state = self.model, dataclasses.replace(self.progress)
        if isinstance(model, AsyncLM):
            state.waiting = model.waiting()
            if model.adaptive is not None:
                state.levels = {model.identity().get("model", model.name): model.adaptive.level}
        return state

    def close(self) -> None:
        """Cancel what is in flight, close the model and stop the loop. May be called twice."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        try:
            self._wait_for(self._dispatcher.stop())
        finally:
            self._loop = None
            look_as_usual()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None, "the pipeline was not started"
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()  # what Ctrl-C ended the wait for; else it is done
