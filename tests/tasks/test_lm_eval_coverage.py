"""The comparison with lm-eval leaves out nothing that lm-eval's tasks use."""

from __future__ import annotations

import dataclasses

import lm_eval.api.metrics
import lm_eval.filters  # noqa: F401 -- registers them
import pytest
from lm_eval.api import registry
from lm_eval.api.samplers import SAMPLER_REGISTRY
from lm_eval.config.task import FewshotConfig, TaskConfig
from lm_eval_cases import CASES, GROUP_CASES, select, write_cases
from lm_eval_census import LEFT_OUT, ROWS, rows_of
from task_builders import TaskFolder


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The rows that any case has."""
    folder = TaskFolder(tmp_path_factory.mktemp("cases"))
    write_cases(folder)
    return {
        row for case in [*CASES, *GROUP_CASES] for row in rows_of(case, *select(case, folder.path))
    }


def test_there_are_enough_cases() -> None:
    assert len({case.task for case in [*CASES, *GROUP_CASES]}) >= 40


@pytest.mark.parametrize("topic", ROWS)
def test_every_row_of_the_census_has_a_case(found: set[str], topic: str) -> None:
    rows = {f"{topic} {row}" for row in ROWS[topic]}
    assert rows - found == rows & set(LEFT_OUT)


def test_the_census_holds_all_that_lm_eval_registers() -> None:
    registered = {
        "metric": registry.METRIC_REGISTRY,
        "aggregation": registry.AGGREGATION_REGISTRY,
        # Those of the cases may be there as well.
        "filter": [n for n, f in registry.FILTER_REGISTRY.items() if "lm_eval" in f.__module__],
        "sampler": SAMPLER_REGISTRY,
        "output type": registry.DEFAULT_METRIC_REGISTRY,
    }
    for topic, names in registered.items():
        assert set(names) <= set(ROWS[topic]), topic


def test_the_census_holds_all_keys_of_lm_evals_configurations() -> None:
    assert {field.name for field in dataclasses.fields(TaskConfig)} <= set(ROWS["key"])
    shots = {field.name for field in dataclasses.fields(FewshotConfig)}
    # Nothing in lm-eval looks at the indices.
    assert shots - {"fewshot_indices"} <= set(ROWS["fewshot_config"])
