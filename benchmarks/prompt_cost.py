"""What building the requests of a multiple-choice task costs, as a ratio to lm-eval.

Both sides build the prompts and continuations of the same docs from the same YAML, each in a
process of its own, interleaved. Compared is the CPU time of the building alone: imports, opening
the data and the task are shown beside it. The digests of all requests must be equal, or the
comparison would be of different work. Of several rounds the smallest counts, for whatever else the
machine does can only add to CPU time.

    python benchmarks/prompt_cost.py --docs 14000 --shots 5 --rounds 1

Needs lm-eval in the same environment.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

from child_cpu import measurements

LIMIT = 0.1
TASK = r"""
task: bench
dataset_path: json
dataset_kwargs: {data_files: {test: test.jsonl, dev: dev.jsonl}}
test_split: test
fewshot_split: dev
output_type: multiple_choice
description: "The following are multiple choice questions (with answers).\n\n"
doc_to_text: >-
  {{question.strip()}}
  A. {{choices[0]}} B. {{choices[1]}} C. {{choices[2]}} D. {{choices[3]}} Answer:
doc_to_choice: ["A", "B", "C", "D"]
doc_to_target: answer
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
MEASURE = """
import hashlib, json, sys, time
started = time.process_time()
shots = int(sys.argv[1])
{open}
opened = time.process_time()
{build}
built = time.process_time()
digest = hashlib.sha256()
for context, continuation in pairs:
    digest.update(f"{{context}}\\0{{continuation}}\\0".encode())
print(json.dumps({{
    "open": opened - started,
    "build": built - opened,
    "requests": len(pairs),
    "digest": digest.hexdigest(),
}}))
"""
SIDES = {
    "lm-eval": MEASURE.format(
        open="""
from lm_eval.tasks import TaskManager, get_task_dict
task = get_task_dict(["bench"], TaskManager(include_path=".", include_defaults=False))["bench"]
task.set_config("num_fewshot", shots)
task.set_fewshot_seed(1234)
""",
        build="""
task.build_all_requests(limit=None, rank=0, world_size=1)
pairs = [instance.args for instance in task.instances]
""",
    ),
    "ours": MEASURE.format(
        open="""
from pytest_lmmeval.tasks.catalog.manager import TaskManager
from pytest_lmmeval.tasks.task import Task, TaskSettings
(spec,) = TaskManager(["."]).select(["bench"])
task = Task(spec, settings=TaskSettings(num_fewshot=shots, fewshot_seed=1234))
docs = task.doc_ids()
""",
        build="""
made = [instance for doc_id in docs for instance in task.instances(doc_id)]
pairs = [(instance.context, instance.continuation) for instance in made]
""",
    ),
}
WORDS = ("time", "person", "year", "way", "day", "thing", "man", "world", "life", "hand", "part")


def write_task(folder: Path, docs: int) -> None:
    """Write the task and its data."""
    rng = random.Random(0)

    def text(words: int) -> str:
        return " ".join(rng.choices(WORDS, k=words))

    for split, count in {"test": docs, "dev": 20}.items():
        rows = (
            {
                "question": f"{text(30)} {i}?",
                "choices": [text(5) for _ in range(4)],
                "answer": rng.randrange(4),
            }
            for i in range(count)
        )
        lines = "\n".join(json.dumps(row) for row in rows)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    (folder / "bench.yaml").write_text(TASK, encoding="utf-8")


def main() -> int:
    """Measure and print; the exit code is 1 if the ratio is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=int, default=14_000)
    parser.add_argument("--shots", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    best: dict[str, dict[str, float]] = {}
    digests = set()
    with tempfile.TemporaryDirectory() as name:
        write_task(Path(name), options.docs)
        cache = {"HF_DATASETS_CACHE": str(Path(name) / "cache")}
        for _ in range(options.rounds):
            for side, code in SIDES.items():
                command = [sys.executable, "-c", code, str(options.shots)]
                found = measurements(command, Path(name), cache)
                digests.add(found.pop("digest"))
                best[side] = min(best.get(side, found), found, key=lambda row: row["build"])
    for side, row in best.items():
        print(
            f"{side:8} {row['requests']:6} requests  start and open {row['open']:6.2f} s  "
            f"build {row['build']:7.2f} s  {1e6 * row['build'] / options.docs:8.1f} µs per doc"
        )
    if len(digests) != 1:
        print("the requests of the two differ")
        return 1
    ratio = best["ours"]["build"] / best["lm-eval"]["build"]
    print(f"ours / lm-eval: {ratio:.4f} (at most {LIMIT})")
    return int(ratio > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
