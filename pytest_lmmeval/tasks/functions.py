"""Functions that a task file names with ``!function module.name``.

A reference is only a name until it is used. Then its module is executed afresh, and nobody else's
import of the same file is touched:

- in the lm-eval dialect once per task, so that a task's functions share their module's globals, as
  they do there;
- in the lmms-eval dialect once per task and role (``doc_to_text``, ``process_results`` …), as that
  tool executes a module once per tag. Its MMMU module, for one, changes its own prompts when
  ``doc_to_messages`` has run;
- for aggregations once per call in either dialect, because modules such as its OCRBench one
  accumulate in globals, and an aggregation may run in another process than the scoring.

Task modules are never left in ``sys.modules``.
"""

from __future__ import annotations

import hashlib
import importlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pytest_lmmeval.errors import TaskError, nearest
from pytest_lmmeval.tasks import compat

# Two threads that ask for a function first shall get the same module.
_RESOLVING = threading.RLock()


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """A ``!function`` tag.

    Attributes:
        spec: The tag's text, ``module.name``.
        path: The YAML file that holds the tag; the module is looked for beside it.
        line: The tag's 1-based line.
    """

    spec: str
    path: Path
    line: int

    @property
    def module(self) -> str:
        """The module's dotted name."""
        return self.spec.rpartition(".")[0]

    @property
    def name(self) -> str:
        """The name within the module."""
        return self.spec.rpartition(".")[2]

    @property
    def file(self) -> Path:
        """The file beside the YAML that the module would be."""
        return self.path.parent.joinpath(*self.module.split(".")).with_suffix(".py")

    def digest(self) -> str:
        """Return the SHA-256 of the module's file, or of the name where there is no such file."""
        content = self.file.read_bytes() if self.file.is_file() else self.spec.encode()
        return hashlib.sha256(content).hexdigest()

    def error(self, message: str) -> TaskError:
        """Return an error that points at the tag."""
        return TaskError(f"!function {self.spec}: {message}", self.path, self.line)


@dataclass
class Functions:
    """The functions of one task.

    Attributes:
        dialect: Decides which functions share a module, as the module docstring tells.
        filters: Filter classes that the task's modules registered by name when they were executed.
    """

    dialect: Literal["lm_eval", "lmms_eval"]
    filters: dict[str, Any] = field(default_factory=dict)
    _modules: dict[tuple[Path, str], ModuleType] = field(default_factory=dict)

    def resolve(self, ref: FunctionRef, role: str) -> Any:
        """Return what a tag names.

        Args:
            ref: The tag.
            role: The key that holds it, such as ``doc_to_text``.

        Raises:
            TaskError: There is no such module or name, or importing it fails.
        """
        key = (ref.file, role if self.dialect == "lmms_eval" else "")
        with _RESOLVING:
            if key not in self._modules:
                self._modules[key] = self._import(ref)
            return _member(self._modules[key], ref)

    def fresh(self, ref: FunctionRef) -> Any:
        """Return what a tag names, from a module that was executed for this call alone."""
        with _RESOLVING:
            return _member(self._import(ref), ref)

    def _import(self, ref: FunctionRef) -> ModuleType:
        if not ref.module:
            raise ref.error("expected 'module.name'")
        imports = compat.imports_of(ref.file, self.filters)
        if not ref.file.is_file():
            return self._import_installed(ref, imports)
        try:
            return imports.execute(ref.file)
        # A module can fail in any way, and some of lmms-eval's call sys.exit().
        except (Exception, SystemExit) as error:
            raise ref.error(f"{ref.file.name} cannot be imported: {_cause(error)}") from error

    def _import_installed(self, ref: FunctionRef, imports: compat.TaskImports) -> ModuleType:
        of_peer = ref.module.partition(".")[0] in compat.PEERS
        try:
            return imports.load(ref.module) if of_peer else importlib.import_module(ref.module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{ref.module}.".startswith(f"{error.name}."):
                raise ref.error(f"{ref.module} cannot be imported: {_cause(error)}") from error
            files = [path.stem for path in ref.path.parent.glob("*.py")]
            raise ref.error(
                f"there is no {ref.file.name} beside the task and no installed module "
                f"{ref.module!r}.{nearest(ref.module, files)}"
            ) from error
        # As above: whatever an import can raise.
        except (Exception, SystemExit) as error:
            raise ref.error(f"{ref.module} cannot be imported: {_cause(error)}") from error


# Packages that are not called what they are imported as.
_PACKAGES = {
    "PIL": "Pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "lm_eval": "--no-deps lm-eval",
    "lmms_eval": "--no-deps lmms-eval",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}


def _cause(error: BaseException) -> str:
    """Return why an import failed, and what to install if that is all that is missing."""
    text = describe(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        root = error.name.partition(".")[0]
        text += f"; pip install {_PACKAGES.get(root, root)}"
    return text


def _member(module: ModuleType, ref: FunctionRef) -> Any:
    try:
        return getattr(module, ref.name)
    except AttributeError:
        names = [name for name, value in vars(module).items() if callable(value)]
        raise ref.error(f"{ref.module} has no {ref.name!r}.{nearest(ref.name, names)}") from None


def describe(error: BaseException) -> str:
    """Return an exception as ``Type: message`` on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def require_callable(value: Any, ref: FunctionRef) -> Callable[..., Any]:
    """Return ``value`` if it can be called.

    Raises:
        TaskError: It cannot.
    """
    if not callable(value):
        raise ref.error(f"expected a function, found {type(value).__name__}")
    return value  # type: ignore[no-any-return]  # callable() narrows Any to nothing better
