"""The hooks of a session that has benchmarks in it; registered when it meets the first one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from pytest_lmmeval.errors import nearest
from pytest_lmmeval.ledger import PartResult
from pytest_lmmeval.plans.task_plans import Part
from pytest_lmmeval.reports.github import workflow_commands, write_step_summary
from pytest_lmmeval.reports.terminal import write_config, write_summary
from pytest_lmmeval.session.collection import close_selection, collect_named
from pytest_lmmeval.session.controller_gates import look_ahead
from pytest_lmmeval.session.controller_link import leave_if_cut_off
from pytest_lmmeval.session.crashes import rerun_status
from pytest_lmmeval.session.exit_code import ExitCode, mark
from pytest_lmmeval.session.items import BenchmarkItem, GateItem, PartItem
from pytest_lmmeval.session.parcels import pack, unpack
from pytest_lmmeval.session.progress_hooks import show_progress
from pytest_lmmeval.session.progress_link import Telling
from pytest_lmmeval.session.reruns import active_rerunners, run_once
from pytest_lmmeval.session.run import BenchmarkRun
from pytest_lmmeval.warnings import LmmWarning

# This plugin annotates failed tests by itself, at the same lines.
ANNOTATOR = "pytest_github_actions_annotate_failures"


class BenchmarkHooks:
    """Hooks in pytest's own order: collect, run, report, finish.

    Attributes:
        _gates: The selected gates, in a process that judges them where it collects them.
        _interrupted: Whether the user has ended the session.
        _lost: What was lost with xdist workers, and measured again.
        _parts_added: How many parts run only because a selected gate needs them.
        _ahead: What the selected gates will be able to show.
    """

    def __init__(self, run: BenchmarkRun) -> None:
        self._run = run
        self._exit_code = ExitCode()
        self._gates: list[GateItem] = []
        self._interrupted = False
        self._lost: list[str] = []
        self._parts_added = 0
        self._ahead: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Add the tasks that are known by name, before any plugin selects or sorts."""
        items.extend(collect_named(session))
        self._check_samples({item.plan.name for item in items if isinstance(item, PartItem)})

    def _check_samples(self, tasks: set[str]) -> None:
        """Refuse doc ids for a task that is not there: all docs of another would be asked.

        Raises:
            pytest.UsageError: The command line names one.
        """
        config = self._run.config
        unknown = sorted(set(config.samples) - tasks)
        if not unknown or not tasks or "samples" not in config.by_command_line:
            return
        message = f"--lmm-samples: task {unknown[0]!r} is not among those that are collected."
        message += nearest(unknown[0], sorted(tasks))
        if self._run.worker is None:
            raise pytest.UsageError(message)
        # In a worker that would end the whole run without a word.
        warnings.warn(LmmWarning(message), stacklevel=1)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Make selected gates select their parts, after every plugin had its say."""
        self._parts_added = close_selection(session)
        self._ahead = look_ahead(session.config, session.items)
        self._run.measuring.leave_if_cut_off = partial(
            leave_if_cut_off, session.config, self._run.finish
        )
        self._gates = [item for item in session.items if isinstance(item, GateItem)]
        parts = [item for item in session.items if isinstance(item, PartItem)]
        # Whether docs are asked again is known when the others are judged.
        sure = {item.nodeid: item.part for item in parts if item.repeats is None}
        self.watch(session.config, sure)

    def take_benchmarks(
        self, config: pytest.Config, gates: Sequence[GateItem], parts: Mapping[str, Part]
    ) -> None:
        """Take over what this process judges, and workers measure, although it collected nothing.

        Args:
            config: The session's.
            gates: The gates.
            parts: All parts, by their node ids.
        """
        self._gates = list(gates)
        self.watch(config, parts)

    def watch(self, config: pytest.Config, parts: Mapping[str, Part]) -> None:
        """Let it be seen how far the requests are, those of some parts and of evaluations."""
        if self._run.worker is None:
            self._run.open.watch = self._run.progress
            show_progress(config, self._run.config, self._run.progress, parts)
        elif (telling := Telling.of(config)) is not None:
            self._run.open.watch = telling

    def pytest_report_collectionfinish(self) -> list[str]:
        """Account for parts that run although ``-k`` or the like deselected them.

        And say, before anything is asked, what the gates will be able to show.
        """
        if not self._parts_added:
            return self._ahead
        added = f"lmmeval: {self._parts_added} parts added that the selected gates need"
        return [added, *self._ahead]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Note the next item: an xdist worker knows little else of what it will run.

        And keep our items from plugins that would run them again.
        """
        if isinstance(item, PartItem):
            item.following = nextitem
        return run_once(item, nextitem) if isinstance(item, BenchmarkItem) else None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put a part's samples on its report, which carries them to the controller."""
        report: Any = yield
        if isinstance(item, BenchmarkItem):
            mark(report, call)
        if isinstance(item, PartItem):
            if call.when == "call" and item.result is not None:
                remote = self._run.worker is not None
                report.lmm_part = pack(item.result) if remote else item.result
                item.result = None
            elif not report.passed:
                report.lmm_unavailable = self._run.verdicts.unavailable
        return report  # type: ignore[no-any-return]  # Any, for the attributes above

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take samples off their report, in the process that sees all of them.

        A worker leaves them on: its reports travel on to the controller.
        """
        if self._run.worker is not None:
            return
        self._exit_code.take(report)
        self._run.verdicts.unavailable |= vars(report).pop("lmm_unavailable", {})
        part = vars(report).pop("lmm_part", None)
        if part is not None:
            remote = not isinstance(part, PartResult)
            self._run.take(unpack(part) if remote else part, remote=remote)

    def pytest_keyboard_interrupt(self) -> None:
        """Note that the session ends before its end."""
        self._interrupted = True

    def _unjudged(self) -> list[str]:
        """Name the gates that an interrupted session did not come to."""
        if not self._interrupted:
            return []
        left = [g for g in self._gates if (g.plan.key, g.gate.key) not in self._run.verdicts.rows]
        return [f"{gate.nodeid}: incomplete, not judged" for gate in left]

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, report: pytest.TestReport, sched: Any) -> None:
        """Make true what xdist reports of a part that was lost with its worker."""
        node: Any = vars(report)["node"]
        told = sched.report_crash(report, node.gateway.id)
        self._lost += [told] if told else []

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> Any:
        """Show a lost part as run again."""
        return rerun_status(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table of verdicts."""
        if self._run.worker is not None:
            return
        self._run.finish()
        summary = self._run.summary()
        notices = [*rerun_notices(terminalreporter.config), *summary.notices]
        notices += [*self._lost, *self._unjudged(), *self._exit_code.notices]
        summary = replace(summary, notices=notices)
        write_summary(terminalreporter, summary, quiet=terminalreporter.verbosity < 0)
        if self._run.config.show_config and self._run.plans:
            write_config(terminalreporter, self._run.config_text())
        if not terminalreporter.config.pluginmanager.hasplugin(ANNOTATOR):
            for command in workflow_commands(summary.rows, os.environ):
                terminalreporter.write_line(command)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Cancel what is in flight, release models, write what was measured and say how it was."""
        self._run.finish()
        if self._run.worker is None:
            broken_off = bool(session.shouldstop or session.shouldfail)
            ended = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
            self._run.settle(to_its_end=exitstatus in ended and not broken_off)
            if exitstatus == pytest.ExitCode.TESTS_FAILED:
                self._exit_code.settle(session)
            rows = list(self._run.verdicts.rows.values())
            details = [f"{row.label}: {row.verdict.reason}" for row in rows]
            try:
                write_step_summary("lmmeval", rows, details, os.environ)
            except OSError as error:
                # A summary that cannot be written must not cost the verdicts.
                warnings.warn(LmmWarning(f"no step summary: {error}"), stacklevel=1)

    def pytest_unconfigure(self) -> None:
        """Release everything, also of a session that ended before it began (``--collect-only``)."""
        self._run.finish()
        self._run.let_go()


def rerun_notices(config: pytest.Config) -> list[str]:
    """Say that verdicts stand, where a plugin is asked to run failed tests again."""
    return [
        f"{name} is on: benchmarks are run and judged once, whatever fails"
        for name in active_rerunners(config)
    ]
