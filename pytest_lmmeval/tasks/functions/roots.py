"""Where the Python code of tasks may stand.

A task file is data until a ``!function`` tag of it is used, and a tag's module stands beside the
file that holds it. That file must lie below a folder that the user named: one of
``--lmm-include-path``, that of a task file or a folder on the command line or in a suite, the
peer's tree that such a file lies in, or this package's library. So an ``include`` that leaves these
folders brings no code along.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.files.schema import DIALECTS
from pytest_lmmeval.tasks.functions.user_functions import references


def check_roots(config: TaskConfig, path: Path, roots: Sequence[Path]) -> None:
    """Refuse a task that names code outside the folders that the user named.

    Args:
        config: The task.
        path: Its file, which was named or found below a named folder.
        roots: The named folders, resolved.

    Raises:
        TaskError: A tag stands in a file outside of them.
    """
    known: set[Path] = set()
    for ref in references(vars(config)):
        if ref.path in known:
            continue
        known.add(ref.path)
        own = [path.parent, path.resolve().parent]
        if not any(ref.path.is_relative_to(root) for root in (*own, *_trees(path), *roots)):
            message = "stands outside the folders that were named, so it is not run; name its "
            raise ref.error(f"{message}folder too: --lmm-include-path={ref.path.parent}")


def _trees(path: Path) -> list[Path]:
    """Return the folders ``lm_eval/tasks`` and ``lmms_eval/tasks`` that a file lies in."""
    folders = [path.parent, *path.parents]
    pairs = itertools.pairwise(folders)
    return [f for f, above in pairs if f.name == "tasks" and above.name in DIALECTS]
