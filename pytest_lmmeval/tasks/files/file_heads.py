"""The keys that name a task file, found by its text instead of parsing all of it.

Four keys say what a file is called and what it belongs to: ``task``, ``group``, ``tag`` and
``include``. Nearly all files write them as plain words, which one regular expression reads; lines
that are anything else are given to the YAML parser, alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.tasks.files.yaml_faults import DEEPEST
from pytest_lmmeval.tasks.files.yaml_files import load_source, parse_text

# A key at the left edge, and the lines that belong to its value.
_HEAD = re.compile(
    r"""^["']?(task|group|tag|include)["']?[ \t]*:(.*)((?:\n(?:[ \t\-#].*|[ \t]*))*)""",
    re.MULTILINE,
)
# A word that YAML reads as itself: with a letter that starts none of true, no, null, .inf, 1e3 …
_WORD = re.compile(r"""[ \t]+(["']?)([A-Za-z_][A-Za-z0-9_./\-]*)\1[ \t]*""")
_NOT_TEXT = frozenset({"y", "n", "yes", "no", "true", "false", "on", "off", "null"})
# A file whose first key is not at the left edge is parsed in full: JSON, or indented throughout.
_UNUSUAL = re.compile(r"(?:[ \t]*(?:#.*|---.*)?\n)*(?:\{|[ \t]+[^ \t\n#])")


@dataclass(frozen=True, slots=True)
class Heads:
    """What names a file.

    Attributes:
        text: The file.
        values: Its naming keys, those that it includes among them.
        includes: All files that this depends on beside it.
    """

    text: str
    values: Mapping[str, Any]
    includes: tuple[str, ...] = ()


class HeadReader:
    """Reads the heads of many files, and each file that they include once."""

    def __init__(self) -> None:
        self._included: dict[str, Heads | None] = {}

    def read(self, path: str) -> Heads:
        """Return what names a file.

        Raises:
            TaskError: The file cannot be read, or the lines that name it are not YAML, or what it
                needs of an included file cannot be had.
        """
        text = _text(path)
        own = _own(text, path)
        unnamed = "task" not in own and "group" not in own
        untagged = "tag" not in own and "group" not in own
        if not own.get("include") or not (unnamed or untagged):
            return Heads(text, own)
        merged = self._merge(path, own, (path,))
        if merged is None:
            # Missing, circular or no path at all: the loader says where and why.
            return Heads(text, {**load_source(Path(path)).merged(False).values, **own})
        return Heads(text, *merged)

    def _merge(
        self, path: str, own: Mapping[str, Any], above: tuple[str, ...]
    ) -> tuple[Mapping[str, Any], tuple[str, ...]] | None:
        """Lay a file's keys over those that it includes, of which the last wins."""
        names = own["include"] if isinstance(own["include"], list) else [own["include"]]
        values: dict[str, Any] = {}
        includes: list[str] = []
        for name in names:
            if not isinstance(name, str):
                return None
            target = os.path.normpath(os.path.join(os.path.dirname(path), name))
            # Past the depth at which the loader refuses, it is the loader that has to say so.
            unusual = target in above or len(above) > DEEPEST
            found = None if unusual else self._include(target, above)
            if found is None:
                return None
            values.update(found.values)
            includes += [target, *found.includes]
        return {**values, **own}, tuple(includes)

    def _include(self, path: str, above: tuple[str, ...]) -> Heads | None:
        if path not in self._included:
            self._included[path] = self._read_included(path, above)
        return self._included[path]

    def _read_included(self, path: str, above: tuple[str, ...]) -> Heads | None:
        if not os.path.isfile(path):
            return None
        text = _text(path)
        own = _own(text, path)
        if not own.get("include"):
            return Heads("", own)
        merged = self._merge(path, own, (*above, path))
        return None if merged is None else Heads("", *merged)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8-sig") as stream:
            return stream.read()
    except UnicodeDecodeError:
        return ""  # Whatever it is, it is no task; selecting it by path says so.
    except OSError as error:
        raise TaskError(f"cannot be read: {error.strerror}", Path(path)) from error


def _own(text: str, path: str) -> Mapping[str, Any]:
    if _UNUSUAL.match(text):
        return parse_text(text, Path(path))
    values: dict[str, Any] = {}
    for match in _HEAD.finditer(text):
        key, value, more = match.groups()
        word = _WORD.fullmatch(value)
        if word is None or more.strip() or (not word[1] and word[2].lower() in _NOT_TEXT):
            return parse_text("\n".join(m.group() for m in _HEAD.finditer(text)), Path(path))
        values[key] = word[2]
    return values
