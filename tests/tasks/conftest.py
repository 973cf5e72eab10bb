"""Fixtures of the tests of tasks."""

from __future__ import annotations

import datasets
import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_data_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the data sets of the tests out of the user's cache."""
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("data_cache")
