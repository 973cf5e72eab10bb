"""JSON to and from a model server; every way in which an attempt can fail has its kind."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from pytest_lmmeval.errors import ModelUnavailable
from pytest_lmmeval.models.credentials import Scrubber
from pytest_lmmeval.models.endpoints.failures import AttemptError, failure_of, shortened
from pytest_lmmeval.models.endpoints.http.direct import DirectClient
from pytest_lmmeval.models.endpoints.http.exchange import ACCEPTED_ENCODINGS, Client
from pytest_lmmeval.models.endpoints.http.proxies import proxy_for

_COMMON = {
    "Accept": "*/*",
    "Accept-Encoding": ACCEPTED_ENCODINGS,
    "Content-Type": "application/json",
    "User-Agent": "pytest-lmmeval",
}
_LINE_ENDS = frozenset("\r\n\0")


@dataclass(frozen=True, slots=True)
class Limits:
    """For how long an attempt waits.

    Attributes:
        connect: Seconds for establishing a connection.
        total: Seconds from sending a request to the end of its answer.
    """

    connect: float
    total: float


class Transport:
    """Sends JSON over connections that are kept. Belongs to the event loop that ``open`` ran on.

    Args:
        headers: Sent with every request, credentials included.
        limits: Timeouts.
        scrub: Hides credentials in what comes back.
        verify: Whether certificates are checked, or the path of a bundle to check them against.
    """

    def __init__(
        self,
        headers: Mapping[str, str],
        limits: Limits,
        scrub: Scrubber,
        *,
        verify: bool | str = True,
    ) -> None:
        given = {name.lower() for name in headers}
        common = {name: value for name, value in _COMMON.items() if name.lower() not in given}
        self._headers = common | dict(headers)
        self._limits = limits
        self._scrub = scrub
        self._verify = verify
        # Made once, and only if a server speaks TLS: it reads all certificates of the system.
        self._context = cache(self._make_context)
        self._direct: DirectClient | None = None
        self._by_proxy: dict[str, Client] = {}
        self._by_url: dict[str, Client] = {}

    async def open(self) -> None:
        """Get ready.

        Raises:
            ModelUnavailable: The certificate bundle cannot be read, or a header would break the
                requests apart.
        """
        for name, value in self._headers.items():
            if _LINE_ENDS & {*name, *value}:
                raise ModelUnavailable(f"the header {name!r} holds the end of a line")
        if isinstance(self._verify, str):
            self._context()
        self._direct = DirectClient(self._headers, self._limits.connect, self._context)

    async def close(self) -> None:
        """Close all connections."""
        clients = [*self._by_proxy.values(), *([self._direct] if self._direct else [])]
        self._direct = None
        self._by_proxy.clear()
        self._by_url.clear()
        for client in clients:
            await client.close()

    async def request(
        self, method: str, url: str, body: bytes | None = None, *, within: float | None = None
    ) -> Any:
        """Send a request with a JSON body and return the JSON of the answer.

        Args:
            method: ``GET`` or ``POST``.
            url: Where to.
            body: The JSON, if any.
            within: Seconds for all of it, instead of the transport's limits.

        Raises:
            AttemptError: No answer, no success, or no JSON.
        """
        client = self._by_url.get(url)
        if client is None:
            client = self._by_url[url] = self._client(url)
        try:
            answer = await client.ask(method, url, body, within or self._limits.total)
        except AttemptError as error:
            raise self._cleaned(error) from None
        if not 200 <= answer.status < 300:
            raise self._cleaned(failure_of(answer.status, answer.headers, answer.content))
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(answer.content)
        # Servers written in Python send what its own reader takes: NaN, -Infinity, half characters.
        with suppress(ValueError, RecursionError):
            return json.loads(answer.content)
        said = answer.content[:80].decode(errors="replace")
        raise self._cleaned(
            AttemptError("invalid_response", f"the answer is no JSON: {said!r}", retry=True)
        )

    def _client(self, url: str) -> Client:
        assert self._direct is not None, "the transport was not opened"
        proxy = proxy_for(url)
        if proxy is None:
            return self._direct
        if proxy not in self._by_proxy:
            # Deferred: aiohttp takes longer to import than a short run takes.
            from pytest_lmmeval.models.endpoints.http.proxied import ProxiedClient

            self._by_proxy[proxy] = ProxiedClient(
                proxy, self._headers, self._limits.connect, self._context()
            )
        return self._by_proxy[proxy]

    def _make_context(self) -> ssl.SSLContext:
        bundle = self._verify if isinstance(self._verify, str) else None
        try:
            context = ssl.create_default_context(cafile=bundle)
        except OSError as error:
            raise ModelUnavailable(f"ca_cert_path {bundle!r}: {error}") from None
        if self._verify is False:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _cleaned(self, error: AttemptError) -> AttemptError:
        """Hide credentials first, for cutting could leave half of one."""
        error.message = shortened(self._scrub(error.message))
        return error
