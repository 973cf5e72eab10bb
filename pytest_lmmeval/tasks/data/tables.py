"""Rows of a split, read one at a time, with and without their media.

Nothing is decoded before a row's turn: an image column is read as the bytes it holds, which is also
what a doc's hash is made of, and decoded from them when the doc becomes a prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pytest_lmmeval.errors import DataError
from pytest_lmmeval.tasks.values import is_media

# By name, so that the check imports no codec.
_MEDIA_FEATURES = frozenset({"Image", "Audio", "Video", "Pdf", "Nifti"})
_STRIPPED_FEATURES = frozenset({"Image", "Audio"})


class Table(Protocol):
    """The rows of a split.

    Attributes:
        columns: Names of all columns.
        media: Columns that hold images, audio or video, at any depth.
        source: The data set or list that it was made of.
    """

    columns: tuple[str, ...]
    media: frozenset[str]
    source: Any

    def __len__(self) -> int: ...

    def row(self, index: int) -> dict[str, Any]:
        """Return a row with its media decoded."""

    def raw(self, index: int) -> dict[str, Any]:
        """Return a row with its media as the data set stores them."""

    def both(self, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a row as stored and with its media decoded, reading it once."""

    def text_row(self, index: int) -> dict[str, Any]:
        """Return a row without the columns that lmms-eval keeps from scoring: images and audio."""


class ListTable:
    """Rows that a task's own function returned as plain mappings."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.source = rows
        self.columns = tuple(rows[0]) if len(rows) else ()
        self.media = frozenset(key for key in self.columns if is_media(rows[0][key]))

    def __len__(self) -> int:
        return len(self.source)

    def row(self, index: int) -> dict[str, Any]:
        """Return a copy of the row, so that a function which changes it changes nothing else."""
        row = self.source[index]
        if not isinstance(row, Mapping):
            raise DataError(f"doc {index} is {kind_of(row)}, expected a mapping")
        return dict(row)

    def raw(self, index: int) -> dict[str, Any]:
        """Return the row; there is nothing to decode."""
        return self.row(index)

    def both(self, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the row twice."""
        return self.row(index), self.row(index)

    def text_row(self, index: int) -> dict[str, Any]:
        """Return the row without the columns that hold media in it."""
        row = self.row(index)
        return {key: value for key, value in row.items() if not is_media(value)}


class ArrowTable:
    """Rows of a ``datasets.Dataset``."""

    def __init__(self, dataset: Any) -> None:
        self.source = dataset
        self.columns = tuple(dataset.column_names)
        self.media = frozenset(key for key in self.columns if _holds_media(dataset.features[key]))
        stripped = [key for key in self.media if _is_stripped(dataset.features[key])]
        self._all = _Rows(dataset, bool(self.media))
        text = dataset.remove_columns(stripped) if stripped else dataset
        self._text = _Rows(text, len(self.media) > len(stripped))

    def __len__(self) -> int:
        return len(self.source)

    def row(self, index: int) -> dict[str, Any]:
        """Return the row with its media decoded."""
        return self._all.decoded(self.raw(index))

    def both(self, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the row as stored and with its media decoded."""
        raw = self.raw(index)
        return raw, self._all.decoded(raw)

    def raw(self, index: int) -> dict[str, Any]:
        """Return the row with media as ``{"bytes": …, "path": …}``."""
        return self._all.stored(index)

    def text_row(self, index: int) -> dict[str, Any]:
        """Return the row without its image and audio columns."""
        return self._text.decoded(self._text.stored(index))


class _Rows:
    """Rows of a data set in two forms: as stored, and with media decoded."""

    def __init__(self, dataset: Any, has_media: bool) -> None:
        self._tables = dataset.with_format("arrow")
        self._features = dataset.features if has_media else None

    def stored(self, index: int) -> dict[str, Any]:
        try:
            return {key: values[0] for key, values in self._tables[index].to_pydict().items()}
        except UnicodeDecodeError as error:
            # A file in another encoding: Arrow looks at the bytes when they are wanted.
            raise DataError(f"doc {index} is not in UTF-8: {error}") from error

    def decoded(self, row: dict[str, Any]) -> dict[str, Any]:
        # A copy even where nothing is decoded: a task's function may change its doc.
        return dict(row if self._features is None else self._features.decode_example(row))


def make_table(rows: Any) -> Table | None:
    """Return the table of a data set or a sequence of mappings; None if it is neither."""
    if hasattr(rows, "with_format") and hasattr(rows, "column_names") and hasattr(rows, "__len__"):
        return ArrowTable(rows)
    plain = isinstance(rows, Sequence) and not isinstance(rows, str | bytes)
    # Of others than lists the first row stands for all: they may make each when it is asked for.
    seen = rows if isinstance(rows, list | tuple) else rows[:1] if plain else ()
    return ListTable(rows) if plain and all(isinstance(r, Mapping) for r in seen) else None


def kind_of(value: Any) -> str:
    """Say what is there in place of docs: its type, and that of the first row that is none."""
    if isinstance(value, list | tuple):
        for index, row in enumerate(value):
            if not isinstance(row, Mapping):
                return f"a {type(value).__name__} whose row {index} is of type {type(row).__name__}"
    return f"of type {type(value).__name__}"


def _holds_media(feature: Any) -> bool:
    if type(feature).__name__ in _MEDIA_FEATURES:
        return True
    if isinstance(feature, Mapping):
        return any(map(_holds_media, feature.values()))
    if isinstance(feature, list):
        return any(map(_holds_media, feature))
    inner = getattr(feature, "feature", None)
    return inner is not None and _holds_media(inner)


def _is_stripped(feature: Any) -> bool:
    # lmms-eval looks at a column and at the elements of a list in it, not into mappings.
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
    return {type(feature).__name__, type(inner).__name__} & _STRIPPED_FEATURES != set()
