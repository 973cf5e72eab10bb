"""A large folder is read once; what changes in it is read again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from task_builders import TaskFolder

from pytest_lmmeval.tasks.catalog.index import Index

LONG_AGO = 1_600_000_000


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    folder = TaskFolder(tmp_path / "tasks")
    old(folder, "base_yaml", "tag: small\n")
    old(folder, "group.yaml", "group: all\ntask: [task0, task1]\n")
    old(folder, "template.yaml", "num_fewshot: 1\n")
    for i in range(200):
        old(folder, f"task{i}.yaml", f"task: task{i}\ninclude: base_yaml\n")
    return folder


def old(folder: TaskFolder, name: str, text: str) -> Path:
    """Write a file that was last changed long ago."""
    path = folder.write(name, text)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def index(folder: TaskFolder) -> Index:
    made = Index()
    made.add_folder(folder.path)
    return made


def kept(cache: Path) -> list[Path]:
    return list((cache / "pytest-lmmeval" / "index").glob("*"))


def test_what_was_found_is_found_again_without_reading_the_files(
    folder: TaskFolder, cache: Path
) -> None:
    first = index(folder)
    assert len(kept(cache)) == 1
    # Nobody can tell by its stamp that this file has changed.
    old(folder, "task7.yaml", "task: other\ninclude: base_yaml\n")
    second = index(folder)
    assert (second.entries, second.tags) == (first.entries, first.tags)
    assert len(first.tags["small"]) == 200
    assert first.entries["all"].kind == "group"


def test_a_file_that_changes_comes_or_goes_is_noticed(folder: TaskFolder, cache: Path) -> None:
    index(folder)
    folder.write("task7.yaml", "task: renamed\n")
    folder.write("new/task.yaml", "task: new\n")
    (folder.path / "task8.yaml").unlink()
    made = index(folder)
    assert {"renamed", "new", "task9"} <= set(made.entries)
    assert not {"task7", "task8"} & set(made.entries)
    assert index(folder).entries == made.entries


def test_a_changed_include_changes_the_tags_of_all_that_include_it(
    folder: TaskFolder, cache: Path
) -> None:
    index(folder)
    folder.write("base_yaml", "tag: [large, other]\n")
    made = index(folder)
    assert sorted(made.tags) == ["large", "other"]
    (folder.path / "base_yaml").unlink()
    assert len(index(folder).unreadable) == 200


def test_a_file_written_just_now_may_change_within_the_same_tick_and_is_not_kept(
    folder: TaskFolder, cache: Path
) -> None:
    path = folder.write("task7.yaml", "task: now\n")
    stamp = path.stat()
    index(folder)
    path.write_text("task: own\n")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert "own" in index(folder).entries


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 0}', b'{"format": 1}'])
def test_a_damaged_cache_is_made_anew(folder: TaskFolder, cache: Path, content: bytes) -> None:
    first = index(folder)
    (file,) = kept(cache)
    good = file.read_bytes()
    file.write_bytes(content)
    assert index(folder).entries == first.entries
    assert file.read_bytes() == good


def test_without_a_place_for_a_cache_there_is_none(
    folder: TaskFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    assert len(index(folder).entries) == 201


def test_a_small_folder_leaves_nothing_behind(tmp_path: Path, cache: Path) -> None:
    small = TaskFolder(tmp_path / "small")
    old(small, "task.yaml", "task: one\n")
    assert list(index(small).entries) == ["one"]
    assert not cache.exists()
