"""Columns of values of many docs, in as little memory as their kind takes.

A column of numbers or texts is one or two objects, however many docs there are: they cost no more
than their bytes, and Python's garbage collector has nothing to walk.
"""

from __future__ import annotations

from abc import abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, Protocol, TypeVar

T_co = TypeVar("T_co", covariant=True)

_DIGEST = 32


class Column(Protocol[T_co]):
    """Values that were put in once, and are read by their place."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> T_co: ...

    def __iter__(self) -> Iterator[T_co]:
        return map(self.__getitem__, range(len(self)))


class _Spans(Column[T_co]):
    """Values of different lengths, one behind the other.

    Args:
        whole: All of them.
        lengths: How long each is.
    """

    def __init__(self, whole: Sequence[Any], lengths: Iterable[int]) -> None:
        self._whole = whole
        self._ends = array("Q", accumulate(lengths))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, place: int) -> T_co:
        return self._restored(
            self._whole[self._ends[place - 1] if place else 0 : self._ends[place]]
        )

    @abstractmethod
    def _restored(self, piece: Any) -> T_co:
        """Return the value that a piece was."""


class Texts(_Spans[str]):
    """Texts as one piece of UTF-8."""

    def _restored(self, piece: bytes) -> str:
        return piece.decode("utf-8", "surrogatepass")


class FloatLists(_Spans[tuple[float, ...]]):
    """Lists of floats as one."""

    def _restored(self, piece: array[float]) -> tuple[float, ...]:
        return tuple(piece)


class Digests(Column[str]):
    """SHA-256 digests, given and returned as hexadecimal text."""

    def __init__(self, whole: bytes) -> None:
        self._whole = whole

    def __len__(self) -> int:
        return len(self._whole) // _DIGEST

    def __getitem__(self, place: int) -> str:
        return self._whole[place * _DIGEST : (place + 1) * _DIGEST].hex()


@dataclass(frozen=True, slots=True)
class Table:
    """Mappings that have the same keys, in the same order.

    Attributes:
        places: Theirs among all mappings.
        columns: Their values by key.
    """

    places: Column[int]
    columns: Mapping[str, Column[Any]]


class Mappings(Column[dict[str, Any]]):
    """Mappings, many of which have the same keys.

    Args:
        rows: The mappings.

    Attributes:
        tables: Those that have the same keys, together; by the first of each.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        alike: dict[tuple[str, ...], list[int]] = {}
        for place, row in enumerate(rows):
            alike.setdefault(tuple(row), []).append(place)
        self.tables = [
            Table(packed(own), {key: packed([rows[place][key] for place in own]) for key in keys})
            for keys, own in alike.items()
        ]
        self._table = array("I", bytes(4 * len(rows)))
        self._line = array("I", bytes(4 * len(rows)))
        for number, own in enumerate(alike.values()):
            for line, place in enumerate(own):
                self._table[place], self._line[place] = number, line

    def __len__(self) -> int:
        return len(self._line)

    def __getitem__(self, place: int) -> dict[str, Any]:
        line = self._line[place]
        columns = self.tables[self._table[place]].columns
        return {key: column[line] for key, column in columns.items()}


def packed(values: Sequence[Any]) -> Column[Any]:
    """Return values in the smallest form that gives each back as it was, type and all."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return array("d", values)
    if kinds == {int}:
        try:
            return array("q", values)
        except OverflowError:
            return values
    return texts(values) if kinds == {str} else values


def texts(values: Sequence[str]) -> Column[str]:
    """Return texts as one piece of UTF-8."""
    encoded = [value.encode("utf-8", "surrogatepass") for value in values]
    return Texts(b"".join(encoded), map(len, encoded))


def digests(values: Sequence[str]) -> Column[str]:
    """Return SHA-256 digests as bytes; other texts as they are."""
    joined = "".join(values)
    try:
        whole = bytes.fromhex(joined)
    except ValueError:
        return texts(values)
    is_all = all(len(value) == 2 * _DIGEST for value in values)
    return Digests(whole) if is_all and whole.hex() == joined else texts(values)


def float_lists(values: Sequence[Sequence[float]]) -> Column[tuple[float, ...]]:
    """Return lists of floats as one."""
    flat = array("d", [number for row in values for number in row])
    return FloatLists(flat, map(len, values))


# What a column may be made of, beside builtin values: all that is to be known to read one again.
KINDS: Final = (array, Texts, FloatLists, Digests, Mappings, Table)
