"""What finding all tasks of an installed lm-eval costs, as a ratio to lm-eval's own index.

lm-eval's ``TaskManager()`` and ours over the same tree, each in a process of its own: ours cold (an
empty cache) and warm. Compared is the CPU time of the indexing, imports apart. Of several rounds
the smallest counts, for whatever else the machine does can only add to CPU time.

    python benchmarks/index_cost.py --rounds 3

Needs lm-eval in the same environment.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

from child_cpu import measurements

WARM_SECONDS = 0.5
COLD_RATIO = 0.2
MEASURE = """
import json, sys, time
{imports}
started, wall = time.process_time(), time.perf_counter()
{index}
print(json.dumps({{
    "cpu": time.process_time() - started,
    "wall": time.perf_counter() - wall,
    "tasks": len(names),
}}))
"""
PEER = MEASURE.format(
    imports="from lm_eval.tasks import TaskManager", index="names = TaskManager().all_subtasks"
)
OURS = MEASURE.format(
    imports="from pytest_lmmeval.tasks.catalog.manager import TaskManager",
    index="names = TaskManager([sys.argv[1]], include_defaults=False).all_tasks()",
)


def tree() -> Path:
    """Return the folder of lm-eval's task files. Does not import it."""
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("this benchmark needs lm-eval: pip install lm-eval==0.4.13")
    return Path(next(iter(spec.submodule_search_locations))) / "tasks"


def main() -> int:
    """Measure and print; the exit code is 1 if one of the limits is exceeded."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    best: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = folder / "cache"
        ours = [sys.executable, "-c", OURS, str(tree())]
        for _ in range(options.rounds):
            shutil.rmtree(cache, ignore_errors=True)
            for label, command in (
                ("lm-eval", [sys.executable, "-c", PEER]),
                ("ours, cold", ours),
                ("ours, warm", ours),
            ):
                found = measurements(command, folder, {"XDG_CACHE_HOME": str(cache)})
                best[label] = min(best.get(label, found), found, key=lambda row: row["cpu"])
    for label, row in best.items():
        print(
            f"{label:10} {row['tasks']:6} tasks  {row['cpu']:6.2f} s CPU  {row['wall']:6.2f} s wall"
        )
    ratio = best["ours, cold"]["cpu"] / best["lm-eval"]["cpu"]
    warm = best["ours, warm"]["cpu"]
    print(f"cold, ours / lm-eval: {ratio:.3f} (at most {COLD_RATIO})")
    print(f"warm: {warm:.2f} s CPU (at most {WARM_SECONDS})")
    return int(ratio > COLD_RATIO or warm > WARM_SECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
