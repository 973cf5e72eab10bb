"""A model behind an endpoint whose prompts are encoded here; the members are lm-eval's."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import jinja2

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.endpoints.images import ImageEndpoint
from pytest_lmmeval.models.endpoints.tokenizers import Tokenizer, load_tokenizer, read_backend
from pytest_lmmeval.records import Instance

# Characters that take so long to encode that no other request should wait behind them.
_LONG = 5_000


class TokenizingLM(ImageEndpoint):
    """A model behind an endpoint, with a tokenizer. Each member may be overridden.

    Args:
        model: The model's name, as the server knows it.
        tokenizer: A folder, a name on the hub, or for tiktoken a local file or an encoding's name;
            by default ``model``. Loaded at the start.
        tokenizer_backend: ``huggingface``, ``tiktoken`` or ``none``; ``auto`` is ``huggingface``.
        add_bos_token: Whether the tokenizer adds its special tokens.
        custom_prefix_token_id: Stands for an empty context; by default BOS, else EOS.
        tokenized_requests: Whether prompts are sent as token ids; otherwise as text.
        trust_remote_code: Whether code that comes with the tokenizer may run.
        revision: Branch, tag or commit of the tokenizer on the hub.
        use_fast_tokenizer: Whether the tokenizer is the Rust one where there is one.
        eos_string: The end of text, which is one more stop; by default the tokenizer's.
        **settings: Those of ``EndpointLM``.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        tokenizer: str | None = None,
        tokenizer_backend: str | None = "huggingface",
        add_bos_token: bool = False,
        custom_prefix_token_id: int | None = None,
        tokenized_requests: bool | None = True,
        trust_remote_code: bool = False,
        revision: str | None = "main",
        use_fast_tokenizer: bool = True,
        eos_string: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(model, **settings)
        self.tokenizer_backend = read_backend(tokenizer_backend)
        self._tokenizer_name = str(tokenizer or self.model)
        self._hub = {
            "revision": revision,
            "trust_remote_code": trust_remote_code,
            "use_fast": use_fast_tokenizer,
            # Some tokenizers have a BOS token and add it only if told to when they are made.
            **({"add_bos_token": True} if add_bos_token else {}),
        }
        self.add_bos_token = add_bos_token
        self.custom_prefix_token_id = custom_prefix_token_id
        self.tokenized_requests = bool(tokenized_requests) and self.has_tokenizer
        self._eos_string = eos_string

    @cached_property
    def _loaded(self) -> Tokenizer | None:
        return load_tokenizer(self.tokenizer_backend, self._tokenizer_name, self._hub)

    @property
    def has_tokenizer(self) -> bool:
        """Whether prompts can be encoded."""
        return self.tokenizer_backend != "none"

    @property
    def tokenizer(self) -> Any:
        """The tokenizer of transformers or the encoding of tiktoken; None without one."""
        return self._loaded.raw if self._loaded else None

    @property
    def tokenizer_name(self) -> str:
        """What tells the tokenizer from another; "" without one."""
        return self._tokenizer_name.rstrip("/").rpartition("/")[2] if self.has_tokenizer else ""

    @property
    def eot_token_id(self) -> int | None:
        """The token that ends a text."""
        return self._loaded.eos_token_id if self._loaded else None

    @property
    def eos_string(self) -> str | None:
        """The text that ends a text."""
        return self._eos_string or (self._loaded.eos_token if self._loaded else None)

    @property
    def prefix_token_id(self) -> int | None:
        """The token that stands for an empty context."""
        if self.custom_prefix_token_id is not None or self._loaded is None:
            return self.custom_prefix_token_id
        bos = self._loaded.bos_token_id
        return self._loaded.eos_token_id if bos is None else bos

    def encodes_apart(self, request: Instance) -> bool:
        """Whether the prompts of a request are made on another thread: they are long.

        Handing over a short one costs as much as encoding it. A subclass's own ``tok_encode``, and
        a tokenizer that is not made for threads, run on the event loop.
        """
        if request.request_type == "generate_until" and not self.tokenized_requests:
            # There is only a chat template, which is quick once it is loaded.
            is_text = isinstance(request.context, str)
            return not (is_text or self._loaded is None or self._loaded.is_whole)
        in_threads = self._loaded is not None and self._loaded.in_threads
        return in_threads and self._encodes_itself and _length(request) > _LONG

    @property
    def cuts_before_spaces(self) -> bool:
        """Whether texts may be encoded in two parts; see ``tokenizer_cuts``."""
        known = self._loaded is not None and self._loaded.cuts_before_spaces
        return known and self._encodes_itself

    @property
    def _encodes_itself(self) -> bool:
        return type(self).tok_encode is TokenizingLM.tok_encode

    def tok_encode(
        self,
        string: Any,
        left_truncate_len: int | None = None,
        add_special_tokens: bool | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the tokens of a text, or of each of several; the text itself without a tokenizer.

        Args:
            string: A text or several.
            left_truncate_len: How many of the last tokens to keep.
            add_special_tokens: Whether special tokens are added; by default as ``add_bos_token``
                says.
            **kwargs: Ignored, as in lm-eval.
        """
        if self._loaded is None:
            return [string]
        if not isinstance(string, str):
            each = (self.tok_encode(s, left_truncate_len, add_special_tokens) for s in string)
            return list(each)
        special = self.add_bos_token if add_special_tokens is None else add_special_tokens
        tokens = self._loaded.encode(string, add_special_tokens=special)
        return tokens[-left_truncate_len:] if left_truncate_len else tokens

    def decode_batch(self, tokens: list[list[int]]) -> list[str]:
        """Return the texts of token ids, special tokens included."""
        if self._loaded is None:
            raise RequestError("client", "there is no tokenizer to decode with")
        return [self._loaded.decode(one) for one in tokens]

    def apply_chat_template(
        self, chat_history: list[dict[str, Any]], add_generation_prompt: bool = True
    ) -> Any:
        """Return messages as one text, by the tokenizer's chat template.

        Args:
            chat_history: Messages with ``role`` and ``content``.
            add_generation_prompt: Whether the model's turn begins; otherwise the last message is
                continued.

        Raises:
            RequestError: There is no template, or it cannot render the messages.
        """
        if not hasattr(self.tokenizer, "apply_chat_template"):
            raise RequestError("client", f"{self.tokenizer_backend} has no chat templates")
        try:
            return self.tokenizer.apply_chat_template(
                chat_history,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        except (jinja2.TemplateError, ValueError, TypeError) as error:
            raise RequestError(
                "client", f"the chat template cannot render the messages: {error}"
            ) from error

    def identity(self) -> dict[str, str]:
        """Return what ``EndpointLM`` does, and what decides how prompts are encoded."""
        told = {
            "tokenizer": self.tokenizer_name,
            "add_bos_token": self.add_bos_token,
            "prefix_token_id": self.custom_prefix_token_id,
            "eos_string": self._eos_string,
            "text_prompts": self.has_tokenizer and not self.tokenized_requests,
        }
        known = {name: str(value) for name, value in told.items() if value not in (None, False, "")}
        return super().identity() | known


def _length(request: Instance) -> int:
    if isinstance(request.context, str):
        return len(request.context)
    return sum(len(message.text) for message in request.context)
