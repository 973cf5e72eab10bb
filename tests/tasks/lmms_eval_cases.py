"""Tasks that lmms-eval and ours evaluate alike, and the few docs with images they share.

``record_lmms_eval.py`` runs them through lmms-eval once; the tests compare ours with the record.
Needs nothing but the standard library, PIL and datasets, so that the peer can import it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

OPTIONS = [["leaf", "root", "stem", "seed"], ["one", "two"], ["A.", "b c", "é "], ["x", "y", "z"]]
QUESTIONS = ["Which part?", "How many?  ", "Odd\nquestion {{x}} <image>", "Last?"]
ANSWERS = ["1", "0", "2", "1"]
COLOURS = [(0, 0, 0), (200, 10, 0), (0, 90, 30), (5, 5, 250)]

# Per response, what is said to every doc.
SAID = [
    "A",
    "B.",
    "B. root",
    "(B)",
    " b",
    "B) root",
    "Answer: B",
    "  B. x",
    "\nB.\n",
    "",
    "<think>A. no</think>B",
    "<think>x</think> B.",
    "<analysis>A</analysis>b",
    "root: C",
    "The stem, I think. #### 12.",
    "ONE",
]


@dataclass(frozen=True)
class Case:
    """One task in one message format for one model name; ``scored`` if answers are recorded too."""

    name: str
    task: str
    format: Literal["simple", "chat"]
    model: str = "openai"
    num_fewshot: int | None = None
    scored: bool = False


HELPERS = """
from PIL import Image


def images(doc):
    return [doc["image"].convert("RGB"), Image.new("RGB", (2, 2), (9, 9, 9))]


def image(doc, kwargs):
    return [doc["image"].convert("L" if kwargs["grey"] else "RGB")]


def text(doc, kwargs=None):
    return kwargs["pre"] + doc["question"] + kwargs["post"] + str(sorted(kwargs))


def target(doc, kind):
    return f"{kind} {doc['answer']}"


def messages(doc, lmms_eval_specific_kwargs=None):
    one, two = images(doc)
    first = {"role": "system", "content": [{"type": "text", "text": "Look."}]}
    content = [
        {"type": "image", "url": one},
        {"type": "text", "text": doc["question"] + lmms_eval_specific_kwargs["post"]},
        {"type": "image", "url": two},
    ]
    return [first, {"role": "user", "content": content}]


def judge(doc, results):
    assert "image" not in doc
    said = results[0]
    item = {"said": said, "clip": "c" + doc["answer"], "score": float(said == doc["letter"])}
    return {"quality": item, "size": len(said)}


def average(items):
    return 100 * sum(item["score"] for item in items) / len(items)


def both(doc, results):
    return {"count": len(results), "first": results[0]}


class Reverse:
    def apply(self, resps, docs):
        return [[r[::-1] for r in rs] for rs in resps]
"""

_DATA = """
    dataset_path: parquet
    dataset_kwargs: {data_files: {test: test.parquet, train: train.parquet}}
"""
_TEXT = f"""{_DATA}
    test_split: test
    doc_to_text: "{{{{question}}}} {{{{options|join('/')}}}}"
    doc_to_target: letter
    score_key: score
"""
_SAME = f"{_TEXT}    fewshot_split: test\n"
_SPECIFIC = """
    lmms_eval_specific_kwargs:
      default: {pre: "P ", post: " Q", grey: false}
      gpt4v: {pre: "V ", post: " W", grey: true}
"""

TASKS = {
    "text_shots": f"""{_TEXT}
    fewshot_split: train
    fewshot_config: {{sampler: default}}
    description: "Answer {{{{answer}}}}.\\n\\n"
    target_delimiter: " = "
    num_fewshot: 2
    """,
    "text_shots_same": f"{_SAME}    fewshot_config: {{sampler: default}}\n",
    "text_shots_first": f"{_SAME}    fewshot_config: {{sampler: first_n}}\n",
    "visual": f"""{_DATA}{_SPECIFIC}
    test_split: test
    doc_to_visual: !function lmms_helpers.image
    doc_to_text: !function lmms_helpers.text
    doc_to_target: !function lmms_helpers.target
    description: "Not shown in a chat. "
    generation_kwargs: {{max_new_tokens: 8, temperature: 1}}
    model_specific_target_kwargs: {{default: plain, gpt4v: special}}
    model_specific_generation_kwargs: {{gpt4v: {{max_new_tokens: 99}}}}
    """,
    "column": f"""{_DATA}
    test_split: test
    doc_to_visual: image
    doc_to_text: question
    doc_to_target: "{{{{letter}}}}"
    """,
    "messages": f"""{_DATA}{_SPECIFIC}
    test_split: test
    doc_to_visual: !function lmms_helpers.images
    doc_to_messages: !function lmms_helpers.messages
    doc_to_text: !function lmms_helpers.text
    doc_to_target: letter
    """,
    "filters": f"""{_TEXT}
    metric_list:
      - {{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}}
    filter_list:
      - name: space
        filter: [{{function: remove_whitespace}}, {{function: take_first}}]
      - name: letter
        filter: [{{function: regex, regex_pattern: "([A-C])"}}, {{function: take_first}}]
      - name: choice
        filter:
          - {{function: multi_choice_regex, ignore_case: true, ignore_punctuation: true}}
          - {{function: take_first}}
      - name: mapped
        filter:
          - {{function: map, mapping_dict: {{A: B}}, default_value: C}}
          - {{function: take_first}}
      - name: own
        filter: [{{function: !function lmms_helpers.Reverse}}, {{function: take_first}}]
    """,
    "aliases": f"""{_DATA}
    test_split: test
    doc_to_text: question
    doc_to_target: options
    reasoning_tags: none
    metric_list:
      - {{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}}
    """,
    "choices": f"""{_DATA}
    test_split: test
    doc_to_text: question
    doc_to_choice: options
    doc_to_target: "{{{{answer}}}}"
    score_key: score
    """,
    "judged": f"""{_DATA}
    test_split: test
    doc_to_visual: image
    doc_to_text: question
    doc_to_target: letter
    process_results: !function lmms_helpers.judge
    cluster_key: clip
    metric_list:
      - {{metric: quality, aggregation: !function lmms_helpers.average, higher_is_better: true}}
      - {{metric: size, aggregation: mean, higher_is_better: false}}
    """,
    "repeated": f"""{_TEXT}
    repeats: 2
    process_results: !function lmms_helpers.both
    metric_list: [{{metric: count, aggregation: mean, higher_is_better: true}}]
    filter_list: [{{name: two, filter: [{{function: take_first_k, k: 2}}]}}]
    """,
}

CASES = [
    Case("shots", "text_shots", "simple"),
    Case("shots of the same split", "text_shots_same", "simple", num_fewshot=2),
    Case("first shots", "text_shots_first", "simple", num_fewshot=2),
    Case("no shots in a chat", "text_shots_same", "chat"),
    Case("visual", "visual", "simple"),
    Case("visual in a chat", "visual", "chat"),
    Case("visual for a known model", "visual", "chat", model="gpt4v"),
    Case("column", "column", "chat"),
    Case("messages", "messages", "chat"),
    Case("messages left aside", "messages", "simple"),
    Case("filters", "filters", "simple", scored=True),
    Case("aliases", "aliases", "simple", scored=True),
    Case("choices", "choices", "simple", scored=True),
    Case("judged", "judged", "chat", scored=True),
    Case("repeated", "repeated", "simple", scored=True),
    Case("ai2d", "ai2d", "chat", scored=True),
    Case("ai2d with images first", "ai2d", "simple"),
]


def write_tasks(folder: Path) -> None:
    """Write tasks, helpers and data."""
    (folder / "lmms_helpers.py").write_text(HELPERS)
    for name, body in TASKS.items():
        (folder / f"{name}.yaml").write_text(f"    task: {name}\n{body}")
    write_rows(folder / "test.parquet", range(4))
    write_rows(folder / "train.parquet", [3, 2, 1, 0, 2])


def write_rows(path: Path, ids: Any) -> None:
    """Write docs in the columns of AI2D's data set, with a few more."""
    import datasets

    rows = [
        {
            "question": QUESTIONS[i],
            "options": OPTIONS[i],
            "choices": OPTIONS[i],
            "answer": ANSWERS[i],
            "letter": "ABCD"[int(ANSWERS[i])],
            "image": {"bytes": _png(i), "path": None},
        }
        for i in ids
    ]
    texts = datasets.Value("string")
    features = datasets.Features(
        {
            "question": texts,
            "options": datasets.Sequence(texts),
            "choices": datasets.Sequence(texts),
            "answer": texts,
            "letter": texts,
            "image": datasets.Image(),
        }
    )
    datasets.Dataset.from_list(rows, features=features).to_parquet(str(path))


def _png(index: int) -> bytes:
    from PIL import Image

    image = Image.new("RGB", (4, 3), COLOURS[index])
    stream = io.BytesIO()
    (image.convert("L") if index == 2 else image).save(stream, "PNG")
    return stream.getvalue()


def describe_image(image: Any) -> dict[str, Any]:
    """Return what tells the test's images apart."""
    first = list(image.convert("RGB").getpixel((0, 0)))
    return {"type": "image", "mode": image.mode, "first": first}
