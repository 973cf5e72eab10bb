"""OpenAI's completions: texts, and likelihoods by echo and logprobs.

Bodies are lm-eval's; docs/endpoints.md lists the few differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.endpoints.answers import by_index
from pytest_lmmeval.models.endpoints.api import TemplateAPI
from pytest_lmmeval.models.generation import with_end

_SAMPLING = frozenset(
    {
        "best_of",
        "frequency_penalty",
        "ignore_eos",
        "logit_bias",
        "min_p",
        "min_tokens",
        "n",
        "presence_penalty",
        "repetition_penalty",
        "seed",
        "skip_special_tokens",
        "stop_token_ids",
        "top_k",
        "top_p",
    }
)
_IGNORED = "it ignores echo or logprobs"


class Completions(TemplateAPI):
    """A model behind ``/v1/completions``; the arguments are those of ``TemplateAPI``."""

    endpoint = "/completions"
    logprobs_wanted: ClassVar[Mapping[str, Any]] = {"logprobs": 1}
    accepted: ClassVar[frozenset[str] | None] = _SAMPLING

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
        """Return the body of a completion; see ``TemplateAPI``."""
        if not generate:
            return {
                "model": self.model,
                "prompt": messages,
                "temperature": 0,
                "max_tokens": 1,
                "logprobs": 1,
                "seed": seed,
                "echo": True,
            }
        sent = dict(gen_kwargs or {})
        sent.pop("do_sample", None)
        body = {
            "prompt": messages,
            "model": self.model,
            "max_tokens": sent.pop("max_gen_toks", self._max_gen_toks),
            "temperature": sent.pop("temperature", 0),
            "stop": with_end(sent.pop("until", None), eos),
            "seed": seed,
            **sent,
        }
        return {name: value for name, value in body.items() if name != "stop" or value}

    def parse_generations(self, outputs: Any, **kwargs: Any) -> Sequence[str | None]:
        """Return the texts of all choices, by their index."""
        return [choice["text"] for choice in _choices(outputs)]

    def parse_logprobs(
        self,
        outputs: Any,
        tokens: Sequence[Sequence[int]] | None = None,
        ctxlens: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> Sequence[tuple[float, bool]]:
        """Return the sums over the continuations' tokens, and whether each was the likeliest.

        Raises:
            RequestError: The server echoed no, or other, tokens than were sent.
        """
        prompts = tokens or ()
        generated = _generated_each(_one(outputs).get("usage") or {}, len(prompts))
        results = []
        for choice, prompt, start in zip(_choices(outputs), prompts, ctxlens or (), strict=True):
            logprobs = choice.get("logprobs") or {}
            found = len(logprobs.get("token_logprobs") or ())
            if not found or not logprobs.get("top_logprobs"):
                raise RequestError("model", f"the server scored no prompt; {_IGNORED}")
            added = _added_at_start(found, len(prompt), generated)
            if added and prompt[0] == self.prefix_token_id:
                raise RequestError(
                    "model",
                    "the server adds a BOS token to a text that begins with one; give "
                    "tokenized_requests=true",
                )
            results.append(_score(logprobs, added + start, added + len(prompt)))
        return results


def _one(outputs: Any) -> dict[str, Any]:
    answer: dict[str, Any] = outputs[0] if isinstance(outputs, list) else outputs
    return answer


def _choices(outputs: Any) -> Sequence[dict[str, Any]]:
    """Return the choices of an answer, or of lm-eval's list of one, by their index."""
    return by_index(_one(outputs)["choices"])


def _score(logprobs: dict[str, Any], start: int, end: int) -> tuple[float, bool]:
    """Sum the log-probabilities of the tokens from ``start`` to ``end``."""
    scored, tops = logprobs["token_logprobs"][start:end], logprobs["top_logprobs"][start:end]
    if None in scored:
        raise RequestError("model", "the server left out log-probabilities of the continuation")
    # As lm-eval: the likeliest token is the one with the largest number, whatever its text.
    likeliest = [value == max(top.values()) for value, top in zip(scored, tops, strict=True)]
    return sum(scored), all(likeliest)


def _generated_each(usage: dict[str, Any], prompts: int) -> int | None:
    """Return how many tokens were generated for each prompt, where that can be told."""
    total = usage.get("completion_tokens")
    return total // prompts if isinstance(total, int) and total in (0, prompts) else None


def _added_at_start(found: int, sent: int, generated: int | None) -> int:
    """Return how many tokens the server put before the prompt: none, or its own BOS.

    Args:
        found: Tokens with log-probabilities: what was added, the prompt and what was generated.
        sent: Tokens of the prompt.
        generated: Tokens that the server says it generated, where it does; else at most one.
    """
    more = found - sent
    added = max(0, more - 1) if generated is None else more - generated
    if more < 0 or added not in (0, 1):
        raise RequestError(
            "model",
            f"the server scored {found} tokens where {sent} were sent and one was to follow; "
            f"{_IGNORED}, or its tokenizer is not the one given",
        )
    return added
