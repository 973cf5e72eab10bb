"""Where a server is: base URLs as users write them, and what must not be shown of them."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from pytest_lmmeval.errors import UsageError


@dataclass(frozen=True)
class Address:
    """The base URL of an API, without credentials.

    Attributes:
        base: For example ``http://127.0.0.1:8000/v1``; safe to show.
        models_url: Where the server lists its models.
        query: What every request appends, such as ``api-version=2024-10-21``.
        user: User name and password of the URL, if it holds any.
    """

    base: str
    models_url: str = field(default="", repr=False)
    query: str = field(default="", repr=False)
    user: tuple[str, str] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, endpoint: str, root: str = "/v1") -> Address:
        """Read a host's root, its ``/v1``, any other base, or the full URL of ``endpoint``.

        Args:
            url: What the user gave.
            endpoint: The path below the base that this API uses, such as ``/chat/completions``.
                Without one ``url`` is that of the endpoint itself.
            root: The base's path on a host that is given without one; an API at the host's root
                has none, and a ``/v1`` is then left out.

        Raises:
            UsageError: The URL has no ``http://`` or ``https://``, no host or a malformed port.
        """
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https"):
            raise UsageError(f"base_url must begin with http:// or https://: {_shown(parts, url)}")
        try:
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
            netloc = f"{host}:{parts.port}" if parts.port else host
        except ValueError:
            raise UsageError(f"base_url has no valid port: {_shown(parts, url)}") from None
        if not netloc or not parts.hostname:
            raise UsageError(f"base_url has no host: {_shown(parts, url)}")
        path = parts.path.rstrip("/").removesuffix(endpoint).rstrip("/")
        path = path.removesuffix("/v1") if not root else path or root
        user = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        base = urlunsplit((parts.scheme, netloc, path, "", ""))
        query = f"?{parts.query}" if parts.query else ""
        models = f"{base}{'' if root else '/v1'}/models{query}"
        return cls(base, models, parts.query, user)

    @property
    def host(self) -> str:
        """The host's name or number."""
        return urlsplit(self.base).hostname or ""

    def url(self, path: str) -> str:
        """Return the URL of ``path`` below the base."""
        return f"{self.base}{path}{'?' if self.query else ''}{self.query}"


def find_url(given: str | None, variables: Iterable[str]) -> str:
    """Return the base URL that is given, else the environment's.

    Args:
        given: That of an argument.
        variables: The environment variables that may hold one, the first that does counts.

    Raises:
        UsageError: There is none.
    """
    named = (os.getenv(variable) for variable in variables)
    url = given or next((value for value in named if value), None)
    if not url:
        raise UsageError(
            "the argument 'base_url' is missing, for example http://127.0.0.1:8000/v1 (OpenAI's"
            " own is https://api.openai.com/v1)"
        )
    return url


def is_this_machine(host: str) -> bool:
    """Whether ``host`` is a loopback address, or stands for all addresses of this machine."""
    return _is_loopback(host) or host in ("0.0.0.0", "::")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.removesuffix(".") == "localhost"


def _shown(parts: SplitResult, url: str) -> str:
    """Return ``url`` for a message, without what may be credentials in it."""
    return repr(url.partition("?")[0].rpartition("@")[2] if "@" in parts.netloc else url)
