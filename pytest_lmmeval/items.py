"""The two kinds of test items: parts, which measure, and gates, which judge.

Both are functions with fixtures under a collector of one task. A part fails only when requests
failed: wrong answers are data. A gate needs all parts of its task; it runs where all samples
arrive, which under xdist is the controller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from pytest_lmmeval.errors import LmmError, ModelUnavailable, TaskUnavailable, Unsupported
from pytest_lmmeval.failures import GateError, GateFailed, PartFailed, failed_docs
from pytest_lmmeval.judging import NotJudged
from pytest_lmmeval.ledger import PartResult
from pytest_lmmeval.lookahead import upcoming
from pytest_lmmeval.model_pool import NO_MODEL, ModelPool
from pytest_lmmeval.models.base import LM
from pytest_lmmeval.plans import GatePlan, Part, TaskPlan
from pytest_lmmeval.records import Verdict
from pytest_lmmeval.reports.properties import verdict_properties
from pytest_lmmeval.run import BenchmarkRun
from pytest_lmmeval.state import run_of
from pytest_lmmeval.warnings import UndecidedWarning


class BenchmarkItem(pytest.Function):
    """What parts and gates share: a plan, plain failure texts, and marks from the task's tags."""

    def __init__(self, *, plan: TaskPlan, **kw: Any) -> None:
        super().__init__(**kw)
        self.plan = plan
        self.add_marker("lmmeval")
        for tag in plan.tags:
            self.add_marker(mark_name(tag))

    @property
    def run(self) -> BenchmarkRun:
        """The session's state."""
        return run_of(self.config)

    @property
    def only_planned(self) -> bool:
        """Whether pytest shows set-ups only, so that nothing may be sent or judged."""
        return bool(self.config.getoption("setuponly", False))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show our own errors as the paragraph that they are; others keep their traceback."""
        if isinstance(excinfo.value, LmmError | GateFailed | GateError | PartFailed):
            return self.told(excinfo.value)
        return super().repr_failure(excinfo)

    def told(self, error: Exception) -> str:
        """Return what to show of an error of our own."""
        return str(error)


class PartItem(BenchmarkItem):
    """Requests and scores one slice of a task's docs."""

    def __init__(self, *, part: Part, plan: TaskPlan, **kw: Any) -> None:
        self.part = part
        self.result: PartResult | None = None
        self.following: pytest.Item | None = None
        callobj = self._with_run_model() if plan.model is None else self._with_suite_model()
        super().__init__(plan=plan, callobj=callobj, **kw)

    # Two signatures, because fixtures are asked for by parameter: a conftest that overrides
    # lmm_model is heard unless the suite names a model of its own.

    def _with_run_model(self) -> Callable[..., None]:
        def measure(lmm_model: LM) -> None:
            self._measure()

        return measure

    def _with_suite_model(self) -> Callable[..., None]:
        def measure(lmm_models: ModelPool) -> None:
            self._measure()

        return measure

    def setup(self) -> None:
        """Fill fixtures and make the model ready; a model that is not there is an error, once."""
        if self.only_planned:
            super().setup()
            return
        model, unavailable = self.plan.model_key, self.run.unavailable
        for key in (model, self.plan.key):
            if key in unavailable:
                pytest.skip(f"not measured: {unavailable[key]}")
        try:
            super().setup()
            self.run.prepare(self.plan, self.funcargs)
        except pytest.skip.Exception as skipped:
            unavailable[model] = str(skipped)
            # A suite may lie in a project where only some sessions have a model. Whoever asks for
            # a task by name wants it measured.
            if str(skipped) == NO_MODEL and self.plan.suite is None:
                fail_plainly(ModelUnavailable(NO_MODEL))
            raise
        except ModelUnavailable as error:
            unavailable[model] = str(error)
            fail_plainly(error)
        except (Unsupported, TaskUnavailable) as error:
            unavailable[self.plan.key] = str(error)
            if self.plan.config.strict:
                fail_plainly(error)
            pytest.skip(str(error))
        except LmmError as error:
            raise pytest.fail.Exception(self.told(error), pytrace=False) from None

    def told(self, error: Exception) -> str:
        """Return what is wrong; what is so with the whole task, such as its data, only once."""
        if not isinstance(error, LmmError):
            return str(error)
        first = self.run.first_to_tell(self.plan, self.name, str(error))
        return str(error) if first == self.name else f"the same as {first}"

    def _measure(self) -> None:
        behind = [item for item in upcoming(self, self.following) if isinstance(item, PartItem)]
        same_model = [item.part for item in behind if item.plan.model == self.plan.model]
        try:
            samples = self.run.measure(self.part, [self.part, *same_model])
        except ModelUnavailable as error:
            self.run.unavailable[self.plan.model_key] = str(error)
            raise
        self.result = self.run.result(self.part, samples)
        self.user_properties.append(("lmmeval.docs", len(samples)))
        if samples:
            first, last = samples[0].doc_id, samples[-1].doc_id
            self.user_properties.append(("lmmeval.doc_ids", f"{first}-{last}"))
        failed = failed_docs(samples)
        if len(failed) > (self.plan.config.max_failed or 0) * len(samples):
            raise PartFailed(failed, len(samples))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the YAML as location."""
        return self.path, 0, f"{self.plan.name}::{self.name}"


class GateItem(BenchmarkItem):
    """Judges one metric of a task against its baseline.

    Attributes:
        parts: All parts of the task; the gate needs their results.
    """

    def __init__(
        self, *, gate: GatePlan, plan: TaskPlan, parts: Sequence[PartItem], name: str, **kw: Any
    ) -> None:
        self.gate = gate
        self.parts = parts
        self.verdict: Verdict | None = None
        super().__init__(plan=plan, name=name, callobj=self._assert, **kw)

    def setup(self) -> None:
        """Judge; a verdict of ERROR is raised here, so that JUnit tells it from a regression."""
        super().setup()
        if self.only_planned:
            return
        try:
            self.verdict = self.run.judge(self.plan, self.gate)
        except NotJudged as reason:
            pytest.skip(str(reason))
        except LmmError as error:
            fail_plainly(error)
        self.user_properties += verdict_properties(
            self.plan.suite, self.plan.config.variant, self.verdict
        )
        if self.verdict.outcome == "ERROR":
            fail_plainly(GateError(self.verdict))

    def _assert(self) -> None:
        verdict = self.verdict
        assert verdict is not None, "a gate runs after its set-up"
        undecided_fails = self.gate.rule.on_undecided == "fail"
        if verdict.outcome == "FAIL" or (verdict.outcome == "UNDECIDED" and undecided_fails):
            raise GateFailed(verdict, self.run.lost_lines(self.plan, verdict))
        if verdict.outcome == "UNDECIDED":
            self.warn(UndecidedWarning(f"{verdict.task}: {verdict.reason}"))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the gate's line in its YAML, 0-based, so that annotations point there."""
        return self.gate.path, self.gate.line - 1, f"{self.plan.name}::{self.name}"


def fail_plainly(error: Exception) -> NoReturn:
    """Fail a set-up with an error's own text.

    Unlike a failed call, a failed set-up is not shown through ``repr_failure``.
    """
    raise pytest.fail.Exception(str(error), pytrace=False) from None


def mark_name(tag: str) -> str:
    """Return a tag as a name that ``-m`` can hold."""
    name = "".join(c if c.isalnum() or c == "_" else "_" for c in tag)
    return f"_{name}" if name[:1].isdigit() else name
