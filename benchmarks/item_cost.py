"""What a doc costs more as part of a pytest item than in the bare engine.

Runs a task of many short docs on a model that answers at once, in a process of its own each time:
through ``evaluate()`` and through ``pytest``, interleaved. Prints CPU seconds (user and system) and
the difference per doc. The two processes start differently, so each is also run with one doc, and
that start-up is taken off. Of several rounds the smallest counts: whatever else the machine does
can only add to CPU time.

    python benchmarks/item_cost.py --docs 15000 --rounds 8
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from child_cpu import cpu_seconds

CONFTEST = """
import pytest
from pytest_lmmeval import LM

class Instant(LM):
    batch_size = 64

    def generate_until(self, requests):
        return ["42"] * len(requests)

@pytest.fixture(scope="session")
def lmm_model():
    return Instant()
"""
TASK = """
task: bench
dataset_path: json
dataset_kwargs: {data_files: {test: bench.jsonl}}
test_split: test
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 8}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
BARE = """
from conftest import Instant
from pytest_lmmeval import evaluate

evaluate(Instant(), ["./bench.yaml"])
"""


def write_project(folder: Path, docs: int) -> None:
    """Write a project with one task."""
    rows = (json.dumps({"question": f"What is {i}?", "answer": "42"}) for i in range(docs))
    (folder / "bench.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (folder / "bench.yaml").write_text(TASK, encoding="utf-8")
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (folder / "bare.py").write_text(BARE, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=int, default=15_000)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    commands = {
        "bare engine": [sys.executable, "bare.py"],
        "pytest items": [sys.executable, "-m", "pytest", "-q", "--lmm-tasks=./bench.yaml"],
    }
    seconds: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        for docs in (1, options.docs):
            folder = Path(name) / str(docs)
            folder.mkdir()
            write_project(folder, docs)
            for _ in range(options.rounds):
                for label, command in commands.items():
                    seconds.setdefault((label, docs), []).append(cpu_seconds(command, folder))
    per_doc = {}
    for label in commands:
        start = min(seconds[label, 1])
        whole = min(seconds[label, options.docs])
        per_doc[label] = 1e6 * (whole - start) / options.docs
        spread = max(seconds[label, options.docs]) - min(seconds[label, options.docs])
        print(
            f"{label:12}  start-up {start:5.2f} s  {options.docs} docs {whole:6.2f} s "
            f"(spread {spread:.2f})  {per_doc[label]:6.1f} µs per doc"
        )
    extra = per_doc["pytest items"] - per_doc["bare engine"]
    print(f"the items add {extra:.1f} µs per doc")


if __name__ == "__main__":
    main()
