"""Small local files of JSON lines, read without the ``datasets`` library.

Importing it takes longer than all else before the first request. For a file whose rows hold plain
values, or lists of them, all that it does is to ask Arrow for the file's table, so Arrow is asked
here in the same way, if it is not plain what it would say. Whatever else a file holds, or however
else it was to be read, is left to the library: several files, nested rows, types that change, one
list of everything, another encoding.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from pytest_lmmeval.tasks.data.json_lines import plain_rows

# Bytes that the library reads at once. It goes by the first of several pieces; and larger files are
# better off in its own, which are not held in memory.
_LARGEST = 10 << 20
# As the library cuts a file for Arrow, which infers types from the first piece
# (``packaged_modules/json`` of datasets 5.2).
_PIECE = (10 << 20) // 32
# Columns by which the library knows logs of coding agents, which it reads in its own way.
_AGENT_LOGS = ({"type", "id"}, {"id", "source", "model"})
_GLOB = frozenset("*?[]")


class FlatRows(Sequence[dict[str, Any]]):
    """Rows of plain values, each of them the caller's own.

    Args:
        rows: The rows.
        lists: The columns that hold lists.
    """

    def __init__(self, rows: Sequence[dict[str, Any]], lists: Sequence[str]) -> None:
        self._rows = rows
        self._lists = lists

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        row = self._rows[index].copy()
        for name in self._lists:
            if row[name] is not None:
                row[name] = row[name].copy()
        return row


def read_flat(kwargs: Mapping[str, Any]) -> Mapping[str, FlatRows] | None:
    """Return the splits of files of JSON lines, None if they are for the library.

    Args:
        kwargs: The arguments of ``datasets.load_dataset``, with absolute paths.
    """
    files = kwargs.get("data_files")
    files = {"train": files} if isinstance(files, str) else files
    if set(kwargs) != {"data_files"} or not isinstance(files, Mapping) or not files:
        return None
    contents = {}
    for split, path in files.items():
        content = _content(path)
        if content is None:
            return None
        contents[str(split)] = content
    return _read_plainly(contents) or _read_by_arrow(contents)


def _read_plainly(contents: Mapping[str, bytes]) -> Mapping[str, FlatRows] | None:
    found = {split: plain_rows(content) for split, content in contents.items()}
    tables = {split: table for split, table in found.items() if table is not None}
    schemas = [list(table.kinds.items()) for table in tables.values()]
    if len(tables) < len(found) or any(schema != schemas[0] for schema in schemas):
        return None
    if _is_log(name for name, _ in schemas[0]):
        return None
    lists = [name for name, kind in schemas[0] if kind[0] is list]
    return {split: FlatRows(table.rows, lists) for split, table in tables.items()}


def _read_by_arrow(contents: Mapping[str, bytes]) -> Mapping[str, FlatRows] | None:
    tables = {}
    for split, content in contents.items():
        table = _table(content)
        if table is None:
            return None
        tables[split] = table
    # The library makes all splits have the columns and types of the first.
    schemas = [table.schema for table in tables.values()]
    if any(schema != schemas[0] for schema in schemas):
        return None
    try:
        return {split: _rows(table) for split, table in tables.items()}
    except UnicodeDecodeError:
        return None


def _content(path: Any) -> bytes | None:
    if not isinstance(path, str) or _GLOB & set(path):
        return None
    try:
        if Path(path).stat().st_size > _LARGEST:
            return None
        content = Path(path).read_bytes()
    except OSError:
        return None
    return content if content.startswith(b"{") else None


def _table(content: bytes) -> Any:
    try:
        arrow, reader = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.json")
        piece = len(content) if len(content) // 8 > _PIECE else _PIECE
        options = reader.ReadOptions(block_size=piece)
        table = reader.read_json(io.BytesIO(content), read_options=options)
        table.validate()
    except (ImportError, ValueError, NotImplementedError):
        return None  # Arrow's errors are among them; the library tries further, or tells the reason
    is_plain = all(_is_plain(arrow.types, column.type) for column in table.schema)
    return table if is_plain and table.num_rows and not _is_log(table.column_names) else None


def _is_log(names: Iterable[str]) -> bool:
    return any(columns <= set(names) for columns in _AGENT_LOGS)


def _rows(table: Any) -> FlatRows:
    lists = [column.name for column in table.schema if column.type.num_fields]
    return FlatRows(table.to_pylist(), lists)


def _is_plain(types: Any, of: Any) -> bool:
    if types.is_list(of):
        return not types.is_list(of.value_type) and _is_plain(types, of.value_type)
    kinds = (types.is_string, types.is_int64, types.is_float64, types.is_boolean, types.is_null)
    return any(is_kind(of) for is_kind in kinds)
