"""What is measured: data, task files and settings, written into a folder."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from throughput.server import answer

_PAGE = """
the of and to in is was for that with on as by at from which this has one two three about river
mountain village children morning science number answer question between during market because
although however letters window garden simple strange yellow zebra opposite capital
"""
WORDS = tuple(_PAGE.split())
_TASK = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n\\n"], max_gen_toks: 16, temperature: 0}}
filter_list:
  - name: number
    filter:
      - {{function: regex, regex_pattern: "(-?[0-9]+)"}}
      - {{function: take_first}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""
_CHOICE = """\
task: choice
dataset_path: json
dataset_kwargs: {data_files: {test: choice.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: choices
doc_to_target: gold
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
_ROLLING = """\
task: rolling
dataset_path: json
dataset_kwargs: {data_files: {test: rolling.jsonl}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{page}}"
metric_list: [{metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}]
"""
_IMAGES = """\
task: images
dataset_path: json
dataset_kwargs: {data_files: {test: images.jsonl}}
test_split: test
output_type: generate_until
doc_to_visual: !function images.visual
doc_to_text: !function images.text
doc_to_target: answer
generation_kwargs: {max_new_tokens: 16, temperature: 0}
filter_list:
  - name: number
    filter:
      - {function: regex, regex_pattern: "(-?[0-9]+)"}
      - {function: take_first}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
_IMAGES_PY = """\
import os


def visual(doc):
    return [os.path.join(os.path.dirname(__file__), doc["file"])]


def text(doc, kwargs=None):
    return doc["question"]
"""
_PIXELS = 318
_FILES = 500  # several docs may show one, which is read and encoded for each


@dataclass(frozen=True)
class Workload:
    """One thing to measure.

    Attributes:
        name: Its name.
        docs: Docs, over all tasks.
        tasks: Names of the task files, without ``.yaml``.
        concurrency: Requests in flight.
        latency: The server's, as ``server.Latency`` reads it.
        kind: What the bare loop sends: docs, images, or the bodies that ours sent.
        endpoint: ``chat/completions`` or ``completions``.
        expected: The value of the metric; None where no single one is to be expected.
        arguments: Further arguments of our model.
        by_default: Whether it is measured where no workload is named.
    """

    name: str
    docs: int
    tasks: tuple[str, ...] = ("text",)
    concurrency: int = 64
    latency: str = "zero"
    kind: str = "docs"
    endpoint: str = "chat/completions"
    expected: float | None = 1.0
    arguments: str = ""
    by_default: bool = True

    def scaled(self, share: float) -> Workload:
        """Return it with fewer docs."""
        return replace(self, docs=max(1, round(self.docs * share)))

    def write(self, folder: Path) -> None:
        """Write data and tasks."""
        writers = {"choice": _write_choice, "rolling": _write_rolling, "images": _write_images}
        writers.get(self.tasks[0], _write_text)(self, folder)
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")


_TAIL = "tail:0.05,1.5,3"
WORKLOADS = (
    Workload("text-64", 10_000),
    Workload("text-256", 10_000, concurrency=256),
    # Which requests come last decides how long the slowest are waited for: both send in one order.
    Workload("tail", 2_000, latency=_TAIL, kind="bodies"),
    Workload("tasks-57", 57 * 40, tuple(f"text{i:02}" for i in range(57)), latency=_TAIL),
    Workload("choice", 1_000, ("choice",), kind="bodies", endpoint="completions", expected=None),
    Workload(
        "rolling",
        50,
        ("rolling",),
        latency="fixed:0.2",
        kind="bodies",
        endpoint="completions",
        expected=None,
    ),
    Workload("images", 500, ("images",), kind="images"),
    # For ``--workers``: the bare loop sends these images as they are. Pillow lets other threads run
    # while it writes WebP, and none while it writes JPEG.
    Workload(
        "encoding",
        500,
        ("images",),
        kind="images",
        arguments="image_format=webp,image_quality=80",
        by_default=False,
    ),
    Workload(
        "encoding-jpeg",
        8_000,
        ("images",),
        kind="images",
        arguments="image_format=jpeg",
        by_default=False,
    ),
    Workload("text-40k", 40_000, by_default=False),
)


def _write_text(workload: Workload, folder: Path) -> None:
    each = workload.docs // len(workload.tasks)
    rng = random.Random(1)
    rows = []
    for doc in range(each * len(workload.tasks)):
        words = " ".join(rng.choices(WORDS, k=30))
        rows.append({"question": f"DOC-{doc} {words}?", "answer": str(doc * 7 % 1000)})
    _write_rows(folder / "all.jsonl", rows)
    for i, name in enumerate(workload.tasks):
        _write_rows(folder / f"{name}.jsonl", rows[i * each : (i + 1) * each])
        task = _TASK.format(name=name, data=f"{name}.jsonl")
        (folder / f"{name}.yaml").write_text(task, encoding="utf-8")


def _write_choice(workload: Workload, folder: Path) -> None:
    rng = random.Random(2)
    rows = []
    for doc in range(workload.docs):
        choices = [" ".join(rng.choices(WORDS, k=rng.randint(1, 4))) for _ in range(4)]
        question = f"{doc} " + " ".join(rng.choices(WORDS, k=60))
        rows.append({"question": question, "choices": choices, "gold": doc % 4})
    _write_rows(folder / "choice.jsonl", rows)
    (folder / "choice.yaml").write_text(_CHOICE, encoding="utf-8")


def _write_rolling(workload: Workload, folder: Path) -> None:
    rng = random.Random(3)
    pages = []
    for _ in range(workload.docs):
        page = ""
        while len(page) < 20_000:
            page += " ".join(rng.choices(WORDS, k=200)) + "\n"
        pages.append({"page": page[:20_000]})
    _write_rows(folder / "rolling.jsonl", pages)
    (folder / "rolling.yaml").write_text(_ROLLING, encoding="utf-8")


def _write_images(workload: Workload, folder: Path) -> None:
    from PIL import Image

    rng = random.Random(4)
    names = []
    for number in range(min(workload.docs, _FILES)):
        # Noise does not compress, so the PNG is as large as its pixels: 303 kB.
        pixels = rng.randbytes(_PIXELS * _PIXELS * 3)
        names.append(f"{number}-{zlib.crc32(pixels):08x}.png")
        image = Image.frombytes("RGB", (_PIXELS, _PIXELS), pixels)
        image.save(folder / names[-1], compress_level=1)
    rows = [
        {
            "file": names[doc % len(names)],
            "question": f"What is DOC-{doc}?",
            "answer": str(doc * 7 % 1000),
        }
        for doc in range(workload.docs)
    ]
    _write_rows(folder / "images.jsonl", rows)
    _write_rows(folder / "all.jsonl", rows)
    (folder / "images.yaml").write_text(_IMAGES, encoding="utf-8")
    (folder / "images.py").write_text(_IMAGES_PY, encoding="utf-8")


def _write_rows(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_tokenizer(folder: Path) -> None:
    """Train a small byte-level tokenizer on texts like those of the workloads."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    rng = random.Random(5)
    lines = [" ".join(rng.choices(WORDS, k=40)) + " " + answer(i) for i in range(300)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        show_progress=False,
        special_tokens=["<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(lines, trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings: dict[str, object] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    settings |= {"bos_token": "<s>", "eos_token": "<s>", "model_max_length": 1_000_000}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
