"""A server that answers with bytes as they are given, for what a framework would not send."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass
class RawServer:
    """A server on loopback.

    Attributes:
        answer: Called with the number of a request, from 0, and with where its answer goes. A
            connection that it closes is at its end; others go on.
        heads: The requests' heads.
        bodies: Their bodies.
        connections: How many were made.
        port: Its port.
    """

    answer: Callable[[int, asyncio.StreamWriter], Awaitable[None]]
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    open: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = field(default_factory=dict)

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open[asyncio.current_task()] = writer
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                self.bodies.append(await reader.readexactly(int(length[1]) if length else 0))
                self.heads.append(head)
                await self.answer(len(self.heads) - 1, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            del self.open[asyncio.current_task()]
            writer.close()

    async def stop(self) -> None:
        for writer in self.open.values():
            writer.transport.abort()
        await asyncio.gather(*(task for task in self.open if task), return_exceptions=True)


@asynccontextmanager
async def raw_server(
    answer: Callable[[int, asyncio.StreamWriter], Awaitable[None]],
    host: str = "127.0.0.1",
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[RawServer]:
    """Serve for the time of the block."""
    own = RawServer(answer)
    server = await asyncio.start_server(own.serve, host, 0, ssl=context, limit=1 << 24)
    own.port = server.sockets[0].getsockname()[1]
    try:
        yield own
    finally:
        server.close()
        await own.stop()


def answering(
    *pieces: bytes, pause: float = 0.0, close: bool = False
) -> Callable[[int, asyncio.StreamWriter], Awaitable[None]]:
    """Return what sends these pieces to every request, with a pause before each but the first."""

    async def answer(_: int, writer: asyncio.StreamWriter) -> None:
        for number, piece in enumerate(pieces):
            if number:
                await asyncio.sleep(pause)
            writer.write(piece)
            await writer.drain()
        if close:
            writer.close()

    return answer
