"""The journal of one pipeline: looks up what is to be asked, and keeps what was answered.

Lives on the pipeline's event loop. Answers of one turn of the loop become one transaction, and a
slot is free for its next request only once its answer is on disk: what a crash costs is what was in
flight. Failures are never kept.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pytest_lmmeval.errors import JournalError
from pytest_lmmeval.models.base import LM
from pytest_lmmeval.pipeline.journal.answer_text import decoded, encoded
from pytest_lmmeval.pipeline.journal.keys import answer_key, doc_name, made_from, model_key
from pytest_lmmeval.pipeline.journal.replay import Replay
from pytest_lmmeval.pipeline.journal.siblings import Siblings
from pytest_lmmeval.pipeline.journal.store import Entry, Store
from pytest_lmmeval.pipeline.shards import Request
from pytest_lmmeval.records import Response

# Rows between two checkpoints, which bound the write-ahead log. They wait for the disk, so they are
# made on a thread.
_CHECKPOINT = 20_000


@dataclass
class Journal:
    """What a pipeline keeps, and finds again.

    Attributes:
        store: The open file; None where nothing is kept, or once it cannot be used any more.
        reuse: Whether answers of earlier runs count.
        takes_over: Whether an earlier run's answer that counts becomes this run's.
        siblings: The run's other processes. Once one has died, its answers count, too.
        problem: Why nothing is kept (any more), if so.
    """

    store: Store | None = None
    reuse: bool = False
    takes_over: bool = False
    siblings: Siblings = field(default_factory=Siblings)
    problem: str | None = None
    _model: bytes = field(default=b"", init=False, repr=False)
    _entries: list[Entry] = field(default_factory=list, init=False, repr=False)
    _taken: list[int] = field(default_factory=list, init=False, repr=False)
    _written: asyncio.Future[None] | None = field(default=None, init=False, repr=False)
    _since_checkpoint: int = field(default=0, init=False, repr=False)

    def begin(self, model: LM) -> None:
        """Take in the model that is asked, once it was started, and note what it is like."""
        if self.store is None:
            return
        if isinstance(model, Replay):
            self._model = model_key(model.stands_for, model.identity())
            return
        made, identity = made_from(model), model.identity()
        self._model = model_key(made, identity)
        facts = {"identity": identity, "chat": model.chat, "message_format": model.message_format}
        try:
            self.store.note_model(made, json.dumps(facts))
        except JournalError as error:
            self._give_up(error)

    def find(self, request: Request) -> Response | None:
        """Return the answer to a request, None if it has to be asked."""
        # Without a name two uses of a task cannot be told apart, and each is asked for itself.
        may_be_there = self.reuse or (self.siblings.some_died and request.run.shard.name)
        if self.store is None or not may_be_there:
            return None
        key = answer_key(self._model, request)
        try:
            found = self.store.find(key, doc_name(request), of_earlier_runs=self.reuse)
            if found is None:
                return None
            response = decoded(found.answer)
        except JournalError as error:
            self._give_up(error)
            return None
        if self.takes_over and not found.is_own:
            self._taken.append(found.row)
            self._write_soon()
        return replace(response, recalled=True)

    async def keep(self, requests: Sequence[Request], responses: Sequence[Response]) -> None:
        """Return once the answers among the responses are on disk."""
        if self.store is None:
            return
        entries = [
            Entry(answer_key(self._model, request), doc_name(request), encoded(response))
            for request, response in zip(requests, responses, strict=True)
            if response.failure is None
        ]
        if entries:
            self._entries += entries
            # Slots are cancelled all together, when the pipeline stops; ``close`` writes the rest.
            await self._write_soon()

    def _write_soon(self) -> asyncio.Future[None]:
        if self._written is None:
            loop = asyncio.get_running_loop()
            self._written = loop.create_future()
            loop.call_soon(self._write)
        return self._written

    def _write(self) -> None:
        self._since_checkpoint += len(self._entries) + len(self._taken)
        written, self._written = self._written, None
        self._write_now()
        if written is not None and not written.done():
            written.set_result(None)
        if self.store is not None and self._since_checkpoint >= _CHECKPOINT:
            self._since_checkpoint = 0
            asyncio.get_running_loop().run_in_executor(None, self.store.checkpoint)

    def _write_now(self) -> None:
        entries, self._entries = self._entries, []
        taken, self._taken = self._taken, []
        if self.store is not None and (entries or taken):
            try:
                self.store.write(entries, taken)
            except JournalError as error:
                self._give_up(error)

    def _give_up(self, error: JournalError) -> None:
        """Go on without: a full disk must not cost the run, but whoever runs it has to know."""
        store, self.store = self.store, None
        self.problem = f"{error}; answers are not kept any more, and a crash would cost them"
        if store is not None:
            store.close()

    def close(self) -> None:
        """Write what waits, and close the file. May be called twice."""
        self._write_now()
        if self.store is not None:
            self.store.close()
            self.store = None
