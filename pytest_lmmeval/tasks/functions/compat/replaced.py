"""Names of installed packages that a task's module gets something else for.

- ``evaluate.load``: many modules load metrics while they are imported, from the hub, whether or not
  a task uses them. Here a metric is loaded when it is first used.
- ``datasets.load_metric``: what ``evaluate.load`` was called until datasets 3.
- ``openai.OpenAI`` and its kind: modules with a judge make its client while they are imported,
  which fails without a key. Here it fails when it is first used.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_lmmeval.errors import TaskUnavailable
from pytest_lmmeval.tasks.functions.compat.unusable import Unusable
from pytest_lmmeval.tasks.scoring.evaluate_library import metric_of

_CLIENTS = ("OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI")


class _Overlay(ModuleType):
    """A module with some names replaced; the others are the real one's."""

    def __init__(self, real: ModuleType, members: Mapping[str, Any]) -> None:
        super().__init__(real.__name__, real.__doc__)
        vars(self).update(members)
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __reduce__(self) -> tuple[Callable[[str], ModuleType], tuple[str]]:
        # datasets pickles what a mapped function uses.
        return importlib.import_module, (self.__name__,)


def replaced(module: ModuleType, names: Sequence[str], folder: Path) -> ModuleType:
    """Return an imported module as a task's module is to see it.

    Args:
        module: The module.
        names: What is imported from it; none, if the module itself is.
        folder: The task's folder, which may hold metrics.
    """
    load = functools.partial(metric_of, folder)
    if module.__name__ == "evaluate":
        return _Overlay(module, {"load": load})
    if module.__name__ == "openai":
        clients = [name for name in _CLIENTS if hasattr(module, name)]
        return _Overlay(module, {name: _client(module, name) for name in clients})
    if module.__name__ == "datasets" and "load_metric" in names:
        return _Overlay(module, {"load_metric": load})
    return module


def _client(openai: ModuleType, name: str) -> type:
    real = getattr(openai, name)

    class Client(type):
        """Makes clients, or what stands for one that has no key."""

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            try:
                return real(*args, **kwargs)
            except openai.OpenAIError as error:
                text = f"the judge of this task cannot be asked: {error}"
                return Unusable(lambda: TaskUnavailable(text))

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, real)

    return Client(name, (real,), {})
