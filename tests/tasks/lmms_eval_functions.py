"""The functions of the tasks in ``lmms_eval_task_cases``, as text to be written beside them."""

from __future__ import annotations

HELPERS = """
import random

import numpy as np
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


def guess(doc, results):
    if results[0] == doc["letter"]:
        return {"sure": 1.0, "lucky": 0.0}
    return {"sure": 0.0, "lucky": random.random() + np.random.random()}


def answers(doc):
    return doc["options"] if doc["letter"] != "C" else "Stem"


def shared(references, predictions):
    return len(set(references[0]) & set(predictions[0])) / 10


def translated(doc, results):
    return {"chrf": [doc["options"], results[0]]}


def album(doc, lmms_eval_specific_kwargs=None):
    one, two = images(doc)
    say = lambda text: {"type": "text", "text": text}
    show = lambda image: {"type": "image", "url": image}
    return [
        {"role": "user", "content": [show(one), show(two), say("Two."), show(one)]},
        {"role": "assistant", "content": [say("Seen: ")]},
        {"role": "user", "content": [say(doc["question"]), show(two)]},
    ]


def look(doc, results):
    red = doc["image"].convert("RGB").getpixel((0, 0))[0]
    return {"bright": red + len(results[0]), "size": doc["image"].size[0] / 7}


def measure(doc, results):
    said, number = results[0], int(doc["answer"])
    return {
        "labels": (number % 2, int("B" in said)),
        "kinds": (number, len(said) % 3),
        "surprise": -0.3 * len(said) - number / 7,
        "weights": (-1.1 * len(said), number + 3),
        "rows": [[said[:1], number], [said[1:2], number / 3]],
        "seen": {"letter": doc["letter"], "said": said, "score": number / 3},
    }


def share_of_rows(items):
    rows = [row for item in items for row in item]
    return sum(score for letter, score in rows if letter != "A") / len(rows)


def by_letter(items):
    groups = {}
    for item in items:
        groups.setdefault(item["letter"], []).append(item["score"])
    return sum(sum(scores) / len(scores) for scores in groups.values()) / len(groups)


def no_first(dataset):
    return dataset.filter(lambda doc: doc["answer"] != "1").map(
        lambda doc: {"question": doc["question"].upper()}
    )


class Reverse:
    def apply(self, resps, docs):
        return [[r[::-1] for r in rs] for rs in resps]
"""
