"""What an answer other than success means: its kind, the server's words, whether to try again."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any

import orjson

from pytest_lmmeval.records import FailureKind

_LONGEST_MESSAGE = 300
_TRY_AGAIN = frozenset({408, 409, 425, 429})
_SERVER_IS_AWAY = frozenset({502, 503, 504})
_KINDS: Mapping[int, FailureKind] = {
    401: "auth",
    403: "auth",
    408: "timeout",
    409: "server",
    425: "server",
    429: "rate_limit",
}
_UNSUPPORTED = re.compile(r"not supported|unsupported|(?:does|do) not support", re.IGNORECASE)
_EXHAUSTED = re.compile(r"insufficient_quota|billing", re.IGNORECASE)
_TAGS = re.compile(r"<[^>]*>")


class AttemptError(Exception):
    """One attempt at a request failed.

    Args:
        kind: The kind of failure.
        message: What happened, without credentials.
        retry: Whether another attempt can succeed.
        away: Whether the server as a whole seems out of reach, not this request at fault.
        status: The HTTP status, 0 if there was no answer.
        retry_after: Seconds after which the server asks to be tried again.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        retry: bool,
        away: bool = False,
        status: int = 0,
        retry_after: float | None = None,
    ) -> None:
        self.kind = kind
        self.message = message
        self.retry = retry
        self.away = away
        self.status = status
        self.retry_after = retry_after
        super().__init__(f"{kind}: {message}")


def failure_of(status: int, headers: Mapping[str, str], body: bytes) -> AttemptError:
    """Classify an answer whose status is not success; the message may still hold credentials."""
    said = server_message(body)
    message = f"HTTP {status}: {said}" if said else f"HTTP {status}"
    if 300 <= status < 400:
        location = headers.get("location", "another address")
        redirects = f"HTTP {status}: redirects to {location}"
        return AttemptError("client", redirects, retry=False, status=status)
    kind = _KINDS.get(status, "server" if status >= 500 else "client")
    retry = status >= 500 or status in _TRY_AGAIN
    if status == 500 and _UNSUPPORTED.search(said):
        kind, retry = "client", False  # llama.cpp's answer to an image that its model cannot read
    if status == 429 and _EXHAUSTED.search(body.decode(errors="replace")):
        retry = False
    return AttemptError(
        kind,
        message,
        retry=retry,
        away=status in _SERVER_IS_AWAY,
        status=status,
        retry_after=_seconds_to_wait(headers.get("retry-after")),
    )


def server_message(body: bytes) -> str:
    """Return the server's own words in an error body, on one line; "" if there are none."""
    try:
        found: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = _TAGS.sub(" ", body.decode(errors="replace"))
    for name in ("error", "detail", "message", "msg"):
        if isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict) and name in found:
            found = found[name]
    if not isinstance(found, str):
        found = "" if not found else orjson.dumps(found, default=str).decode()
    return " ".join(found.split())


def shortened(text: str) -> str:
    """Cut ``text`` to what fits a report."""
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[: _LONGEST_MESSAGE - 1]}…"


def _seconds_to_wait(value: str | None) -> float | None:
    """Read a Retry-After header: seconds, or an HTTP date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass  # not seconds, so a date
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
