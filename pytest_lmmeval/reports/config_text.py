"""The text of ``--lmm-show-config``: the run's settings, the model's identity and every task."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_lmmeval.config.recorded_config import plain_value, recorded_settings, recorded_task
from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import UsageError
from pytest_lmmeval.models.arguments import is_secret, parse_arguments
from pytest_lmmeval.models.credentials import Scrubber, secrets_of
from pytest_lmmeval.plans.task_plans import TaskPlan, own_settings
from pytest_lmmeval.reports.json_text import json_line

_SHORTEST = 8


def config_text(
    run: RunConfig,
    plans: Sequence[TaskPlan],
    about: Mapping[str, Mapping[str, Any]],
    levels: Mapping[str, int],
) -> str:
    """Return a YAML document with ``run``, ``model`` and ``tasks``.

    Args:
        run: The run's settings.
        plans: The tasks' plans.
        about: What ``evaluator.describe`` returned of those that were measured, by their keys.
        levels: What ``num_concurrent=auto`` came to, by model.
    """
    # Deferred: only a run that shows its configuration writes YAML.
    import yaml

    models = {plan.key: dict(about[plan.key]["model"]) for plan in plans if about.get(plan.key)}
    alike = len({json.dumps(model, sort_keys=True) for model in models.values()}) == 1
    uses = Counter(plan.name for plan in plans)
    shown: dict[str, Any] = {"run": recorded_settings(run)}
    if alike:
        shown["model"] = next(iter(models.values()))
    if levels:
        shown["num_concurrent"] = dict(levels)
    shown["tasks"] = {
        plan.name if uses[plan.name] == 1 else plan.key: _task(plan, run, about.get(plan.key, {}))
        | ({} if alike or plan.key not in models else {"model": models[plan.key]})
        for plan in plans
    }
    # What a YAML file or a model gave may be of any type, a subclass of str for one.
    plain = json.loads(json_line(shown))
    text: str = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
    return Scrubber(_secrets(run, plans))(text)


def _task(plan: TaskPlan, run: RunConfig, about: Mapping[str, Any]) -> dict[str, Any]:
    task = recorded_task(plan.task, about.get("fingerprint", {}))
    task["gates"] = {gate.key: plain_value(gate.rule) for gate in plan.gates}
    task["baseline"] = str(plan.baseline)
    own = own_settings(plan, run)
    return task | ({"settings": own} if own else {})


def _judges_args(run: RunConfig, plans: Sequence[TaskPlan]) -> Iterator[str]:
    yield from (config.judge_model_args for config in (run, *(plan.config for plan in plans)))


def _secrets(run: RunConfig, plans: Sequence[TaskPlan]) -> Iterator[str]:
    """Yield the credentials of the environment and of all models, wherever they may turn up."""
    yield from secrets_of(os.environ.items())
    for text in {run.model_args, *_judges_args(run, plans)}:
        try:
            yield from _hidden_texts(parse_arguments(text))
        except UsageError:
            yield text
    for plan in plans:
        yield from _hidden_texts(plan.config.metadata)
        if plan.model is not None:
            yield from _hidden_texts(plan.model.args)
            yield from _hidden_texts(plan.model.server)


def _hidden_texts(value: Any, *, secret: bool = False) -> Iterator[str]:
    """Yield the texts under names of credentials; of a header, each of its words."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _hidden_texts(inner, secret=secret or is_secret(str(name)))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _hidden_texts(inner, secret=secret)
    elif secret and isinstance(value, str):
        # A shorter one, "test" say, is a placeholder; hiding it would garble all that holds it.
        yield from (text for text in (value, *value.split()) if len(text) >= _SHORTEST)
