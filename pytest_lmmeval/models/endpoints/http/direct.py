"""Requests straight to their servers, over connections that are kept for the next ones.

Written for one purpose, many small JSON requests to few servers: a request costs about a quarter of
what it costs with a general client. What a proxy needs is left to one (``proxied``).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import aiohappyeyeballs

from pytest_lmmeval.models.endpoints.failures import AttemptError
from pytest_lmmeval.models.endpoints.http.connection import Connection
from pytest_lmmeval.models.endpoints.http.exchange import (
    Answer,
    no_connection,
    no_connection_within,
)

_PORTS = {"http": 80, "https": 443}
_UNQUOTED = "/%:@!$&'()*+,;=~?"
# As long as aiohttp keeps an idle connection, and a name's addresses.
_IDLE_FOR = 15.0
_ADDRESSES_FOR = 10.0
_SECONDS_APART = 0.001
_NEXT_ADDRESS_AFTER = 0.25  # RFC 8305, section 8
_CLOSED_WITHIN = 1.0
_CLOSED_AS_WE_SENT = 1.0


@dataclass(frozen=True, slots=True)
class Origin:
    """Where connections lead.

    Attributes:
        host: A name or number, as DNS and certificates have it.
        port: The port.
        is_tls: Whether it is spoken to over TLS.
    """

    host: str
    port: int
    is_tls: bool


class DirectClient:
    """Keeps connections to the servers that it is asked to reach; see ``exchange.Client``.

    Args:
        headers: Sent with every request.
        connect: Seconds for establishing a connection.
        context: Returns what checks certificates; called once, if a server speaks TLS.
    """

    def __init__(
        self, headers: Mapping[str, str], connect: float, context: Callable[[], ssl.SSLContext]
    ) -> None:
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._connect = connect
        self._context = context
        self._servers: dict[Origin, Server] = {}
        self._places: dict[tuple[str, str], tuple[Server, bytes]] = {}

    async def ask(self, method: str, url: str, body: bytes | None, limit: float) -> Answer:
        """Send a request and return the answer; see ``exchange.Client``."""
        place = self._places.get((method, url))
        if place is None:
            place = self._places[method, url] = self._place(method, url)
        server, begin = place
        if body is None:
            return await server.ask(begin + b"\r\n", b"", limit)
        return await server.ask(b"%sContent-Length: %d\r\n\r\n" % (begin, len(body)), body, limit)

    async def close(self) -> None:
        """Close all connections."""
        for server in self._servers.values():
            await server.close()
        self._servers.clear()
        self._places.clear()

    def _place(self, method: str, url: str) -> tuple[Server, bytes]:
        """Return the server of a URL, and the head of a request for it up to its length."""
        parts = urlsplit(url)
        try:
            host = (parts.hostname or "").encode("idna").decode("ascii")
        except UnicodeError as error:
            words = f"{parts.hostname!r} is no host name: {error}"
            raise AttemptError("connection", words, retry=False) from None
        origin = Origin(host, parts.port or _PORTS[parts.scheme], parts.scheme == "https")
        if origin not in self._servers:
            context = self._context() if origin.is_tls else None
            self._servers[origin] = Server(origin, self._connect, context)
        path = quote(f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}", _UNQUOTED)
        shown = f"[{host}]" if ":" in host else host
        shown += f":{parts.port}" if parts.port else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: {shown}\r\n{self._headers}"
        return self._servers[origin], head.encode()


class Server:
    """The connections to one origin.

    Args:
        origin: Where it is.
        connect: Seconds for establishing a connection.
        context: Checks its certificate; None where there is none.
    """

    def __init__(self, origin: Origin, connect: float, context: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._connect = connect
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._open: dict[Connection, asyncio.Future[None]] = {}
        self._idle: list[tuple[float, Connection]] = []
        self._addresses: asyncio.Future[deque[Any]] | None = None
        self._stale_at = 0.0
        self._next_at = 0.0
        self._most_open = 0

    async def ask(self, head: bytes, body: bytes, limit: float) -> Answer:
        """Send a request on an idle connection, or on a new one.

        A server may close an idle connection just as a request is on its way, which it then never
        sees (RFC 9112, section 9.3.1). That is no failure: the request goes out anew.
        """
        connection = self._idle_one() or await self._turn()
        if connection is not None:
            try:
                answer = await connection.ask(head, body, limit)
            except AttemptError as error:
                # What takes longer is a server that had the request, and broke down over it.
                if not error.away or connection.waited > _CLOSED_AS_WE_SENT:
                    raise
                connection = None
        if connection is None:
            connection = await self._connected(min(self._connect, limit))
            answer = await connection.ask(head, body, limit)
        if connection.is_open:
            self._idle.append((self._loop.time(), connection))
        return answer

    async def close(self) -> None:
        """Close all connections."""
        if self._addresses is not None:
            self._addresses.cancel()
        for connection in list(self._open):
            connection.abort()
        if self._open:
            await asyncio.wait(self._open.values(), timeout=_CLOSED_WITHIN)

    async def _turn(self) -> Connection | None:
        """Wait until another connection may be made; return one that is idle by then, if any.

        A server that is slow to accept, as those of a few threads are, loses what exceeds its
        backlog, which may be 5, and the network then tries again in seconds. Another one in the
        place of one that was closed needs no waiting.
        """
        if len(self._open) < self._most_open:
            return None
        now = self._loop.time()
        begins = max(now, self._next_at)
        self._next_at = begins + _SECONDS_APART
        if begins == now:
            return None
        await asyncio.sleep(begins - now)
        return self._idle_one()

    def _idle_one(self) -> Connection | None:
        """Return the connection that was used last; close it if that is long ago."""
        while self._idle:
            since, connection = self._idle.pop()
            if connection.is_open and self._loop.time() - since < _IDLE_FOR:
                return connection
            connection.abort()
        return None

    async def _connected(self, limit: float) -> Connection:
        try:
            async with asyncio.timeout(limit):
                return await self._connection()
        except TimeoutError:
            raise no_connection_within(limit) from None
        except OSError as error:
            raise no_connection(error) from None

    async def _connection(self) -> Connection:
        addresses = await self._resolved()
        # A name with several addresses is several servers; each gets its share.
        addresses.rotate(-1)
        found = await aiohappyeyeballs.start_connection(
            list(addresses), happy_eyeballs_delay=_NEXT_ADDRESS_AFTER
        )
        # An answer may take minutes, in which a router forgets a silent connection.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        name = self._origin.host if self._context is not None else None
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._forget), sock=found, ssl=self._context, server_hostname=name
        )
        self._open[connection] = self._loop.create_future()
        self._most_open = max(self._most_open, len(self._open))
        return connection

    async def _resolved(self) -> deque[Any]:
        """Look the host up, once for all connections that are made at a time."""
        if self._addresses is None or self._loop.time() >= self._stale_at:
            self._stale_at = self._loop.time() + _ADDRESSES_FOR
            self._addresses = asyncio.ensure_future(self._look_up())
        try:
            return await asyncio.shield(self._addresses)
        except OSError:
            self._addresses = None
            raise

    async def _look_up(self) -> deque[Any]:
        host, port = self._origin.host, self._origin.port
        found = await self._loop.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
        return deque(found)

    def _forget(self, connection: Connection) -> None:
        closed = self._open.pop(connection, None)
        if not self._open:  # it may have been started anew
            self._most_open = 0
        if closed is not None and not closed.done():
            closed.set_result(None)
