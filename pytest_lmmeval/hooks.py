"""The hooks of a session that has benchmarks in it; registered when it meets the first one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator
from typing import Any

import pytest

from pytest_lmmeval.collection import close_selection, collect_named
from pytest_lmmeval.errors import nearest
from pytest_lmmeval.items import PartItem
from pytest_lmmeval.ledger import PartResult
from pytest_lmmeval.reports.github import workflow_commands, write_step_summary
from pytest_lmmeval.reports.progress import ProgressLine
from pytest_lmmeval.reports.terminal import header_lines, write_config, write_summary
from pytest_lmmeval.run import BenchmarkRun
from pytest_lmmeval.warnings import LmmWarning

# This plugin annotates failed tests by itself, at the same lines.
ANNOTATOR = "pytest_github_actions_annotate_failures"


class BenchmarkHooks:
    """Hooks in pytest's own order: collect, run, report, finish.

    Attributes:
        _parts_added: How many parts run only because a selected gate needs them.
    """

    def __init__(self, run: BenchmarkRun) -> None:
        self._run = run
        self._parts_added = 0

    def pytest_report_header(self) -> list[str]:
        """Say what is measured."""
        return header_lines(self._run.config, self._run.selection.names)

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
        if self._run.worker is None and session.config.pluginmanager.hasplugin("terminalreporter"):
            self._run.progress = progress_line(session.config)

    def pytest_report_collectionfinish(self) -> list[str]:
        """Account for parts that run although ``-k`` or the like deselected them."""
        if not self._parts_added:
            return []
        return [f"lmmeval: {self._parts_added} parts added that the selected gates need"]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Note the next item: an xdist worker knows little else of what it will run."""
        if isinstance(item, PartItem):
            item.following = nextitem

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put a part's samples on its report, which carries them to the controller."""
        report: Any = yield
        if isinstance(item, PartItem):
            if call.when == "call" and item.result is not None:
                # Only what leaves this process has to be made of builtin types.
                remote = self._run.worker is not None
                report.lmm_part = item.result.to_builtins() if remote else item.result
                item.result = None
            elif not report.passed:
                report.lmm_unavailable = self._run.unavailable
        return report  # type: ignore[no-any-return]  # Any, for the attributes above

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take samples off their report, in the process that sees all of them.

        A worker leaves them on: its reports travel on to the controller.
        """
        if self._run.worker is not None:
            return
        self._run.unavailable |= vars(report).pop("lmm_unavailable", {})
        part = vars(report).pop("lmm_part", None)
        if part is not None:
            remote = not isinstance(part, PartResult)
            self._run.ledger.add(PartResult.from_builtins(part) if remote else part)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table of verdicts."""
        if self._run.worker is not None:
            return
        self._run.finish()
        summary = self._run.summary()
        write_summary(terminalreporter, summary, quiet=terminalreporter.verbosity < 0)
        if self._run.config.show_config and self._run.plans:
            write_config(terminalreporter, self._run.config_text())
        if not terminalreporter.config.pluginmanager.hasplugin(ANNOTATOR):
            for command in workflow_commands(summary.rows, os.environ):
                terminalreporter.write_line(command)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Cancel what is in flight, release models and write what was measured."""
        self._run.finish()
        if self._run.worker is None:
            rows = list(self._run.rows.values())
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


def progress_line(config: pytest.Config) -> ProgressLine:
    """Return the line that shows progress: live where a person watches, sparse in a log."""
    writer = config.get_terminal_writer()
    watched = writer.hasmarkup and not os.environ.get("CI")
    try:
        terminal = open("/dev/tty", "w", encoding="utf-8") if watched else None  # noqa: SIM115 -- lives as long as the session
    except OSError:
        terminal = None
    return ProgressLine(writer, terminal)
