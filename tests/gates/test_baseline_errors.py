"""Baseline files that are not in order."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate_builders import accepted, flags

from pytest_lmmeval.errors import BaselineError
from pytest_lmmeval.gates.baseline import Baseline, BaselineDocs, BaselineKey, BaselineRun
from pytest_lmmeval.gates.baseline_file import read_baseline
from pytest_lmmeval.gates.baseline_format import baseline_text

METRIC = "exact_match,none"


@pytest.fixture
def text() -> str:
    return baseline_text(
        Baseline(
            key=BaselineKey("gsm8k"),
            docs=BaselineDocs(range(10), data_sha256="a" * 64),
            run=BaselineRun(num_fewshot=5),
            metrics={METRIC: accepted(flags(7, 3))},
        )
    )


def _set(section: str, key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data[section][key] = value

    return change


def _metric(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data["metrics"][METRIC][key] = value

    return change


def _drop(*keys: str) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        for key in keys[:-1]:
            data = data[key]
        del data[keys[-1]]

    return change


def _top(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        data[key] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_top("lmmeval_baseline", 2), "lmmeval_baseline is 2, written by a newer pytest-lmmeval"),
        (_top("lmmeval_baseline", True), "lmmeval_baseline is True; expected 1"),
        (_top("lmmeval_baseline", "1"), "lmmeval_baseline is '1'; expected 1"),
        (_drop("lmmeval_baseline"), "lmmeval_baseline is missing; expected 1"),
        (_top("metrisc", {}), "unknown key 'metrisc'; .* Did you mean 'metrics'?"),
        (_top("docs", []), "docs is not a JSON object"),
        (_drop("by"), "by is not a JSON object"),
        (_top("metrics", {}), r"metrics is \{\}; expected at least one metric"),
        (_set("key", "task", 3), "key.task is 3; expected a text"),
        (_drop("key", "variant"), "key.variant is missing; expected a text"),
        (_set("docs", "n", 0), "docs.n is 0; expected a whole number from 1"),
        (_set("docs", "n", 10.0), "docs.n is 10.0; expected a whole number"),
        (_set("docs", "n", True), "docs.n is True; expected a whole number"),
        (_set("docs", "n", 11), "docs.ids_sha256 is .*, the digest of the 11 doc ids"),
        (_set("docs", "ids", "0-10"), "docs.ids: doc ids '0-10' are not 10 ids"),
        (_set("docs", "data_sha265", "x"), "unknown key 'docs.data_sha265'; .*'data_sha256'"),
        (_set("run", "num_fewshot", "5"), "run.num_fewshot is '5'; expected a whole number from 0"),
        (_set("run", "gen_kwargs", "x"), "run.gen_kwargs is 'x'; expected an object"),
        (_set("run", "versions", {"a": 1}), "run.versions is .*; expected an object of texts"),
        (_set("quality", "failed", -1), "quality.failed is -1; expected a whole number from 0"),
        (_set("by", "previous", {"a": "x"}), "by.previous.a is 'x'; expected a number"),
        (_set("metrics", METRIC, 3), r'metrics\["exact_match,none"\] is not a JSON object'),
        (_metric("value", "0.7"), "value is '0.7'; expected a number"),
        (_metric("value", None), "value is None; expected a number"),
        (_metric("higher_is_better", 1), "higher_is_better is 1; expected true or false"),
        (_metric("kind", "binray"), "kind is 'binray'; expected one of .* Did you mean 'binary'?"),
        (_metric("kind", "continuous"), "kind is 'continuous'; expected 'binary', as the scores"),
        (_metric("kind", "aggregate"), "expected nothing for kind 'aggregate'"),
        (_metric("n", 9), "n is 9; expected 10, as in docs"),
        (_metric("ids", "0-3"), r'metrics\["exact_match,none"\]: doc ids'),
        (_metric("churn", 1.5), "churn is 1.5; expected a share from 0 to 1"),
        (_metric("runs", 3), "packed as 'b1'; expected 'b2' for 3 run"),
        (_metric("scores", "b1:AAAA"), "3 bytes long; expected 2 for 10 docs"),
        (_drop("metrics", METRIC, "scores"), "scores is missing; expected a text"),
    ],
)
def test_the_error_names_file_key_value_and_what_was_expected(
    text: str, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    data = json.loads(text)
    change(data)
    path = tmp_path / "default.json"
    path.write_text(json.dumps(data))
    with pytest.raises(BaselineError, match=message) as caught:
        read_baseline(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ":1: is not JSON"),
        (b'{\n "a": 1,\n}', ":[23]: is not JSON"),
        (b"{\n<<<<<<< ours\n}", ":2: is not JSON: .*unresolved merge.*--lmm-update-baseline"),
        (b'{"key": 1, "key": 2}', "the key 'key' is there twice in one object"),
        (b"[]", "the file is not a JSON object"),
        (b"null", "the file is not a JSON object"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"[" * 100_000, "is not a baseline"),
        (b'{"lmmeval_baseline": ' + b"9" * 5000 + b"}", "is not a baseline"),
    ],
)
def test_a_file_that_is_no_baseline_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "default.json"
    path.write_bytes(content)
    with pytest.raises(BaselineError, match=message) as caught:
        read_baseline(path)
    assert str(caught.value).startswith(str(path))


def test_a_number_too_large_for_a_float_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "default.json"
    path.write_text(text.replace('"value": 0.7', '"value": 1e999'))
    with pytest.raises(BaselineError, match="value is inf; expected a finite number"):
        read_baseline(path)
