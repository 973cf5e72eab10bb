"""lm-eval's API models asking a recording server, beside ours."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval.api.instance import Instance as PeerInstance
from lm_eval.models.anthropic_llms import AnthropicChat
from lm_eval.models.api_models import JsonChatStr
from lm_eval.models.openai_completions import (
    LocalChatCompletion,
    LocalCompletionsAPI,
    OpenAIChatCompletion,
)
from lm_eval.models.sglang_generate_API import SGLANGGENERATEAPI
from servers import MODEL, Received, Reply, ScriptedServer, completion

_CLASSES = {
    "local-completions": (LocalCompletionsAPI, "/v1/completions"),
    "local-chat-completions": (LocalChatCompletion, "/v1/chat/completions"),
    "openai-chat-completions": (OpenAIChatCompletion, "/v1/chat/completions"),
    "sglang-generate": (SGLANGGENERATEAPI, "/generate"),
    "anthropic-chat": (AnthropicChat, "/v1/messages"),
}
_LONG = 400  # more tokens than any prompt has


def answer(received: Received) -> Reply:
    """Answer in the form that the path calls for, so that the peer goes on."""
    asked = received.json
    if received.path == "/v1/chat/completions":
        return Reply(body=completion("yes"))
    if received.path == "/v1/messages":
        return Reply(body={"content": [{"type": "text", "text": "yes"}]})
    if received.path == "/generate":
        given = asked.get("input_ids") or asked["text"]
        scored = [[-1.0, 5, None]] * _LONG
        meta = {"input_token_logprobs": scored, "input_top_logprobs": [[s] for s in scored]}
        one = {"text": "yes", "meta_info": meta}
        return Reply(body=one if isinstance(given, str) else [one] * len(given))
    count = 1 if isinstance(asked["prompt"], str) else len(asked["prompt"])
    logprobs = {"token_logprobs": [-1.0] * _LONG, "top_logprobs": [{"a": -1.0}] * _LONG}
    choices = [{"index": i, "text": "yes", "logprobs": logprobs} for i in range(count)]
    return Reply(body={"choices": choices})


class PeerAPI:
    """What one of lm-eval's API models sends."""

    def __init__(self, name: str, **arguments: Any) -> None:
        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        self._class, self._path = _CLASSES[name]
        self._arguments = arguments

    def generates(
        self,
        context: str | Sequence[Mapping[str, Any]],
        gen_kwargs: Mapping[str, Any],
        images: Sequence[Any] = (),
        others: Sequence[str] = (),
        *,
        templated: bool = False,
    ) -> list[Any]:
        """Return the bodies that ask for text.

        Args:
            context: A text, or messages.
            gen_kwargs: The task's generation arguments.
            images: Sent with the last message.
            others: More prompts of the same kind.
            templated: Whether messages go through the tokenizer's chat template.
        """
        prompt: Any = context
        if templated:
            model: Any = self._class(model=MODEL, base_url="http://127.0.0.1", **self._arguments)
            opens = context[-1]["role"] != "assistant"  # type: ignore[index]  # not a text
            prompt = model.apply_chat_template(list(context), add_generation_prompt=opens)
        elif not isinstance(context, str):
            prompt = JsonChatStr(json.dumps(list(context), ensure_ascii=False))
        media = ({"visual": list(images)},) if images else ()
        requests = [
            PeerInstance("generate_until", {}, (p, dict(gen_kwargs), *media), 0)
            for p in (prompt, *others)
        ]
        return self._sent("generate_until", requests)

    def scores(self, *pairs: tuple[str, str]) -> list[Any]:
        """Return the bodies that ask for likelihoods."""
        requests = [PeerInstance("loglikelihood", {}, pair, 0) for pair in pairs]
        return self._sent("loglikelihood", requests)

    def rolls(self, text: str) -> list[Any]:
        """Return the bodies that score a document."""
        request = PeerInstance("loglikelihood_rolling", {}, (text,), 0)
        return self._sent("loglikelihood_rolling", [request])

    def _sent(self, method: str, requests: Sequence[Any]) -> list[Any]:
        with ScriptedServer(answer) as server, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            url = server.url.removesuffix("/v1") + self._path
            model: Any = self._class(**{"model": MODEL, "base_url": url, **self._arguments})
            getattr(model, method)(requests, disable_tqdm=True)
            return [received.json for received in server.requests]
