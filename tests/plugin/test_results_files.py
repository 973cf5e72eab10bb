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
