"""GitHub Actions: the step summary, and annotations at the gates' lines.

The formats are GitHub's: a file named by ``GITHUB_STEP_SUMMARY`` takes Markdown, at most 1 MiB per
step, beyond which the upload is aborted; ``::error file=…,line=…::text`` on stdout annotates.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_lmmeval.reports.table import GateRow, markdown

# Half of what GitHub takes for a step: other tools write to the same file.
LARGEST_SUMMARY = 512 * 1024


def write_step_summary(
    title: str, rows: Sequence[GateRow], details: Sequence[str], environment: Mapping[str, str]
) -> None:
    """Append the table to the step summary, if this runs in a step that has one.

    Raises:
        OSError: The file that the environment names cannot be written.
    """
    target = environment.get("GITHUB_STEP_SUMMARY")
    if target and rows:
        with Path(target).open("a", encoding="utf-8", errors="backslashreplace") as summary:
            summary.write(step_summary(title, rows, details))


def step_summary(title: str, rows: Sequence[GateRow], details: Sequence[str]) -> str:
    """Return the summary as Markdown of at most ``LARGEST_SUMMARY`` bytes."""
    table = _fitting(markdown(rows).splitlines(), LARGEST_SUMMARY // 2)
    lines = [f"### {title}", "", *table, ""]
    if details:
        shown = _fitting(details, LARGEST_SUMMARY // 2 - 1024)
        head = ["<details><summary>Details</summary>", "", "~~~~text"]
        lines += [*head, *shown, "~~~~", "", "</details>", ""]
    return "\n".join([*lines, ""])


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    """Return as many lines as fit into so many bytes, and say how many do not."""
    kept: list[str] = []
    for line in lines:
        room -= len(line.encode(errors="backslashreplace")) + 1
        if room < 0:
            return [*kept, "", f"… and {len(lines) - len(kept)} more lines"]
        kept.append(line)
    return kept


def workflow_commands(rows: Sequence[GateRow], environment: Mapping[str, str]) -> list[str]:
    """Return workflow commands for gates that fail, err or warn; none outside of Actions."""
    if environment.get("GITHUB_ACTIONS") != "true":
        return []
    levels = {"FAIL": "error", "ERROR": "error", "UNDECIDED": "warning"}
    lines = []
    for row in rows:
        level = levels.get(row.verdict.outcome)
        if level is not None and not row.note:
            path, line = row.where
            title = _property(f"{row.label}: {row.verdict.outcome}")
            where = f"file={_property(_relative(path, environment))},line={line}"
            lines.append(f"::{level} {where},title={title}::{_message(row.verdict.reason)}")
    return lines


def _relative(path: str, environment: Mapping[str, str]) -> str:
    workspace = environment.get("GITHUB_WORKSPACE", os.getcwd())
    return os.path.relpath(path, workspace) if Path(path).is_relative_to(workspace) else path


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
