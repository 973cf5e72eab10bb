"""Anthropic's messages.

Bodies are those of lm-eval's ``anthropic-chat``; docs/endpoints.md lists the few differences.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pytest_lmmeval.models.endpoints.answers import Details
from pytest_lmmeval.models.endpoints.api import TemplateAPI
from pytest_lmmeval.records import RequestType
from pytest_lmmeval.warnings import LmmWarning

_NO_TOKENIZER = "messages are sent as text, so there is no tokenizer here"
_ENDS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}


class AnthropicMessages(TemplateAPI):
    """A model behind Anthropic's ``/v1/messages``.

    Args:
        model: The model's name.
        base_url: The host's root, its ``/v1`` or the full URL; without it ANTHROPIC_BASE_URL.
        api_key: The key; without it ``auth_token``, then ANTHROPIC_API_KEY.
        anthropic_version: The version of the API.
        **settings: Those of ``EndpointLM``, and ``eos_string``.
    """

    endpoint = "/messages"
    key_variable = "ANTHROPIC_API_KEY"
    url_variables = ("ANTHROPIC_BASE_URL",)
    chat = True
    modalities = frozenset({"image"})
    request_types: ClassVar[frozenset[RequestType]] = frozenset({"generate_until"})
    accepted: ClassVar[frozenset[str] | None] = frozenset({"thinking", "top_k", "top_p"})
    unused_arguments: ClassVar[Mapping[str, str]] = {
        **TemplateAPI.unused_arguments,
        **dict.fromkeys(("tokenizer", "tokenizer_backend", "tokenized_requests"), _NO_TOKENIZER),
        **dict.fromkeys(("add_bos_token", "max_length", "truncate", "revision"), _NO_TOKENIZER),
        **dict.fromkeys(("custom_prefix_token_id", "use_fast_tokenizer"), _NO_TOKENIZER),
        "trust_remote_code": _NO_TOKENIZER,
        "seed": "the API takes none",
    }

    def __init__(
        self,
        model: str | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        anthropic_version: str = "2023-06-01",
        **settings: Any,
    ) -> None:
        for name in [name for name in settings if name in self.unused_arguments]:
            reason = self.unused_arguments[name]
            warnings.warn(LmmWarning(f"anthropic: {name} has no effect: {reason}"), stacklevel=2)
            del settings[name]
        super().__init__(
            model, base_url=base_url, api_key=api_key, tokenizer_backend="none", **settings
        )
        self.anthropic_version = anthropic_version

    def credentials(self, key: str) -> dict[str, str]:
        """Return the headers that carry the key and the API's version."""
        version = {"anthropic-version": self.anthropic_version}
        return version | ({"x-api-key": key} if key else {})

    def _create_payload(
        self,
        messages: Any,
        *,
        generate: bool = True,
        gen_kwargs: dict[str, Any] | None = None,
        seed: int = 1234,
        eos: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the body of a message; see ``TemplateAPI``."""
        sent = dict(gen_kwargs or {})
        sent.pop("do_sample", None)
        turns = [turn for turn in messages if turn["role"] != "system"]
        # The API refuses stops that are blank.
        stops = [stop for stop in (*sent.pop("until", ()), eos) if stop and stop.strip()]
        body = {
            "messages": [
                {"role": turn["role"], "content": _parts(turn, is_last=turn is turns[-1])}
                for turn in turns
            ],
            "model": self.model,
            "max_tokens": sent.pop("max_gen_toks", self._max_gen_toks),
            "temperature": sent.pop("temperature", 0),
            **sent,
        }
        system = "\n\n".join(turn["content"] for turn in messages if turn["role"] == "system")
        body |= {"stop_sequences": stops} if stops else {}
        return body | ({"system": system} if system else {})

    def parse_generations(self, outputs: Any, **kwargs: Any) -> Sequence[str | None]:
        """Return the text of all text blocks, joined."""
        return ["".join(b["text"] for b in outputs["content"] if b["type"] == "text")]

    def parse_details(self, outputs: Any, count: int) -> Sequence[Details]:
        """Return why generation ended, the token counts, and what the model thought."""
        usage = outputs.get("usage") or {}
        names = {
            "input_tokens": "prompt_tokens",
            "output_tokens": "completion_tokens",
            "cache_read_input_tokens": "cached_tokens",
        }
        thoughts = "".join(b["thinking"] for b in outputs["content"] if b["type"] == "thinking")
        reason = outputs.get("stop_reason")
        return [
            {
                "finish_reason": _ENDS.get(reason, reason),
                "usage": {ours: usage[name] for name, ours in names.items() if usage.get(name)},
                "reasoning": thoughts or None,
            }
        ]


def _parts(turn: Mapping[str, Any], *, is_last: bool) -> list[dict[str, Any]]:
    """Return the content of a message as Anthropic's blocks."""
    content = turn["content"]
    if isinstance(content, str):
        # An answer that is to be continued may not end in white space.
        begun = is_last and turn["role"] == "assistant"
        return [{"type": "text", "text": content.rstrip() if begun else content}]
    return [part if part["type"] == "text" else _image(part) for part in content]


def _image(part: Mapping[str, Any]) -> dict[str, Any]:
    kind, _, data = part["image_url"]["url"].removeprefix("data:").partition(";base64,")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}
