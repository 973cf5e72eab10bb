"""Score a saved checkpoint on a split of easy-VQA, as a user of the checkpoint would run it.

Usage: `python score.py checkpoint`.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

import torch
from PIL import Image
from questions import Question, conversation, load_images, load_questions
from transformers import AutoModelForImageTextToText, AutoProcessor


class Answerer:
    """A checkpoint that was loaded from disk to answer questions greedily."""

    def __init__(self, checkpoint: str) -> None:
        """Load the processor and the model of `checkpoint`."""
        self._processor = AutoProcessor.from_pretrained(checkpoint)
        self._processor.tokenizer.padding_side = "left"
        self._model = AutoModelForImageTextToText.from_pretrained(checkpoint).eval()

    @torch.inference_mode()
    def answer(self, questions: Sequence[str], images: Sequence[Image.Image]) -> list[str]:
        """Return one answer for each question about the image at the same index."""
        prompts = [
            self._processor.apply_chat_template(conversation(text), add_generation_prompt=True)
            for text in questions
        ]
        inputs = self._processor(
            images=list(images), text=prompts, padding=True, return_tensors="pt"
        )
        output = self._model.generate(**inputs)
        new_tokens = output[:, inputs["input_ids"].shape[1] :]
        texts = self._processor.batch_decode(new_tokens, skip_special_tokens=True)
        return [text.strip() for text in texts]


def answer_all(
    answerer: Answerer,
    questions: Sequence[Question],
    images: Sequence[Image.Image],
    batch_size: int,
) -> list[str]:
    """Answer all `questions` in batches of `batch_size`."""
    answers: list[str] = []
    for start in range(0, len(questions), batch_size):
        batch = questions[start : start + batch_size]
        answers += answerer.answer([q.text for q in batch], [images[q.image_id] for q in batch])
    return answers


def blind_answers(questions: Sequence[Question]) -> list[str]:
    """Return the best answers without images: the most frequent training answer by question."""
    seen: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for question in load_questions("train"):
        seen[question.text][question.answer] += 1
    return [seen[question.text].most_common(1)[0][0] for question in questions]


def report(name: str, questions: Sequence[Question], answers: Sequence[str]) -> None:
    """Print the accuracy on all questions, on the open ones, and on each kind."""
    hits: defaultdict[str, list[bool]] = defaultdict(list)
    for question, answer in zip(questions, answers, strict=True):
        groups = ("all", "open", question.kind) if question.is_open else ("all", question.kind)
        for group in groups:
            hits[group].append(question.answer == answer)
    for group, values in sorted(hits.items()):
        print(f"{name:12}{group:8}{sum(values) / len(values):.4f}  (n={len(values)})")


def main() -> None:
    """Score the checkpoint named on the command line, next to the blind baseline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="folder saved by train.py")
    parser.add_argument("--split", choices=("train", "test"), default="test")
    parser.add_argument("--open-only", action="store_true", help="leave out yes/no questions")
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args()
    torch.set_num_threads(1)
    questions = [q for q in load_questions(options.split) if q.is_open or not options.open_only]
    images = load_images(options.split)
    answerer = Answerer(options.checkpoint)
    start = time.perf_counter()
    answers = answer_all(answerer, questions, images, options.batch_size)
    seconds = time.perf_counter() - start
    report("checkpoint", questions, answers)
    report("blind", questions, blind_answers(questions))
    print(f"{len(questions)} answers in {seconds:.1f} s")


if __name__ == "__main__":
    main()
