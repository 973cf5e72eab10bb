"""Which of a data set's files hold nothing, said where the library's own message does not."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_SUFFIXES = frozenset((".arrow", ".csv", ".json", ".jsonl", ".parquet", ".tsv", ".txt"))
# Bytes of a text file that may be no more than the head of a table.
_SMALL = 1_000_000


def find_empty(path: str, data_files: Any) -> str | None:
    """Return what is empty of the files that a data set is made of, or None.

    Args:
        path: A builder, or the folder of a data set.
        data_files: Files of a builder: paths and globs, lists of them, or these by split.
    """
    given = data_files if isinstance(data_files, Mapping) else {None: data_files}
    if data_files is None:
        given = {None: str(Path(path) / "**")} if Path(path).is_dir() else {}
    for split, patterns in given.items():
        for file in _files(patterns):
            if _is_empty(file):
                of = "it" if split is None else f"split {str(split)!r}"
                return f"{of} is empty: {file} holds no rows"
    return None


def _files(patterns: Any) -> Iterator[Path]:
    if isinstance(patterns, list | tuple):
        for pattern in patterns:
            yield from _files(pattern)
    elif isinstance(patterns, str) and "://" not in patterns:
        found = [patterns] if Path(patterns).exists() else glob.glob(patterns, recursive=True)
        for file in map(Path, sorted(found)):
            if file.suffix in _SUFFIXES and file.is_file():
                yield file


def _is_empty(file: Path) -> bool:
    size = file.stat().st_size
    if size == 0 or file.suffix != ".parquet":
        return size == 0 or (size < _SMALL and _is_bare(file))
    import pyarrow
    import pyarrow.parquet

    try:
        return bool(pyarrow.parquet.read_metadata(file).num_rows == 0)
    except (pyarrow.ArrowException, OSError):
        return False  # a broken file is not an empty one


def _is_bare(file: Path) -> bool:
    """Whether a text file has white space only, a table's head only, or an empty list."""
    text = file.read_text(encoding="utf-8", errors="replace").strip()
    if file.suffix in (".csv", ".tsv"):
        return len(text.splitlines()) < 2
    return text in ("", "[]")
