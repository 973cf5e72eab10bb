"""Requests through a proxy, which aiohttp knows how to speak to."""

from __future__ import annotations

import io
import ssl
from collections.abc import Mapping

import aiohttp

from pytest_lmmeval.models.endpoints.failures import AttemptError, failure_of
from pytest_lmmeval.models.endpoints.http.exchange import (
    Answer,
    broken_off,
    no_connection,
    no_connection_within,
    too_slow,
    unreadable,
)

_STREAMED_ABOVE = 1 << 20  # aiohttp sends a larger body in one piece only with a warning


class ProxiedClient:
    """Sends requests through one proxy; see ``exchange.Client``.

    Args:
        proxy: The proxy's URL.
        headers: Sent with every request.
        connect: Seconds for establishing a connection.
        context: Checks certificates.
    """

    def __init__(
        self, proxy: str, headers: Mapping[str, str], connect: float, context: ssl.SSLContext
    ) -> None:
        self._proxy = proxy
        self._connect = connect
        # Not the session's own: those aiohttp sends to the proxy as well, the key among them, and
        # before there is any TLS.
        self._headers = headers
        self._session = aiohttp.ClientSession(
            # How many requests are sent at once is not decided here.
            connector=aiohttp.TCPConnector(limit=0, ssl=context),
            # A cookie that one answer sets must not reach the next request.
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def ask(self, method: str, url: str, body: bytes | None, limit: float) -> Answer:
        """Send a request and return the answer; see ``exchange.Client``."""
        connect = min(self._connect, limit)
        try:
            async with self._session.request(
                method,
                url,
                data=_streamed(body),
                headers=self._headers,
                allow_redirects=False,
                proxy=self._proxy,
                timeout=aiohttp.ClientTimeout(total=limit, sock_connect=connect),
            ) as answer:
                content = await answer.read()
        except aiohttp.ConnectionTimeoutError:
            raise no_connection_within(connect) from None
        except TimeoutError:
            raise too_slow(limit) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _broken(error) from None
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status, headers, content)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


def _broken(error: Exception) -> AttemptError:
    """Classify an attempt that brought no complete answer."""
    if isinstance(error, aiohttp.InvalidURL):
        return AttemptError("connection", f"InvalidURL: {error}", retry=False)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refused(error)
    # The server's name is looked up by the proxy.
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientConnectorDNSError):
        met = no_connection(error.os_error)
        met.message = f"the proxy {error.host}:{error.port}: {met.message}"
        return met
    if isinstance(error, aiohttp.ClientPayloadError):
        return broken_off()
    if isinstance(error, aiohttp.ClientResponseError):
        return unreadable(f"no HTTP: {type(error).__name__}: {error}")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return no_connection(None)
    return no_connection(
        error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    )


def _refused(error: aiohttp.ClientHttpProxyError) -> AttemptError:
    """Classify what a proxy says that opens no way to the server."""
    met = failure_of(error.status, error.headers or {}, b"")
    met.kind = "connection"  # it is not the server that speaks: 403 does not mean the key
    met.message = f"the proxy answers HTTP {error.status} {error.message}".rstrip()
    return met


def _streamed(body: bytes | None) -> bytes | io.BytesIO | None:
    return io.BytesIO(body) if body is not None and len(body) > _STREAMED_ABOVE else body
