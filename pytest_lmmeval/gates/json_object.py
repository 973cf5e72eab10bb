"""Typed access to one object of a JSON file: errors name file, key, value and what was expected."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NoReturn, TypeVar

from pytest_lmmeval.errors import BaselineError, nearest
from pytest_lmmeval.records import JSON

_Text = TypeVar("_Text", bound=str)


class JsonObject:
    """One object of a baseline file.

    Args:
        path: The file, for messages.
        where: The object's place in it, such as ``"docs"``; empty for the whole file.
        value: What was found there.
        known: The keys that may be there.

    Raises:
        BaselineError: The value is no object, or has an unknown key.
    """

    def __init__(self, path: Path, where: str, value: JSON, known: Collection[str]) -> None:
        self._path = path
        self._where = where
        if not isinstance(value, dict):
            raise BaselineError(f"{path}: {where or 'the file'} is not a JSON object")
        for key in value:
            if key not in known:
                hint = nearest(key, known)
                expected = ", ".join(known)
                raise BaselineError(
                    f"{path}: unknown key {self._name(key)!r}; expected one of {expected}.{hint}"
                )
        self._values: Mapping[str, JSON] = value

    def raw(self, key: str) -> JSON:
        """Return the value, None if the key is not there."""
        return self._values.get(key)

    def text(self, key: str) -> str:
        """Return a text that must be there."""
        value = self.optional_text(key)
        return self.fail(key, "a text") if value is None else value

    def optional_text(self, key: str) -> str | None:
        """Return a text that may be missing."""
        value = self.raw(key)
        return value if value is None or isinstance(value, str) else self.fail(key, "a text")

    def integer(self, key: str, *, least: int, most: int = 10_000_000) -> int:
        """Return a whole number within bounds that must be there."""
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            return self.fail(key, f"a whole number from {least} to {most}")
        return value

    def optional_integer(self, key: str, *, least: int) -> int | None:
        """Return a whole number that may be missing."""
        return None if self.raw(key) is None else self.integer(key, least=least)

    def number(self, key: str) -> float:
        """Return a finite number that must be there."""
        value = self.raw(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self.fail(key, "a number")
        return value if math.isfinite(value) else self.fail(key, "a finite number")

    def optional_number(self, key: str) -> float | None:
        """Return a finite number that may be missing."""
        return None if self.raw(key) is None else self.number(key)

    def flag(self, key: str) -> bool:
        """Return a true or false that must be there."""
        value = self.raw(key)
        return value if isinstance(value, bool) else self.fail(key, "true or false")

    def choice(self, key: str, choices: tuple[_Text, ...]) -> _Text:
        """Return a text that must be one of ``choices``."""
        value = self.raw(key)
        for choice in choices:
            if value == choice:
                return choice
        hint = nearest(str(value), choices)
        return self.fail(key, f"one of {', '.join(choices)}.{hint}")

    def mapping(self, key: str) -> dict[str, JSON]:
        """Return an object with any keys; empty if it is missing."""
        value = self.raw(key)
        if value is None:
            return {}
        return value if isinstance(value, dict) else self.fail(key, "an object")

    def fail(self, key: str, expected: str) -> NoReturn:
        """Raise the error for a key whose value is missing or cannot be used."""
        if key not in self._values:
            raise BaselineError(f"{self._path}: {self._name(key)} is missing; expected {expected}")
        shown = repr(self._values[key])
        shown = shown if len(shown) <= 60 else f"{shown[:57]}…"
        raise BaselineError(f"{self._path}: {self._name(key)} is {shown}; expected {expected}")

    def _name(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key
