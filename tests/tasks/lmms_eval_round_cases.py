"""Tasks of several rounds that lmms-eval and this package are both asked to run."""

from __future__ import annotations

import json
from pathlib import Path

YAML = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until_multi_round
doc_to_text: !function rounds.{text}
doc_to_target: "answer"
description: "Look well. "
generation_kwargs: {{until: ["END"], max_new_tokens: 16}}
process_results: !function rounds.process_results
metric_list: [{{metric: kept, aggregation: !function rounds.count, higher_is_better: true}}]
lmms_eval_specific_kwargs: {{default: {{mark: "!"}}}}
"""

FUNCTIONS = '''
from PIL import Image


def doc_to_visual(doc):
    return [Image.new("RGB", (doc["rounds"], 2))]


def pages(doc, lmms_eval_specific_kwargs=None, previous_output=None, round_idx=None,
          previous_round_info=None):
    """As many rounds as the doc says; each shows what was said and counts on."""
    mark = lmms_eval_specific_kwargs["mark"]
    if round_idx is None:
        return f"{doc['question']}{mark} Page 1?"
    if round_idx == doc["rounds"]:
        return None, None, True, previous_output, None
    # Some tasks of lmms-eval write into it.
    assert "round_idx" not in lmms_eval_specific_kwargs
    lmms_eval_specific_kwargs["round_idx"] = round_idx
    seen = (previous_round_info or {"seen": 0})["seen"] + round_idx
    text = f"After {' / '.join(previous_output)} and {seen}{mark} Page {round_idx + 1}?"
    images = [Image.new("RGB", (round_idx, 5))] if round_idx % 2 else []
    lmms_eval_specific_kwargs.pop("round_idx")
    return images, text, False, previous_output, {"seen": seen}


def once(doc, lmms_eval_specific_kwargs=None, previous_output=None, round_idx=None,
         previous_round_info=None):
    if round_idx is None:
        return doc["question"]
    return None, None, True, previous_output, None


def process_results(doc, results):
    (kept,) = results
    return {"kept": {"rounds": list(kept)}}


def count(items):
    return float(len(items))
'''

TASKS = {"pages": "pages", "shown": "pages", "once": "once"}
DOCS = [{"question": f"Question {i}?", "answer": "x", "rounds": 1 + i} for i in range(4)]


def answer(text: str) -> str:
    """Answer the last text of a prompt."""
    return f" said {len(text)} "


def write_tasks(folder: Path) -> None:
    """Write the tasks and their data."""
    (folder / "rounds.py").write_text(FUNCTIONS)
    (folder / "docs.jsonl").write_text("\n".join(map(json.dumps, DOCS)))
    for name, text in TASKS.items():
        yaml = YAML.format(name=name, text=text, data=folder / "docs.jsonl")
        if name == "shown":
            yaml += "doc_to_visual: !function rounds.doc_to_visual\n"
        (folder / f"{name}.yaml").write_text(yaml)
