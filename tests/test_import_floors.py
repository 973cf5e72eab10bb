"""Imports point downwards: records ← tasks, models, gates ← pipeline ← evaluator ← … ← plugin."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import pytest_lmmeval

ROOT = Path(pytest_lmmeval.__file__).parent
# A folder or module may import from its own floor and from those above it in this list.
FLOORS = (
    ("errors", "image_files", "records", "surrogates", "warnings"),
    ("tasks", "models", "gates"),
    ("config", "hookspecs"),
    ("pipeline",),
    ("columns", "doc_records", "evaluations", "ledger", "results"),
    ("evaluator",),
    ("plans",),
    ("suites",),
    ("reports",),
    ("judging",),
    ("session",),
    ("plugin",),
)
LEVEL = {name: level for level, names in enumerate(FLOORS) for name in names}
WITH_PYTEST = {"hookspecs", "reports", "session", "plugin"}
# Deferred imports that close a circle on purpose, each with its reason.
UPWARD = {
    ("session.state", "session.hooks"),  # the first benchmark registers the hooks
    # A task's code reaches the peers' names, which need the metrics, which read task files.
    ("tasks.functions.compat.names", "tasks.scoring.metrics"),
}


def modules() -> Iterator[tuple[str, Path]]:
    """Every module, by its name within the package; the library's tasks import it as users do."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name and "library" not in parts:
            yield name, path


PATHS = dict(modules())


def area(module: str) -> str:
    return module.partition(".")[0]


def imported(path: Path) -> Iterator[str]:
    """Every module of the package that a file imports anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [
                name if name[len("pytest_lmmeval.") :] in PATHS else node.module for name in inner
            ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("pytest_lmmeval."):
                yield _own(name)


def _own(name: str) -> str:
    return name.removeprefix("pytest_lmmeval.")


def test_every_module_has_a_floor() -> None:
    assert {area(name) for name in PATHS} == set(LEVEL)


@pytest.mark.parametrize("module", PATHS)
def test_imports_point_downwards(module: str) -> None:
    siblings = {"tasks", "models", "gates"}
    own = area(module)
    for other in map(area, imported(PATHS[module])):
        assert LEVEL[other] <= LEVEL[own], f"{module} imports {other}"
        assert not (own in siblings and other in siblings - {own}), f"{module} imports {other}"


def test_no_imports_go_round_in_a_circle() -> None:
    found = {
        name: {other for other in imported(path) if other != name and (name, other) not in UPWARD}
        for name, path in PATHS.items()
    }
    assert {
        (name, other) for name, other in UPWARD if other not in set(imported(PATHS[name]))
    } == set()
    TopologicalSorter(found).prepare()  # raises CycleError, which names the circle


def test_the_engine_works_without_pytest() -> None:
    for module, path in PATHS.items():
        if area(module) in WITH_PYTEST:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert "pytest" not in {alias.name for alias in node.names}, path
            if isinstance(node, ast.ImportFrom) and node.module:
                assert node.module.partition(".")[0] not in {"pytest", "_pytest"}, path
