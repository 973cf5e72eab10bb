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
    """Append the table to the step summary, if this runs in a step that has one."""
    target = environment.get("GITHUB_STEP_SUMMARY")
    if not target or not rows:
        return
    text = f"### {title}\n\n{markdown(rows)}\n\n"
    if details:
        text += (
            "<details><summary>Details</summary>\n\n```text\n"
            + "\n".join(details)
            + "\n```\n\n</details>\n\n"
        )
    if len(text.encode()) > LARGEST_SUMMARY:
        text = text.encode()[:LARGEST_SUMMARY].decode(errors="ignore") + "\n\n… cut\n"
    with Path(target).open("a", encoding="utf-8") as summary:
        summary.write(text)


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
