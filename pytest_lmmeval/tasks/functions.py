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
import importlib.util
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from pytest_lmmeval.errors import TaskError, nearest
from pytest_lmmeval.tasks import compat

# Executing a module swaps entries of sys.modules, which all threads share.
_EXECUTING = threading.RLock()


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
        with _EXECUTING:
            if key not in self._modules:
                self._modules[key] = self._import(ref)
            return _member(self._modules[key], ref)

    def fresh(self, ref: FunctionRef) -> Any:
        """Return what a tag names, from a module that was executed for this call alone."""
        with _EXECUTING:
            return _member(self._import(ref), ref)

    def _import(self, ref: FunctionRef) -> ModuleType:
        if not ref.module:
            raise ref.error("expected 'module.name'")
        if not ref.file.is_file():
            return self._import_installed(ref)
        with compat.stand_ins(self.filters):
            try:
                return _execute(ref.file)
            # A module can fail in any way, and some of lmms-eval's call sys.exit().
            except (Exception, SystemExit) as error:
                raise ref.error(f"{ref.file.name} cannot be imported: {describe(error)}") from error

    def _import_installed(self, ref: FunctionRef) -> ModuleType:
        with compat.stand_ins(self.filters):
            try:
                return importlib.import_module(ref.module)
            except ModuleNotFoundError as error:
                if error.name is None or not f"{ref.module}.".startswith(f"{error.name}."):
                    raise ref.error(f"{ref.module} cannot be imported: {error}") from error
                files = [path.stem for path in ref.path.parent.glob("*.py")]
                raise ref.error(
                    f"there is no {ref.file.name} beside the task and no installed module "
                    f"{ref.module!r}.{nearest(ref.module, files)}"
                ) from error
            # As above: whatever an import can raise.
            except (Exception, SystemExit) as error:
                raise ref.error(f"{ref.module} cannot be imported: {describe(error)}") from error


def _execute(file: Path) -> ModuleType:
    # The name holds the content, so that nothing that pickles by name can mix up two versions.
    digest = hashlib.sha256(str(file).encode() + file.read_bytes()).hexdigest()[:16]
    name = f"lmmeval_task_{file.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # dataclasses looks its module up while the class is made; afterwards the entry would only make
    # datasets.map cache by name instead of by code.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module


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
