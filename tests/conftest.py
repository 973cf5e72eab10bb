"""Fixtures of all tests."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from projects import Project

pytest_plugins = ["pytester"]

_CACHE = Path(tempfile.mkdtemp(prefix="lmmeval-tests-"))
# Before anything imports datasets: keeps the data sets of the tests out of the user's cache.
os.environ["HF_DATASETS_CACHE"] = str(_CACHE)
# ``pytester`` forgets the modules that were imported during its test, and these cannot be imported
# twice in a process. Without them here the order of the tests would decide whether they pass.
for _name in ("numpy", "datasets", "torch", "transformers", "accelerate"):
    importlib.import_module(_name)


def pytest_unconfigure() -> None:
    shutil.rmtree(_CACHE, ignore_errors=True)


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """A project with a scripted model and no tasks yet."""
    return Project(pytester)
