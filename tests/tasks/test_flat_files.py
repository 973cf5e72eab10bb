"""Small files of plain rows are read without the data set library, with the same rows as by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from pytest_lmmeval.tasks.data.flat_files import read_flat

PLAIN: dict[str, list[dict[str, Any]]] = {
    "texts": [{"q": "Ødegård\n€ 😀 \u2028", "a": ""}, {"q": "2020-01-01", "a": "x"}],
    "numbers": [{"i": 1, "f": 2, "b": True}, {"i": -(2**62), "f": 0.1, "b": False}],
    "missing": [{"a": 1}, {"b": "x"}, {"a": None, "c": None}],
    "lists": [{"c": ["a", None], "n": [1, 2]}, {"c": [], "n": [3.5]}, {"c": None, "n": None}],
    "huge": [{"a": 2**70}, {"a": 1}],
    "beyond 64 bits": [{"a": 2**63}, {"a": 2**64 - 1}],
    "one type each": [
        {"t": 'said: "1":', "i": -(2**63), "f": 5e-324, "b": True, "l": ["2020-01-01", ""]},
        {"t": None, "i": 2**63 - 1, "f": -0.0, "b": None, "l": []},
        {"t": "2020-01-01", "i": None, "f": None, "b": False, "l": None},
    ],
    "another order": [{"a": 1, "b": "x"}, {"b": "y", "a": 2}],
}
OTHERS: dict[str, list[dict[str, Any]]] = {
    "times": [{"t": "2020-01-01"}, {"t": "2020-01-02T03:04:05"}],
    "times with gaps": [{"t": "2020-01-01"}, {"t": None}],
    "lists of times": [{"t": ["2020-01-01", "2020-01-02"]}, {"t": []}],
    "lists that begin with nothing": [{"a": [None, 1]}],
    "nested": [{"a": {"b": 1}}],
    "lists of lists": [{"a": [[1]]}],
    "lists of mappings": [{"a": [{"b": 1}, {"c": 2}]}],
    "media": [{"a": {"bytes": None, "path": "x.png"}}],
    "mixed": [{"a": 1}, {"a": "x"}],
    "log": [{"type": "a", "id": "b", "version": 1, "cwd": "c"}],
}


def write(path: Path, rows: list[dict[str, Any]], *, ascii_only: bool = False) -> str:
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def by_the_library(tmp_path: Path, files: Any) -> dict[str, list[dict[str, Any]]]:
    found = datasets.load_dataset("json", data_files=files, cache_dir=str(tmp_path / "cache"))
    return {str(split): list(rows) for split, rows in found.items()}


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("name", PLAIN)
def test_rows_are_those_of_the_library(name: str, ascii_only: bool, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", PLAIN[name], ascii_only=ascii_only)
    for files in (path, {"test": path, "train": path}):
        found = read_flat({"data_files": files})
        assert found is not None
        rows = {split: list(own) for split, own in found.items()}
        theirs = by_the_library(tmp_path, files)
        assert rows == theirs
        # 1 == 1.0 == True, and repr tells them apart; it tells the order of columns as well.
        assert repr(rows) == repr(theirs)


def test_a_row_is_the_callers_own(tmp_path: Path) -> None:
    found = read_flat({"data_files": write(tmp_path / "rows.jsonl", PLAIN["lists"])})
    assert found is not None
    rows = found["train"]
    rows[0]["c"].append("changed")
    assert rows[0]["c"] == ["a", None]
    assert rows[:2] == [rows[0], rows[1]]
    assert rows[-1] == rows[2]
    with pytest.raises(IndexError):
        _ = rows[3]


@pytest.mark.parametrize("name", OTHERS)
def test_rows_that_are_not_plain_are_left_to_the_library(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", OTHERS[name])
    assert read_flat({"data_files": path}) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b'[{"a": 1}]',
        b'{"a": 1, "a": 2}\n',
        b'{"a": 1}\n1\n',
        b"\xef\xbb\xbf" + b'{"a": 1}\n',
        b'{"a": 1}\nnothing\n',
        b'{"a": ',
    ],
)
def test_files_that_are_no_lines_of_json_are_left_to_the_library(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    assert read_flat({"data_files": str(path)}) is None


def test_other_ways_to_read_are_left_to_the_library(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", PLAIN["texts"])
    other = write(tmp_path / "others.jsonl", PLAIN["numbers"])
    assert read_flat({"data_files": path}) is not None
    for kwargs in (
        {"data_files": path, "field": "data"},
        {"data_files": path, "split": "train"},
        {"data_files": [path]},
        {"data_files": {"train": path, "test": other}},
        {"data_files": str(tmp_path / "*.jsonl")},
        {"data_files": str(tmp_path / "none.jsonl")},
        {"data_dir": str(tmp_path)},
    ):
        assert read_flat(kwargs) is None
