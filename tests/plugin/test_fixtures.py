"""Tests written by hand with ``lmm_evaluate``, ``lmm_evaluate_async`` and ``lmm_result``."""

from __future__ import annotations

import pytest
from projects import Project

WORKERS = pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["plain", "workers"])

TESTS = """
import asyncio
import pytest

def test_by_call(lmm_evaluate):
    result = lmm_evaluate("good.yaml", limit=10)
    assert result["exact_match"] == result["exact_match,number"] == 1.0
    assert (result.counts.total, len(result.samples)) == (10, 10)

@pytest.mark.lmm_task("good.yaml", limit=5, limit_from="first")
def test_by_marker(lmm_result):
    assert [sample.doc_id for sample in lmm_result.samples] == [0, 1, 2, 3, 4]
    assert dict(lmm_result) == {"exact_match,number": 1.0}

@pytest.mark.asyncio
async def test_by_await(lmm_evaluate_async):
    first, second = await asyncio.gather(
        lmm_evaluate_async("good.yaml", limit=7), lmm_evaluate_async("other.yaml")
    )
    assert (first.counts.total, second.counts.total) == (7, 40)
"""

COUNTING = """
import os, pathlib, pytest
from conftest_of_project import Scripted

class Counting(Scripted):
    def start(self):
        with open("starts.txt", "a") as out:
            out.write(os.environ.get("PYTEST_XDIST_WORKER", "main") + "\\n")

@pytest.fixture(scope="session")
def lmm_model():
    return Counting()
"""


@pytest.fixture
def counted(project: Project) -> Project:
    """A project whose model notes when it is started."""
    root = project.pytester.path
    project.add_task("good", docs=40)
    project.add_task("other", docs=40)
    (root / "conftest.py").rename(root / "conftest_of_project.py")
    (root / "conftest.py").write_text(COUNTING)
    project.pytester.makepyfile(test_by_hand=TESTS)
    return project


@WORKERS
def test_tests_by_hand_beside_benchmarks_share_the_model(
    counted: Project, workers: tuple[str, ...]
) -> None:
    result = counted.run("--lmm-tasks=./good.yaml", ".", *workers)
    result.assert_outcomes(passed=7, skipped=1)
    assert result.ret == 0
    started = (counted.pytester.path / "starts.txt").read_text().split()
    assert sorted(started) == sorted(set(started)), "once a process"


def test_what_is_wrong_is_told_with_the_nearest_name(project: Project) -> None:
    project.add_task("good", docs=4)
    project.pytester.makepyfile(
        """
        import pytest
        from pytest_lmmeval import DataError, UsageError

        @pytest.mark.parametrize("task, settings, message", [
            ("good.yaml", {"limt": 3}, "unknown setting 'limt'. Did you mean 'limit'?"),
            ("good.yaml", {"limit": "x"}, "'limit': 'x' is not valid: expected a number of docs"),
            ("gsm9k", {}, "no task, group or tag 'gsm9k'"),
            ("gsm9k", {}, "Did you mean 'gsm8k'?"),
            ("*", {}, "expected one task; '*' is "),
        ])
        def test_usage(lmm_evaluate, task, settings, message):
            with pytest.raises(UsageError) as error:
                lmm_evaluate(task, **settings)
            assert message in str(error.value)

        def test_metric(lmm_evaluate):
            result = lmm_evaluate("good.yaml")
            with pytest.raises(UsageError) as error:
                result["exact_mach"]
            assert str(error.value) == (
                "good: metric 'exact_mach' was not measured: exact_match,number. "
                "Did you mean 'exact_match,number'?"
            )
            assert "exact_mach" not in result
            assert result.get("exact_mach") is None

        def test_no_marker(lmm_result):
            pass
        """
    )
    result = project.run()
    result.stdout.fnmatch_lines(
        ["*::test_no_marker: the fixture lmm_result needs a marker with one task*"]
    )
    result.assert_outcomes(passed=6, errors=1)


def test_without_a_model_they_are_skipped(project: Project) -> None:
    (project.pytester.path / "conftest.py").unlink()
    project.pytester.makepyfile("def test_it(lmm_evaluate): pass")
    result = project.run("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*no model under test: give --lmm-model*"])


def test_an_error_of_ours_shows_nothing_of_this_package(project: Project) -> None:
    path = project.add_task("good", docs=4)
    path.write_text(path.read_text().replace("test_split: test", "test_split: tset"))
    project.pytester.makepyfile("def test_it(lmm_evaluate): lmm_evaluate('good.yaml')")
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *DataError: *good.yaml:*there is no split 'tset'*"])
    assert "dispatcher.py" not in result.stdout.str()
