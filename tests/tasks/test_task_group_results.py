"""A group's own results: weights, standard errors and what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from task_builders import TaskFolder

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.records import MetricResult, OutcomeCounts
from pytest_lmmeval.tasks.catalog.groups import Group, load_group
from pytest_lmmeval.tasks.scoring.group_results import (
    aggregate_group,
    pooled_stderr,
    unweighted_stderr,
)
from pytest_lmmeval.warnings import LmmWarning

GOLDEN = json.loads(Path(__file__).with_name("lm_eval_0.4.13.json").read_text())["pooled"]


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    return TaskFolder(tmp_path)


def group(folder: TaskFolder, metrics: str) -> Group:
    text = f"group: g\ntask: [a, b, c]\naggregate_metric_list:\n{metrics}\n"
    return load_group(folder.write("g.yaml", text))


def result(task: str, value: float, stderr: float | None, n: int, key: str) -> MetricResult:
    metric, _, name = key.partition(",")
    counts = OutcomeCounts(scored=n - 1, unparsed=1)
    return MetricResult(task, metric, name, value, stderr, n, True, counts)


def three(key: str = "acc,none") -> dict[str, list[MetricResult]]:
    rows = zip("abc", (0.5, 0.6, 0.9), GOLDEN["stderrs"], GOLDEN["sizes"], strict=True)
    return {task: [result(task, value, stderr, n, key)] for task, value, stderr, n in rows}


def test_standard_errors_are_lm_evals_recorded_ones() -> None:
    assert pooled_stderr(GOLDEN["stderrs"], GOLDEN["sizes"]) == pytest.approx(GOLDEN["pooled"])
    assert unweighted_stderr(GOLDEN["stderrs"]) == pytest.approx(GOLDEN["unweighted"])


@pytest.mark.parametrize(
    ("said", "value", "stderr"),
    [("true", "w_mean", "pooled"), ("false", "u_mean", "unweighted")],
)
def test_tasks_count_by_their_docs_or_all_alike(
    folder: TaskFolder, said: str, value: str, stderr: str
) -> None:
    (made,) = aggregate_group(group(folder, f"- {{metric: acc, weight_by_size: {said}}}"), three())
    assert (made.task, made.key, made.n) == ("g", "acc,none", 1120)
    assert made.value == pytest.approx(GOLDEN[value])
    assert made.stderr == pytest.approx(GOLDEN[stderr])
    assert made.counts == OutcomeCounts(scored=1117, unparsed=3)


def test_without_the_standard_error_of_one_task_there_is_none(folder: TaskFolder) -> None:
    results = three()
    results["b"] = [result("b", 0.6, None, 1000, "acc,none")]
    (made,) = aggregate_group(group(folder, "- {metric: acc}"), results)
    assert made.stderr is None
    assert made.value == pytest.approx(GOLDEN["w_mean"])


def test_a_metric_that_a_task_lacks_is_told_and_left_out_of_the_mean(folder: TaskFolder) -> None:
    results = three()
    results["c"] = [result("c", 1.0, 0.1, 20, "f1,none")]
    of = group(folder, "- {metric: acc, weight_by_size: false}\n- {metric: wer}")
    with pytest.warns(LmmWarning, match="group 'g': acc,none is missing in c$") as caught:
        (made,) = aggregate_group(of, results)
    assert (caught[0].filename, caught[0].lineno) == (str(of.path), 4)
    assert made.value == pytest.approx(0.55)
    assert made.n == 1100


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("- acc", "expected mappings, found 'acc'"),
        ("- {metrics: acc}", "there is no key 'metrics'. Did you mean 'metric'?"),
        ("- {weight_by_size: true}", "has no 'metric'"),
        ("- {metric: acc, aggregation: median}", "aggregation is 'median', and there is only"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named(
    folder: TaskFolder, entry: str, message: str
) -> None:
    with pytest.raises(TaskError) as caught:
        group(folder, entry)
    assert message in str(caught.value)
    assert (caught.value.path, caught.value.line) in {
        (folder.path / "g.yaml", 4),
        (folder.path / "g.yaml", 1),
    }
