"""What lies in a folder of task YAMLs: names, tags and groups, found without parsing the files.

Only the keys that name things are read; a task is parsed in full when it is selected. Scanning
lm-eval's 14,000 files takes about a second this way, and a fraction of one once they are in the
cache.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.tasks.catalog.index_cache import IndexCache, Stamp
from pytest_lmmeval.tasks.files.file_heads import HeadReader, Heads

Kind: TypeAlias = Literal["task", "group"]

_SKIPPED_FOLDERS = frozenset({"__pycache__", ".ipynb_checkpoints", ".git"})
# Fewer files are read faster than anybody notices.
_WORTH_CACHING = 200
# Only a task can have these, so a file with one of them is a task even if it also has a group.
_TASK_KEYS = re.compile(
    r"""^["']?(?:class|dataset_path|doc_to_text|doc_to_messages|test_split)["']?[ \t]*:""",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A task or group that a file defines.

    Attributes:
        name: What it is called.
        kind: Whether the file is a task or a group of tasks.
        path: The file.
        tags: Tags of a task, own and included.
    """

    name: str
    kind: Kind
    path: Path
    tags: tuple[str, ...] = ()


@dataclass
class Index:
    """The entries of several folders; those of a later folder replace earlier ones by name.

    Attributes:
        entries: Tasks and groups by name.
        tags: For each tag the names of its tasks, sorted.
        unreadable: Files whose names could not be read, and why.
        shadowed: For each name further files of its folder that define it, and do not count.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    tags: dict[str, list[str]] = field(default_factory=dict)
    unreadable: dict[Path, str] = field(default_factory=dict)
    shadowed: dict[str, list[Path]] = field(default_factory=dict)

    def add_folder(self, folder: Path) -> None:
        """Scan a folder and all below it; of two equal names in it, the first path counts."""
        found: dict[str, Entry] = {}
        shadowed: dict[str, list[Path]] = {}
        files = _scan(str(folder))
        cache = IndexCache(folder) if len(files) >= _WORTH_CACHING else None
        reader = HeadReader()
        for path, stamp in files:
            try:
                entry = _entry_of(path, stamp, reader, cache)
            except TaskError as error:
                self.unreadable[Path(path)] = str(error)
                continue
            if entry is not None and found.setdefault(entry.name, entry) is not entry:
                shadowed.setdefault(entry.name, []).append(entry.path)
        if cache is not None:
            cache.save()
        for name in found:
            self.shadowed.pop(name, None)
        self.shadowed.update(shadowed)
        self.entries.update(found)
        self._collect_tags()

    def _collect_tags(self) -> None:
        tags: dict[str, list[str]] = {}
        for name in sorted(self.entries):
            for tag in self.entries[name].tags:
                tags.setdefault(tag, []).append(name)
        # A task or group hides a tag of its name, as in lm-eval.
        self.tags = {tag: names for tag, names in tags.items() if tag not in self.entries}

    def knows(self, name: str) -> bool:
        """Whether a name is that of a task, group or tag."""
        return name in self.entries or name in self.tags

    def all_names(self) -> set[str]:
        """Return the names of all tasks, groups and tags."""
        return {*self.entries, *self.tags}

    def names(self, kind: Kind) -> list[str]:
        """Return the sorted names of all tasks or all groups."""
        return sorted(name for name, entry in self.entries.items() if entry.kind == kind)


def task_files(folder: Path) -> Iterator[Path]:
    """Yield the YAML files below a folder that may be tasks, in the order of their paths."""
    return (Path(path) for path, _ in _scan(str(folder)))


def _scan(folder: str) -> list[tuple[str, Stamp]]:
    """Return the files that may be tasks, in the order of their paths, with their stamps."""
    found = []
    pending = [folder]
    while pending:
        # A folder that may not be read holds nothing for this user.
        with contextlib.suppress(PermissionError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _SKIPPED_FOLDERS:
                        pending.append(entry.path)
                elif _may_be_task(entry.name) and entry.is_file():
                    status = entry.stat()
                    found.append((entry.path, (status.st_mtime_ns, status.st_size)))
    return sorted(found)


def _may_be_task(name: str) -> bool:
    # The others are suites.
    return name.endswith((".yaml", ".yml")) and not name.endswith((".lmm.yaml", ".lmm.yml"))


def _entry_of(
    path: str, stamp: Stamp, reader: HeadReader, cache: IndexCache | None
) -> Entry | None:
    record = None if cache is None else cache.get(path, stamp)
    if record is None:
        heads = reader.read(path)
        entry = _entry(path, heads)
        if cache is not None:
            made = [] if entry is None else [entry.name, entry.kind, list(entry.tags)]
            cache.put(path, stamp, made, heads.includes)
        return entry
    if not record:
        return None
    name, kind, tags = record
    return Entry(name, kind, Path(path), tuple(tags))


def read_entry(path: Path) -> Entry | None:
    """Return what a file defines; None if it is a template, or something else altogether.

    Raises:
        TaskError: The lines that name it cannot be read.
    """
    return _entry(str(path), HeadReader().read(str(path)))


def _entry(path: str, heads: Heads) -> Entry | None:
    task, group = heads.values.get("task"), heads.values.get("group")
    if isinstance(group, str) and not (isinstance(task, str) and _TASK_KEYS.search(heads.text)):
        return Entry(group, "group", Path(path))
    if not isinstance(task, str):
        return None
    tags = heads.values.get("tag", heads.values.get("group"))
    return Entry(task, "task", Path(path), _names(tags))


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    return tuple(str(name) for name in value) if isinstance(value, list) else ()
