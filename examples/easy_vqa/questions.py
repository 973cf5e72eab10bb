"""Easy-VQA questions and the prompt that turns one into a chat message."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import easy_vqa
from PIL import Image

Split = Literal["train", "test"]
Kind = Literal["shape", "colour", "yes/no"]
Conversation = list[dict[str, Any]]

SHAPES = frozenset({"circle", "rectangle", "triangle"})
PROMPT_SUFFIX = "\nAnswer the question using a single word."


class Question(NamedTuple):
    """One question about one image of a split."""

    text: str
    answer: str
    image_id: int

    @property
    def kind(self) -> Kind:
        """What the answer names."""
        if self.answer in ("yes", "no"):
            return "yes/no"
        return "shape" if self.answer in SHAPES else "colour"

    @property
    def is_open(self) -> bool:
        """Whether the answer names a shape or a colour, so that guessing it does not pay."""
        return self.kind != "yes/no"


def load_questions(split: Split) -> list[Question]:
    """Return the questions of `split` in the order of the package."""
    read = easy_vqa.get_train_questions if split == "train" else easy_vqa.get_test_questions
    return [Question(*row) for row in zip(*read(), strict=True)]


def load_images(split: Split) -> list[Image.Image]:
    """Return the images of `split`; an image's index in the list is its id."""
    read = easy_vqa.get_train_image_paths if split == "train" else easy_vqa.get_test_image_paths
    return [Image.open(path).convert("RGB") for _, path in sorted(read().items())]


def conversation(question: str) -> Conversation:
    """Return the one user message that asks `question`: the image first, then the prompt.

    Training and scoring both go through here, because a model this small knows one prompt only.
    """
    text = {"type": "text", "text": question + PROMPT_SUFFIX}
    return [{"role": "user", "content": [{"type": "image"}, text]}]
