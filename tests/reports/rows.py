"""Rows of gates as reports get them."""

from __future__ import annotations

from typing import Any

from pytest_lmmeval.records import Verdict
from pytest_lmmeval.reports.table import GateRow

FAILED: dict[str, Any] = {
    "task": "gsm8k",
    "key": "exact_match,flexible-extract",
    "outcome": "FAIL",
    "reason": "exact_match 0.868 -> 0.836",
    "value": 0.836,
    "stderr": 0.01,
    "baseline": 0.868,
    "delta": -0.032,
    "low": -0.043,
    "high": -0.021,
    "max_drop": 0.01,
    "must_detect": 0.03,
    "mde": 0.027,
    "n": 1319,
    "n_failed": 2,
    "n_truncated": 3,
    "n_unparsed": 4,
    "lost": tuple(range(58)),
    "gained": tuple(range(16)),
}


def row(
    *, label: str = "gsm8k", scale: float | None = 1.0, note: str = "", **changes: Any
) -> GateRow:
    """Return the row of a gate that failed, with changes to its verdict."""
    return GateRow(
        label, scale, Verdict(**{**FAILED, **changes}), ("evals/smoke.lmm.yaml", 7), note
    )
