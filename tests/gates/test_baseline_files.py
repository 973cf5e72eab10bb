"""Baseline files on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import random
from pathlib import Path

import pytest
from gate_builders import accepted, flags, measured

from pytest_lmmeval.errors import BaselineError
from pytest_lmmeval.gates.baseline import (
    Baseline,
    BaselineDocs,
    BaselineKey,
    BaselineMetric,
    BaselineOrigin,
    BaselineQuality,
    BaselineRun,
    combined_sha256,
)
from pytest_lmmeval.gates.baseline_file import baseline_path, read_baseline, write_baseline
from pytest_lmmeval.gates.baseline_format import baseline_text


def _full(ids: range = range(40)) -> Baseline:
    """A baseline with every field filled and every form of scores."""
    generator = random.Random(1)
    n = len(ids)
    anls = [generator.random() for _ in ids]
    thirds = [generator.randint(0, 3) / 3 for _ in ids]
    scores = measured([*flags(30, n - 30)], doc_ids=ids, stderr=0.0121)
    return Baseline(
        key=BaselineKey("gsm8k", "llama8b-fp8@H200", "smoke"),
        docs=BaselineDocs(ids, combined_sha256(["a"]), combined_sha256(["b"]), "c" * 64, "3", "1"),
        run=BaselineRun(
            dialect="lm_eval",
            message_format="chat",
            num_fewshot=5,
            gen_kwargs={"until": ["\n", "Q:"], "temperature": 0.0, "do_sample": False},
            chat_template_sha256="d" * 64,
            settings={"fewshot_as_multiturn": True},
            model={"name": "llama", "revision": "abc", "args": {"z": 1, "a": [1, None]}},
            versions={"vllm": "0.33.0", "pytest-lmmeval": "0.1.0"},
            hardware="NVIDIA H200",
            limit=100,
        ),
        metrics={
            "exact_match,strict": BaselineMetric.from_scores(scores, churn=0.035),
            "anls,none": accepted(anls, doc_ids=ids),
            "pass,none": BaselineMetric.from_scores(measured(thirds, doc_ids=ids), runs=3),
            "bleu,none": accepted([("a", "b")] * n, doc_ids=ids, value=31.5, scale=100),
            "cognition,none": accepted(flags(3, 2), doc_ids=ids[:5]),
        },
        quality=BaselineQuality(failed=0, truncated=3, unparsed=4),
        by=BaselineOrigin("2026-11-20", "bump to 0.33 — “résumé”", "abc1234", {"a": 0.5, "b": 1.0}),
    )


@pytest.mark.parametrize("ids", [range(40), range(0, 400, 10)], ids=["all docs", "some docs"])
def test_what_is_read_is_what_was_written_and_is_written_the_same_again(
    tmp_path: Path, ids: range
) -> None:
    path = tmp_path / "b" / "gsm8k" / "default.json"
    write_baseline(path, _full(ids))
    first = path.read_bytes()
    again = read_baseline(path)
    assert again is not None
    write_baseline(path, again)
    assert path.read_bytes() == first
    assert again.run == _full(ids).run
    assert again.by == _full(ids).by
    assert again.quality == _full(ids).quality
    assert tuple(again.docs.ids) == tuple(ids)
    for key, metric in _full(ids).metrics.items():
        read = dataclasses.replace(again.metrics[key], doc_ids=tuple(again.metrics[key].doc_ids))
        assert read == dataclasses.replace(metric, doc_ids=tuple(metric.doc_ids))
        assert read.scores() == metric.scores()


def test_the_file_is_json_with_one_metric_a_line() -> None:
    lines = baseline_text(_full()).splitlines()
    metrics = [line for line in lines if line.startswith("  ")]
    assert [line.split(":")[0].strip() for line in metrics] == [
        '"anls,none"',
        '"bleu,none"',
        '"cognition,none"',
        '"exact_match,strict"',
        '"pass,none"',
    ]
    assert json.loads("\n".join(lines))["lmmeval_baseline"] == 1


def test_the_order_of_mappings_in_memory_does_not_reach_the_file() -> None:
    full = _full()
    turned = dataclasses.replace(
        full,
        metrics=dict(reversed(list(full.metrics.items()))),
        run=dataclasses.replace(
            full.run,
            gen_kwargs=dict(reversed(list(full.run.gen_kwargs.items()))),
            model={"args": {"a": [1, None], "z": 1}, "revision": "abc", "name": "llama"},
        ),
    )
    assert baseline_text(turned) == baseline_text(full)


def test_a_changed_score_changes_only_its_metrics_line() -> None:
    before, after = _full(), _full()
    ids = before.docs.ids
    changed = {**before.metrics, "exact_match,strict": accepted(flags(29, 11), doc_ids=ids)}
    after = dataclasses.replace(after, metrics=changed)
    pairs = zip(baseline_text(before).splitlines(), baseline_text(after).splitlines(), strict=True)
    assert [old.split(":")[0].strip() for old, new in pairs if old != new] == [
        '"exact_match,strict"'
    ]


@pytest.mark.parametrize("docs", [0, 1, 999, 1000, 1001, 2000, 2500])
def test_the_digest_of_all_docs_is_that_of_their_lines(docs: int) -> None:
    hashes = [hashlib.sha256(b"%d" % doc).hexdigest() for doc in range(docs)]
    for given in (hashes, hashes[:-1] + [""] * bool(docs)):
        expected = hashlib.sha256("\n".join(given).encode()).hexdigest()
        assert combined_sha256(iter(given)) == expected


def test_no_file_is_no_baseline(tmp_path: Path) -> None:
    assert read_baseline(tmp_path / "nothing" / "default.json") is None


def test_a_directory_in_the_files_place_is_an_error_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "default.json"
    path.mkdir()
    with pytest.raises(BaselineError, match=r"default\.json: cannot be read: Is a directory"):
        read_baseline(path)
    with pytest.raises(BaselineError, match=r"default\.json: cannot be written"):
        write_baseline(path, _full())
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_in_the_directorys_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "gsm8k").write_text("")
    with pytest.raises(BaselineError, match="cannot be written"):
        write_baseline(tmp_path / "gsm8k" / "default.json", _full())


def test_a_baseline_that_is_not_json_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "default.json"
    write_baseline(path, _full())
    before = path.read_bytes()
    broken = dataclasses.replace(_full(), by=BaselineOrigin(previous={"a": math.nan}))
    with pytest.raises(BaselineError, match="the baseline of gsm8k is not JSON"):
        write_baseline(path, broken)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_of_another_task_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "default.json"
    write_baseline(path, _full())
    other = dataclasses.replace(_full(), key=BaselineKey("GSM8K", "llama8b-fp8@H200"))
    with pytest.raises(BaselineError, match="belongs to task 'gsm8k'"):
        write_baseline(path, other)


def test_a_damaged_file_can_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "default.json"
    path.write_text("<<<<<<< ours\n")
    write_baseline(path, _full())
    assert read_baseline(path) is not None


@pytest.mark.parametrize(
    ("task", "variant", "expected"),
    [
        ("gsm8k", None, "gsm8k/default.json"),
        ("gsm8k", "default", "gsm8k/default.json"),
        ("gsm8k", "llama8b-fp8@H200", "gsm8k/llama8b-fp8@H200.json"),
        ("a/b", "c d", "a%2Fb/c%20d.json"),
        ("..", "..", "%2E%2E/%2E%2E.json"),
        (".hidden", "x.", "%2Ehidden/x%2E.json"),
        ("con", "NUL.txt", "%63on/%4EUL.txt.json"),
        ("naïve", "π", "na%C3%AFve/%CF%80.json"),
        ("a~b", "a%2Fb", "a%7Eb/a%252Fb.json"),
    ],
)
def test_names_become_safe_paths(task: str, variant: str | None, expected: str) -> None:
    assert baseline_path(Path("root"), task, variant) == Path("root") / expected


def test_two_names_never_share_a_path() -> None:
    long = "x" * 300
    names = [
        "a/b",
        "a%2Fb",
        "a_b",
        "a b",
        ".",
        "..",
        "...",
        "%2E",
        "~",
        long,
        long + "y",
        long[:119],
    ]
    paths = {baseline_path(Path("root"), name) for name in names}
    assert len(paths) == len(names)
    assert all(path.parent.parent == Path("root") for path in paths)
    assert max(len(path.parent.name) for path in paths) <= 120


def test_a_task_needs_a_name() -> None:
    with pytest.raises(BaselineError, match="without a name"):
        baseline_path(Path("root"), "")


def test_a_run_with_failed_docs_cannot_become_a_baseline() -> None:
    with pytest.raises(BaselineError, match="1 of 3 docs failed"):
        accepted([1.0, None, 0.0])


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_run_without_a_value_cannot_become_a_baseline(value: float | None) -> None:
    with pytest.raises(BaselineError, match="is no baseline"):
        accepted([1.0, 0.0], value=value)


def test_a_score_that_is_not_finite_cannot_become_a_baseline() -> None:
    with pytest.raises(BaselineError, match="the score of doc 7 is not finite"):
        accepted([1.0, math.nan], doc_ids=[3, 7], value=0.5)


def test_docs_are_stored_in_ascending_order() -> None:
    metric = accepted([1.0, 0.0, 0.0], doc_ids=[9, 2, 5])
    assert tuple(metric.doc_ids) == (2, 5, 9)
    assert metric.scores() == (0.0, 0.0, 1.0)
