"""Keeping pytest's rewriting of asserts away from this package's modules.

pytest rewrites the asserts of whatever lies in a distribution that has a plugin, so that they tell
more when they fail. For our modules that is of no use, and it costs every run: a tenth of a second,
because their sources are read even where they are found rewritten, and half a second where nothing
may be written beside them.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

import pytest

_OURS = f"{__name__.partition('.')[0]}."


class OwnModules:
    """Finds modules of this package as Python does by itself, and no others."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return what is needed to load a module; None leaves it to the next finder."""
        return PathFinder.find_spec(name, path, target) if name.startswith(_OURS) else None


def import_own_modules_plainly(config: pytest.Config) -> None:
    """Find our modules before pytest does, until the session ends."""
    hook: Any = config.pluginmanager.rewrite_hook
    if hook in sys.meta_path:  # not with --assert=plain
        finder = OwnModules()
        # Others' finders, such as those that check types, stay before it.
        sys.meta_path.insert(sys.meta_path.index(hook), finder)
        config.add_cleanup(lambda: _remove(finder))


def _remove(finder: OwnModules) -> None:
    # A test of a plugin may have put back the finders that there were.
    with contextlib.suppress(ValueError):
        sys.meta_path.remove(finder)
