"""Models behind OpenAI's chat completions, which nearly every server speaks.

Which fields are sent is what the peers send for the same task: lmms-eval's ``openai`` for its
tasks, lm-eval's ``local-chat-completions`` for its own. Here a request may also name ``max_tokens``
by any of the peers' names, stops are always cut here too (lm-eval leaves it to the server, which
gets the first four only), and each of a task's ``repeats`` has its own seed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import orjson

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.audio import input_audio
from pytest_lmmeval.models.endpoints.answers import token_counts
from pytest_lmmeval.models.endpoints.failures import server_message
from pytest_lmmeval.models.endpoints.videos import VideoEndpoint
from pytest_lmmeval.models.generation import (
    Generation,
    accepted_arguments,
    cut_at_stops,
    read_generation,
    with_end,
)
from pytest_lmmeval.models.media import sent_image
from pytest_lmmeval.models.messages import messages_of
from pytest_lmmeval.records import (
    AudioPart,
    ImagePart,
    Instance,
    Message,
    Part,
    Response,
    TextPart,
    VideoPart,
)

_MOST_STOPS = 4  # what OpenAI and Azure accept
_CONTINUE_UNASKED = frozenset({"llamacpp"})
_REASONING = re.compile(r"o\d|gpt-5")
_ACCEPTED = {
    "lmms_eval": frozenset({"top_p", "seed", "presence_penalty", "frequency_penalty", "n"}),
    "lm_eval": frozenset(
        {
            "chat_template_kwargs",
            "frequency_penalty",
            "ignore_eos",
            "logit_bias",
            "min_p",
            "min_tokens",
            "n",
            "presence_penalty",
            "reasoning_effort",
            "repetition_penalty",
            "response_format",
            "seed",
            "skip_special_tokens",
            "stop_token_ids",
            "top_k",
            "top_p",
        }
    ),
}
_NO_TOKENIZER = "messages are sent as text, so there is no tokenizer here"
_ADAPTIVE = "num_concurrent decides how many requests are in flight, auto finds it out"


class OpenAIChat(VideoEndpoint):
    """A model behind ``/v1/chat/completions``.

    Args:
        model: The model's name, as the server knows it.
        model_version: lmms-eval's name for it.
        pretrained: lm-eval's other name for it.
        max_completion_tokens: For OpenAI's reasoning models: the token limit is sent under this
            name, and ``temperature`` and ``stop``, which they refuse, are not sent.
        think_end_token: The answer is what follows the last of these, as in lm-eval.
        eos_string: One more stop for lm-eval's tasks.
        continue_final_message: Whether a request whose last message is the assistant's says with
            vLLM's and SGLang's field that this message is to be continued. By default it does,
            unless the server is one that continues it unasked (llama.cpp).
        **settings: Those of ``VideoEndpoint``.
    """

    endpoint = "/chat/completions"
    modalities = frozenset({"image", "video", "audio"})
    chat = True
    unused_arguments: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("tokenizer", "tokenizer_backend", "tokenized_requests"), _NO_TOKENIZER),
        **dict.fromkeys(("add_bos_token", "max_length", "truncate"), _NO_TOKENIZER),
        **dict.fromkeys(("custom_prefix_token_id", "use_fast_tokenizer"), _NO_TOKENIZER),
        **dict.fromkeys(("trust_remote_code", "revision"), _NO_TOKENIZER),
        **dict.fromkeys(("adaptive_concurrency", "num_cpus"), _ADAPTIVE),
        "batch_size": "each request is one conversation",
        "max_images": "all images of a doc are sent",
    }

    def __init__(
        self,
        model: str | None = None,
        *,
        model_version: str | None = None,
        pretrained: str | None = None,
        max_completion_tokens: bool = False,
        think_end_token: str | None = None,
        eos_string: str | None = None,
        continue_final_message: bool | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(model or model_version or pretrained, **settings)
        self.max_completion_tokens = max_completion_tokens
        self.think_end_token = think_end_token
        self.eos_string = eos_string
        self.continue_final_message = continue_final_message

    def identity(self) -> dict[str, str]:
        """Return what ``EndpointLM`` does, and the settings of this class that were changed."""
        changed = {
            "max_completion_tokens": self.max_completion_tokens,
            "think_end_token": self.think_end_token,
            "eos_string": self.eos_string,
        }
        return super().identity() | {name: str(value) for name, value in changed.items() if value}

    def create_payload(self, request: Instance) -> dict[str, Any]:
        """Return the body of a chat completion; see ``EndpointLM``."""
        if request.request_type != "generate_until":
            raise RequestError(
                "model",
                f"chat completions return no likelihood of a prompt, so {request.request_type} "
                "requests cannot be answered",
            )
        generation = read_generation(request, self.max_gen_toks)
        messages = [self.message(request, message) for message in messages_of(request)]
        body = {
            "model": self.model,
            "messages": messages,
            "max_tokens": generation.max_tokens,
            "temperature": generation.temperature,
            **self.sampling(request, generation),
            **self._continuation(request),
            **self.video_fields(),
        }
        if self.max_completion_tokens:
            body["max_completion_tokens"] = body.pop("max_tokens")
            for refused in ("temperature", "stop"):
                body.pop(refused, None)
        return body

    def message(self, request: Instance, message: Message) -> dict[str, Any]:
        """Return a message in OpenAI's form."""
        parts = message.content
        if request.dialect == "lm_eval" and len(parts) == 1 and isinstance(parts[0], TextPart):
            return {"role": message.role, "content": parts[0].text}
        content = [made for part in parts for made in self.part(request, part)]
        return {"role": message.role, "content": content}

    def part(self, request: Instance, part: Part) -> Iterator[dict[str, Any]]:
        """Yield the content parts of one of ours; a video is one for each frame."""
        owner = f"{request.task} doc {request.doc_id}"
        match part:
            case TextPart():
                yield {"type": "text", "text": part.text}
            case ImagePart():
                yield self.image(request, sent_image(part, owner, self.images).url)
            case AudioPart():
                sound = input_audio(part.audio, owner)
                yield {"type": "input_audio", "input_audio": sound}
            case VideoPart():
                yield from self.video_parts(part, owner, partial(self.image, request))

    def image(self, request: Instance, url: str) -> dict[str, Any]:
        """Return an image part in OpenAI's form."""
        detail = {"detail": "auto"} if request.dialect == "lm_eval" else {}
        return {"type": "image_url", "image_url": {"url": url, **detail}}

    def sampling(self, request: Instance, generation: Generation) -> dict[str, Any]:
        """Return the fields beside the token limit and the temperature."""
        sent = accepted_arguments(request, generation.extra, _ACCEPTED[request.dialect])
        if request.dialect == "lmms_eval":
            return sent
        stops = with_end(generation.stop, self.eos_string)[:_MOST_STOPS]
        fields: dict[str, Any] = {"stop": stops} if stops else {}
        fields["seed"] = self.seed + request.repeat
        fields.update(sent)
        return fields

    def parse_response(self, request: Instance, answer: Any) -> Response:
        """Read the first choice; an empty answer is an answer, a missing one is not."""
        try:
            choice = answer["choices"][0]
            message = choice["message"]
            text = _text(message.get("content"))
            reasoning = message.get("reasoning_content") or message.get("reasoning")
        except (KeyError, IndexError, TypeError, AttributeError):
            said = _error_in(answer)
            raise RequestError("invalid_response", f"the answer has no choice: {said}") from None
        if self.think_end_token and self.think_end_token in text:
            thought, _, text = text.rpartition(self.think_end_token)
            reasoning, text = reasoning or thought, text.lstrip()
        text = text.removeprefix(_prefill(request))
        stops: Sequence[str] = read_generation(request, self.max_gen_toks).stop
        if request.dialect == "lm_eval":
            stops = with_end(stops, self.eos_string)
        text, is_cut = cut_at_stops(text, stops)
        return Response(
            text=text,
            finish_reason="stop" if is_cut else choice.get("finish_reason"),
            usage=token_counts(answer.get("usage")),
            reasoning=reasoning or None,
        )

    def _continuation(self, request: Instance) -> dict[str, bool]:
        """Return what makes a server go on with the last message instead of answering it."""
        if not _prefill(request):
            return {}
        asks = self.continue_final_message
        if asks is None:
            asks = self.engine not in _CONTINUE_UNASKED
        return {"add_generation_prompt": False, "continue_final_message": True} if asks else {}


class OpenAIHostedChat(OpenAIChat):
    """OpenAI's own chat completions: the token limit always goes by its new name.

    Args:
        model: The model's name; ``max_completion_tokens`` is the default for o1, o3, gpt-5 and the
            like.
        max_completion_tokens: Whether it is a reasoning model, see ``OpenAIChat``.
        **settings: Those of ``OpenAIChat``.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        max_completion_tokens: bool | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(model, **settings)
        if max_completion_tokens is None:
            max_completion_tokens = _REASONING.match(self.model) is not None
        self.max_completion_tokens = max_completion_tokens

    def create_payload(self, request: Instance) -> dict[str, Any]:
        """Return the body of a chat completion; see ``EndpointLM``."""
        body = super().create_payload(request)
        if "max_tokens" in body:
            body["max_completion_tokens"] = body.pop("max_tokens")
        return body


def _text(content: Any) -> str:
    """Return the text of a message; some servers send it in parts."""
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part["text"] for part in content if part.get("type") == "text")


def _prefill(request: Instance) -> str:
    """Return the answer's beginning that the request gives, which some servers repeat.

    llama.cpp sends it back before what it generated; a stop within it would cut all of that.
    """
    last = request.context[-1] if isinstance(request.context, tuple) else None
    return last.text if isinstance(last, Message) and last.role == "assistant" else ""


def _error_in(answer: Any) -> str:
    """Return what a server says that answers an error with HTTP 200."""
    said = server_message(orjson.dumps(answer))
    return said or "no message"
