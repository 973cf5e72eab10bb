"""Stand-ins for the peers' modules that task modules import.

Many tasks written for lm-eval and lmms-eval import a filter class or a helper from the package that
they were shipped with. While such a module is executed, and only then, the names below answer in
its place, whether or not the peer is installed, so that a score does not depend on that. Modules
of an installed peer that have no stand-in are imported from its files.
"""

from __future__ import annotations

import contextlib
import importlib.machinery
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

PEERS = ("lm_eval", "lmms_eval")


@contextlib.contextmanager
def stand_ins(registered_filters: dict[str, Any]) -> Iterator[None]:
    """Let the peers' names be imported in this block.

    Not safe in several threads at once: it changes ``sys.modules`` and puts it back.

    Args:
        registered_filters: Receives what ``register_filter`` is called with.
    """
    # Deferred: the stand-ins need the filters, and most runs execute no task module at all.
    from pytest_lmmeval.tasks.compat.names import peer_names

    hidden = {name: sys.modules.pop(name) for name in _peer_modules()}
    try:
        for name, members in peer_names(registered_filters).items():
            sys.modules[name] = _module(name, members)
        _link()
        yield
    finally:
        for name in _peer_modules():
            del sys.modules[name]
        sys.modules.update(hidden)


def _peer_modules() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] in PEERS]


def _module(name: str, members: dict[str, Any]) -> ModuleType:
    module = ModuleType(name, "Stand-in by pytest-lmmeval.")
    vars(module).update(members)
    # Every one is a package, so that modules below it are looked for in the installed peer.
    module.__path__ = _installed_folders(name)
    return module


def _installed_folders(name: str) -> list[str]:
    root, *rest = name.split(".")
    spec = importlib.machinery.PathFinder.find_spec(root)
    locations = (spec.submodule_search_locations if spec else None) or []
    return ["/".join([location, *rest]) for location in locations]


def _link() -> None:
    for name in _peer_modules():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, sys.modules[name])
