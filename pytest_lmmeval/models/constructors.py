"""What the constructor of a model takes, so that a wrong argument is told before anything runs."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pytest_lmmeval.errors import UsageError, nearest
from pytest_lmmeval.models.arguments import is_secret


@dataclass(frozen=True)
class Constructor:
    """The parameters of a class's constructor, with those that ``**kwargs`` hands to its bases.

    Attributes:
        hints: The parameters' types by name, ``Any`` where they are not annotated.
        required: The parameters without a default.
        takes_any: Whether arguments beyond these are accepted.
    """

    hints: Mapping[str, Any]
    required: frozenset[str]
    takes_any: bool

    @classmethod
    def of(cls, target: type) -> Constructor:
        """Collect the parameters along ``target``'s MRO, as long as ``**kwargs`` passes them on."""
        hints: dict[str, Any] = {}
        required: set[str] = set()
        takes_any = False
        for base in target.__mro__[:-1]:
            if "__init__" not in vars(base):
                continue
            init = vars(base)["__init__"]
            known = _type_hints(init)
            parameters = list(inspect.signature(init).parameters.values())[1:]
            takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
            for parameter in parameters:
                if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                    continue
                if parameter.name not in hints and parameter.default is parameter.empty:
                    required.add(parameter.name)
                hints.setdefault(parameter.name, known.get(parameter.name, Any))
            if not takes_any:
                break
        return cls(hints, frozenset(required), takes_any)

    def check(self, owner: str, arguments: Mapping[str, Any]) -> None:
        """Check ``arguments`` for the model ``owner``.

        Raises:
            UsageError: An argument is unknown, missing or of another type.
        """
        for name, value in arguments.items():
            if name in self.hints:
                self._check_type(owner, name, value)
            elif not self.takes_any:
                raise UsageError(
                    f"{owner} takes no argument {name!r}.{nearest(name, self.hints)} "
                    f"It takes {', '.join(sorted(self.hints)) or 'none'}."
                )
        for name in sorted(self.required - set(arguments)):
            raise UsageError(f"{owner} needs the argument {name!r}")

    def _check_type(self, owner: str, name: str, value: Any) -> None:
        hint = self.hints[name]
        if _fits(value, hint):
            return
        found = type(value).__name__ if is_secret(name) else repr(value)
        quoted = f'; write {name}="…", in quotes, if it is text' if _fits("", hint) else ""
        raise UsageError(f"{owner}: {name} must be {_type_name(hint)}, not {found}{quoted}")


def _type_hints(init: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(init)
    except (NameError, TypeError, AttributeError):
        return {}  # a third party's annotation that exists for its type checker only


def _type_name(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_type_name(part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return " or ".join(repr(value) for value in get_args(hint))
    if hint is type(None):
        return "none"
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


def _fits(value: Any, hint: Any) -> bool:
    """Whether ``value`` is of type ``hint``; what cannot be told here fits."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(hint))
    if hint in (int, float):
        numbers = int if hint is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool)
    target = origin or hint
    if not isinstance(target, type) or target.__module__ not in ("builtins", "collections.abc"):
        return True
    if isinstance(value, str):
        return target is str
    return isinstance(value, target)
