"""What is in the results file, and when it is noticed that it cannot be written."""

from __future__ import annotations

import pytest
from projects import Project, number_list, results_of

OPTIONS = ("--lmm-include-path=.", "--lmm-output-path=out")


@pytest.fixture
def two(project: Project) -> Project:
    project.add_task("small", 10, first=100, parts=2)
    project.add_task("big", 40, parts=3)
    return project


def test_a_task_whose_gates_are_deselected_is_in_the_results(two: Project) -> None:
    for workers in ((), ("-n2",)):
        two.run("--lmm-tasks=big", "-k", "part", *OPTIONS, *workers, WRONG=number_list(range(10)))
        found = results_of(two.pytester.path / "out")
        assert found["results"]["big"]["exact_match,number"] == 0.75
        for path in (two.pytester.path / "out").rglob("*.json"):
            path.unlink()


def test_tasks_are_in_the_order_of_their_names_whichever_was_through_first(two: Project) -> None:
    two.run("small.yaml", "big.yaml", *OPTIONS)
    assert list(results_of(two.pytester.path / "out")["results"]) == ["big", "small"]


def test_the_settings_of_a_suites_task_are_recorded(two: Project) -> None:
    suite = """
lmmeval: 1
tasks:
  - {task: ./big.yaml, dialect: lmms_eval}
  - {task: ./small.yaml, parity: lm_eval}
"""
    (two.pytester.path / "pr.lmm.yaml").write_text(suite)
    two.run("pr.lmm.yaml", *OPTIONS)
    found = results_of(two.pytester.path / "out")["task_settings"]
    assert [found[name]["dialect"] for name in ("big", "small")] == ["lmms_eval", "lm_eval"]
    assert [found[name]["parity"] for name in ("big", "small")] == [None, "lm_eval"]


@pytest.mark.parametrize("by", ["option", "ini"])
def test_a_folder_that_cannot_be_written_to_is_told_before_any_request(
    two: Project, by: str
) -> None:
    folder = two.pytester.path
    (folder / "file").write_text("")
    (folder / "pr.lmm.yaml").write_text("lmmeval: 1\ntasks: [./big.yaml]\n")
    ini = folder / "tox.ini"
    options = [] if by == "ini" else ["--lmm-output-path=file/out"]
    if by == "ini":
        ini.write_text(ini.read_text() + "\nlmm_output_path = file/out\n")
    for more in ([], ["-n2"]):
        # A model that is asked would kill its process.
        result = two.run("pr.lmm.yaml", *options, *more, KILL=number_list(range(200)))
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: --lmm-output-path: cannot write to */file/out (*"])


def test_a_task_of_any_name_has_its_files(project: Project) -> None:
    path = project.add_task("small", 4, parts=2)
    path.write_text(path.read_text().replace("task: small", "task: " + "长" * 120))
    result = project.run("small.yaml", "--lmm-output-path=out")
    result.assert_outcomes(passed=2, skipped=1)
    assert "长" * 120 in results_of(project.pytester.path / "out")["results"]
    (samples,) = (project.pytester.path / "out").rglob("samples_*.jsonl")
    assert len(samples.read_text().splitlines()) == 4


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "workers"])
def test_doc_ids_of_a_task_that_is_not_there_are_told(two: Project, workers: tuple[str]) -> None:
    result = two.run("--lmm-tasks=big,small", *OPTIONS, "--lmm-samples=bog=1,2", *workers)
    message = (
        "*--lmm-samples: task 'bog' is not among those that are collected. Did you mean 'big'?"
    )
    (result.stdout if workers else result.stderr).fnmatch_lines([message])
    assert result.ret == (0 if workers else 4)
    result = two.run("--lmm-tasks=big,small", *OPTIONS, "--lmm-samples=big=1,2", *workers)
    assert result.ret == 0
