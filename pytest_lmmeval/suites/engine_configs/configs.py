"""Which files are configs of a serving engine's own accuracy gates, and their plans.

    vLLM, .buildkite/lm-eval-harness/configs/*.yaml   model_name, tasks[].metrics[].{name, value}
    vLLM, tests/evals/gsm8k/configs/*.yaml            model_name, accuracy_threshold, num_questions
    SGLang, test/lm_eval_configs/*.yaml               as the first, with num_concurrent

Each states a value that was once measured, and a band. The band becomes a floor, so that what was
red stays red; the old rule's own verdict is told beside ours; and once there is a baseline, docs
are compared one by one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import LmmError
from pytest_lmmeval.plans.task_plans import TaskPlan
from pytest_lmmeval.suites.engine_configs.gsm8k import plan_gsm8k
from pytest_lmmeval.suites.engine_configs.lm_eval_harness import plan_lm_eval
from pytest_lmmeval.suites.engine_configs.values import EngineConfig
from pytest_lmmeval.tasks.files.yaml_files import Block, parse_file


def is_config(path: Path) -> bool:
    """Whether a file is such a config; one that cannot be read is none."""
    try:
        return _is_config(parse_file(path))
    except LmmError:
        return False


def plan_config(path: Path, config: RunConfig, key: str) -> list[TaskPlan]:
    """Plan the tasks of a config.

    Args:
        path: The file.
        config: The run's settings; those of the command line win over the file's.
        key: The file's node id, which the plans' keys begin with.

    Raises:
        TaskError: The file cannot be used.
    """
    body = parse_file(path)
    if "accuracy_threshold" in body:
        return plan_gsm8k(EngineConfig(path, body, config), key)
    return plan_lm_eval(EngineConfig(path, body, config), key)


def _is_config(body: Block) -> bool:
    tasks: Any = body.get("tasks")
    listed = isinstance(tasks, list) and all(
        isinstance(task, dict) and "name" in task and "metrics" in task for task in tasks
    )
    return "model_name" in body and ("accuracy_threshold" in body or listed)
