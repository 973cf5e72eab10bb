"""lm-eval's ``hf`` beside ours, on the same checkpoint."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance as PeerInstance
from lm_eval.models.huggingface import HFLM

from pytest_lmmeval.models.local.huggingface import HFText
from pytest_lmmeval.models.registry import create_model
from pytest_lmmeval.records import Instance, Response


@contextmanager
def running(checkpoint: Path | object, **arguments: Any) -> Iterator[HFText]:
    """Start our model with one thread in float32, and close it."""
    given = checkpoint if not isinstance(checkpoint, Path) else str(checkpoint)
    fixed = {"pretrained": given, "dtype": "float32", "num_threads": 1}
    model = create_model("hf", {**fixed, **arguments})
    assert isinstance(model, HFText)
    try:
        model.start()
        yield model
    finally:
        model.close()


class Peer:
    """lm-eval's model, with one thread in float32."""

    def __init__(self, checkpoint: Path, **arguments: Any) -> None:
        torch.set_num_threads(1)
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._model: Any = HFLM(
                **{"dtype": "float32", **arguments}, pretrained=str(checkpoint), device="cpu"
            )

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, bool]]:
        """Score continuations."""
        requests = [PeerInstance("loglikelihood", {}, pair, 0) for pair in pairs]
        scores: list[tuple[float, bool]] = self._model.loglikelihood(requests, disable_tqdm=True)
        return scores

    def rolling(self, texts: Sequence[str]) -> list[float]:
        """Score documents."""
        requests = [PeerInstance("loglikelihood_rolling", {}, (text,), 0) for text in texts]
        scores: list[float] = self._model.loglikelihood_rolling(requests, disable_tqdm=True)
        return scores

    def generate(self, prompts: Sequence[str], gen_kwargs: Mapping[str, Any]) -> list[str]:
        """Answer prompts."""
        requests = [
            PeerInstance("generate_until", {}, (prompt, dict(gen_kwargs)), 0) for prompt in prompts
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            texts: list[str] = self._model.generate_until(requests, disable_tqdm=True)
        return texts

    def chat_prompt(self, turns: Sequence[Mapping[str, str]], *, opens_turn: bool) -> str:
        """Render a chat."""
        prompt: str = self._model.apply_chat_template(list(turns), add_generation_prompt=opens_turn)
        return prompt


def scoring(*pairs: tuple[Any, str]) -> list[Instance]:
    """Return loglikelihood requests."""
    return [
        Instance("task", number, 0, "loglikelihood", context, continuation)
        for number, (context, continuation) in enumerate(pairs)
    ]


def documents(*texts: str) -> list[Instance]:
    """Return rolling requests."""
    return [Instance("task", i, 0, "loglikelihood_rolling", text) for i, text in enumerate(texts)]


def prompts(*contexts: Any, repeat: int = 0, **gen_kwargs: Any) -> list[Instance]:
    """Return generation requests."""
    return [
        Instance("task", i, 0, "generate_until", context, gen_kwargs=gen_kwargs, repeat=repeat)
        for i, context in enumerate(contexts)
    ]


def failures(responses: Sequence[Response]) -> list[str]:
    """Return the messages of those that failed."""
    return [response.failure.message for response in responses if response.failure]
