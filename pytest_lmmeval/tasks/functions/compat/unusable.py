"""What stands for something that a task's module imports or makes, and that cannot be had here.

A module often imports more than one task needs of it. It can be executed all the same: what is
missing is replaced by an object that raises as soon as it is used, and which tells those who look
before a run what is in the way.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn


class Unusable:
    """Raises when it is used. Its attributes are of the same kind.

    Args:
        reason: Makes the exception.
        module: Dotted name of the module that is missing, if that is what it is.
    """

    def __init__(self, reason: Callable[[], Exception], module: str = "") -> None:
        self._reason = reason
        self._module = module

    @classmethod
    def package(cls, name: str) -> Unusable:
        """Return what stands for a module of a package that is not installed."""
        root = name.partition(".")[0]
        # With the whole name: it may tell which distribution of a namespace holds it.
        return cls(lambda: ModuleNotFoundError(f"No module named {root!r}", name=name), name)

    def __getattr__(self, name: str) -> Unusable:
        # Python asks for many special names; none of them may seem to be there.
        if name.startswith("__"):
            raise AttributeError(name)
        child = f"{self._module}.{name}" if self._module else ""
        return Unusable.package(child) if child else Unusable(self._reason)

    def _fail(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise self._reason()

    __call__ = __getitem__ = __enter__ = __iter__ = __mro_entries__ = _fail

    def __or__(self, other: Any) -> Unusable:
        # ``torch.Tensor | None`` as an annotation uses nothing.
        return self

    __ror__ = __or__

    def __instancecheck__(self, instance: Any) -> bool:
        # Nothing is of a class that is not there.
        return False


def reason(found: Unusable) -> Exception:
    """Return what a use of it raises."""
    return found._reason()


def missing_name(found: Unusable) -> str:
    """Return the dotted name of the missing module, or "" if it is something else."""
    return found._module


def fill_with_unusable(module: ModuleType) -> None:
    """Let every name that a stand-in for a missing package does not have be unusable."""
    package = Unusable.package(module.__name__)
    vars(module)["__getattr__"] = package.__getattr__
