"""Rows of JSON lines of which it is plain what Arrow would make of them, without Arrow.

Importing Arrow takes 0.1 s and 40 MB, NumPy with it. What it does beyond reading is to find a type
for each column, so rows are read here where no choice is left: every row has the same columns, and
every value of a column the same type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import orjson

_SCALARS = frozenset({str, int, float, bool})
_INT64 = range(-(2**63), 2**63)
# Texts that may be dates; where all of a column are, Arrow makes dates of them.
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
# Whatever may be a key, and what only looks like one within a text.
_KEY = re.compile(rb'"[ \t\r]*:')


@dataclass(frozen=True)
class PlainRows:
    """Rows whose types are plain.

    Attributes:
        rows: The rows.
        kinds: By column, its type: a scalar's, or ``list`` and that of its items.
    """

    rows: list[dict[str, Any]]
    kinds: dict[str, tuple[type, ...]]


def plain_rows(content: bytes) -> PlainRows | None:
    """Read a file of JSON lines; None if it is not plain what its rows are to be.

    Args:
        content: What the file holds.
    """
    try:
        rows = [orjson.loads(line) for line in content.removesuffix(b"\n").split(b"\n")]
    except orjson.JSONDecodeError:
        return None
    if not all(type(row) is dict for row in rows):
        return None
    names = tuple(rows[0])
    # Of a key that stands twice in a row only one would be left.
    keys = sum(1 for _ in _KEY.finditer(content))
    if keys != len(names) * len(rows) or any(tuple(row) != names for row in rows):
        return None
    kinds = {}
    for name in names:
        kind = _kind([row[name] for row in rows])
        if kind is None:
            return None
        kinds[name] = kind
    return PlainRows(rows, kinds)


def _kind(values: list[Any]) -> tuple[type, ...] | None:
    """Return the type of a column; None if it is not plain."""
    if _types(values) != {list}:
        return _scalar(values)
    items = list(chain.from_iterable(value for value in values if value is not None))
    # Arrow refuses some lists in which something is missing.
    kind = _scalar(items) if None not in items else None
    return (list, *kind) if kind is not None else None


def _scalar(values: list[Any]) -> tuple[type] | None:
    types = _types(values)
    if len(types) != 1 or not types <= _SCALARS:
        return None
    (kind,) = types
    known = [value for value in values if value is not None]
    if kind is int and not (min(known) in _INT64 and max(known) in _INT64):
        return None
    if kind is str and all(map(_DATE.match, known)):
        return None
    return (kind,)


def _types(values: Iterable[Any]) -> set[type]:
    return {*map(type, values)} - {type(None)}
