"""SGLang's own endpoint: likelihoods of a prompt without echo, from a given token on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.endpoints.answers import Details
from pytest_lmmeval.models.endpoints.api import TemplateAPI
from pytest_lmmeval.models.generation import with_end

_SAMPLING = frozenset(
    {
        "frequency_penalty",
        "ignore_eos",
        "logit_bias",
        "min_new_tokens",
        "min_p",
        "n",
        "no_stop_trim",
        "presence_penalty",
        "repetition_penalty",
        "skip_special_tokens",
        "stop_token_ids",
        "top_k",
        "top_p",
    }
)
_ENDS: Mapping[str, str] = {"stop": "stop", "length": "length"}


class SGLangGenerate(TemplateAPI):
    """A model behind SGLang's ``/generate``; the arguments are those of ``TemplateAPI``.

    ``base_url`` is the server's root; its ``/v1`` and the full URL do as well.
    """

    endpoint = "/generate"
    root = ""
    logprobs_wanted: ClassVar[Mapping[str, Any]] = {"return_logprob": True}
    accepted: ClassVar[frozenset[str] | None] = _SAMPLING | {"seed"}

    def _create_payload(
        self,
        messages: Any,
        *,
        generate: bool = False,
        gen_kwargs: dict[str, Any] | None = None,
        seed: int = 1234,
        eos: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the body of a native request; see ``TemplateAPI``.

        Raises:
            RequestError: A likelihood is asked for with prompts as text.
        """
        is_text = isinstance(messages, str) or isinstance(messages[0], str)
        prompt = {"text" if is_text else "input_ids": messages}
        if generate:
            return prompt | {"sampling_params": self._sampling(gen_kwargs or {}, seed, eos)}
        if is_text:
            raise RequestError("client", "a likelihood needs tokenized_requests=true with SGLang")
        return prompt | {
            "sampling_params": {"max_new_tokens": 1, "temperature": 0},
            # The first entry has no value, so it begins one token before the continuation. What
            # lies before can come from the server's cache, unlike with lm-eval's 0.
            "logprob_start_len": [start - 1 for start in kwargs["ctxlens"]],
            "top_logprobs_num": 1,
            "return_logprob": True,
        }

    def parse_generations(self, outputs: Any, **kwargs: Any) -> Sequence[str | None]:
        """Return the texts."""
        return [output["text"] for output in _all(outputs)]

    def parse_logprobs(
        self,
        outputs: Any,
        tokens: Sequence[Sequence[int]] | None = None,
        ctxlens: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> Sequence[tuple[float, bool]]:
        """Return the sums over the continuations' tokens, and whether each was the likeliest.

        Raises:
            RequestError: The server scored other tokens than were sent.
        """
        found = zip(_all(outputs), tokens or (), ctxlens or (), strict=True)
        return [_score(output["meta_info"], prompt[start:]) for output, prompt, start in found]

    def parse_details(self, outputs: Any, count: int) -> Sequence[Details]:
        """Return why generation ended, and the token counts."""
        return [_details(output["meta_info"]) for output in _all(outputs)]

    @staticmethod
    def _sampling(given: dict[str, Any], seed: int, eos: str | None) -> dict[str, Any]:
        sent = dict(given)
        sent.pop("do_sample", None)
        parameters = {
            "max_new_tokens": sent.pop("max_gen_toks"),
            "temperature": sent.pop("temperature", 0),
            "stop": with_end(sent.pop("until", None), eos),
        }
        if parameters["temperature"]:
            # Greedy answers do not depend on it, and lm-eval does not send it.
            parameters["sampling_seed"] = sent.pop("seed", seed)
        sent.pop("seed", None)
        return {name: value for name, value in parameters.items() if name != "stop" or value} | sent


def _all(outputs: Any) -> list[Any]:
    return outputs if isinstance(outputs, list) else [outputs]


def _score(meta: Mapping[str, Any], continuation: Sequence[int]) -> tuple[float, bool]:
    entries = meta["input_token_logprobs"][-len(continuation) :]
    tops = meta["input_top_logprobs"][-len(continuation) :]
    if [entry[1] for entry in entries] != list(continuation):
        raise RequestError(
            "model", "the server scored other tokens than the continuation's; is it SGLang?"
        )
    if any(entry[0] is None for entry in entries):
        raise RequestError("model", "the server left out log-probabilities of the continuation")
    is_greedy = all(entry[0] == top[0][0] for entry, top in zip(entries, tops, strict=True))
    return sum(entry[0] for entry in entries), is_greedy


def _details(meta: Mapping[str, Any]) -> Details:
    reason = meta.get("finish_reason")
    kind = reason.get("type") if isinstance(reason, dict) else reason
    names = ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens")
    usage = {name: meta[name] for name in names if isinstance(meta.get(name), int)}
    return {"finish_reason": _ENDS.get(str(kind), kind), "usage": usage}
