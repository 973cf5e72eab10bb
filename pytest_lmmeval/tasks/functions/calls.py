"""Calling a task's own functions: their errors name the task, the function and the doc."""

from __future__ import annotations

import contextlib
import random
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pytest_lmmeval.errors import BrokenMedia, LmmError, RequestError, TaskError, TaskUnavailable
from pytest_lmmeval.tasks.files.specs import Function, function_name
from pytest_lmmeval.tasks.functions.judge_calls import AsksNobody
from pytest_lmmeval.tasks.functions.packages import how_to_install, missing_module
from pytest_lmmeval.tasks.functions.user_functions import (
    ANY_FAULT,
    FunctionRef,
    Functions,
    describe,
    require_callable,
)

_SEEDED = threading.RLock()
_MEDIA_ROLES = frozenset({"doc_to_visual", "doc_to_image", "doc_to_messages"})
# Where lmms-eval's tasks leave a run because a doc's video is not there.
_LEAVING_ROLES = _MEDIA_ROLES | {"doc_to_text"}


@dataclass(frozen=True, slots=True)
class UserFunction:
    """A function of a task, ready to be called.

    Attributes:
        function: The function.
        role: The key that names it, such as ``process_results``.
        task: Name of the task.
        ref: The tag that names it, if a YAML does.
    """

    function: Callable[..., Any]
    role: str
    task: str
    ref: FunctionRef | None = None

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.ref.spec if self.ref is not None else function_name(self.function)

    def call(self, *args: Any, doc_id: int | None = None, **kwargs: Any) -> Any:
        """Call it.

        Args:
            args: Its positional arguments.
            doc_id: The doc it is called for, for messages.
            kwargs: Its keyword arguments.

        Raises:
            TaskError: It raised, or left through ``sys.exit``.
            RequestError: It could not read an image, which is this doc's misfortune.
        """
        try:
            return self.function(*args, **kwargs)
        except TaskUnavailable as error:
            raise self.unavailable(error.message, doc_id) from error
        except LmmError:
            raise
        except OSError as error:
            if self.role in _MEDIA_ROLES or isinstance(error, BrokenMedia):
                message = f"{self.role} of doc {doc_id}: {describe(error)}"
                raise RequestError("media", message) from error
            raise self.failed(error, doc_id) from error
        except SystemExit as error:
            if self.role in _LEAVING_ROLES and isinstance(error.code, str) and doc_id is not None:
                message = f"{self.role} of doc {doc_id}: {error.code}"
                raise RequestError("media", message) from error
            raise self.failed(error, doc_id) from error
        # It is the user's code, so anything may come; some of lmms-eval's tasks call sys.exit().
        except ANY_FAULT as error:
            raise self.failed(error, doc_id) from error

    def failed(self, error: BaseException, doc_id: int | None = None) -> TaskError:
        """Return the error for something that the function raised."""
        if isinstance(error, AsksNobody):
            return TaskUnavailable(self._about(str(error), doc_id), *self._place)
        if missing := missing_module(error):
            return self.unavailable(how_to_install([missing]), doc_id)
        return self.error(f"raised {describe(error)}{_line_of(error, self._file())}", doc_id)

    def unavailable(self, message: str, doc_id: int | None = None) -> TaskUnavailable:
        """Return the error for what the function needs and this machine does not have."""
        return TaskUnavailable(self._about(f"cannot run: {message}", doc_id), *self._place)

    def error(self, message: str, doc_id: int | None = None) -> TaskError:
        """Return an error about the function, at the tag that names it."""
        return TaskError(self._about(message, doc_id), *self._place)

    def _about(self, message: str, doc_id: int | None) -> str:
        where = "" if doc_id is None else f", doc {doc_id}"
        return f"task {self.task!r}{where}: {self.role} ({self.name}) {message}"

    @property
    def _place(self) -> tuple[Path, int] | tuple[()]:
        return (self.ref.path, self.ref.line) if self.ref else ()

    def _file(self) -> Path | None:
        return self.ref.file if self.ref is not None else None


def _line_of(error: BaseException, file: Path | None) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if file is not None and frame.filename == str(file)]
    return f" ({own[-1].filename}:{own[-1].lineno})" if own else ""


def user_function(
    value: Function,
    role: str,
    task: str,
    functions: Functions,
    *,
    fresh: Literal["executed", "put back"] | None = None,
) -> UserFunction:
    """Resolve a function of the configuration.

    Args:
        value: The tag or the callable.
        role: The key that names it.
        task: Name of the task.
        functions: The task's modules.
        fresh: Whether its module is executed for this call alone, or put back to what it was when
            it was executed for another one; None leaves it to the role.

    Raises:
        TaskError: It cannot be imported, or is not callable.
    """
    if not isinstance(value, FunctionRef):
        return UserFunction(value, role, task)
    if fresh is None:
        found = functions.resolve(value, role)
    else:
        found = functions.fresh(value) if fresh == "executed" else functions.as_fresh(value)
    return UserFunction(require_callable(found, value), role, task, value)


@contextlib.contextmanager
def seeded(python: int | str | None, numpy: int | None) -> Iterator[None]:
    """Let code that draws random numbers draw those that follow from the seeds.

    The global generators are put back afterwards; one thread at a time has them.

    Args:
        python: Seed of ``random``; None leaves it as it is.
        numpy: Seed of ``numpy.random``; None leaves it as it is.
    """
    with _SEEDED:
        state = random.getstate()
        if python is not None:
            random.seed(python)
        # Deferred: only tasks with code of their own need it. Where there is such code it must be
        # loaded first, because the code may import it when it is called, and draw at once.
        import numpy as np

        numpy_state = np.random.get_state()
        if numpy is not None:
            np.random.seed(numpy)
        try:
            yield
        finally:
            random.setstate(state)
            np.random.set_state(numpy_state)


def seeded_for(key: str) -> contextlib.AbstractContextManager[None]:
    """Give code that draws random numbers the same ones for the same ``key``.

    Some scorers guess where they cannot parse. With one stream for all docs the guess depends on
    which docs were scored before, and by whom.
    """
    return seeded(key, random.Random(key).getrandbits(32))
