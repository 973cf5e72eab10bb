"""Batched generation with a causal language model. Loads torch and transformers on import."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.local.batch_size import BatchSize, OutOfMemory
from pytest_lmmeval.models.local.stopping import StopsAtText
from pytest_lmmeval.records import Failure


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's tokens, and what tells its random numbers from those of others."""

    tokens: tuple[int, ...]
    salt: str


@dataclass(frozen=True, slots=True)
class Generated:
    """What the model generated for one prompt.

    Attributes:
        tokens: The new tokens, without those after its end.
        ended: Whether it ended by itself or at a stop, not by the token limit.
        seconds: How long its batch took.
    """

    tokens: tuple[int, ...]
    ended: bool
    seconds: float


class Generator:
    """Generates in batches, padded on the left.

    Args:
        model: A causal language model of transformers.
        tokenizer: Its tokenizer.
        batch_size: How many prompts share a batch.
        autocast: Precision of automatic mixed precision; None computes without.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        batch_size: BatchSize,
        *,
        autocast: torch.dtype | None = None,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._batch_size = batch_size
        self._autocast = autocast
        self._ends = _end_tokens(model, tokenizer)
        self._pad = next(
            token
            for token in (tokenizer.pad_token_id, tokenizer.eos_token_id, *sorted(self._ends), 0)
            if token is not None
        )

    def generate(
        self,
        prompts: Sequence[Prompt],
        arguments: Mapping[str, Any],
        *,
        stops: Sequence[str] = (),
        think_end: str | None = None,
        seed: int = 0,
    ) -> list[Generated | Failure]:
        """Generate one answer for each prompt.

        Args:
            prompts: The prompts.
            arguments: Those of transformers' ``generate``, ``max_new_tokens`` among them.
            stops: Texts at which an answer may end early.
            think_end: The text only after which stops count.
            seed: Of the random numbers; mixed with the salts of those that share a batch.

        Raises:
            RequestError: ``generate`` refuses an argument, or nothing would end an answer.
        """
        if not self._ends:
            raise RequestError(
                "client",
                "neither the tokenizer nor the checkpoint's generation_config.json names an EOS "
                "token, so no answer would end; give one in either",
            )
        ordered = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i].tokens), i))

        def answer(batch: Sequence[int]) -> list[Generated | Failure]:
            rows = [prompts[index] for index in batch]
            return self._answer(rows, arguments, stops, think_end, seed)

        answers = self._batch_size.batches(
            ordered,
            answer,
            too_large=lambda index: Failure(
                "model",
                f"out of memory for a single prompt of {len(prompts[index].tokens)} tokens",
            ),
        )
        found = dict(zip(ordered, answers, strict=True))
        return [found[index] for index in range(len(prompts))]

    def _answer(
        self,
        prompts: Sequence[Prompt],
        arguments: Mapping[str, Any],
        stops: Sequence[str],
        think_end: str | None,
        seed: int,
    ) -> list[Generated | Failure]:
        width = max(len(prompt.tokens) for prompt in prompts)
        watch = StopsAtText(self._tokenizer, stops, width, after=think_end) if stops else None
        started = time.perf_counter()
        try:
            rows = self._forward(prompts, arguments, watch, seed)
        except _NotNumbersError as error:
            if len(prompts) == 1:
                return [Failure("model", str(error))]
            return [
                answer
                for prompt in prompts
                for answer in self._answer([prompt], arguments, stops, think_end, seed)
            ]
        limit, seconds = arguments["max_new_tokens"], time.perf_counter() - started
        return [Generated(*self._read(row[width:], limit, watch), seconds) for row in rows]

    def _forward(
        self,
        prompts: Sequence[Prompt],
        arguments: Mapping[str, Any],
        watch: StopsAtText | None,
        seed: int,
    ) -> list[list[int]]:
        try:
            return self._generate(prompts, arguments, watch, seed)
        except (ValueError, TypeError) as error:
            raise RequestError("client", f"generation is refused: {error}") from error
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
        # Outside the handler: the error's traceback holds the tensors.
        clear_device_cache(garbage_collection=True)
        raise OutOfMemory

    @torch.inference_mode()
    def _generate(
        self,
        prompts: Sequence[Prompt],
        arguments: Mapping[str, Any],
        watch: StopsAtText | None,
        seed: int,
    ) -> list[list[int]]:
        device = self._model.device
        rows = [prompt.tokens for prompt in prompts]
        width = max(map(len, rows))
        padded = [[self._pad] * (width - len(row)) + list(row) for row in rows]
        mask = [[0] * (width - len(row)) + [1] * len(row) for row in rows]
        salt = "\n".join(prompt.salt for prompt in prompts)
        chosen = dict(arguments)
        if not chosen["do_sample"]:
            # Unset what the checkpoint suggests for sampling, or generate warns about each.
            chosen |= dict.fromkeys(("temperature", "top_p", "top_k"))
        with (
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            torch.autocast(device.type, dtype=self._autocast, enabled=self._autocast is not None),
        ):
            torch.manual_seed((seed + zlib.crc32(salt.encode())) % 2**63)
            output = self._model.generate(
                input_ids=torch.tensor(padded, device=device),
                attention_mask=torch.tensor(mask, device=device),
                **chosen,
                pad_token_id=self._pad,
                eos_token_id=sorted(self._ends),
                logits_processor=transformers.LogitsProcessorList([_refuse_nan]),
                stopping_criteria=transformers.StoppingCriteriaList([watch] if watch else []),
            )
        generated: list[list[int]] = output.tolist()
        return generated

    def _read(
        self, row: Sequence[int], limit: int, watch: StopsAtText | None
    ) -> tuple[tuple[int, ...], bool]:
        """Read a row of new tokens, which padding follows if others took longer."""
        ends = [index for index, token in enumerate(row) if token in self._ends]
        if ends:
            return tuple(row[: ends[0]]), True
        used = list(row)
        while used and used[-1] == self._pad:
            used.pop()
        stopped = watch is not None and watch.ends(self._tokenizer.decode(used))
        return tuple(used), stopped or len(used) < limit


class _NotNumbersError(Exception):
    """A model's logits are NaN; picking a token from them would look like an answer."""


def _refuse_nan(_tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    if bool(scores.isnan().any()):
        raise _NotNumbersError("the model's logits are not numbers (NaN)")
    return scores


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the checkpoint's end tokens and the tokenizer's, as lm-eval stops at either."""
    named = model.generation_config.eos_token_id
    ends = {named} if isinstance(named, int) else set(named or ())
    return frozenset(ends | {tokenizer.eos_token_id} - {None})
