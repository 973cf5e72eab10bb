"""From a request to token ids, as lm-eval's models in process encode it.

Likelihoods hang on every token, so the rules are lm-eval's: white space at the end of a context
belongs to the continuation, both are encoded as one text, and an empty context is one prefix token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_lmmeval.errors import RequestError


class TextEncoder:
    """Encodes texts with a tokenizer of transformers.

    Args:
        tokenizer: The tokenizer.
        add_bos_token: Whether special tokens are added; None leaves it to the tokenizer. A text
            that begins with the BOS token, from a chat template say, never gets a second one.
        prefix_token_id: Stands for an empty context; by default the BOS token, else the EOS token.
        cuts_before_spaces: Whether the tokens of a text are those of two parts of it, if the second
            begins with a space and the first does not end with white space.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        add_bos_token: bool | None,
        prefix_token_id: int | None,
        cuts_before_spaces: bool = False,
    ) -> None:
        self._tokenizer = tokenizer
        self._special = {} if add_bos_token is None else {"add_special_tokens": add_bos_token}
        self._prefix = prefix_token_id
        for known in (tokenizer.bos_token_id, tokenizer.eos_token_id):
            self._prefix = known if self._prefix is None else self._prefix
        self._last: tuple[str, list[int]] = ("", [])
        # Special tokens may be put behind a text, too.
        self._cuts_before_spaces = cuts_before_spaces and add_bos_token is False
        self._begun = "" if self._prefix is None else str(tokenizer.decode([self._prefix]))

    @property
    def prefix_token(self) -> int:
        """The token that stands for an empty context.

        Raises:
            RequestError: The tokenizer has neither a BOS nor an EOS token, and none was given.
        """
        if self._prefix is None:
            raise RequestError(
                "client",
                "the tokenizer has neither a BOS nor an EOS token to stand for an empty context; "
                "give prefix_token_id",
            )
        return self._prefix

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, with the special tokens that it needs."""
        begun = self._begun and text.startswith(self._begun)
        special = {"add_special_tokens": False} if begun else self._special
        # verbose: a text beyond the model's context is no news to us.
        tokens: list[int] = self._tokenizer.encode(text, verbose=False, **special)
        return tokens

    def encode_prompt(self, text: str) -> list[int]:
        """Return the tokens of a prompt to generate from; an empty one is the prefix token."""
        return self.encode(text) or [self.prefix_token]

    def encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Return the tokens of a context and of its continuation, neither of them empty.

        Raises:
            RequestError: No token is the continuation's own.
        """
        bare = context.rstrip()
        continuation = context[len(bare) :] + continuation
        if bare:
            before = self._encode_context(bare)
            if self._cuts_before_spaces and continuation.startswith(" "):
                after = self._tokenizer.encode(continuation, add_special_tokens=False)
            else:
                after = self.encode(bare + continuation)[len(before) :]
        else:
            before = [self.prefix_token]
            after = self._tokenizer.encode(continuation, add_special_tokens=False)
            if after[:1] == before:
                after = after[1:]
        if not after:
            raise RequestError(
                "client", f"the continuation {continuation!r} has no token of its own to score"
            )
        return before, after

    def _encode_context(self, text: str) -> list[int]:
        """Return the tokens of a context; the choices of one question share theirs."""
        last_text, tokens = self._last
        if text != last_text:
            tokens = self.encode(text)
            self._last = (text, tokens)
        return list(tokens)


def context_length(asked: int | None, configs: Sequence[Any], tokenizer: Any) -> int:
    """Return how many tokens a model reads at once.

    Args:
        asked: Overrides what follows.
        configs: The model's text configuration, then its whole one.
        tokenizer: Its ``model_max_length`` counts if the configurations do not say.
    """
    if asked is not None:
        return asked
    for config in configs:
        for name in ("n_positions", "max_position_embeddings", "n_ctx"):
            length = getattr(config, name, None)
            if length is not None:
                return int(length)
    length = getattr(tokenizer, "model_max_length", None)
    return int(length) if length is not None and length < _UNSET else _DEFAULT


_DEFAULT = 2048  # lm-eval's
_UNSET = 10**18  # transformers says 10**30 for a tokenizer without a length
