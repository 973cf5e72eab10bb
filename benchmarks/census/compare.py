"""Where our requests differ from the peer's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_AROUND = 60
Requests = Sequence[Mapping[str, Any]]


def compare(ours: Requests, theirs: Requests) -> tuple[str, str, str]:
    """Return the rung that a task reached, and why not the next one, in short and at length."""
    if len(ours) != len(theirs):
        detail = f"{len(ours)} here, {len(theirs)} with the peer"
        return "data", "differs: number of requests", detail
    for here, there in zip(ours, theirs, strict=True):
        if here["prompt"] != there["prompt"]:
            return "data", *_difference("prompt", here["prompt"], there["prompt"])
    for here, there in zip(ours, theirs, strict=True):
        for key in here:
            if here[key] != there[key]:
                return "prompts", *_difference(key, here[key], there[key])
    return "requests", "", ""


def _difference(key: str, here: Any, there: Any) -> tuple[str, str]:
    """Return what differs, and both sides around the first place where they do."""
    mine, wanted = _leaves(here), _leaves(there)
    for a, b in zip(mine, wanted, strict=False):
        if a != b:
            start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), 0)
            around = slice(max(0, start - _AROUND), start + _AROUND)
            return f"differs: {key}", f"{a[around]!r} here, {b[around]!r} with the peer"
    return f"differs: {key}", f"{len(mine)} parts here, {len(wanted)} with the peer"


def _leaves(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [leaf for key in value for leaf in (str(key), *_leaves(value[key]))]
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [f"{value!r} ({type(value).__name__})"]
