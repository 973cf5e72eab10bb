"""Whether an endpoint's log-probabilities of a prompt are those of the prompt.

A prompt is continued greedily by one token; then prompt and token are scored. The token must be the
likeliest one there too, and where the server told its log-probability when it generated it, both
must agree. Another continuation must be less likely, which a server that answers 0 to all does not
hold; and the scores of two continuations in a row must be that of both together, which those that
are off by one token are not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.endpoints.probe_requests import Ask, generation, likelihood
from pytest_lmmeval.models.endpoints.tokenizer_probe import Counter, find_tokenizer_fault

# More than one, for a token may be half a character, or merge with what is before it.
PROMPTS = (
    "The capital of France is",
    "One, two, three, four, five, six,",
    "The quick brown fox jumps over the lazy",
    "A, B, C, D,",
    "The opposite of hot is",
    "Roses are red, violets are",
    "Once upon a",
    "2 + 2 =",
)
_OTHER = " zebra"
# Nats. In bfloat16, scores of a few tokens were seen to move by 0.2; llama-cpp-python, which is off
# by one token, scored " Paris" with -8.45 where all others say -0.26.
TOLERANCE = 0.5


class Scorer(Counter, Protocol):
    """What the probe needs to know of a model."""

    logprobs_wanted: ClassVar[Mapping[str, Any]]


@dataclass(frozen=True)
class _Token:
    """A greedy continuation by one token, and its log-probability if the server told."""

    prompt: str
    text: str
    logprob: float | None


async def find_likelihood_fault(model: Scorer, ask: Ask) -> str | None:
    """Return what is wrong with an endpoint's likelihoods; None if nothing was found.

    Args:
        model: The model.
        ask: Asks it once.
    """
    try:
        # The prompt's score alone tells a server that has none, whatever it generates.
        await ask(likelihood(PROMPTS[0], _OTHER))
    except RequestError as error:
        return f"returns no likelihoods of a prompt: {error.message}"
    if fault := await find_tokenizer_fault(model):
        return fault
    faults = []
    for prompt in PROMPTS:
        token = await _continue(model, ask, prompt)
        if token is None:
            continue
        fault = await _compare(model, ask, token)
        if fault is None:
            return None
        faults.append(fault)
        # Two, because a near tie may break either way.
        if len(faults) == 2:
            break
    return faults[0] if faults else None


async def _continue(model: Scorer, ask: Ask, prompt: str) -> _Token | None:
    """Return the likeliest next token, if it can be appended as one token."""
    try:
        response, answer = await ask(generation(prompt, max_tokens=1), model.logprobs_wanted)
    except RequestError:
        return None
    text = response.text or ""
    before, after = model.count_tokens(prompt), model.count_tokens(prompt + text)
    # White space at the end of a context moves to the continuation, as in lm-eval.
    is_plain = text and text == text.rstrip() and "\ufffd" not in text
    if not is_plain or (before is not None and after != before + 1):
        return None
    return _Token(prompt, text, generated_logprob(answer))


async def _compare(model: Scorer, ask: Ask, token: _Token) -> str | None:
    """Return what contradicts the token that the server generated, None if nothing does."""
    prompt, text, longer = token.prompt, token.text, token.prompt + token.text
    try:
        found, is_greedy = await _score(ask, prompt, text)
        other, _ = await _score(ask, prompt, _OTHER)
        both, _ = await _score(ask, prompt, text + _OTHER)
        rest, _ = await _score(ask, longer, _OTHER)
    except RequestError as error:
        return f"returns no likelihoods of a prompt: {error.message}"
    told = f"scores prompts wrongly: {text!r}, which it generates after {prompt!r}, "
    if token.logprob is not None and abs(found - token.logprob) > TOLERANCE:
        return f"{told}has a log-probability of {token.logprob:.2f} there and is scored {found:.2f}"
    if not is_greedy:
        return f"{told}is not scored as the likeliest"
    if not _OTHER.startswith(text) and _is_impossible(found, other):
        return f"{told}is scored {found:.2f}, and {_OTHER!r} {other:.2f}"
    if _adds_up(model, longer) and abs(found + rest - both) > TOLERANCE:
        return f"{told}is scored {found:.2f}, {_OTHER!r} after it {rest:.2f}, and both {both:.2f}"
    return None


async def _score(ask: Ask, context: str, continuation: str) -> tuple[float, bool]:
    response, _ = await ask(likelihood(context, continuation))
    assert response.logprob is not None, "a likelihood has a log-probability"
    return response.logprob, bool(response.is_greedy)


def _adds_up(model: Scorer, context: str) -> bool:
    """Whether the other continuation is the same tokens in any context, as far as can be told."""
    parts = [model.count_tokens(text) for text in (context, _OTHER, context + _OTHER)]
    return None in parts or sum(n or 0 for n in parts[:2]) == parts[2]


def _is_impossible(likeliest: float, other: float) -> bool:
    """Whether two continuations that exclude each other cannot have these log-probabilities."""
    return other > likeliest + TOLERANCE or math.exp(likeliest) + math.exp(other) > 1.1


def generated_logprob(answer: Any) -> float | None:
    """Return the log-probability of the first generated token, in OpenAI's or SGLang's form."""
    paths: Sequence[Sequence[str | int]] = (
        ("choices", 0, "logprobs", "token_logprobs", 0),
        ("choices", 0, "logprobs", "content", 0, "logprob"),
        ("meta_info", "output_token_logprobs", 0, 0),
        (0, "meta_info", "output_token_logprobs", 0, 0),
    )
    for path in paths:
        found = answer
        try:
            for step in path:
                found = found[step]
        except (LookupError, TypeError):
            continue
        if isinstance(found, (int, float)):
            return float(found)
    return None
