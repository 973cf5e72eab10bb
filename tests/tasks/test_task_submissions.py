"""lmms-eval's aggregations that take its command line write into the run's folder."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from projects import Project
from task_builders import MINIMAL, QUESTIONS, TaskFolder

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.warnings import LmmWarning

# As lmms-eval's own helper and its users do it.
OWN = """
import json, os


def where(name, args, subpath="submissions"):
    path = subpath if args is None or args.output_path is None else f"{args.output_path}/{subpath}"
    os.makedirs(path, exist_ok=True)
    return os.path.abspath(os.path.join(path, name))


def hand_in(items, args):
    suffix = args.model if args.log_samples_suffix == "model_outputs" else args.log_samples_suffix
    with open(where(f"{args.tasks}-{suffix}.json", args), "w") as file:
        json.dump(items, file)


def count(items, *, args):
    hand_in(items, args)
    return len(items)


def greedy(items, args):
    return args.no_such_option
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskFolder:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    folder = TaskFolder(tmp_path)
    folder.docs(QUESTIONS[:3])
    folder.write("own.py", OWN)
    return folder


def with_aggregation(folder: TaskFolder, name: str) -> None:
    metric = f"{{metric: right, aggregation: !function own.{name}}}"
    folder.write(
        "task.yaml",
        MINIMAL + f"    score_key: score\n    metric_list: [{metric}]\n    "
        "process_results: !function own.where\n",
    )


def test_a_submission_lies_in_the_runs_folder_and_has_no_value(folder: TaskFolder) -> None:
    with_aggregation(folder, "hand_in")
    task = folder.task(output_path=folder.path / "out", model_name="tiny")
    value, error = task.aggregate("right", "none", [1.0, 0.0])
    assert math.isnan(value)
    assert error is None
    written = folder.path / "out" / "submissions" / "minimal-tiny.json"
    assert json.loads(written.read_text()) == [1.0, 0.0]
    assert not list(Path.cwd().iterdir())


def test_a_resample_of_the_docs_does_not_replace_the_submission(folder: TaskFolder) -> None:
    with_aggregation(folder, "count")
    task = folder.task(output_path=folder.path / "out", model_name="tiny")
    assert task.aggregate("right", "none", [1.0, 0.0])[0] == 2.0
    assert task.value("right", [0.5, 0.5, 0.5]) == 3.0
    written = folder.path / "out" / "submissions" / "minimal-tiny.json"
    assert json.loads(written.read_text()) == [1.0, 0.0]


def test_without_a_folder_nothing_is_left_behind_and_it_is_told(folder: TaskFolder) -> None:
    with_aggregation(folder, "count")
    with pytest.warns(LmmWarning, match="'minimal' writes a file for submission.*--lmm-output-pa"):
        assert folder.task().aggregate("right", "none", [1.0])[0] == 1.0
    assert folder.task().value("right", [1.0]) == 1.0
    assert not list(Path.cwd().iterdir())


def test_an_option_that_is_not_there_is_named_with_the_function(folder: TaskFolder) -> None:
    with_aggregation(folder, "greedy")
    with pytest.raises(TaskError, match=r"own\.greedy.*no attribute 'no_such_option'"):
        folder.task().aggregate("right", "none", [1.0])


@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["plain", "workers"])
def test_a_run_keeps_a_submission_with_its_results(project: Project, args: tuple[str, ...]) -> None:
    path = project.add_task("good")
    path.with_name("own.py").write_text(OWN)
    text = path.read_text().replace("aggregation: mean", "aggregation: !function own.count")
    path.write_text(f"{text}\nscore_key: score\n")
    project.run("--lmm-tasks=./good.yaml", "--lmm-output-path=out", *args)
    (written,) = (project.pytester.path / "out").rglob("submissions/*.json")
    assert len(json.loads(written.read_text())) == 200
    assert not (project.pytester.path / "submissions").exists()
