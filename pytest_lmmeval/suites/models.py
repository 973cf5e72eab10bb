"""The models of a suite, with what the command line says about them.

``--lmm-model`` picks among them, and ``--lmm-model-args`` is laid over the arguments of whichever
is used. A model that the suite does not name is used as the command line gives it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import UsageError, nearest
from pytest_lmmeval.models.arguments import parse_arguments
from pytest_lmmeval.models.registry import create_model
from pytest_lmmeval.models.servers.server_spec import ServerSpec
from pytest_lmmeval.plans.task_plans import ModelPlan
from pytest_lmmeval.suites.texts import SuiteText
from pytest_lmmeval.tasks.files.yaml_files import Block

OPTIONS = ("batch_size", "max_batch_size", "device")
# What a launched server tells its model, for a look at the other arguments before it is launched.
TOLD_BY_SERVER = {"base_url": "http://127.0.0.1/v1", "model": "model"}


def plan_model(name: str, written: Mapping[str, Any], config: RunConfig) -> ModelPlan:
    """Plan a model of a suite, the command line's arguments laid over its own.

    Args:
        name: Its registered name.
        written: Its arguments in the suite, with ``server`` among them.
        config: The run's settings.
    """
    args = dict(written)
    server = args.pop("server", None)
    options = {}
    for option in OPTIONS:
        if option in config.by_command_line:
            args.pop(option, None)
        options[option] = None if option in args else getattr(config, option)
    if "model_args" in config.by_command_line:
        args |= parse_arguments(config.model_args)
    return ModelPlan(name, args, server, chat_template=config.chat_template, **options)


def check_plan(plan: ModelPlan) -> None:
    """Tell a wrong name or argument before anything runs.

    Raises:
        UsageError: No such model, argument or setting of a server.
    """
    args = dict(plan.args)
    if plan.server is not None:
        if not isinstance(plan.server, Mapping):
            raise UsageError(f"'server': expected a mapping, found {plan.server!r}")
        ServerSpec.from_mapping(plan.server)
        args = TOLD_BY_SERVER | args
    with warnings.catch_warnings():
        # What is worth a warning is told when the model is made to be used.
        warnings.simplefilter("ignore")
        create_model(plan.name, args, chat_template=plan.chat_template)


def anchored(value: Any, folder: Path) -> Any:
    """Anchor paths that are written relative to a folder."""
    if isinstance(value, str) and value.startswith(("./", "../")):
        return str((folder / value).resolve())
    if isinstance(value, list):
        return [anchored(inner, folder) for inner in value]
    if isinstance(value, Mapping):
        return {name: anchored(inner, folder) for name, inner in value.items()}
    return value


class SuiteModels:
    """The models that one suite names, each planned once.

    Args:
        path: The suite.
        body: Its keys.
        config: The run's settings.
    """

    def __init__(self, path: Path, body: Block, config: RunConfig) -> None:
        self._path = path
        self._body = body
        self._config = config
        self._text = SuiteText(path)
        self._planned: dict[str, ModelPlan] = {}

    def of(self, entry: Block) -> ModelPlan | None:
        """Return the model for a task; None where it is not the suite's but the run's.

        Raises:
            TaskError: The suite does not name it, or its arguments cannot be used.
        """
        models = self._text.mapping(self._body, "models")
        if "model" in self._config.by_command_line:
            asked = str(self._config.model)
            return self._plan(asked, models) if asked in models else None
        name = entry.get("model", next(iter(models), None))
        if name is None:
            return None
        if not isinstance(name, str) or name not in models:
            known = ", ".join(models) or "none"
            message = f"model {name!r} is not one of the suite's: {known}."
            raise self._text.error(message + nearest(str(name), models), entry, "model")
        return self._plan(name, models)

    def _plan(self, name: str, models: Mapping[str, Any]) -> ModelPlan:
        if name in self._planned:
            return self._planned[name]
        args = models[name]
        if not isinstance(args, Mapping | None):
            message = f"model {name!r}: expected a mapping of arguments, found {args!r}"
            raise self._text.error(message, models, name)
        try:
            plan = plan_model(name, anchored(args or {}, self._path.parent), self._config)
            check_plan(plan)
        except UsageError as error:
            raise self._text.error(f"model {name!r}: {error}", models, name) from None
        self._planned[name] = plan
        return plan
