"""What becomes of a task file with a fault when the engine runs it."""

from __future__ import annotations

import contextlib
import math
import signal
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import ClassVar

from mutations import Mutation

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import LmmError
from pytest_lmmeval.evaluations import TaskEvaluation
from pytest_lmmeval.evaluator import evaluate
from pytest_lmmeval.models.base import LM
from pytest_lmmeval.plans.task_plans import TaskPlan, plan_task
from pytest_lmmeval.records import Instance, RequestType
from pytest_lmmeval.suites.suite import read_suite
from pytest_lmmeval.tasks.catalog.manager import TaskManager

# Seconds after which a run counts as hung; the slowest good one takes a fraction of one.
LIMIT = 20
# Characters of a message beyond the paths in it.
LONGEST = 1200


class Answers(LM):
    """Answers anything that it is asked."""

    request_types: ClassVar[frozenset[RequestType]] = frozenset(
        {"generate_until", "loglikelihood", "loglikelihood_rolling"}
    )
    batch_size = 8
    name = "answers"

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Say the same each time."""
        return ["It is 4." for _ in requests]

    def loglikelihood(self, requests: Sequence[Instance]) -> list[tuple[float, bool]]:
        """Score by position."""
        return [(-1.0 - request.idx, request.idx == 0) for request in requests]

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[float]:
        """Score by position."""
        return [-3.0 for _ in requests]


class Hung(BaseException):
    """The time is up. No ``Exception``, so that nothing takes it for the task's."""


@dataclass(frozen=True)
class Outcome:
    """What became of a mutation.

    Attributes:
        ran: Whether it ran to its end.
        message: The error, if it did not.
        problem: What is wrong with that, "" if nothing is.
    """

    ran: bool
    message: str = ""
    problem: str = ""


def outcome(mutation: Mutation, folder: Path) -> Outcome:
    """Write a mutation's files and run it as a user would.

    Args:
        mutation: The mutation.
        folder: An empty folder.
    """
    entry = mutation.write(folder)
    try:
        with _time_limit(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = _run(entry)
    except LmmError as error:
        message = str(error)
        problem = _message_problem(message, mutation, folder)
        return Outcome(False, message, problem)
    except Hung:
        return Outcome(False, "", f"no end after {LIMIT} s")
    # Anything else is what must not happen.
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        return Outcome(False, "", f"{type(error).__name__} at {place}: {str(error)[:200]}")
    if (folder / "escaped").exists() or Path("escaped").exists():
        return Outcome(True, "", "it ran a command")
    if mutation.must is False:
        return Outcome(True, "", "it ran")
    return Outcome(True, "", "; ".join(p for e in found for p in _odd_values(e)))


def _run(entry: Path) -> list[TaskEvaluation]:
    if entry.name.endswith(".lmm.yaml"):
        plans = read_suite(entry, RunConfig(), entry.name)
    else:
        manager = TaskManager()
        plans = [plan_task(spec, RunConfig(), "key") for spec in manager.select([str(entry)])]
    return [found for plan in plans for found in _evaluate(plan)]


def _evaluate(plan: TaskPlan) -> list[TaskEvaluation]:
    config = plan.config
    return list(evaluate(Answers(), plan.task, config).values())


def _odd_values(evaluation: TaskEvaluation) -> Iterator[str]:
    if not evaluation.metrics:
        yield f"{evaluation.name}: nothing was measured and nothing said"
    for key, result in evaluation.metrics.items():
        if not math.isfinite(result.value):
            yield f"{evaluation.name}: {key} is {result.value}"


def _message_problem(message: str, mutation: Mutation, folder: Path) -> str:
    if (folder / "escaped").exists() or Path("escaped").exists():
        return f"it ran a command, then: {message}"
    if mutation.must is True:
        return f"refused: {message}"
    if "\n" in message:
        return f"more than one paragraph: {message!r}"
    if len(message.replace(str(folder), "")) > LONGEST:
        return f"{len(message)} characters: {message[:200]} … {message[-100:]}"
    if "Traceback" in message:
        return f"a traceback: {message}"
    # What only the command line can allow is said without a place in the file.
    if ".yaml" not in message and "--lmm-" not in message:
        return f"names no file: {message}"
    missing = [name for name in mutation.mentions if name not in message]
    return f"does not name {missing}: {message}" if missing else ""


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
