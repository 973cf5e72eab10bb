"""lmms-eval's arguments that differ by model, and which of a task's functions get them.

Source: ``ConfigurableTask._prepare_model_specific_config`` of lmms-eval 0.7.3, by behaviour.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from pytest_lmmeval.tasks.files.config import TaskConfig

Arguments: TypeAlias = "tuple[tuple[Any, ...], dict[str, Any]]"
Extra: TypeAlias = Callable[[Callable[..., Any]], Arguments]

_KEYWORD = "lmms_eval_specific_kwargs"


def no_extra(function: Callable[..., Any]) -> Arguments:
    """Return what a function gets beside the doc in the lm-eval dialect: nothing."""
    return (), {}


@dataclass(frozen=True)
class ModelArguments:
    """What the model's name picks.

    Attributes:
        prompt: ``lmms_eval_specific_kwargs`` for this model.
        target: ``model_specific_target_kwargs`` for this model.
        generation: ``model_specific_generation_kwargs`` for this model.
    """

    prompt: Any = None
    target: Any = None
    generation: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, config: TaskConfig, model_name: str) -> ModelArguments:
        """Pick a task's arguments for a model.

        A model's own entry stands alone. Without one the entry "default" (or "dataset") is laid
        over the whole mapping, so that a function also sees the other models' entries.
        """
        # The task's functions may change what they get, and other tasks may share the YAML.
        prompt = copy.deepcopy(config.lmms_eval_specific_kwargs)
        if prompt is not None:
            if model_name in prompt:
                prompt = prompt[model_name]
            else:
                base = prompt.get("default", prompt.get("dataset")) or {}
                if not isinstance(base, Mapping):
                    message = f"{_KEYWORD}: 'default' is {base!r}, expected a mapping"
                    raise config.error(_KEYWORD, message)
                prompt = {**prompt, **base}
        target = config.model_specific_target_kwargs
        if target is not None:
            target = copy.deepcopy(target.get(model_name, target.get("default")))
        generation = config.model_specific_generation_kwargs or {}
        return cls(prompt, target, generation.get(model_name, generation.get("default")))

    def for_text(self, function: Callable[..., Any]) -> Arguments:
        """Return what ``doc_to_text`` gets beside the doc."""
        return ((self.prompt,) if self.prompt is not None else ()), {}

    def for_target(self, function: Callable[..., Any]) -> Arguments:
        """Return what ``doc_to_target`` gets beside the doc."""
        return ((self.target,) if self.target is not None else ()), {}

    def for_visual(self, function: Callable[..., Any]) -> Arguments:
        """Return what ``doc_to_visual`` gets beside the doc: only if it takes two arguments."""
        wanted = self.prompt is not None and len(_parameters(function)) == 2
        return ((self.prompt,) if wanted else ()), {}

    def for_messages(self, function: Callable[..., Any]) -> Arguments:
        """Return what ``doc_to_messages`` gets beside the doc: as it is able to take it."""
        if self.prompt is None:
            return (), {}
        parameters = _parameters(function)
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        if _KEYWORD in parameters or takes_any:
            return (), {_KEYWORD: self.prompt}
        return ((self.prompt,) if len(parameters) == 2 else ()), {}


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except ValueError:  # Some built-in callables have none.
        return {}
