"""Fixtures of all tests."""

from __future__ import annotations

import pytest
from projects import Project

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester) -> Project:
    """A project with a scripted model and no tasks yet."""
    return Project(pytester)
