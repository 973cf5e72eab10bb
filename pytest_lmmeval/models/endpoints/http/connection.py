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
# What aiohttp and most clients read, too: lines that end without CR, headers folded as of old,
# spaces behind a chunk's size, and a length beside chunks, which then counts for nothing.
_FORGIVEN = {
    "lenient_headers": True,
    "lenient_chunked_length": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_spaces_after_chunk_size": True,
}
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
        self._parser.set_dangerous_leniencies(**_FORGIVEN)
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[Answer] | None = None
        self._limit = 0.0
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_long = False
        self._begun = False
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def waited(self) -> float:
        """For how many seconds the last request has been on it."""
        return self._loop.time() - (self._deadline - self._limit)

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
        self._is_long = len(body) >= _JOINED_BELOW
        try:
            if self._is_long:
                self._transport.write(head)
                self._transport.write(memoryview(body))
            else:
                self._transport.write(head + body)
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
        """Keep a header; what comes behind a body is none (RFC 9110, section 6.5.1)."""
        if not self._begun:
            self._headers[name.decode("latin-1").lower()] = value.decode("utf-8", "replace")

    def on_headers_complete(self) -> None:
        """Note that an answer began."""
        self._begun = True

    def on_body(self, piece: bytes) -> None:
        """Keep a piece of the body."""
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Hand the answer over, unless it is an interim one (RFC 9110, section 15.2)."""
        status = self._parser.get_status_code()
        if status < 200:
            self._begun, self._headers = False, {}
            return
        if self._may_be_unread(status) or not self._parser.should_keep_alive():
            self.abort()
        self._finish()

    # Ends.

    def _may_be_unread(self, status: int) -> bool:
        """Whether the server may have answered before it had read all of the request."""
        assert self._transport is not None, "it is not connected"
        # A refusal need not wait for the body, and how much TLS still holds of it is not known.
        return self._is_long and (status >= 300 or self._transport.get_write_buffer_size() > 0)

    def _finish(self) -> None:
        headers, pieces = self._headers, self._pieces
        self._begun, self._headers, self._pieces = False, {}, []
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._answered is None or self._answered.done():
            return
        status = self._parser.get_status_code()
        try:
            content = decoded(content, headers.get("content-encoding", ""))
        except AttemptError as error:
            if status < 300:
                self._answered.set_exception(error)
                return
            content = b""  # what the status says counts, whatever the words beside it
        self._answered.set_result(Answer(status, headers, content))

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
