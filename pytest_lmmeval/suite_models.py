"""The models of a suite, with what the command line says about them.

``--lmm-model`` picks among them, and ``--lmm-model-args`` is laid over the arguments of whichever
is used. A model that the suite does not name is used as the command line gives it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from pytest_lmmeval.errors import UsageError
from pytest_lmmeval.models.arguments import parse_arguments
from pytest_lmmeval.models.registry import create_model
from pytest_lmmeval.models.servers.server_spec import ServerSpec
from pytest_lmmeval.options import RunConfig
from pytest_lmmeval.plans import ModelPlan

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
