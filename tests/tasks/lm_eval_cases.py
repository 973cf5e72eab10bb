"""Everything that lm-eval and ours evaluate alike."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import lm_eval_group_cases
import lm_eval_likelihood_cases
import lm_eval_prompt_cases
import lm_eval_scoring_cases
from lm_eval_docs import ODD, TEST, TEST_SPLIT, TRAIN, TWINS
from lm_eval_peer import Case
from task_builders import Rows, TaskFolder

from pytest_lmmeval.tasks.catalog.manager import TaskManager, TaskSpec

CASES = [
    *lm_eval_prompt_cases.CASES,
    *lm_eval_scoring_cases.CASES,
    *lm_eval_likelihood_cases.CASES,
]
GROUP_CASES = lm_eval_group_cases.CASES
# What the likelihoods come from is trained on these.
TEXTS = [f"{row['question']} {row['answer']}" for row in [*TEST, *TRAIN, *ODD]]


def write_cases(folder: TaskFolder) -> None:
    """Write the tasks, their helpers and their data."""
    splits = {"test": TEST, "train": TRAIN, "twins": TWINS, "odd": ODD}
    for name, rows in splits.items():
        folder.rows(f"{name}.jsonl", rows)
    for name in ("test", "train"):
        _write_table(folder, f"{name}.csv", splits[name])
    base = f'{TEST_SPLIT}    doc_to_text: "A {{{{question}}}}"\n    repeats: 1\n'
    folder.write("base_a.yaml", base)
    folder.write("base_b", 'doc_to_text: "B {{question}}"\ngeneration_kwargs: {until: ["B"]}\n')
    modules = {
        "prompts": lm_eval_prompt_cases,
        "scoring": lm_eval_scoring_cases,
        "likelihoods": lm_eval_likelihood_cases,
    }
    for name, module in modules.items():
        folder.write(f"{name}.py", module.HELPERS)
        for task, body in module.TASKS.items():
            folder.write(f"{task}.yaml", f"    task: {task}\n{body}")
    for name, body in lm_eval_group_cases.GROUPS.items():
        folder.write(f"{name}.yaml", f"    group: {name}\n{body}")


def select(case: Case, folder: Path) -> tuple[TaskManager, list[TaskSpec]]:
    """Select a case's tasks; gsm8k, which comes with both sides, gets the folder's data."""
    manager = TaskManager([folder])
    overrides: dict[str, Any] = {}
    if case.task == "gsm8k":
        files = {split: str(folder / f"{split}.jsonl") for split in ("train", "test")}
        overrides = {"dataset_path": "json", "dataset_name": None}
        overrides["dataset_kwargs"] = {"data_files": files}
    return manager, manager.select([case.task], overrides=overrides)


def _write_table(folder: TaskFolder, name: str, rows: Rows) -> None:
    with (folder.path / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer"])
        writer.writerows([row["question"], row["answer"]] for row in rows)
