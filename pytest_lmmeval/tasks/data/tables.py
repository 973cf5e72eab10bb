"""Rows of a split, read one at a time, with and without their media.

Nothing is decoded before a row's turn: an image column is read as the bytes it holds, which is also
what a doc's hash is made of, and decoded from them when the doc becomes a prompt. Sounds are
decoded when a task looks into them, videos not at all: a model decides which frames it is shown.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from pytest_lmmeval.errors import DataError
from pytest_lmmeval.tasks.data.mapped_pages import MappedPages
from pytest_lmmeval.tasks.data.small_tables import SmallTable
from pytest_lmmeval.tasks.data.stored_sounds import StoredSounds, holds
from pytest_lmmeval.tasks.values import is_media

# By name, so that the check imports no codec.
_MEDIA_FEATURES = frozenset({"Image", "StoredImage", "Audio", "Video", "Pdf", "Nifti"})
_STRIPPED_FEATURES = frozenset({"Image", "StoredImage", "Audio"})


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
        # Asking the abstract class takes longer than the copy.
        if type(row) is not dict and not isinstance(row, Mapping):
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
    """Rows of a ``datasets.Dataset``.

    Args:
        dataset: The data set.
        decode_at_once: Whether an image is decoded with its row, as the library does it, or when
            somebody looks at its pixels.
    """

    def __init__(self, dataset: Any, *, decode_at_once: bool = False) -> None:
        self.source = dataset
        self._length = len(dataset)
        self.columns = tuple(dataset.column_names)
        self.media = frozenset(key for key in self.columns if _holds_media(dataset.features[key]))
        stripped = [key for key in self.media if _is_stripped(dataset.features[key])]
        pages = MappedPages(dataset) if self.media else None
        self._all = _Rows(dataset, self.media, pages, decode_at_once)
        self._text = self._all
        if stripped:
            text, media = dataset.remove_columns(stripped), self.media - set(stripped)
            self._text = _Rows(text, media, pages, decode_at_once)

    def __len__(self) -> int:
        return self._length

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

    def __init__(
        self,
        dataset: Any,
        media: Collection[str],
        pages: MappedPages | None,
        decode_at_once: bool,
    ) -> None:
        self._tables = dataset.with_format("arrow")
        self._small = None if media else SmallTable(dataset)
        self._pages = pages if media else None
        self._features = None
        self._sounds = StoredSounds(dataset.features) if media else None
        if self._sounds is not None:
            features = self._sounds.undecoded()
            self._features = features if decode_at_once else _not_decoded(features)

    def stored(self, index: int) -> dict[str, Any]:
        try:
            if self._small is not None and (held := self._small.row(index)) is not None:
                return held
            table = self._tables[index]
            row = {key: values[0] for key, values in table.to_pydict().items()}
        except UnicodeDecodeError as error:
            # A file in another encoding: Arrow looks at the bytes when they are wanted.
            raise DataError(f"doc {index} is not in UTF-8: {error}") from error
        if self._pages is not None:
            self._pages.have_read()
        return row

    def decoded(self, row: dict[str, Any]) -> dict[str, Any]:
        # A copy even where nothing is decoded: a task's function may change its doc.
        if self._features is None or self._sounds is None:
            return dict(row)
        return self._sounds.filled(self._features.decode_example(row))


def _not_decoded(features: Any) -> Any:
    # Deferred: it imports the codecs, which data without images do not need.
    from pytest_lmmeval.tasks.data.stored_images import with_stored_images

    return with_stored_images(features)


def images_as_stored(rows: Any) -> Any:
    """Return a data set whose columns of images are decoded when a pixel is looked at.

    What is no data set is returned as it is.
    """
    if not (hasattr(rows, "with_format") and hasattr(rows, "__len__")):
        return rows
    if not any(holds(feature, frozenset({"Image"})) for feature in rows.features.values()):
        return rows
    # As ``cast_column`` does it, which for lists of images would also write all rows anew.
    seen = copy.deepcopy(rows)
    seen.info.features = _not_decoded(rows.features)
    return seen


def make_table(rows: Any, *, decode_at_once: bool = False) -> Table | None:
    """Return the table of a data set or a sequence of mappings; None if it is neither.

    Args:
        rows: The data set or the sequence.
        decode_at_once: See ``ArrowTable``.
    """
    if hasattr(rows, "with_format") and hasattr(rows, "column_names") and hasattr(rows, "__len__"):
        return ArrowTable(rows, decode_at_once=decode_at_once)
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
    return holds(feature, _MEDIA_FEATURES)


def _is_stripped(feature: Any) -> bool:
    # lmms-eval looks at a column and at the elements of a list in it, not into mappings.
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
    return {type(feature).__name__, type(inner).__name__} & _STRIPPED_FEATURES != set()
