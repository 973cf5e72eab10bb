"""Where a peer's tasks lie, found without importing the peer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_lmmeval.errors import UsageError
from pytest_lmmeval.tasks.catalog.index import Index
from pytest_lmmeval.tasks.files.schema import Dialect

PEERS: tuple[Dialect, ...] = ("lm_eval", "lmms_eval")
# ``find_spec`` of a top-level name executes nothing of the package.
_FIND = """
import importlib.util, json
found = {}
for name in ("lm_eval", "lmms_eval"):
    spec = importlib.util.find_spec(name)
    found[name] = list(spec.submodule_search_locations or []) if spec else []
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Tree:
    """A peer's tasks.

    Attributes:
        peer: Which peer's.
        folder: Their folder.
    """

    peer: Dialect
    folder: Path

    @property
    def code(self) -> Path:
        """The folder of all code that a task may use: the package, if the tree is in one."""
        package = self.folder.parent
        return package if (package / "__init__.py").is_file() else self.folder

    def leaves(self) -> Iterator[tuple[str, Path]]:
        """Yield every leaf task's name and file."""
        index = Index()
        index.add_folder(self.folder)
        for name in index.names("task"):
            yield name, index.entries[name].path


def installed(python: str) -> dict[Dialect, Path]:
    """Return the task folders of the peers that an interpreter has installed."""
    command = [python, "-I", "-c", _FIND]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()
        raise UsageError(f"{python} is no working interpreter: {said[-300:]}") from error
    found = json.loads(done.stdout)
    return {peer: Path(found[peer][0], "tasks") for peer in PEERS if found[peer]}
