"""One connection of HTTP/1.1 (RFC 9112), with one request on it at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from pytest_lmmeval.models.endpoints.failures import AttemptError
from pytest_lmmeval.models.endpoints.http.exchange import (
    Answer,
    broken_off,
    decoded,
    no_connection,
    too_slow,
    unreadable,
)

# A longer body goes out beside its head: joining them would copy it.
_JOINED_BELOW = 1 << 16
_SAY_WHERE_IT_ENDS = frozenset({"content-length", "transfer-encoding"})


class Connection(asyncio.Protocol):
    """An open connection. Made by the event loop, which calls it as ``asyncio.Protocol`` says.

    Args:
        lost: Called with it when it is closed, by whomever.
    """

    def __init__(self, lost: Callable[[Connection], None]) -> None:
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[Answer] | None = None
        self._limit = 0.0
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._begun = False
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, head: bytes, body: bytes, limit: float) -> Answer:
        """Send a request and return the answer.

        Args:
            head: Its head, empty line included.
            body: Its body.
            limit: Seconds until the answer has to be complete.

        Raises:
            AttemptError: There is no complete answer; the connection is closed then.
        """
        assert self._transport is not None, "it is not connected"
        answered: asyncio.Future[Answer] = self._loop.create_future()
        self._answered = answered
        self._be_done_within(limit)
        try:
            if len(body) < _JOINED_BELOW:
                self._transport.write(head + body)
            else:
                self._transport.write(head)
                self._transport.write(memoryview(body))
            return await answered
        except BaseException:  # cancelled, say: what comes on it now is nobody's answer
            self.abort()
            raise
        finally:
            self._answered = None

    def abort(self) -> None:
        """Close it at once."""
        if self._transport is not None:
            self._transport.abort()

    # For the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take in the transport."""
        # Of whatever class: other loops than asyncio's have transports of their own.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read a piece of an answer."""
        if self._answered is None:  # nothing was asked
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(unreadable(f"no HTTP: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        """Fail what waits for an answer, unless that was to end with the connection."""
        self._lost(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._begun and error is None and not self._headers.keys() & _SAY_WHERE_IT_ENDS:
            self._finish()
        self._fail(broken_off() if self._begun else no_connection(error))

    # For the parser.

    def on_message_begin(self) -> None:
        """Close the connection if nobody waits: the next request must not get what begins here."""
        if self._answered is None or self._answered.done():
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("utf-8", "replace")

    def on_headers_complete(self) -> None:
        """Note that an answer began."""
        self._begun = True

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body."""
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Hand the answer over, unless it is an interim one (RFC 9110, section 15.2)."""
        if self._parser.get_status_code() < 200:
            self._begun, self._headers = False, {}
            return
        assert self._transport is not None, "it is not connected"
        # A server that refuses a request may do so before it has read all of it.
        if self._transport.get_write_buffer_size() or not self._parser.should_keep_alive():
            self.abort()
        self._finish()

    # Ends.

    def _finish(self) -> None:
        headers, pieces = self._headers, self._pieces
        self._begun, self._headers, self._pieces = False, {}, []
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._answered is None or self._answered.done():
            return
        try:
            content = decoded(content, headers.get("content-encoding", ""))
        except AttemptError as error:
            self._answered.set_exception(error)
            return
        self._answered.set_result(Answer(self._parser.get_status_code(), headers, content))

    def _fail(self, error: AttemptError) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)

    def _be_done_within(self, limit: float) -> None:
        """Set when the answer has to be complete.

        One timer serves many requests: making one for each would cost as much as sending it.
        """
        self._limit, self._deadline = limit, self._loop.time() + limit
        if self._timer is not None and self._timer.when() > self._deadline:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(self._deadline, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        self._timer = None
        if self._answered is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._look_at_the_clock)
        else:
            self._fail(too_slow(self._limit))
