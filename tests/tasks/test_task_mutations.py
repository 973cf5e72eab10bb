"""Hundreds of task files with one fault each: every one is told in a paragraph, or does no harm."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from mutated import outcome
from mutations import FAMILIES, Mutation, wrong_types
from projects import Project

# There are thousands of wrong types; so many of them are taken, others each time the list changes.
_MOST = 260


_CONFTEST = f"""
import sys
import pytest

sys.path.insert(0, {str(Path(__file__).parent)!r})

@pytest.fixture(scope="session")
def lmm_model():
    from mutated import Answers
    return Answers()
"""


@functools.cache
def _chosen(family: str) -> Sequence[Mutation]:
    made = list(FAMILIES[family]())
    return made if len(made) <= _MOST else random.Random(family).sample(made, _MOST)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fault_is_told_in_a_paragraph_that_names_its_place(family: str, tmp_path: Path) -> None:
    offenders = []
    for number, mutation in enumerate(_chosen(family)):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = outcome(mutation, folder)
        if found.problem:
            offenders.append(f"{mutation.family}: {mutation.name}: {found.problem}")
    assert offenders == []


def test_there_are_more_than_five_hundred_different_faults() -> None:
    chosen = [mutation for family in FAMILIES for mutation in _chosen(family)]
    assert len({(m.family, m.name) for m in chosen}) == len(chosen) > 1000


def test_a_wrong_type_names_the_line_and_the_key(tmp_path: Path) -> None:
    checked = 0
    for number, mutation in enumerate(wrong_types()):
        base, _, place = mutation.name.partition(": ")
        path, _, kind = place.partition(" = ")
        # A date can stand for nothing behind any of these.
        if kind != "date" or base not in ("generate", "choice") or "." in path:
            continue
        if path in ("metadata", "dataset_kwargs"):
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        lines = mutation.files["task.yaml"].decode().splitlines()
        line = next(n for n, text in enumerate(lines, 1) if text.startswith(f"{path}:"))
        message = outcome(mutation, folder).message
        assert message.startswith(f"{folder}/task.yaml:{line}: ")
        assert path in message
        assert "datetime.date(2026, 1, 1)" in message
        checked += 1
    assert checked > 20


_SAMPLE = (
    "templates",
    "yaml",
    "encodings",
    "includes",
    "modules",
    "file system",
)


def test_pytest_reports_each_fault_without_a_traceback(project: Project) -> None:
    chosen = []
    for family in _SAMPLE:
        refused = [m for m in FAMILIES[family]() if m.must is False and m.family != "role"]
        chosen += random.Random(family).sample(refused, 4)
    project.pytester.makeconftest(_CONFTEST)
    root = project.pytester.path
    names = []
    for number, mutation in enumerate(chosen):
        folder = root / f"m{number}"
        folder.mkdir()
        path = mutation.write(folder)
        if path.is_file():
            names.append(str(path.relative_to(root)))
    assert len(names) >= 20
    result = project.run("--continue-on-collection-errors", "-q", *names)
    text = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    assert "site-packages" not in text
    for name in names:
        assert name in text
    outcomes = result.parseoutcomes()
    # Half a task may be measured before a doc is met that cannot be.
    assert outcomes.get("skipped", 0) == 0
    assert outcomes["errors"] + outcomes["failed"] >= len(names)
