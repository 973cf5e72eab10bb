"""A checkpoint behind the APIs of real servers: completions with echo, chat, SGLang's generate.

A script for ``ScriptedServer``, slow and plain on purpose: one forward pass per token, in float32.
What it answers has the form of vLLM's (completions, chat) and SGLang's (generate).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from servers import MODEL, Received, Reply

hf: Any = transformers  # its types are for its own use only


class EchoModel:
    """Answers requests with a causal language model.

    Args:
        folder: The checkpoint.
        max_length: Longer prompts with their answers are refused with HTTP 400, as vLLM does.
    """

    def __init__(self, folder: Path, max_length: int | None = None) -> None:
        self.tokenizer = hf.AutoTokenizer.from_pretrained(folder)
        self.model = hf.AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
        self.max_length = max_length or self.model.config.max_position_embeddings
        self._one_at_a_time = threading.Lock()

    def __call__(self, received: Received) -> Reply:
        paths = {
            "/v1/completions": self._complete,
            "/v1/chat/completions": self._chat,
            "/generate": self._generate,
        }
        with self._one_at_a_time, torch.inference_mode():
            try:
                return Reply(body=paths[received.path](received.json))
            except ValueError as error:
                return Reply(status=400, body={"error": {"message": str(error)}})

    # The endpoints.

    def _complete(self, asked: dict[str, Any]) -> dict[str, Any]:
        answers = []
        for index, tokens in enumerate(self._prompts(asked["prompt"])):
            new, reason = self._continue(tokens, asked["max_tokens"], asked.get("stop") or [])
            answer = {"index": index, "text": self._text(new, asked.get("stop") or [])}
            answer |= {"finish_reason": reason, "logprobs": None}
            if asked.get("echo") and asked.get("logprobs"):
                answer["logprobs"] = self._echoed([*tokens, *new])
            elif asked.get("logprobs"):
                answer["logprobs"] = {"token_logprobs": self._of_new(tokens, new)}
            answers.append((answer, len(tokens), len(new)))
        return {
            "model": MODEL,
            "choices": [answer for answer, _, _ in reversed(answers)],  # their order is nobody's
            "usage": {
                "prompt_tokens": sum(prompt for _, prompt, _ in answers),
                "completion_tokens": sum(new for _, _, new in answers),
            },
        }

    def _chat(self, asked: dict[str, Any]) -> dict[str, Any]:
        text = self.tokenizer.apply_chat_template(
            asked["messages"],
            tokenize=False,
            add_generation_prompt=asked.get("add_generation_prompt", True),
            continue_final_message=asked.get("continue_final_message", False),
        )
        tokens = self.tokenizer.encode(text, add_special_tokens=False)
        stops = asked.get("stop") or []
        new, reason = self._continue(tokens, asked["max_tokens"], stops)
        message = {"role": "assistant", "content": self._text(new, stops)}
        return {
            "model": MODEL,
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": {"prompt_tokens": len(tokens), "completion_tokens": len(new)},
        }

    def _generate(self, asked: dict[str, Any]) -> Any:
        prompts = self._prompts(asked["text"] if "text" in asked else asked["input_ids"])
        single = isinstance(asked.get("text"), str)
        starts = asked.get("logprob_start_len", -1)
        starts = starts if isinstance(starts, list) else [starts] * len(prompts)
        answers = []
        for tokens, start in zip(prompts, starts, strict=True):
            sampling = asked["sampling_params"]
            stops = sampling.get("stop") or []
            new, reason = self._continue(tokens, sampling["max_new_tokens"], stops)
            meta: dict[str, Any] = {
                "finish_reason": {"type": reason},
                "prompt_tokens": len(tokens),
                "completion_tokens": len(new),
            }
            if asked.get("return_logprob"):
                meta |= self._native(tokens, start)
                found = zip(
                    self._of_new(tokens, new), new, strict=False
                )  # a fault may hold them back
                meta["output_token_logprobs"] = [[value, token, None] for value, token in found]
            answers.append({"text": self._text(new, stops), "meta_info": meta})
        return answers[0] if single else answers

    # The model.

    def _prompts(self, given: Any) -> list[list[int]]:
        if isinstance(given, str):
            given = [given]
        if given and isinstance(given[0], int):
            given = [given]
        return [p if isinstance(p, list) else self.tokenizer.encode(p) for p in given]

    def _logprobs(self, tokens: Sequence[int]) -> torch.Tensor:
        logits = self.model(torch.tensor([list(tokens)])).logits[0]
        return torch.log_softmax(logits.float(), dim=-1)

    def _continue(
        self, tokens: Sequence[int], most: int, stops: Sequence[str]
    ) -> tuple[list[int], str]:
        if len(tokens) + most > self.max_length:
            raise ValueError(f"maximum context length is {self.max_length}, not {len(tokens)}")
        new: list[int] = []
        while len(new) < most:
            token = int(self._logprobs([*tokens, *new])[-1].argmax())
            if token == self.tokenizer.eos_token_id and most > 1:
                return new, "stop"
            new.append(token)
            if any(stop in self.tokenizer.decode(new) for stop in stops):
                return new, "stop"
        return new, "length"

    def _text(self, new: Sequence[int], stops: Sequence[str]) -> str:
        text: str = self.tokenizer.decode(list(new), skip_special_tokens=True)
        for stop in stops:
            text = text.split(stop, 1)[0]
        return text

    def _of_new(self, tokens: Sequence[int], new: Sequence[int]) -> list[float]:
        rows = self._logprobs([*tokens, *new])[len(tokens) - 1 : -1]
        return [float(row[token]) for row, token in zip(rows, new, strict=True)]

    def _echoed(self, tokens: Sequence[int]) -> dict[str, Any]:
        logprobs = self._logprobs(tokens)[:-1]
        values = [float(row[token]) for row, token in zip(logprobs, tokens[1:], strict=True)]
        tops: list[dict[str, float] | None] = [None]
        for row, token, value in zip(logprobs, tokens[1:], values, strict=True):
            best = int(row.argmax())
            # The chosen token is always among them; two tokens may read alike.
            tops.append({f"token_id:{token}": value, f"token_id:{best}": float(row[best])})
        return {
            "tokens": [self.tokenizer.decode([token]) for token in tokens],
            "token_logprobs": [None, *values],
            "top_logprobs": tops,
            "text_offset": [-1] * len(tokens),
        }

    def _native(self, tokens: Sequence[int], start: int) -> dict[str, Any]:
        logprobs = self._logprobs(tokens)
        inputs: list[Any] = [[None, tokens[start], None]]
        tops: list[Any] = [None]
        for position in range(start + 1, len(tokens)):
            row = logprobs[position - 1]
            best = int(row.argmax())
            inputs.append([float(row[tokens[position]]), tokens[position], None])
            tops.append([[float(row[best]), best, None]])
        return {"input_token_logprobs": inputs, "input_top_logprobs": tops}
