"""Requests as an endpoint gets them: token ids, text or messages, with what their answer needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.encoding import TextEncoder
from pytest_lmmeval.models.generation import Generation, accepted_arguments, read_generation
from pytest_lmmeval.models.media import AS_THEY_ARE, ImageSettings, sent_image
from pytest_lmmeval.models.messages import has_media, messages_of, without_media
from pytest_lmmeval.models.rolling import rolling_windows
from pytest_lmmeval.models.truncation import Policy, fit
from pytest_lmmeval.records import ImagePart, Instance, Message, Part, TextPart, VideoPart

_ROLLING_LENGTH = 2048  # lm-eval's, unless the server reads less


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a request; a document that is scored in windows has several.

    Attributes:
        request: The request.
        content: Token ids, a text or messages; None if the prompt is not to be sent.
        tokens: Its token ids, if it was encoded.
        context_length: How many of ``tokens`` the continuation follows on (likelihoods only).
        arguments: The generation arguments by lm-eval's names.
        stops: Strings before the first of which the answer ends.
        dropped: How many tokens did not fit and were left out.
    """

    request: Instance
    content: Any
    tokens: Sequence[int] = ()
    context_length: int = 0
    arguments: Mapping[str, Any] = field(default_factory=dict)
    stops: tuple[str, ...] = ()
    dropped: int = 0

    @property
    def generates(self) -> bool:
        """Whether text is to be generated; otherwise the continuation is scored."""
        return self.request.request_type == "generate_until"

    @property
    def kind(self) -> str:
        """What prompts of one body have in common."""
        request = self.request
        return (
            f"{self.generates} {request.dialect} {request.repeat} {sorted(self.arguments.items())}"
        )


class Reader(Protocol):
    """What prompts need of an API model; ``TemplateAPI`` documents these."""

    chat: bool
    add_bos_token: bool
    tokenized_requests: bool
    truncation: Policy
    max_length: int | None
    context_length: int | None
    max_gen_toks: int | None
    accepted: ClassVar[frozenset[str] | None]
    images: ImageSettings

    @property
    def prefix_token_id(self) -> int | None:
        """See ``TemplateAPI``."""

    @property
    def eos_string(self) -> str | None:
        """See ``TemplateAPI``."""

    @property
    def has_tokenizer(self) -> bool:
        """See ``TemplateAPI``."""

    @property
    def cuts_before_spaces(self) -> bool:
        """See ``TemplateAPI``."""

    def tok_encode(self, string: str, *, add_special_tokens: bool) -> Any:
        """See ``TemplateAPI``."""

    def decode_batch(self, tokens: list[list[int]]) -> list[str]:
        """See ``TemplateAPI``."""

    def apply_chat_template(
        self, chat_history: list[dict[str, Any]], add_generation_prompt: bool = True
    ) -> Any:
        """See ``TemplateAPI``."""


class PromptBuilder:
    """Turns requests into prompts.

    Args:
        model: Whose tokenizer and settings apply.
    """

    def __init__(self, model: Reader) -> None:
        self._model = model
        self._encoder: TextEncoder | None = None
        if model.has_tokenizer:
            self._encoder = TextEncoder(
                _Coder(model),
                add_bos_token=model.add_bos_token,
                prefix_token_id=model.prefix_token_id,
                cuts_before_spaces=model.cuts_before_spaces,
            )

    def build(self, request: Instance) -> list[Prompt]:
        """Return the prompts of a request.

        Raises:
            RequestError: It cannot be put to this model.
        """
        if request.request_type == "generate_until":
            return [self._generation(request)]
        if request.request_type == "loglikelihood":
            return [self._likelihood(request)]
        if request.request_type == "loglikelihood_rolling":
            return self._windows(request)
        raise RequestError("model", f"this model cannot answer {request.request_type} requests")

    def _generation(self, request: Instance) -> Prompt:
        generation = read_generation(request, self._model.max_gen_toks)
        stops = generation.stop
        eos = self._model.eos_string
        if eos is not None and eos not in stops and request.dialect == "lm_eval":
            stops = (*stops, eos)
        arguments = self._arguments(request, generation)
        if self._model.chat:
            turns = history(request, self._model.images)
            # While the answer is on its way, these are all that is needed of the images.
            return Prompt(without_media(request), turns, arguments=arguments, stops=stops)
        text = self._text(request)
        if not self._model.tokenized_requests:
            return Prompt(request, text, arguments=arguments, stops=stops)
        tokens = self._tokens().encode_prompt(text)
        room = len(tokens)
        if self._model.max_length is not None:
            room = self._model.max_length - generation.max_tokens
            if room < 1:
                raise RequestError(
                    "client",
                    f"{generation.max_tokens} tokens to generate leave no room for a prompt in "
                    f"{self._model.max_length}; set max_gen_toks lower or max_length higher",
                )
        fitted = fit(tokens, room, self._model.truncation)
        kept = None if fitted.tokens is None else list(fitted.tokens)
        return Prompt(request, kept, kept or (), 0, arguments, stops, fitted.dropped)

    def _likelihood(self, request: Instance) -> Prompt:
        before, after = self._tokens().encode_pair(self._text(request), request.continuation)
        tokens = before + after
        # A server generates one token beside what it scores, so one less than it reads fits.
        room = self._model.max_length or len(tokens)
        if len(after) >= room:
            raise RequestError(
                "client",
                f"the continuation has {len(after)} tokens, of which at most {room - 1} fit",
            )
        fitted = fit(tokens, room, self._model.truncation)
        if fitted.tokens is None:
            return Prompt(request, None, dropped=fitted.dropped)
        kept = list(fitted.tokens)
        return Prompt(request, kept, kept, len(kept) - len(after), dropped=fitted.dropped)

    def _windows(self, request: Instance) -> list[Prompt]:
        encoder = self._tokens()
        told = self._model.context_length or _ROLLING_LENGTH
        length = self._model.max_length or min(told, _ROLLING_LENGTH) - 1
        windows = rolling_windows(
            encoder.encode(self._text(request)),
            prefix_token=encoder.prefix_token,
            max_seq_len=length - 1,
        )
        return [
            Prompt(request, context + targets, context + targets, len(context))
            for context, targets in windows
        ]

    def _arguments(self, request: Instance, generation: Generation) -> dict[str, Any]:
        accepted = self._model.accepted
        extra = dict(generation.extra)
        if accepted is not None:
            extra = accepted_arguments(request, extra, accepted)
        return {
            "until": list(generation.stop),
            "max_gen_toks": generation.max_tokens,
            "temperature": generation.temperature,
            **extra,
        }

    def _text(self, request: Instance) -> str:
        if isinstance(request.context, str):
            return request.context
        if has_media(request):
            raise RequestError("client", "this endpoint takes text only, no images")
        if not self._model.has_tokenizer:
            raise RequestError(
                "client", "this endpoint takes no messages; give tokenizer=… for its chat template"
            )
        continues = request.context[-1].role == "assistant"
        text = self._model.apply_chat_template(history(request), not continues)
        if not isinstance(text, str):
            raise RequestError("client", "apply_chat_template must return a text")
        return text

    def _tokens(self) -> TextEncoder:
        if self._encoder is None:
            raise RequestError(
                "client",
                "a likelihood needs the tokens of its continuation; give tokenizer=FOLDER, a name "
                "on the hub, or tokenizer_backend=tiktoken",
            )
        return self._encoder


def history(request: Instance, images: ImageSettings = AS_THEY_ARE) -> list[dict[str, Any]]:
    """Return the messages of a request in OpenAI's form, which lm-eval's subclasses get."""
    return [_turn(request, message, images) for message in messages_of(request)]


def _turn(request: Instance, message: Message, images: ImageSettings) -> dict[str, Any]:
    parts = message.content
    if all(isinstance(part, TextPart) for part in parts):
        return {"role": message.role, "content": message.text}
    owner = f"{request.task} doc {request.doc_id}"
    return {"role": message.role, "content": [_content(part, owner, images) for part in parts]}


def _content(part: Part, owner: str, images: ImageSettings) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart):
        url = sent_image(part, owner, images).url
        return {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}
    kind = "video" if isinstance(part, VideoPart) else "audio"
    raise RequestError("client", f"this endpoint takes text and images only, no {kind}")


class _Coder:
    """An API model as a tokenizer, so that a subclass's own ``tok_encode`` decides."""

    def __init__(self, model: Reader) -> None:
        self._model = model
        self.bos_token_id = self.eos_token_id = model.prefix_token_id

    def encode(
        self, text: str, add_special_tokens: bool = False, **_of_transformers: Any
    ) -> list[int]:
        tokens: list[int] = self._model.tok_encode(text, add_special_tokens=add_special_tokens)
        return tokens

    def decode(self, tokens: list[int]) -> str:
        return self._model.decode_batch([tokens])[0]
