r"""Texts that hold half a character.

JSON escapes can spell a lone surrogate, such as ``"\ud83d"``, and data sets and models' answers
have some. Python's ``str`` takes them; UTF-8, and with it most JSON writers and execnet, does not.
"""

from __future__ import annotations

from typing import Any


def printable(text: str) -> str:
    r"""Return a text that UTF-8 can hold, with lone surrogates spelled out as ``\ud83d``."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def without_surrogates(value: Any) -> Any:
    """Return a value of builtin types, with all its texts as UTF-8 can hold them."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {without_surrogates(name): without_surrogates(v) for name, v in value.items()}
    if isinstance(value, list):
        return [without_surrogates(inner) for inner in value]
    if type(value) is tuple:
        return tuple(without_surrogates(inner) for inner in value)
    return value
