"""Which keys a task YAML may hold, and what may stand behind each.

The keys are those of lm-eval 0.4.13 and lmms-eval 0.7.3 together with four of our own. A key that
only lmms-eval has makes a task one of its dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, TypeAlias

from pytest_lmmeval.errors import TaskError, nearest
from pytest_lmmeval.tasks.functions import FunctionRef
from pytest_lmmeval.tasks.loader import Document

Dialect: TypeAlias = Literal["lm_eval", "lmms_eval"]


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_function(value: object) -> bool:
    # A callable comes from Python, where a configuration is a plain mapping.
    return isinstance(value, FunctionRef) or callable(value)


# Each kind: how it is called in messages, and how to recognise it.
_KINDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "text": ("text", lambda value: isinstance(value, str)),
    "integer": ("a whole number", _is_integer),
    "number": ("a number", lambda value: isinstance(value, float) or _is_integer(value)),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "mapping": ("a mapping", lambda value: isinstance(value, Mapping)),
    "list": ("a list", lambda value: isinstance(value, list | tuple)),
    "function": ("!function module.name", _is_function),
    "anything": ("anything", lambda value: True),
}

_FIELD = "text function"
_BOTH = {
    "task": "text",
    "task_alias": "text",
    "tag": "text list",
    "dataset_path": "text",
    "dataset_name": "text number",
    "dataset_kwargs": "mapping",
    "training_split": "text",
    "validation_split": "text",
    "test_split": "text",
    "fewshot_split": "text",
    "process_docs": "function",
    "doc_to_text": _FIELD + " integer",
    "doc_to_target": _FIELD + " integer list",
    "doc_to_choice": _FIELD + " list mapping",
    "process_results": "function",
    "use_prompt": "text",
    "description": "text",
    "target_delimiter": "text",
    "fewshot_delimiter": "text",
    "fewshot_config": "mapping",
    "num_fewshot": "integer",
    "metric_list": "list",
    "output_type": "text",
    "generation_kwargs": "mapping",
    "repeats": "integer",
    "filter_list": "list",
    "should_decontaminate": "boolean",
    "doc_to_decontamination_query": _FIELD,
    "metadata": "anything",
}
_LM_EVAL = {
    "custom_dataset": "function",
    "doc_to_image": _FIELD + " list",
    "doc_to_audio": _FIELD + " list",
    "unsafe_code": "anything",
    "gen_prefix": "text",
    "class": "function text",
    "recipe": "text",
    "task_list": "list",
}
_LMMS_EVAL = {
    "group": "text list",
    "group_alias": "text list",
    "full_docs": "boolean",
    "process_results_use_image": "boolean",
    "doc_to_visual": _FIELD,
    "doc_to_messages": "function",
    "score_key": "text",
    "cluster_key": _FIELD,
    "lmms_eval_specific_kwargs": "mapping",
    "model_specific_generation_kwargs": "mapping",
    "model_specific_target_kwargs": "mapping",
    "reasoning_tags": "text list boolean",
    "auto_strip_thinking": "boolean",
}
_OURS = {"gates": "mapping", "parts": "integer", "scale": "number mapping"}

KEYS: dict[str, str] = {**_BOTH, **_LM_EVAL, **_LMMS_EVAL, **_OURS}

# ``group`` in a task is an old spelling of ``tag`` that lm-eval's files have had too.
_TELLS_LMMS_EVAL = frozenset(_LMMS_EVAL) - {"group", "group_alias"}


def dialect_of(keys: set[str]) -> Dialect:
    """Return whose rules a task with these keys follows."""
    return "lmms_eval" if keys & _TELLS_LMMS_EVAL else "lm_eval"


def check_keys(document: Document) -> None:
    """Check that every key is known and holds what it may hold; null always may.

    Raises:
        TaskError: One does not; the message names the nearest valid key or what was expected.
    """
    for key, value in document.values.items():
        origin = document.origins[key]
        if key not in KEYS:
            message = f"key {key!r} is not one of a task's.{nearest(str(key), KEYS)}"
            raise TaskError(message, origin.path, origin.line)
        check_kind(key, value, KEYS[key], partial(TaskError, path=origin.path, line=origin.line))


def check_kind(name: str, value: Any, kinds: str, error: Callable[[str], TaskError]) -> None:
    """Check one value against a space-separated list of kinds.

    Raises:
        TaskError: As made by ``error``, if it is of none of them.
    """
    if value is None or any(_KINDS[kind][1](value) for kind in kinds.split()):
        return
    expected = " or ".join(_KINDS[kind][0] for kind in kinds.split())
    raise error(f"{name} is {value!r}, expected {expected}")
