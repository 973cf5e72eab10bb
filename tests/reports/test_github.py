"""GitHub's step summary and workflow commands."""

from __future__ import annotations

from pathlib import Path

from rows import row

from pytest_lmmeval.records import Verdict
from pytest_lmmeval.reports.github import LARGEST_SUMMARY, workflow_commands, write_step_summary
from pytest_lmmeval.reports.table import GateRow


def test_the_summary_is_appended_with_table_and_reasons(tmp_path: Path) -> None:
    target = tmp_path / "summary.md"
    target.write_text("before\n")
    write_step_summary("lmmeval", [row()], ["why ```"], {"GITHUB_STEP_SUMMARY": str(target)})
    text = target.read_text()
    assert text.startswith("before\n### lmmeval\n\n| gate |")
    assert "| gsm8k | 86.8% |" in text
    assert text.endswith("~~~~text\nwhy ```\n~~~~\n\n</details>\n\n")


def test_there_is_none_outside_of_actions_or_without_gates(tmp_path: Path) -> None:
    target = tmp_path / "summary.md"
    write_step_summary("lmmeval", [row()], [], {})
    write_step_summary("lmmeval", [], [], {"GITHUB_STEP_SUMMARY": str(target)})
    assert not target.exists()


def test_a_long_summary_is_cut_at_a_line_and_closed(tmp_path: Path) -> None:
    target = tmp_path / "summary.md"
    rows = [row(label=f"tâsk{i}") for i in range(8000)]
    details = [f"{i}: {'ü' * 200}" for i in range(8000)]
    write_step_summary("lmmeval", rows, details, {"GITHUB_STEP_SUMMARY": str(target)})
    assert LARGEST_SUMMARY * 0.9 < target.stat().st_size <= LARGEST_SUMMARY
    text = target.read_text()
    assert text.count("more lines") == 2
    assert text.endswith("~~~~\n\n</details>\n\n")
    assert all(line.endswith("|") for line in text.splitlines() if line.startswith("|"))


def test_a_lone_surrogate_does_not_stop_it(tmp_path: Path) -> None:
    target = tmp_path / "summary.md"
    write_step_summary("t", [row(label="\ud83d")], [], {"GITHUB_STEP_SUMMARY": str(target)})
    assert "\\ud83d" in target.read_text()


def test_commands_point_at_the_gate_relative_to_the_workspace() -> None:
    gates = [
        row(label="a, b: c", reason="50% lost\nsee above"),
        row(outcome="ERROR"),
        row(outcome="UNDECIDED"),
        row(outcome="PASS"),
        row(note="no baseline", outcome="UNDECIDED"),
    ]
    gates = [
        GateRow(gate.label, gate.scale, gate.verdict, ("/w/repo/evals/s.lmm.yaml", 7), gate.note)
        for gate in gates
    ]
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": "/w/repo"}
    first, second, third = workflow_commands(gates, environment)
    assert first == (
        "::error file=evals/s.lmm.yaml,line=7,title=a%2C b%3A c%3A FAIL::50%25 lost%0Asee above"
    )
    assert second.startswith("::error file=evals/s.lmm.yaml,line=7,title=gsm8k%3A ERROR::")
    assert third.startswith("::warning file=evals/s.lmm.yaml,line=7,title=gsm8k%3A UNDECIDED::")
    assert workflow_commands(gates, {"GITHUB_WORKSPACE": "/w/repo"}) == []


def test_a_file_outside_of_the_workspace_keeps_its_path() -> None:
    gate = GateRow("t", 1.0, Verdict("t", "m,none", "FAIL", "why"), ("/lib/task.yaml", 1))
    (command,) = workflow_commands([gate], {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": "/w"})
    assert command == "::error file=/lib/task.yaml,line=1,title=t%3A FAIL::why"
