"""The hooks that this plugin adds to pytest's, for plugins and ``conftest.py`` files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_lmmeval.models.base import LM


def pytest_lmm_models(config: pytest.Config) -> Mapping[str, type[LM]] | None:
    """Return models that ``--lmm-model`` and suites may name, by these names.

    Called once per process, before a model is looked for, and only if a benchmark runs: what is
    heavy to import may be imported here. Implement it in an installed plugin, or in a
    ``conftest.py`` that pytest reads at its start.
    """
