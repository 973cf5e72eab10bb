"""What was found in large folders of task files, kept between sessions.

A file's entry is used as long as the file, and all that it includes, have the time stamp and size
that they had. The cache is a JSON file per folder below ``$XDG_CACHE_HOME/pytest-lmmeval``, by
default ``~/.cache/pytest-lmmeval``; where that cannot be written there is none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import orjson

# Counts up when other things are read from the files than before.
_FORMAT = 1
# A file that was written this recently, in nanoseconds, may be written again in the same tick.
_FRESH = 2_000_000_000

Stamp: TypeAlias = "tuple[int, int]"


class IndexCache:
    """The cache of one folder.

    Args:
        folder: The folder.

    Attributes:
        changed: Whether there is something that ``save`` would keep.
    """

    def __init__(self, folder: Path) -> None:
        self.changed = False
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:32]
        self._file = cache_folder() / "index" / f"{name}.json"
        self._old: dict[str, list[Any]] = {}
        self._includes: list[list[Any]] = []
        self._new: dict[str, list[Any]] = {}
        self._new_includes: dict[str, int] = {}
        self._stamps: dict[str, Stamp | None] = {}
        self._read()

    def _read(self) -> None:
        try:
            found = orjson.loads(self._file.read_bytes())
            if found["format"] == _FORMAT:
                self._old, self._includes = found["files"], found["includes"]
        except (OSError, ValueError, KeyError, TypeError):
            # Missing, cut short or of somebody else: everything is read again.
            self._old, self._includes = {}, []

    def get(self, path: str, stamp: Stamp) -> list[Any] | None:
        """Return what ``put`` was given for a file that has not changed since.

        Args:
            path: The file.
            stamp: Its modification time in nanoseconds and its size in bytes.
        """
        record = self._old.get(path)
        if record is None or (record[0], record[1]) != stamp:
            return None
        if record[3] and not all(map(self._is_current, record[3])):
            return None
        self._keep(path, record[2], stamp, [self._includes[i][0] for i in record[3]])
        return list(record[2])

    def put(self, path: str, stamp: Stamp, found: list[Any], includes: Sequence[str]) -> None:
        """Keep what was found in a file, and which other files it depends on."""
        self.changed = True
        self._keep(path, found, stamp, includes)

    def save(self) -> None:
        """Write the cache, unless nothing changed or it cannot be written."""
        if not self.changed and len(self._new) == len(self._old):
            return
        recent = time.time_ns() - _FRESH
        # One that has gone meanwhile is as good as one that was just written.
        stamps = [self._stamp(path) or (recent + 1, 0) for path in self._new_includes]
        stale = {number for number, stamp in enumerate(stamps) if stamp[0] > recent}
        includes = [[p, *s] for p, s in zip(self._new_includes, stamps, strict=True)]
        files = {
            path: record
            for path, record in self._new.items()
            if record[0] <= recent and stale.isdisjoint(record[3])
        }
        content = orjson.dumps({"format": _FORMAT, "includes": includes, "files": files})
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            _replace(self._file, content)

    def _keep(self, path: str, found: list[Any], stamp: Stamp, includes: Sequence[str]) -> None:
        numbers = [self._new_includes.setdefault(i, len(self._new_includes)) for i in includes]
        self._new[path] = [*stamp, found, numbers]

    def _is_current(self, number: int) -> bool:
        path, *stamp = self._includes[number]
        return self._stamp(path) == tuple(stamp)

    def _stamp(self, path: str) -> Stamp | None:
        if path not in self._stamps:
            try:
                status = os.stat(path)
            except OSError:
                self._stamps[path] = None
            else:
                self._stamps[path] = (status.st_mtime_ns, status.st_size)
        return self._stamps[path]


def cache_folder() -> Path:
    """Return the folder of this package's caches."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pytest-lmmeval"


def _replace(file: Path, content: bytes) -> None:
    # Several workers may write at once; each file that others see is a whole one.
    handle, temporary = tempfile.mkstemp(dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.replace(temporary, file)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
