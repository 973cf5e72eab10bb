"""Train the tiny LLaVA of this example on the training split of easy-VQA.

Usage: `python train.py --out checkpoint`, on one CPU thread. A checkpoint is defined by its
number of steps and its seed; `--steps` therefore also makes the weaker model that the example
holds against the good one.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import torch
from questions import PROMPT_SUFFIX, Kind, Question, conversation, load_images, load_questions
from tiny_llava import build_model, build_processor
from torch import Tensor
from transformers import LlavaForConditionalGeneration, LlavaProcessor

BATCH_SIZE = 64
PEAK_LEARNING_RATE = 2e-3
FINAL_LEARNING_RATE = 2e-5
WARMUP_STEPS = 100
BATCH_SHARES: dict[Kind, float] = {"shape": 0.6, "colour": 0.15, "yes/no": 0.25}
"""Mix of the kinds of question in a batch, in place of the 0.13, 0.13 and 0.74 of the data.

Yes/no questions teach little, as mostly guessing them is right. Colours are learnt at once, and a
model that has learnt them first then needs many times the steps to tell shapes apart.
"""
LOG_EVERY = 100
IGNORED = -100  # label of a token that takes no part in the loss


@dataclass(frozen=True)
class Options:
    """What the command line decides."""

    out: Path
    steps: int
    cpu_seconds: float
    seed: int


class Augmentation:
    """Moves and mirrors the shape of an image, which changes no answer.

    Every easy-VQA image is one shape on a plain background, so rolling the image by less than the
    margin around the shape is the same as drawing the shape elsewhere. Rotations are left out:
    easy-VQA draws no triangle on its side.
    """

    def __init__(self, pixels: Tensor, seed: int) -> None:
        """Measure the margins around the shape in each image of `pixels`."""
        self._pixels = pixels
        self._random = random.Random(seed)
        background = pixels.flatten(2).median(dim=2).values[:, :, None, None]
        is_shape = ((pixels - background).abs() > 1e-3).any(dim=1)
        self._rows = [_margins(line) for line in is_shape.any(dim=2)]
        self._columns = [_margins(line) for line in is_shape.any(dim=1)]

    def __call__(self, image_id: int) -> Tensor:
        """Return one random variant of an image."""
        up, down = self._rows[image_id]
        left, right = self._columns[image_id]
        shift = self._random.randint(-up, down), self._random.randint(-left, right)
        image = self._pixels[image_id].roll(shift, dims=(1, 2))
        return image.flip(2) if self._random.random() < 0.5 else image


def _margins(is_shape: Tensor) -> tuple[int, int]:
    """Return the length of the background before and after the shape along one axis."""
    occupied = is_shape.nonzero().flatten()
    if not len(occupied):
        return 0, 0
    return int(occupied[0]), len(is_shape) - 1 - int(occupied[-1])


class Batches:
    """Draws random training batches, tokenized by the very processor that is saved."""

    def __init__(self, processor: LlavaProcessor, seed: int) -> None:
        """Load the training split and encode each of its few distinct prompts once."""
        self._questions = load_questions("train")
        images = load_images("train")
        self._random = random.Random(seed)
        self._weights = _cumulative_weights(self._questions)
        self._pad_id: int = processor.tokenizer.pad_token_id
        pixels = processor.image_processor(images, return_tensors="pt").pixel_values
        self._augment = Augmentation(pixels, seed)
        self._prompts: dict[str, list[int]] = {}
        for text in {question.text for question in self._questions}:
            prompt = processor.apply_chat_template(conversation(text), add_generation_prompt=True)
            self._prompts[text] = processor(images=images[0], text=prompt).input_ids[0]
        self._answers: dict[str, list[int]] = {}
        for answer in {question.answer for question in self._questions}:
            ended = answer + processor.tokenizer.eos_token
            self._answers[answer] = processor.tokenizer(ended).input_ids

    def draw(self) -> dict[str, Tensor]:
        """Return the model's inputs for one batch; only the answers carry labels."""
        drawn = self._random.choices(self._questions, cum_weights=self._weights, k=BATCH_SIZE)
        prompts = [self._prompts[question.text] for question in drawn]
        answers = [self._answers[question.answer] for question in drawn]
        ids = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
        labels = [[IGNORED] * len(p) + a for p, a in zip(prompts, answers, strict=True)]
        return {
            "input_ids": _pad(ids, self._pad_id),
            "attention_mask": _pad([[1] * len(row) for row in ids], 0),
            "labels": _pad(labels, IGNORED),
            "pixel_values": torch.stack([self._augment(question.image_id) for question in drawn]),
        }


def _cumulative_weights(questions: Sequence[Question]) -> list[float]:
    """Return weights for `random.choices` that draw each kind with its share of a batch."""
    counts = Counter(question.kind for question in questions)
    return list(accumulate(BATCH_SHARES[q.kind] / counts[q.kind] for q in questions))


def _pad(rows: Sequence[list[int]], value: int) -> Tensor:
    """Stack rows of different lengths, filled up with `value` on the right."""
    length = max(map(len, rows))
    return torch.tensor([row + [value] * (length - len(row)) for row in rows])


def learning_rate(step: int, progress: float) -> float:
    """Return the rate at `step`: a linear warm-up, then half a cosine over `progress` 0 to 1."""
    warmup = min(1.0, (step + 1) / WARMUP_STEPS)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return warmup * (FINAL_LEARNING_RATE + (PEAK_LEARNING_RATE - FINAL_LEARNING_RATE) * cosine)


def train(model: LlavaForConditionalGeneration, batches: Batches, options: Options) -> None:
    """Train `model` in place until the steps or the CPU seconds are used up."""
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01, betas=(0.9, 0.98))
    start = time.process_time()
    model.train()
    step, progress, total_loss = 0, 0.0, 0.0
    while progress < 1:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, progress)
        loss = model(**batches.draw()).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        total_loss += loss.item()
        seconds = time.process_time() - start
        progress = max(step / options.steps, seconds / options.cpu_seconds)
        if step % LOG_EVERY == 0 or progress >= 1:
            mean_loss = total_loss / ((step - 1) % LOG_EVERY + 1)
            print(f"step {step}  loss {mean_loss:.4f}  cpu {seconds:.0f} s", flush=True)
            total_loss = 0.0
    model.eval()


def save(model: LlavaForConditionalGeneration, processor: LlavaProcessor, out: Path) -> None:
    """Save the folder that `from_pretrained` loads.

    Recent transformers name the weights of the tower `vision_tower.*`. They still load the
    `vision_tower.vision_model.*` of published LLaVA checkpoints, and that is the only name that
    older ones and inference servers know: they would leave the tower at random.
    """
    weights = {
        name.replace("vision_tower.", "vision_tower.vision_model."): tensor
        for name, tensor in model.state_dict().items()
    }
    model.save_pretrained(out, state_dict=weights)
    processor.save_pretrained(out)


def parse_options(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to save to")
    parser.add_argument("--steps", type=int, default=4000, help="optimizer steps (%(default)s)")
    parser.add_argument(
        "--cpu-seconds",
        type=float,
        default=math.inf,
        help="stop after this much CPU time (no limit); when it cuts in, the result depends on "
        "the speed of the machine",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all randomness (%(default)s)")
    return Options(**vars(parser.parse_args(arguments)))


def main() -> None:
    """Train a model and save it with its processor."""
    options = parse_options()
    torch.set_num_threads(1)  # further threads only slow down a model of this size
    torch.manual_seed(options.seed)
    questions = load_questions("train")
    corpus = [q.text + PROMPT_SUFFIX for q in questions] + [q.answer for q in questions]
    processor = build_processor(corpus)
    model = build_model(processor.tokenizer)
    print(f"{model.num_parameters():,} parameters", flush=True)
    train(model, Batches(processor, options.seed), options)
    save(model, processor, options.out)


if __name__ == "__main__":
    main()
