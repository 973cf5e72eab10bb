"""Two tasks of one name in one run: told, where they would write the same baseline."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import ROWS, Project

SUITE = """
lmmeval: 1
variant: {variant}
tasks:
  - {{task: ../x/numbers.yaml, name: {name}}}
"""


@pytest.fixture
def twice(project: Project) -> Project:
    """The task ``numbers`` in two folders."""
    for folder in ("x", "y"):
        path = project.pytester.path / folder
        path.mkdir()
        task = project.add_task("numbers", 8, parts=2)
        for file in (task, task.with_suffix(".jsonl")):
            file.rename(path / file.name)
        (path / "rows.py").write_text(ROWS)
    return project


def add_suite(
    project: Project, folder: str, file: str = "pr", variant: str = "default", name: str = "numbers"
) -> Path:
    path = project.pytester.path / folder / f"{file}.lmm.yaml"
    path.write_text(SUITE.format(variant=variant, name=name))
    return path


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "workers"])
@pytest.mark.parametrize("update", [(), ("--lmm-update-baseline",)], ids=["judged", "updated"])
def test_files_of_one_task_name_are_refused(
    twice: Project, update: tuple[str, ...], workers: tuple[str, ...]
) -> None:
    result = twice.run("x/numbers.yaml", "y/numbers.yaml", *update, *workers)
    # Under xdist, what could be collected runs.
    assert result.ret == (1 if workers else pytest.ExitCode.INTERRUPTED)
    result.stdout.fnmatch_lines(
        [
            "*task 'numbers' is selected twice, by x/numbers.yaml and by y/numbers.yaml, and both "
            "would use the baseline */lmm-baselines/numbers/default.json; *"
        ]
    )
    assert "Traceback" not in result.stdout.str()
    written = list(twice.pytester.path.rglob("default.json"))
    assert len(written) == (1 if update and workers else 0)


def test_a_task_by_name_and_its_namesake_are_refused(twice: Project) -> None:
    result = twice.run("--lmm-tasks=./x/numbers.yaml", "y/numbers.yaml")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*selected twice, by y/numbers.yaml and by x/numbers.yaml*"])


def test_suites_of_one_name_in_one_baseline_folder_are_refused(twice: Project) -> None:
    add_suite(twice, "x")
    add_suite(twice, "y")
    result = twice.run("x/pr.lmm.yaml", "y/pr.lmm.yaml", "--lmm-baseline-dir=accepted")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["*selected twice, by x/pr.lmm.yaml::numbers and by y/pr.lmm.yaml::numbers, *"]
    )
    # Each beside its suite, they are two.
    assert twice.run("x/pr.lmm.yaml", "y/pr.lmm.yaml", "--lmm-update-baseline").ret == 0
    assert len(list(twice.pytester.path.rglob("baselines/pr/numbers/default.json"))) == 2


@pytest.mark.parametrize(
    "other",
    [{"file": "nightly"}, {"variant": "fp8"}, {"name": "others"}],
    ids=["suite", "variant", "name"],
)
def test_another_suite_variant_or_name_has_a_baseline_of_its_own(
    twice: Project, other: dict[str, str]
) -> None:
    add_suite(twice, "x")
    add_suite(twice, "y", **other)
    second = other.get("file", "pr")
    args = ("x/pr.lmm.yaml", f"y/{second}.lmm.yaml", "--lmm-baseline-dir=accepted")
    assert twice.run(*args, "--lmm-update-baseline").ret == 0
    assert len(list((twice.pytester.path / "accepted").rglob("*.json"))) == 2


def test_a_suite_and_a_task_file_go_together(twice: Project) -> None:
    add_suite(twice, "x")
    assert twice.run("x/pr.lmm.yaml", "x/numbers.yaml", "--lmm-update-baseline").ret == 0


def test_gates_without_a_baseline_go_together(twice: Project) -> None:
    for folder in ("x", "y"):
        path = twice.pytester.path / folder / "numbers.yaml"
        gate = "gates:\n  exact_match: {floor: 0.5, baseline: false}\n"
        path.write_text(path.read_text() + gate)
    twice.run("x/numbers.yaml", "y/numbers.yaml").assert_outcomes(passed=6)
