"""Reading a suite's gates must cost no numeric library; judging a binary metric neither."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from pytest_lmmeval.gates.baseline import BaselineMetric
from pytest_lmmeval.gates.rules import GateRule
from pytest_lmmeval.gates.scores import MetricScores
from pytest_lmmeval.gates.verdict import judge
run = MetricScores(task="t", key="acc,none", higher_is_better=True, scale=1.0,
                   doc_ids=range(4), scores=[1.0, 1.0, 0.0, 1.0], value=0.75)
print(judge(GateRule(), run, BaselineMetric.from_scores(run)).outcome)
print(sorted({name.partition(".")[0] for name in sys.modules} & {"numpy", "scipy", "yaml"}))
"""


def test_a_binary_metric_is_judged_without_numpy_or_scipy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split("\n")[:2] == ["UNDECIDED", "[]"]
