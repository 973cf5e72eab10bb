"""The superclass of users' models behind an HTTP API, with the members of lm-eval's.

A subclass says what a body holds and what an answer means, in one of two forms:

- as in lm-eval: ``_create_payload``, ``parse_generations`` and ``parse_logprobs``, for prompts that
  are already token ids, texts or messages. Batches, truncation, likelihoods and windows of long
  documents come with it.
- ``create_payload`` and ``parse_response``, for one request and all that is known of it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import orjson

from pytest_lmmeval.errors import ModelUnavailable, RequestError, UsageError
from pytest_lmmeval.models.endpoints.answers import Details, openai_details
from pytest_lmmeval.models.endpoints.endpoint import EndpointLM
from pytest_lmmeval.models.endpoints.failures import AttemptError, server_message
from pytest_lmmeval.models.endpoints.grouping import Grouper, read_batch_size
from pytest_lmmeval.models.endpoints.prompts import Prompt, PromptBuilder
from pytest_lmmeval.models.endpoints.tokenizing import TokenizingLM
from pytest_lmmeval.models.generation import DEFAULT_MAX_TOKENS, cut_at_stops
from pytest_lmmeval.models.messages import has_media
from pytest_lmmeval.models.rolling import summed_windows
from pytest_lmmeval.models.truncation import Policy, read_policy
from pytest_lmmeval.records import Instance, RequestType, Response

_UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, AssertionError)


class TemplateAPI(TokenizingLM):
    """A model behind an HTTP API, as lm-eval's class of this name; docs/porting-api-models.md.

    Args:
        model: The model's name, as the server knows it.
        pretrained: Another name for it.
        base_url: The full URL of the endpoint; of a subclass with an ``endpoint`` also the host's
            root or its ``/v1``.
        truncate: What becomes of a prompt beyond ``max_length``: ``error`` (or false) fails the
            doc, ``left`` (or true) drops tokens at its start as lm-eval does, ``skip`` leaves the
            doc out. Both others are counted as truncated.
        truncation: Another name for it, which is that of ``hf``.
        batch_size: Prompts in one request.
        max_length: Tokens of prompt and answer together. Without it the server refuses what is too
            long, and documents are scored in windows of 2048.
        **settings: Those of ``TokenizingLM`` and ``EndpointLM``: tokenizer, tokenizer_backend,
            tokenized_requests, timeout, header, auth_token, verify_certificate, …

    Attributes:
        accepted: The generation arguments that go into a body beside limit, temperature and stops;
            None for all.
        max_length: One less than the argument, since a token is generated even when scoring.
    """

    endpoint: ClassVar[str] = ""
    request_types: ClassVar[frozenset[RequestType]] = frozenset(
        {"generate_until", "loglikelihood", "loglikelihood_rolling"}
    )
    unused_arguments: ClassVar[Mapping[str, str]] = {"max_images": "all images of a doc are sent"}
    accepted: ClassVar[frozenset[str] | None] = None

    def __init__(
        self,
        model: str | None = None,
        pretrained: str | None = None,
        base_url: str | None = None,
        *,
        truncate: bool | str = False,
        truncation: bool | str | None = None,
        batch_size: int | str = 1,
        max_length: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(model or pretrained, base_url=base_url, **settings)
        self.batch_size = read_batch_size(batch_size)
        if self.chat and self.batch_size > 1:
            raise UsageError("batch_size must be 1: a chat endpoint takes one conversation a time")
        # Prompts that share a body take one connection.
        self.num_concurrent *= self.batch_size
        if self.adaptive is not None:
            self.adaptive.per_body = self.batch_size
        if max_length is not None and max_length < 2:
            raise UsageError(f"max_length must be at least 2, not {max_length}")
        self.max_length = None if max_length is None else max_length - 1
        self.truncation: Policy = read_policy(truncate if truncation is None else truncation)
        self._groups = Grouper(self.batch_size, self._ask)

    # What a body holds.

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
        """Return the JSON body for one or more prompts.

        Args:
            messages: What ``create_message`` returned.
            generate: Whether text is to be generated, otherwise continuations are scored.
            gen_kwargs: The task's generation arguments, a copy of one's own: ``until`` (a list),
                ``max_gen_toks``, ``temperature`` and what else it sets. None when scoring.
            seed: The sampling seed.
            eos: One more stop.
            **kwargs: When scoring ``ctxlens``, for each prompt the number of its context's tokens.
        """
        raise NotImplementedError(f"{type(self).__name__} has no _create_payload")

    def create_message(self, messages: Sequence[Any], generate: bool = False) -> Any:
        """Return prompts in the form in which a body holds them.

        Args:
            messages: Token ids or texts, or one conversation.
            generate: Whether text is to be generated.
        """
        if self.chat:
            return messages[0]
        if self.tokenized_requests:
            return messages
        texts = [
            text if isinstance(text, str) else self.decode_batch([text])[0] for text in messages
        ]
        return texts[0] if self.batch_size <= 1 else texts

    # What an answer means.

    def parse_generations(self, outputs: Any, **kwargs: Any) -> Sequence[str | None]:
        """Return the texts in an answer, one per prompt; None is an empty text."""
        raise NotImplementedError(f"{type(self).__name__} has no parse_generations")

    def parse_logprobs(
        self,
        outputs: Any,
        tokens: Sequence[Sequence[int]] | None = None,
        ctxlens: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> Sequence[tuple[float, bool]]:
        """Return for each prompt its continuation's log-probability, and whether it is greedy.

        Args:
            outputs: The JSON of an answer.
            tokens: The prompts' token ids.
            ctxlens: How many of them are the context's.
            **kwargs: Nothing yet.
        """
        raise NotImplementedError(f"{type(self).__name__} has no parse_logprobs")

    def parse_details(self, outputs: Any, count: int) -> Sequence[Details]:
        """Return for each prompt why generation ended, the token counts and the reasoning."""
        return openai_details(outputs, count)

    # Under the names of lm-eval, for its subclasses.

    @property
    def _seed(self) -> int:
        return self.seed

    @property
    def _batch_size(self) -> int:
        return self.batch_size

    @property
    def _max_gen_toks(self) -> int:
        return self.max_gen_toks or DEFAULT_MAX_TOKENS["lm_eval"]

    # For the pipeline.

    async def astart(self) -> None:
        """Check the server, and load the tokenizer; see ``EndpointLM``."""
        await super().astart()
        reads = self.context_length
        if self.max_length is not None and reads is not None and self.max_length >= reads:
            raise ModelUnavailable(
                f"max_length={self.max_length + 1}, and {self.address.base} reads {reads} tokens"
            )
        if not self._has_own_form:
            self._prompts = await asyncio.to_thread(PromptBuilder, self)

    async def aclose(self) -> None:
        """Close all connections and threads."""
        self._groups.close()
        await super().aclose()

    async def respond(self, request: Instance) -> Response:
        """Send ``request`` until it is answered or has failed for good."""
        if self._has_own_form:
            return await super().respond(request)
        try:
            prompts = await self._built(request)
        except RequestError as error:
            return self._failed(error)
        resized = self.resized_images(request) if has_media(request) else 0
        if any(prompt.content is None for prompt in prompts):
            return Response(truncated=sum(prompt.dropped for prompt in prompts))
        if len(prompts) == 1:
            answers = [await self._groups.ask(prompts[0])]
        else:
            answers = await asyncio.gather(*(self._groups.ask(prompt) for prompt in prompts))
        is_document = request.request_type == "loglikelihood_rolling"
        response = summed_windows(answers) if is_document else answers[0]
        return dataclasses.replace(response, resized=resized) if resized else response

    async def ask_once(
        self, request: Instance, extra: Mapping[str, Any] | None = None
    ) -> tuple[Response, Any]:
        """Return the response to a request that is sent once; see ``EndpointLM``."""
        if self._has_own_form:
            return await super().ask_once(request, extra)
        prompts = self._prompts.build(request)
        answer = await self._post_once(self._payload(prompts), extra)
        return self._read(prompts, answer)[0], answer

    def count_tokens(self, text: str) -> int | None:
        """Return the number of a text's tokens; see ``EndpointLM``."""
        return len(self.tok_encode(text, add_special_tokens=False)) if self.has_tokenizer else None

    async def count_tokens_there(self, text: str) -> int | None:
        """Return how many tokens the server makes of a text; see ``EndpointLM``."""
        sent = {"until": [], "max_gen_toks": 1, "temperature": 0}
        try:
            payload = self._create_payload(text, generate=True, gen_kwargs=sent, seed=self.seed)
            answer = await self._post_once(payload, None)
            count = self.parse_details(answer, 1)[0]["usage"]["prompt_tokens"]
        except (RequestError, AttemptError, *_UNREADABLE):
            return None
        return count if isinstance(count, int) else None

    @property
    def sends_no_bos(self) -> bool:  # type: ignore[override]  # a constant where there is no tokenizer
        """Whether prompts go out as tokens without BOS; see ``EndpointLM``."""
        return self.tokenized_requests and not self.add_bos_token

    def identity(self) -> dict[str, str]:
        """Return what ``TokenizingLM`` does, and how long a prompt may be."""
        if self.max_length is None:
            return super().identity()
        length = {"max_length": str(self.max_length + 1), "truncate": self.truncation}
        return super().identity() | length

    @property
    def _has_own_form(self) -> bool:
        """Whether a subclass makes a body of each request itself, so that nothing is encoded."""
        return type(self).create_payload is not EndpointLM.create_payload

    async def _built(self, request: Instance) -> list[Prompt]:
        apart = has_media(request) if self.chat else self.encodes_apart(request)
        if not apart:
            return self._prompts.build(request)
        return await self._here.off_loop(partial(self._prompts.build, request))

    async def _ask(self, prompts: Sequence[Prompt]) -> Sequence[Response]:
        """Send prompts of one kind in one body; one that is refused takes no other with it."""
        try:
            body = self._dump(self._payload(prompts))
        except RequestError as error:
            return [self._failed(error)] * len(prompts)
        responses = await self._here.sender.send(body, partial(self._read, prompts), len(prompts))
        refused = responses[0].failure
        if len(prompts) > 1 and refused is not None and refused.kind == "client":
            return [(await self._ask([prompt]))[0] for prompt in prompts]
        return responses

    def _payload(self, prompts: Sequence[Prompt]) -> dict[str, Any]:
        first = prompts[0]
        messages = self.create_message([prompt.content for prompt in prompts], first.generates)
        if not first.generates:
            ctxlens = [prompt.context_length for prompt in prompts]
            return self._create_payload(messages, generate=False, seed=self.seed, ctxlens=ctxlens)
        return self._create_payload(
            messages,
            generate=True,
            gen_kwargs=_copied(first.arguments),
            seed=self.seed + first.request.repeat,
            eos=self.eos_string if first.request.dialect == "lm_eval" else None,
        )

    def _read(self, prompts: Sequence[Prompt], answer: Any) -> Sequence[Response]:
        try:
            responses = self._texts(prompts, answer) if prompts[0].generates else []
            return responses or self._likelihoods(prompts, answer)
        except _UNREADABLE as error:
            said = server_message(orjson.dumps(answer)) or "no message"
            what = f"{type(error).__name__}: {error}"
            raise RequestError(
                "invalid_response", f"the answer cannot be read ({what}): {said}"
            ) from error

    def _texts(self, prompts: Sequence[Prompt], answer: Any) -> list[Response]:
        contexts = [prompt.content for prompt in prompts]
        texts = self.parse_generations(outputs=answer, contexts=contexts)
        details = self.parse_details(answer, len(prompts))
        responses = []
        for prompt, text, detail in zip(prompts, texts, details, strict=True):
            text, is_cut = cut_at_stops(text or "", prompt.stops)
            detail = {**detail, **({"finish_reason": "stop"} if is_cut else {})}
            responses.append(Response(text=text, truncated=prompt.dropped or None, **detail))
        return responses

    def _likelihoods(self, prompts: Sequence[Prompt], answer: Any) -> list[Response]:
        pairs = self.parse_logprobs(
            outputs=answer,
            tokens=[list(prompt.tokens) for prompt in prompts],
            ctxlens=[prompt.context_length for prompt in prompts],
        )
        usages = [detail.get("usage", {}) for detail in self.parse_details(answer, len(prompts))]
        responses = []
        for prompt, (logprob, is_greedy), usage in zip(prompts, pairs, usages, strict=True):
            if not math.isfinite(logprob):
                raise RequestError("model", f"the log-probability is {logprob}")
            scored = {"logprob": float(logprob), "is_greedy": bool(is_greedy), "usage": usage}
            responses.append(Response(**scored, truncated=prompt.dropped or None))
        return responses


def _copied(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, list) else v for k, v in arguments.items()}
