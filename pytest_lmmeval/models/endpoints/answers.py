"""What servers say beside the text of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

# Fields of ``Response``: finish_reason, usage, reasoning.
Details: TypeAlias = "dict[str, Any]"

_COUNTS = ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens")


def token_counts(usage: Any) -> dict[str, int]:
    """Return OpenAI's token counts, those of reasoning and of cached prompts included."""
    if not isinstance(usage, dict):
        return {}
    counts = usage
    for kind in ("prompt_tokens_details", "completion_tokens_details"):
        if details := usage.get(kind):
            counts = {**counts, **details}
    return {name: counts[name] for name in _COUNTS if isinstance(counts.get(name), int)}


def by_index(choices: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Return the choices of an answer in the order of the prompts."""
    if len(choices) == 1:
        return choices
    return sorted(choices, key=lambda choice: choice.get("index", 0))


def openai_details(answer: Any, count: int) -> Sequence[Details]:
    """Return the details of ``count`` choices in OpenAI's form.

    Token counts of several prompts together are nobody's, so they are left out.
    """
    found = answer.get("choices") if isinstance(answer, dict) else None
    choices = by_index(found or ())
    usage = token_counts(answer.get("usage")) if count == 1 and isinstance(answer, dict) else {}
    details: list[Details] = [{"usage": usage} for _ in range(count)]
    for detail, choice in zip(details, choices, strict=False):
        message = choice.get("message") or {}
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        detail |= {"finish_reason": choice.get("finish_reason")}
        detail |= {"reasoning": reasoning} if reasoning else {}
    return details
