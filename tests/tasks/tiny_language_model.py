"""A language model of a few thousand parameters, trained within a test on the texts it is asked."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import ByteLevelBPETokenizer

hf: Any = transformers  # its types are for its own use only

CONTEXT = 256
_END = "<|endoftext|>"
_STEPS = 80
_CHAT_TEMPLATE = """\
{%- for message in messages -%}
  {{- '[' + message['role'] + ']' + message['content'] -}}
  {{- '\n' if not loop.last or add_generation_prompt or message['role'] != 'assistant' -}}
{%- endfor -%}
{{- '[assistant]' if add_generation_prompt -}}
"""


def save_tiny_gpt2(folder: Path, texts: Sequence[str], seed: int = 0) -> Path:
    """Save a GPT-2 and its byte-level BPE, both trained on ``texts``.

    The tokenizer is trained too, so that an answer is one token or a few. The model is trained just
    long enough to find some of the right answers and miss others.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # On layers of this size further threads only wait for each other.
    try:
        tokenizer = _tokenizer(texts)
        model = _trained(tokenizer, texts, seed)
    finally:
        torch.set_num_threads(threads)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(texts: Sequence[str]) -> Any:
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(
        texts, vocab_size=400, min_frequency=2, special_tokens=[_END], show_progress=False
    )
    tokenizer = hf.PreTrainedTokenizerFast(
        tokenizer_object=trained._tokenizer,  # The class has no public name for it.
        bos_token=_END,
        eos_token=_END,
        pad_token=_END,
        model_max_length=CONTEXT,
    )
    tokenizer.chat_template = _CHAT_TEMPLATE
    return tokenizer


def _trained(tokenizer: Any, texts: Sequence[str], seed: int) -> Any:
    end = tokenizer.eos_token_id
    config = hf.GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=CONTEXT,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=end,
        eos_token_id=end,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
    )
    torch.manual_seed(seed)
    model = hf.GPT2LMHeadModel(config)
    rows = [[end, *tokenizer.encode(text), end] for text in texts]
    width = max(map(len, rows))
    tokens = torch.tensor([row + [end] * (width - len(row)) for row in rows])
    kept = torch.tensor([[i < len(row) for i in range(width)] for row in rows])
    labels = tokens.masked_fill(~kept, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(_STEPS):
        loss = model(input_ids=tokens, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


class TinyLanguageModel:
    """Says how likely a text is, for two harnesses that shall be handed the very same numbers.

    Args:
        folder: The checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer = hf.AutoTokenizer.from_pretrained(folder)
        self._model = hf.GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32).eval()

    @functools.cache  # noqa: B019  # the model lives as long as its few callers
    def likelihood(self, context: str, continuation: str) -> tuple[float, bool]:
        """Return the log-likelihood of ``continuation`` in nats, and whether it is the greedy one.

        Args:
            context: What stands before it, of which as much counts as the model can read.
            continuation: The text; an empty one is certain.
        """
        before, after = self._encode(context), self._encode(continuation)
        if not after:
            return 0.0, True
        tokens = [self._tokenizer.bos_token_id, *before, *after][-CONTEXT:]
        after = tokens[-len(after) :]
        with torch.inference_mode():
            logits = self._model(torch.tensor([tokens[:-1]])).logits[0, -len(after) :]
            logprobs = torch.log_softmax(logits, dim=-1)
            targets = torch.tensor(after)
            chosen = logprobs.gather(1, targets[:, None])
        return float(chosen.sum()), bool((logprobs.argmax(-1) == targets).all())

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))
