"""``generation_kwargs`` of a task: what may stand in it, defaults, and what a run lays over it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.files.schema import Dialect, check_kind
from pytest_lmmeval.tasks.files.yaml_files import Block, Origin

# The arguments that every model understands; others go to the model as they are.
_KINDS = {
    "until": "text texts",
    "do_sample": "boolean",
    "max_gen_toks": "count",
    "max_new_tokens": "count",
    "max_tokens": "count",
    "num_beams": "count",
    "top_k": "integer",
    "top_p": "number",
}


def check_generation(
    given: Mapping[str, Any], error: Callable[[str], TaskError], what: str = ""
) -> None:
    """Check the generation arguments that every model understands.

    Raises:
        TaskError: One holds what it may not.
    """
    for key, kinds in _KINDS.items():
        check_kind(f"{what}{key}", given.get(key), kinds, error)


def generation_arguments(
    given: Mapping[str, Any] | None,
    output_type: str,
    fewshot_delimiter: str | None,
    dialect: Dialect,
    origin: Origin,
) -> dict[str, Any]:
    """Return ``generation_kwargs`` with each peer's own defaults filled in.

    Raises:
        TaskError: ``until`` or ``temperature`` holds what it may not.
    """
    until = None if fewshot_delimiter is None else [fewshot_delimiter]
    if given is None:
        if "generate_until" not in output_type:
            return {}
        if dialect == "lmms_eval":
            return {"until": until, "do_sample": False}
        greedy = {"temperature": 0.0, "do_sample": False, "max_gen_toks": 256}
        return {**greedy, "until": until or []}

    def error(text: str) -> TaskError:
        lines = given.lines if isinstance(given, Block) else {}
        path = given.path if isinstance(given, Block) else origin.path
        line = lines.get(text.partition(" ")[0], origin.line)
        return TaskError(f"generation_kwargs: {text}", path, line)

    arguments = {"until": until, **given} if "until" not in given else dict(given)
    check_generation(arguments, error)
    if arguments.get("temperature") is not None:
        try:
            arguments["temperature"] = float(arguments["temperature"])
        except (TypeError, ValueError):
            raise error(f"temperature is {given['temperature']!r}, expected a number") from None
        if not 0 <= arguments["temperature"] < math.inf:
            raise error(f"temperature is {given['temperature']!r}, expected 0 or more")
    return arguments


def generation_kwargs(
    config: TaskConfig, model: Mapping[str, Any] | None, run: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a task's generation arguments: its own, then the model's, then the run's."""
    if not config.output_type.startswith("generate"):
        return {}
    return copy.deepcopy({**config.generation_kwargs, **(model or {}), **run})
