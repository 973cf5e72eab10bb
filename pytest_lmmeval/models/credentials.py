"""API keys: where they come from, and how they are kept out of every message."""

from __future__ import annotations

import netrc
import os
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_lmmeval.warnings import LmmWarning

HIDDEN = "***"
_SHORTEST = 4  # a shorter "key" is a placeholder, and hiding it would garble every message
_KEY_LIKE = re.compile(
    r"""\bsk-[\w*.-]{6,}|\b(?:hf|gsk|nvapi|xai)[-_][A-Za-z0-9]{20,}"""
    r"""|(?<=//)[^/@\s]+(?=@)"""
    r"""|(?P<lead>\bBearer\s+|--?[\w-]*(?:api-key|token|secret|password)[ =]+)[^\s"',]+""",
    re.IGNORECASE,
)
_SHORTEST_OF_ENVIRONMENT = 8  # a variable named so may well hold "false"
_SECRET_VARIABLE = re.compile(r"key|token(?!iz)|secret|passw|credential", re.IGNORECASE)


class Scrubber:
    """Hides known credentials, and what looks like one, in texts from outside.

    Args:
        secrets: The credentials in use; empty ones and placeholders are left alone.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= _SHORTEST}
        self._secrets = sorted(known, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return ``text`` without credentials."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return _KEY_LIKE.sub(lambda match: f"{match['lead'] or ''}{HIDDEN}", text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self._secrets)} secrets)"


class Secret:
    """A credential that no ``repr`` shows."""

    def __init__(self, value: str) -> None:
        self.value = value

    def __bool__(self) -> bool:
        return bool(self.value)

    def __repr__(self) -> str:
        return f"Secret({HIDDEN!r})"


class SecretHeaders(dict[str, Any]):
    """Headers, whose values no ``repr`` shows."""

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: {HIDDEN}' for name in self)}}}"


def find_key(*given: str | None, variable: str = "OPENAI_API_KEY", host: str = "") -> Secret:
    """Return the first key that is given, else the environment's, else netrc's, else an empty one.

    Args:
        given: Keys of arguments.
        variable: The environment variable that may hold one.
        host: Whose entry of the netrc file counts; its default entry does not, for that would send
            a password to any server.
    """
    named = next((key for key in given if key), None) or os.environ.get(variable)
    return Secret(named or _key_of_netrc(host))


def _key_of_netrc(host: str) -> str:
    """Return the password of ``host`` in the file that NETRC names, by default ``~/.netrc``."""
    path = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
    try:
        entry = netrc.netrc(path).hosts.get(host)
    except FileNotFoundError:
        return ""
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError) as error:
        # Its own message may quote a token of the file.
        line = f":{error.lineno}" if isinstance(error, netrc.NetrcParseError) else ""
        warnings.warn(
            LmmWarning(f"{path}{line} cannot be read as a netrc file, no key is taken from it"),
            stacklevel=2,
        )
        return ""
    return (entry[2] or "") if entry is not None else ""


def secrets_of(environment: Iterable[tuple[str, str]]) -> list[str]:
    """Return the values of those environment variables whose names say that they are secret."""
    return [
        value
        for name, value in environment
        if len(value) >= _SHORTEST_OF_ENVIRONMENT and _SECRET_VARIABLE.search(name)
    ]
