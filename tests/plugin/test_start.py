"""What the start of a run costs: what it imports, and how."""

from __future__ import annotations

import pytest
from projects import Project
from servers import MODEL, Received, ScriptedServer

# What some runs need: libraries that take from 50 ms to seconds to import, and what takes 2 to 4.
HEAVY = {"PIL", "datasets", "numpy", "pandas", "pyarrow", "scipy", "torch", "transformers"}
HEAVY |= {"tenacity", "urllib.request", "pytest_lmmeval.gates.pooled"}
HEAVY |= {"pytest_lmmeval.models.frames", "pytest_lmmeval.models.endpoints.probing"}
TASK = """
task: numbers
dataset_path: json
dataset_kwargs: {data_files: {test: numbers.jsonl}}
test_split: test
doc_to_text: "Which number is {{number}}?"
doc_to_target: "{{answer}}"
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
CONFTEST = f"""
import atexit, gc, sys
import pytest

def how(name, config):
    loader = sys.modules[name].__spec__.loader
    return "rewritten" if loader is config.pluginmanager.rewrite_hook else "as it is"

@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    print("heavy:", sorted({HEAVY!r} & set(sys.modules)))
    for name in ("session.run", "models.endpoints.openai"):
        print(name, "is imported", how(f"pytest_lmmeval.{{name}}", session.config))

def pytest_unconfigure(config):
    print("modules are looked at:", gc.get_freeze_count() == 0)
    names = (type(finder).__name__ for finder in sys.meta_path)
    atexit.register(lambda: print("finders:", *names))
"""


STARTING = """
import sys

def pytest_configure_node(node):
    print("imported before workers start:", "pytest_lmmeval.session.run" in sys.modules)
"""


def answer(request: Received) -> str:
    return "It is so."


def test_a_run_against_an_api_imports_little_and_plainly(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # as for a run that a shell starts
    pytester.makeconftest(CONFTEST)
    path = pytester.path
    (path / "numbers.yaml").write_text(TASK)
    (path / "numbers.jsonl").write_text('{"number": 1, "answer": "It is so."}\n' * 3)
    with ScriptedServer(answer) as server:
        arguments = f"base_url={server.url},model={MODEL}"
        result = pytester.runpytest_subprocess(
            "-s", "--lmm-model=openai_compatible", f"--lmm-model-args={arguments}",
            "--lmm-tasks=numbers.yaml", "--lmm-output-path=out", "-p", "no:randomly",
        )  # fmt: skip
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*heavy: [[]]",
            "session.run is imported as it is",
            "models.endpoints.openai is imported as it is",
            "*numbers exact_match * 100.0% *",
            "modules are looked at: False",
        ]
    )
    (finders,) = (line for line in result.outlines if line.startswith("finders:"))
    assert "OwnModules" not in finders


def test_what_a_test_holds_can_be_freed_after_it_evaluates(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    project.add_task("good", docs=4)
    project.pytester.makepyfile(
        """
        import gc

        def test_it(lmm_evaluate):
            assert lmm_evaluate("good.yaml")["exact_match"] == 1.0
            assert gc.get_freeze_count() == 0
        """
    )
    assert project.run().ret == 0


def test_a_controller_starts_its_workers_before_it_imports_what_it_needs(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(STARTING)
    (pytester.path / "numbers.yaml").write_text(TASK)
    (pytester.path / "numbers.jsonl").write_text('{"number": 1, "answer": "It is so."}\n' * 3)
    with ScriptedServer(answer) as server:
        arguments = f"base_url={server.url},model={MODEL}"
        result = pytester.runpytest_subprocess(
            "-s", "-n2", "--lmm-model=openai_compatible", f"--lmm-model-args={arguments}",
            "--lmm-tasks=numbers.yaml", "--lmm-limit=2", "-p", "no:randomly",
        )  # fmt: skip
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "lmmeval: model openai_compatible; tasks numbers.yaml; limit 2",
            "*imported before workers start: False",
            "*numbers exact_match * 100.0% *",
        ]
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lmm-tasks=numbrs.yaml"], "*there is no file *numbrs.yaml*"),
        (["--lmm-tasks=numbers.yaml", "--lmm-model=opena"], "*--lmm-model: unknown model 'opena'*"),
    ],
)
@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["", "-q"])
def test_what_cannot_be_used_ends_a_run_with_workers_as_any_other(
    pytester: pytest.Pytester, arguments: list[str], message: str, quiet: tuple[str, ...]
) -> None:
    (pytester.path / "numbers.yaml").write_text(TASK)
    result = pytester.runpytest_subprocess("-n2", *quiet, *arguments, timeout=60)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])
    shown = f"{result.stdout}{result.stderr}"
    assert "Traceback" not in shown
    assert "crashed" not in shown
