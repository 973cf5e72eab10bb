"""Requests of a transport to a server that answers with bytes as they are given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from raw_server import RawServer, raw_server

from pytest_lmmeval.models.credentials import Scrubber
from pytest_lmmeval.models.endpoints.failures import AttemptError
from pytest_lmmeval.models.endpoints.transport import Limits, Transport

SAID = {"said": "ja, 是 🙂", "n": list(range(50))}
BODY = json.dumps(SAID).encode()
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
Work = Callable[[Transport], Awaitable[Any]]


async def using(
    work: Work, *, headers: dict[str, str] | None = None, verify: bool | str = True
) -> Any:
    transport = Transport(headers or {}, Limits(5, 10), Scrubber(["s3cret"]), verify=verify)
    await transport.open()
    try:
        return await work(transport)
    finally:
        await transport.close()


def asked(answer: Any, work: Callable[[Transport, str], Awaitable[Any]]) -> tuple[Any, RawServer]:
    """Return what came of a server's answers, and the server."""

    async def run() -> tuple[Any, RawServer]:
        async with raw_server(answer) as server:
            return await using(lambda transport: work(transport, server.url())), server

    return asyncio.run(run())


async def twice(transport: Transport, url: str) -> list[Any]:
    return [await transport.request("POST", url, b"{}") for _ in range(2)]


def failure(answer: Any, **arguments: Any) -> AttemptError:
    async def once(transport: Transport, url: str) -> Any:
        with pytest.raises(AttemptError) as caught:
            await transport.request("POST", url, b"{}", **arguments)
        return caught.value

    found, _ = asked(answer, once)
    assert isinstance(found, AttemptError)
    return found
