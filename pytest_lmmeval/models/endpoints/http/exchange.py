"""What goes out and comes back on a connection, and the ways in which nothing comes back."""

from __future__ import annotations

import gzip
import os
import socket
import ssl
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from pytest_lmmeval.models.endpoints.failures import AttemptError

ACCEPTED_ENCODINGS = "gzip, deflate"
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer of a server.

    Attributes:
        status: The HTTP status.
        headers: Its headers, names in lower case.
        content: Its body, decoded.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes


class Client(Protocol):
    """Sends requests. Belongs to one event loop."""

    async def ask(self, method: str, url: str, body: bytes | None, limit: float) -> Answer:
        """Send a request and return the answer, whatever its status.

        Args:
            method: ``GET`` or ``POST``.
            url: Where to.
            body: The JSON, if any.
            limit: Seconds until the answer has to be complete.

        Raises:
            AttemptError: There is no complete answer.
        """

    async def close(self) -> None:
        """Close all connections."""


def decoded(content: bytes, encoding: str) -> bytes:
    """Undo a content coding (RFC 9110, section 8.4.1).

    Args:
        content: The body as it came.
        encoding: The header's value; "" or ``identity`` for none.

    Raises:
        AttemptError: The coding is unknown or broken.
    """
    coding = encoding.strip().lower()
    if coding in ("", "identity") or not content:
        return content
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise unreadable(f"the answer's content coding {coding!r} was not asked for")
    try:
        if content.startswith(_GZIP):
            return gzip.decompress(content)
        with suppress(zlib.error):
            return zlib.decompress(content)
        return zlib.decompress(content, -zlib.MAX_WBITS)  # what some servers call "deflate"
    except (zlib.error, OSError, EOFError):
        raise unreadable(f"the answer cannot be decompressed ({coding})") from None


def unreadable(words: str) -> AttemptError:
    """Return the error of an answer that came, and is none."""
    return AttemptError("invalid_response", words, retry=True)


def broken_off() -> AttemptError:
    """Return the error of a connection that ended within an answer."""
    return unreadable("the answer breaks off")


def too_slow(limit: float) -> AttemptError:
    """Return the error of an answer that was not complete in time."""
    return AttemptError("timeout", f"no answer within {limit:g} s", retry=True)


def no_connection_within(limit: float) -> AttemptError:
    """Return the error of a connection that was not there in time."""
    return AttemptError("connection", f"no connection within {limit:g} s", retry=True, away=True)


def no_connection(error: Exception | None) -> AttemptError:
    """Return the error of a connection that cannot be made, or was lost before an answer began.

    Args:
        error: What the system said; None where the server closed it.
    """
    if error is None:
        closed = "the server closed the connection"
        return AttemptError("connection", closed, retry=True, away=True)
    if isinstance(error, ssl.SSLError):
        return AttemptError("connection", _words(error), retry=False)
    return AttemptError("connection", _words(error), retry=True, away=True)


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its TLS certificate is not trusted ({error.verify_message}); ca_cert_path=… helps"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails with {error.reason}; is it an http:// address?"
    if isinstance(error, socket.gaierror):
        return error.strerror or "the host name is unknown"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return f"{type(error).__name__}: {error}"
