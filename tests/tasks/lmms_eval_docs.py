"""The few docs with images that tasks of lmms-eval share here, and what is said to them.

Needs nothing but the standard library, PIL and datasets, so that the peer can import it.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

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


def loss(doc_id: int, index: int) -> tuple[float, bool]:
    """Return the negative log-likelihood of a doc's choice, and whether it is the greedy one."""
    return 0.5 + (7 * doc_id + 5 * index) % 11 / 4, (doc_id + index) % 3 == 0


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
