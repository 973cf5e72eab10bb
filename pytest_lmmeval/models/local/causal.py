"""Requests to a causal language model in this process. Loads torch and transformers on import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import transformers

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.chat_template import ChatTemplate
from pytest_lmmeval.models.encoding import TextEncoder, context_length
from pytest_lmmeval.models.generation import cut_at_stops, read_generation
from pytest_lmmeval.models.local.batch_size import BatchSize
from pytest_lmmeval.models.local.causal_generation import Generated, Generator, Prompt
from pytest_lmmeval.models.local.causal_scoring import Score, Scorer, Window
from pytest_lmmeval.models.local.causal_settings import Checkpoint, Computing, Reading
from pytest_lmmeval.models.local.devices import thread_count
from pytest_lmmeval.models.local.loading import load_causal
from pytest_lmmeval.models.local.sampling import sampling_arguments
from pytest_lmmeval.models.rolling import rolling_windows
from pytest_lmmeval.models.truncation import fit
from pytest_lmmeval.records import Failure, Instance, Response

Plan = TypeVar("Plan")


class CausalModel:
    """A loaded checkpoint, for one thread.

    Args:
        checkpoint: What to load.
        reading: How requests become tokens.
        computing: How the model computes.
        batch_size: Requests in one forward pass.

    Raises:
        ModelUnavailable: The checkpoint cannot be loaded.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        reading: Reading,
        computing: Computing,
        batch_size: BatchSize,
    ) -> None:
        self._model, self._tokenizer = load_causal(checkpoint)
        self._reading = reading
        self._template = ChatTemplate(
            self._tokenizer,
            template=reading.chat_template,
            arguments=reading.template_arguments,
        )
        self._encoder = TextEncoder(
            self._tokenizer,
            add_bos_token=reading.add_bos_token,
            prefix_token_id=reading.prefix_token_id,
        )
        config = self._model.config
        self.max_length = context_length(
            reading.max_length, (config.get_text_config(), config), self._tokenizer
        )
        autocast = _dtype(computing.autocast_dtype)
        self._scorer = Scorer(
            self._model,
            batch_size,
            softmax_dtype=_dtype(computing.softmax_dtype),
            autocast=autocast,
            share_inputs=computing.share_inputs,
        )
        self._generator = Generator(self._model, self._tokenizer, batch_size, autocast=autocast)
        self._threads_before = torch.get_num_threads()
        torch.set_num_threads(thread_count(computing.num_threads) or self._threads_before)

    def close(self) -> None:
        """Release memory, and give the process its threads back."""
        on_gpu = self._model.device.type == "cuda"
        del self._model, self._tokenizer, self._scorer, self._generator
        torch.set_num_threads(self._threads_before)
        if on_gpu:
            torch.cuda.empty_cache()

    def identity(self) -> dict[str, str]:
        """Return the engine, the precision, what is read, and the hub's commit if it is known."""
        identity = {
            "engine": f"transformers {transformers.__version__}",
            "dtype": str(self._model.dtype).removeprefix("torch."),
            "max_length": str(self.max_length),
        }
        commit = getattr(self._model.config, "_commit_hash", None)
        template = self._template.sha256
        identity |= {"revision": commit} if commit else {}
        return identity | ({"chat_template": template[:16]} if template else {})

    def loglikelihood(self, requests: Sequence[Instance]) -> list[Response]:
        """Score continuations."""
        planned = [_caught(self._plan_pair, request) for request in requests]
        windows = [plan[0] for plan in planned if not isinstance(plan, Response)]
        scores = iter(self._scorer.score(windows))
        return [
            plan if isinstance(plan, Response) else _scored(next(scores), plan[1])
            for plan in planned
        ]

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> list[Response]:
        """Score whole documents, in windows."""
        planned = [_caught(self._plan_document, request) for request in requests]
        windows = [w for plan in planned if not isinstance(plan, Response) for w in plan]
        scores = iter(self._scorer.score(windows))
        return [
            plan if isinstance(plan, Response) else _summed([next(scores) for _ in plan])
            for plan in planned
        ]

    def generate(self, requests: Sequence[Instance]) -> list[Response]:
        """Answer generation requests, those with equal arguments together."""
        responses: dict[int, Response] = {}
        groups: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            kind = f"{request.dialect} {sorted(request.gen_kwargs.items())}"
            groups.setdefault(kind, []).append(index)
        for indices in groups.values():
            answers = self._generate_alike([requests[index] for index in indices])
            responses |= zip(indices, answers, strict=True)
        return [responses[index] for index in range(len(requests))]

    def _plan_pair(self, request: Instance) -> Response | tuple[Window, int]:
        context, continuation = self._encoder.encode_pair(self._text(request), request.continuation)
        if len(continuation) > self.max_length:
            raise RequestError(
                "client",
                f"the continuation has {len(continuation)} tokens, the model reads "
                f"{self.max_length}",
            )
        # The last token is only predicted, so one more than the model reads is allowed.
        fitted = fit(context + continuation, self.max_length + 1, self._reading.truncation)
        if fitted.tokens is None:
            return Response(truncated=fitted.dropped)
        before = fitted.tokens[: -len(continuation)]
        return Window.of(before, continuation), fitted.dropped

    def _plan_document(self, request: Instance) -> list[Window]:
        tokens = self._encoder.encode(self._text(request))
        windows = rolling_windows(
            tokens, prefix_token=self._encoder.prefix_token, max_seq_len=self.max_length
        )
        return [Window.of(context, continuation) for context, continuation in windows]

    def _plan_prompt(self, request: Instance, new_tokens: int) -> Response | tuple[Prompt, int]:
        room = self.max_length - new_tokens
        if room < 1:
            raise RequestError(
                "client",
                f"{new_tokens} tokens to generate leave no room for a prompt in a context of "
                f"{self.max_length}; set max_gen_toks lower or max_length higher",
            )
        tokens = self._encoder.encode_prompt(self._text(request))
        fitted = fit(tokens, room, self._reading.truncation)
        if fitted.tokens is None:
            return Response(truncated=fitted.dropped)
        salt = f"{request.task} {request.doc_id} {request.idx} {request.repeat}"
        return Prompt(fitted.tokens, salt), fitted.dropped

    def _generate_alike(self, requests: Sequence[Instance]) -> list[Response]:
        """Answer requests with the same generation arguments."""
        generation = read_generation(requests[0], self._reading.max_gen_toks)
        arguments = sampling_arguments(requests[0], generation)
        seed = arguments.pop("seed", self._reading.seed)
        eos = self._tokenizer.eos_token
        stops = generation.stop if eos is None else (*generation.stop, eos)
        think_end = self._reading.think_end
        marker = self._tokenizer.decode([think_end]) if isinstance(think_end, int) else think_end
        planned = [_caught(self._plan_prompt, r, generation.max_tokens) for r in requests]
        prompts = [plan[0] for plan in planned if not isinstance(plan, Response)]
        answers = iter(
            self._generator.generate(prompts, arguments, stops=stops, think_end=marker, seed=seed)
        )
        return [
            plan if isinstance(plan, Response) else self._response(next(answers), plan, stops)
            for plan in planned
        ]

    def _response(
        self, answer: Generated | Failure, plan: tuple[Prompt, int], stops: Sequence[str]
    ) -> Response:
        prompt, dropped = plan
        if isinstance(answer, Failure):
            return Response(failure=answer)
        thoughts, text = self._split_thoughts(answer.tokens)
        text, is_cut = cut_at_stops(text, stops)
        return Response(
            text=text,
            finish_reason="stop" if is_cut or answer.ended else "length",
            usage={
                "prompt_tokens": len(prompt.tokens),
                "completion_tokens": len(answer.tokens),
            },
            latency=answer.seconds,
            reasoning=thoughts,
            truncated=dropped or None,
        )

    def _split_thoughts(self, tokens: Sequence[int]) -> tuple[str | None, str]:
        """Return the reasoning before the last end of it, if there is one, and the answer.

        As in lm-eval an answer that may follow reasoning has no white space at its start.
        """
        end = self._reading.think_end
        if isinstance(end, int) and end in tokens:
            last = len(tokens) - list(reversed(tokens)).index(end)
            return self._decode(tokens[: last - 1]), self._decode(tokens[last:]).lstrip()
        text = self._decode(tokens)
        if end is None:
            return None, text
        thoughts, ended, answer = text.rpartition(end) if isinstance(end, str) else ("", "", text)
        return thoughts if ended else None, answer.lstrip()

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(tokens), skip_special_tokens=True)
        return text

    def _text(self, request: Instance) -> str:
        if isinstance(request.context, str):
            return request.context
        return self._template.render(request.context)


def _caught(plan: Callable[..., Plan | Response], *arguments: Any) -> Plan | Response:
    """Plan a request; one that cannot be put has failed, and its siblings go on."""
    try:
        return plan(*arguments)
    except RequestError as error:
        return Response(failure=Failure(error.kind, error.message))


def _scored(score: Score | Failure, dropped: int) -> Response:
    if isinstance(score, Failure):
        return Response(failure=score)
    return Response(logprob=score.logprob, is_greedy=score.is_greedy, truncated=dropped or None)


def _summed(scores: Sequence[Score | Failure]) -> Response:
    """Return a document's sum over its windows, none of which may have failed."""
    for score in scores:
        if isinstance(score, Failure):
            return Response(failure=score)
    return Response(logprob=sum(s.logprob for s in scores if isinstance(s, Score)) + 0.0)


def _dtype(name: str | None) -> torch.dtype | None:
    dtype: torch.dtype | None = None if name is None else getattr(torch, name)
    return dtype
