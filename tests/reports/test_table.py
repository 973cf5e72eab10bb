"""The table of gates and the lines around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rows import row

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.records import OutcomeCounts
from pytest_lmmeval.reports.header import header_line
from pytest_lmmeval.reports.numbers import duration_text
from pytest_lmmeval.reports.properties import verdict_properties
from pytest_lmmeval.reports.table import aligned, cells, headings, markdown
from pytest_lmmeval.reports.terminal import Summary, totals, write_summary


class Terminal:
    """Keeps lines, with the markup in front."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write_sep(self, sep: str, title: str) -> None:
        self.lines.append(f"{sep} {title}")

    def write_line(self, line: str, **markup: bool) -> None:
        self.lines.append("".join(f"<{name}>" for name in markup) + line)


def test_a_row_has_values_as_percentages_and_differences_as_points() -> None:
    # Half of a 90 % interval is 1.645 standard errors.
    assert cells(row()) == (
        "gsm8k",
        "86.8%",
        "83.6% ±1.6",
        "-3.2pp [-4.3, -2.1]",
        "1.0pp",
        "2.7pp",
        "1319",
        "FAIL",
        "-58 lost, +16 gained, 2 failed, 3 truncated, 4 unparsed",
    )


def test_a_scale_of_100_is_not_multiplied_again() -> None:
    found = cells(row(scale=100.0, value=83.6, baseline=86.8, delta=-3.2, low=-4.3, high=-2.1))
    assert found[1:4] == ("86.8%", "83.6% ±0.0", "-3.2pp [-4.3, -2.1]")


def test_a_metric_without_scale_is_in_its_own_units() -> None:
    perplexity = row(
        scale=None, value=12.3456, baseline=12.0, stderr=None, delta=0.3456, low=0.1, high=0.5,
        max_drop=0.12, mde=None,
    )  # fmt: skip
    assert cells(perplexity)[1:6] == ("12", "12.35", "+0.346 [+0.1, +0.5]", "0.12", "-")


def test_what_is_not_known_is_a_dash() -> None:
    empty: dict[str, Any] = dict.fromkeys(
        ("value", "stderr", "baseline", "delta", "low", "high", "max_drop", "mde"), None
    )
    found = cells(row(**empty, outcome="ERROR", n=0, lost=(), gained=(), note="no baseline"))
    assert found[1:8] == ("-", "-", "-", "-", "-", "0", "no baseline")


def test_columns_are_aligned_and_lines_end_without_blanks() -> None:
    lines = aligned([row(label="a"), row(label="a longer label", lost=())])
    heading, first, second = lines
    assert heading.index("base") == first.index("86.8%") == second.index("86.8%")
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        ([0.9, 0.9], "now (90% CI)"),
        ([0.95], "now (95% CI)"),
        ([0.92, 0.9], "now (CI)"),
        ([None], "now (90% CI)"),
    ],
)
def test_the_headings_say_the_level_that_all_intervals_have(
    levels: list[float | None], said: str
) -> None:
    assert headings([row(level=level) for level in levels])[2] == said
    # A gate that has no interval has no part in it.
    silent = row(level=0.5, low=None, high=None, stderr=None)
    assert headings([*(row(level=level) for level in levels), silent])[2] == said


def test_the_margin_of_a_value_has_the_level_of_its_gate() -> None:
    # 1.96 standard errors of 0.01.
    assert cells(row(level=0.95))[2] == "83.6% ±2.0"


def test_a_verdict_on_some_of_the_docs_is_marked_and_keeps_its_colour() -> None:
    early = row(outcome="PASS", n=416, n_all=1319)
    assert cells(early)[6:8] == ("416/1319", "PASS (early)")
    terminal = Terminal()
    write_summary(terminal, Summary(rows=[early]), quiet=True)
    assert terminal.lines[-1].startswith("<green>gsm8k")


def test_markdown_escapes_what_would_end_a_cell() -> None:
    text = markdown([row(label="a|b")])
    assert text.splitlines()[0].startswith("| gate | base |")
    assert "| a\\|b |" in text


def test_the_summary_has_rows_notes_gaps_totals_and_files() -> None:
    terminal = Terminal()
    summary = Summary(
        rows=[
            row(),
            row(label="other", outcome="PASS", notes=("better by +2.1pp",)),
            row(label="third", outcome="UNDECIDED"),
            row(label="fourth", outcome="PASS", note="written"),
        ],
        outcomes={"a": OutcomeCounts(scored=90, failed=2, truncated=8), "b": OutcomeCounts(10)},
        incomplete={"b": (3, 16)},
        seconds=221.4,
        tokens=512,
        files=[Path("out/results.json")],
        notices=["nothing matches"],
    )
    write_summary(terminal, summary)
    assert terminal.lines[0] == "= lmmeval"
    assert terminal.lines[1].startswith("<bold>gate")
    starts = ["<red>gsm8k", "<green>other", "<yellow>third", "fourth"]
    for line, start in zip(terminal.lines[2:6], starts, strict=True):
        assert line.startswith(start)
    assert terminal.lines[6:] == [
        "other: better by +2.1pp",
        "<yellow>b: 3 of 16 parts gave no result",
        "<yellow>nothing matches",
        "1 FAIL, 1 PASS, 1 UNDECIDED, 1 written · 110 docs, 2 failed, 8 truncated"
        " · 512 tokens generated · 3m41s",
        "written: out/results.json",
    ]


def test_a_quiet_run_shows_the_table_alone_and_an_empty_one_nothing() -> None:
    terminal = Terminal()
    write_summary(terminal, Summary(rows=[row()]), quiet=True)
    assert len(terminal.lines) == 3
    empty = Terminal()
    write_summary(empty, Summary(rows=[]))
    assert empty.lines == []


def test_totals_of_a_run_that_was_stopped() -> None:
    summary = Summary(rows=[], outcomes={"a": OutcomeCounts(scored=5)}, seconds=0.4)
    assert totals(summary) == "no verdicts · 5 docs · 0s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.4, "59s"), (59.6, "1m00s"), (3599, "59m59s"), (3600, "1h00m"), (7384, "2h03m")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_the_header_says_what_was_asked_for_but_no_key() -> None:
    config = RunConfig(
        model="openai", model_args="api_key=sk-12345678", limit=10, root=Path("/p"),
        output_path=Path("/elsewhere"),
    )  # fmt: skip
    line = header_line(config, ["ai2d", "/p/own.yaml", "/q/other.yaml"])
    assert line == "lmmeval: model openai; tasks ai2d, own.yaml, /q/other.yaml; limit 10"
    assert header_line(RunConfig(), []) == "lmmeval: model as suites or fixtures have it"


def test_junit_properties_are_flat_and_leave_out_what_is_not_known() -> None:
    found = dict(verdict_properties("smoke", "fp8", row(mde=None).verdict))
    assert found["lmmeval.suite"] == "smoke"
    assert found["lmmeval.variant"] == "fp8"
    assert (found["lmmeval.verdict"], found["lmmeval.value"]) == ("FAIL", 0.836)
    assert (found["lmmeval.flips_lost"], found["lmmeval.flips_gained"]) == (58, 16)
    assert "lmmeval.mde" not in found
    assert "lmmeval.suite" not in dict(verdict_properties(None, "fp8", row().verdict))
