"""The judge of a suite: ``judge: {model: openai_compatible, model_args: {model: …}}``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import UsageError
from pytest_lmmeval.models.arguments import parse_arguments
from pytest_lmmeval.plans.task_plans import check_judge_model
from pytest_lmmeval.suites.keys import JUDGE_KEYS
from pytest_lmmeval.suites.models import anchored
from pytest_lmmeval.suites.texts import SuiteText
from pytest_lmmeval.tasks.files.yaml_files import Block


def with_judge(path: Path, body: Block, config: RunConfig) -> RunConfig:
    """Return the settings with a suite's judge; a model that the command line names wins.

    Arguments that the command line gives alone are laid over the suite's.

    Args:
        path: The suite.
        body: Its keys.
        config: Its settings so far.

    Raises:
        TaskError: There is no such model or argument.
    """
    if "judge" not in body or "judge_model" in config.by_command_line:
        return config
    text = SuiteText(path)
    judge = text.mapping(body, "judge")
    text.check_keys(judge, JUDGE_KEYS, "'judge'")
    name = judge.get("model")
    if not isinstance(name, str) or not name:
        raise text.error(f"'judge': expected 'model: …', found {name!r}", judge, "model")
    arguments = dict(text.mapping(judge, "model_args"))
    arguments = anchored(arguments, path.parent)
    if "judge_model_args" in config.by_command_line:
        arguments |= parse_arguments(config.judge_model_args)
    judged = replace(config, judge_model=name, judge_model_args=json.dumps(arguments))
    try:
        check_judge_model(judged)
    except UsageError as error:
        raise text.error(f"'judge': {error}", body, "judge") from None
    return judged
