"""What the terminal shows at the start and at the end of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pytest_lmmeval.records import OutcomeCounts
from pytest_lmmeval.reports.numbers import duration_text
from pytest_lmmeval.reports.table import GateRow, aligned

COLOURS = {"PASS": "green", "FAIL": "red", "ERROR": "red", "UNDECIDED": "yellow", "VOID": "yellow"}


class TerminalWriter(Protocol):
    """The part of ``pytest.TerminalReporter`` that is used."""

    def write_sep(self, sep: str, title: str) -> None:
        """Write a rule with a title."""

    def write_line(self, line: str, **markup: bool) -> None:
        """Write a line."""


@dataclass(frozen=True)
class Summary:
    """What is told at the end of a run.

    Attributes:
        rows: The gates, in the order in which they were judged.
        outcomes: Per task, outcomes of its docs.
        incomplete: Per task, how many of its parts gave no result.
        seconds: Wall time since the run began.
        tokens: Tokens generated, as far as the model reported them.
        files: Files that were written.
        groups: A line for each result of a group of tasks.
        notices: What the reader should know beside.
    """

    rows: Sequence[GateRow]
    outcomes: dict[str, OutcomeCounts] = field(default_factory=dict)
    incomplete: dict[str, tuple[int, int]] = field(default_factory=dict)
    seconds: float = 0.0
    tokens: int = 0
    files: Sequence[Path] = ()
    groups: Sequence[str] = ()
    notices: Sequence[str] = ()


def write_summary(writer: TerminalWriter, summary: Summary, *, quiet: bool = False) -> None:
    """Print the table of gates, with one line each of totals, files and what is missing."""
    notices = () if quiet else summary.notices
    if not (summary.rows or summary.outcomes or summary.incomplete or notices):
        return
    writer.write_sep("=", "lmmeval")
    if summary.rows:
        heading, *lines = aligned(summary.rows)
        writer.write_line(heading, bold=True)
        for row, line in zip(summary.rows, lines, strict=True):
            colour = COLOURS[row.verdict.outcome]
            writer.write_line(line, **({} if row.note else {colour: True}))
    if not quiet:
        _write_details(writer, summary)


def write_config(writer: TerminalWriter, text: str) -> None:
    """Print the configuration. It was asked for, so ``-q`` does not hide it."""
    writer.write_sep("=", "lmmeval configuration")
    for line in text.splitlines():
        writer.write_line(line)


def _write_details(writer: TerminalWriter, summary: Summary) -> None:
    for row in summary.rows:
        for note in row.verdict.notes:
            writer.write_line(f"{row.label}: {note}")
    for line in summary.groups:
        writer.write_line(line)
    for task, (missing, count) in summary.incomplete.items():
        writer.write_line(f"{task}: {missing} of {count} parts gave no result", yellow=True)
    for notice in summary.notices:
        writer.write_line(notice, yellow=True)
    writer.write_line(totals(summary))
    for path in summary.files:
        writer.write_line(f"written: {path}")


def totals(summary: Summary) -> str:
    """Return the last line: verdicts, docs by outcome, tokens and time."""
    verdicts = Counter(row.note or row.verdict.outcome for row in summary.rows)
    counts = [f"{count} {name}" for name, count in verdicts.items()]
    docs = [f"{sum(c.total for c in summary.outcomes.values())} docs"]
    for name in ("failed", "truncated", "unparsed"):
        number = sum(getattr(c, name) for c in summary.outcomes.values())
        docs += [f"{number} {name}"] if number else []
    pieces = [", ".join(counts) or "no verdicts", ", ".join(docs)]
    if summary.tokens:
        pieces.append(f"{summary.tokens} tokens generated")
    return " · ".join([*pieces, duration_text(summary.seconds)])
