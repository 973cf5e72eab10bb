"""Models that a project or another plugin adds, found by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

TASK = """
task: sums
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
test_split: test
doc_to_text: question
doc_to_target: answer
"""
MODEL = """
from pytest_lmmeval import LM, register_model

class Four(LM):
    def __init__(self, said="4"):
        self.said = said

    def generate_until(self, requests):
        return [self.said for _ in requests]
"""
HOOK = """
def pytest_lmm_models(config):
    return {"four": Four}
"""
DECORATED = MODEL.replace("class Four", '@register_model("four")\nclass Four')


@pytest.fixture
def project(pytester: pytest.Pytester) -> Path:
    pytester.makefile(".ini", pytest="[pytest]\n")
    (pytester.path / "sums.yaml").write_text(TASK)
    (pytester.path / "rows.jsonl").write_text('{"question": "2+2=", "answer": "4"}\n')
    return pytester.path


@pytest.mark.parametrize("conftest", [MODEL + HOOK, DECORATED], ids=["hook", "decorator"])
@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["plain", "xdist"])
def test_a_conftest_adds_a_model(
    pytester: pytest.Pytester, project: Path, conftest: str, workers: tuple[str, ...]
) -> None:
    pytester.makeconftest(conftest)
    result = pytester.runpytest_subprocess("--lmm-model=four", "--lmm-tasks=./sums.yaml", *workers)
    result.stdout.fnmatch_lines(["*sums exact_match*100.0%*"])
    assert result.ret == 0


def test_a_suite_names_a_model_of_a_hook(pytester: pytest.Pytester, project: Path) -> None:
    pytester.makeconftest(MODEL + HOOK)
    (project / "smoke.lmm.yaml").write_text(
        "lmmeval: 1\nmodels:\n  four: {said: five}\ntasks:\n"
        "  - {task: ./sums.yaml, gates: {exact_match: {floor: 0.5, baseline: false}}}\n"
    )
    result = pytester.runpytest_subprocess()
    result.stdout.fnmatch_lines(["*FAIL*"])
    assert result.ret == 1


@pytest.mark.parametrize(
    ("conftest", "told"),
    [
        (
            MODEL + HOOK.replace('"four"', '"hf"'),
            "*pytest_lmm_models: the model name 'hf' is taken*",
        ),
        (
            MODEL + HOOK.replace(": Four", ": Four()"),
            "*pytest_lmm_models: *is not a subclass of LM*",
        ),
    ],
    ids=["taken", "an instance"],
)
def test_a_model_that_cannot_be_added_is_told(
    pytester: pytest.Pytester, project: Path, conftest: str, told: str
) -> None:
    pytester.makeconftest(conftest)
    result = pytester.runpytest_subprocess("--lmm-model=four", "--lmm-tasks=./sums.yaml")
    result.stderr.fnmatch_lines([told])
    assert result.ret == 4
