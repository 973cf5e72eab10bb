"""Log-likelihoods under a causal language model. Loads torch and accelerate on import."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from pytest_lmmeval.models.local.batch_size import BatchSize, OutOfMemory
from pytest_lmmeval.models.local.loading import keeps_logits
from pytest_lmmeval.records import Failure

# An automatic batch may hold this many logits (4 GiB in float32): memory of a CPU does not run out
# with an exception that could be answered.
_MOST_LOGITS = 2**30


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens that the model reads, and those that it is to predict.

    Attributes:
        inputs: What it reads; the last target is not among them.
        targets: The tokens that follow on the last ``len(targets)`` of ``inputs``.
    """

    inputs: tuple[int, ...]
    targets: tuple[int, ...]

    @classmethod
    def of(cls, context: Sequence[int], continuation: Sequence[int]) -> Window:
        """Return the window that predicts ``continuation`` after ``context``."""
        return cls((*context, *continuation)[:-1], tuple(continuation))


@dataclass(frozen=True, slots=True)
class Score:
    """Sum of the targets' log-probabilities in nats, and whether all were the most likely."""

    logprob: float
    is_greedy: bool


class Scorer:
    """Scores windows in batches, each distinct input once.

    Batches are padded on the right without an attention mask, as lm-eval pads them: a causal model
    does not look to the right.

    Args:
        model: A causal language model of transformers.
        batch_size: How many windows share a forward pass.
        softmax_dtype: Precision of the softmax; None takes that of the logits.
        autocast: Precision of automatic mixed precision; None computes without.
        share_inputs: Whether windows with equal inputs share one forward pass.
    """

    def __init__(
        self,
        model: Any,
        batch_size: BatchSize,
        *,
        softmax_dtype: torch.dtype | None = None,
        autocast: torch.dtype | None = None,
        share_inputs: bool = True,
    ) -> None:
        self._model = model
        self._batch_size = batch_size
        self._softmax_dtype = softmax_dtype
        self._autocast = autocast
        self._share_inputs = share_inputs
        # Of fewer positions a CPU computes other last digits, and lm-eval computes all.
        self._keeps_logits = model.device.type != "cpu" and keeps_logits(model)
        self._vocabulary = model.config.get_text_config().vocab_size

    def score(self, windows: Sequence[Window]) -> list[Score | Failure]:
        """Return the score of each window, in order; NaN and lack of memory are failures."""
        groups: dict[Any, list[int]] = {}
        for index, window in enumerate(windows):
            groups.setdefault(window.inputs if self._share_inputs else index, []).append(index)
        ordered = sorted(
            groups.values(), key=lambda g: (-len(windows[g[0]].inputs), windows[g[0]].inputs)
        )

        def members(batch: Sequence[list[int]]) -> list[list[Window]]:
            return [[windows[index] for index in group] for group in batch]

        answers: Iterable[list[Score | Failure]] = self._batch_size.batches(
            ordered,
            lambda batch: self._answer(members(batch)),
            too_large=lambda group: [_too_large(windows[group[0]])] * len(group),
            fits=lambda batch: self._fits(members(batch)),
        )
        scores: dict[int, Score | Failure] = {}
        for group, answer in zip(ordered, answers, strict=True):
            scores |= zip(group, answer, strict=True)
        return [scores[index] for index in range(len(windows))]

    def _fits(self, groups: Sequence[Sequence[Window]]) -> bool:
        kept = self._kept([window for group in groups for window in group])
        return len(groups) * kept * int(self._vocabulary) <= _MOST_LOGITS

    def _kept(self, windows: Sequence[Window]) -> int:
        """Return of how many last positions logits are needed, padding included."""
        width = max(len(window.inputs) for window in windows)
        if not self._keeps_logits:
            return width
        return max(width - len(window.inputs) + len(window.targets) for window in windows)

    def _answer(self, groups: Sequence[Sequence[Window]]) -> list[list[Score | Failure]]:
        """Score groups of windows; those of a group have the same inputs.

        Raises:
            OutOfMemory: The batch is too large.
        """
        try:
            return self._forward(groups)
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
        # Outside the handler: the error's traceback holds the tensors.
        clear_device_cache(garbage_collection=True)
        raise OutOfMemory

    @torch.inference_mode()
    def _forward(self, groups: Sequence[Sequence[Window]]) -> list[list[Score | Failure]]:
        inputs = [group[0].inputs for group in groups]
        width = max(map(len, inputs))
        kept = self._kept([window for group in groups for window in group])
        padded = torch.tensor(
            [[*row, *[0] * (width - len(row))] for row in inputs], device=self._model.device
        )
        with torch.autocast(
            padded.device.type, dtype=self._autocast, enabled=self._autocast is not None
        ):
            wanted = {"logits_to_keep": kept} if self._keeps_logits else {}
            logits = self._model(padded, use_cache=False, **wanted).logits
        answers = []
        for row, group in enumerate(groups):
            # Counted from the right: a prompt-tuned model puts virtual tokens before the inputs.
            end = logits.shape[1] - (width - len(inputs[row]))
            longest = max(len(window.targets) for window in group)
            logprobs = torch.log_softmax(
                logits[row, end - longest : end], dim=-1, dtype=self._softmax_dtype
            )
            best = logprobs.argmax(dim=-1)
            answers.append([_read(window, logprobs, best) for window in group])
        return answers


def _read(window: Window, logprobs: torch.Tensor, best: torch.Tensor) -> Score | Failure:
    """Read a window's targets off the last rows of ``logprobs`` [positions, vocabulary]."""
    size = len(window.targets)
    targets = torch.tensor(window.targets, device=logprobs.device)
    chosen = logprobs[-size:].gather(1, targets.unsqueeze(1))
    total = float(chosen.sum())
    if math.isnan(total):
        return Failure("model", "the model's log-probabilities are not numbers (NaN)")
    return Score(total, bool((best[-size:] == targets).all()))


def _too_large(window: Window) -> Failure:
    size = len(window.inputs)
    return Failure("model", f"out of memory for a single request of {size} tokens")
