"""Filters of tagging tasks: parts of speech and named entities, as lm-eval 0.4.13 reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pytest_lmmeval.tasks.scoring.filters import Filter

_TAGGED = re.compile(r"\('([^']*)', '([^']*)'\)")
_LABELS = {
    "PER": ("per", "person", "persons", "people"),
    "LOC": ("loc", "location", "counties", "places", "country", "continent"),
    "ORG": ("org", "organization", "company"),
    "DATE": ("date", "time"),
}
_LABEL_OF = {word: label for label, words in _LABELS.items() for word in words}
_WORD_BEFORE_COLON = re.compile(rf"\b({'|'.join(_LABEL_OF)})\s*:")
_LABELLED = re.compile(rf"\b({'|'.join(_LABELS)}):\s*([^$]+)")


class POSFilter(Filter):
    """Keep the tags of ``('word', 'TAG')`` pairs, as a list.

    Args:
        regex_pattern: Of no effect, as in lm-eval.
        group_select: Of no effect, as in lm-eval.
        fallback: Stands for a response without a pair; ``["invalid"]`` unless given.
    """

    def __init__(
        self, regex_pattern: str = "", group_select: int = 0, fallback: Any = None
    ) -> None:
        self.fallback = ["invalid"] if fallback is None else fallback

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return each response's tags."""
        found = [[_tags(response) for response in responses] for responses in resps]
        self.missed = [not any(lists) for lists in found]
        return [[tags or self.fallback for tags in lists] for lists in found]


def _tags(response: Any) -> list[Any]:
    pairs = _TAGGED.findall(response) if isinstance(response, str) else response
    return [tag for _, tag in pairs]


class SpanFilter(Filter):
    """Write named entities as ``per: value $ loc: value``, in lower case and without "none"."""

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return each response's entities."""
        found = [[_labelled(response) for response in responses] for responses in resps]
        self.missed = [not any(lists) for lists in found]
        return [[_joined(pairs) for pairs in lists] for lists in found]


def _labelled(response: str) -> list[tuple[str, str]]:
    """Return the labels of a response and the text behind each, up to the next separator."""

    def label(match: re.Match[str]) -> str:
        return f"{_LABEL_OF[match[1]]}:"

    text = _WORD_BEFORE_COLON.sub(label, response.lower())
    text = text.replace("$$", "$").rstrip("$").replace("\n", "$").strip()
    return _LABELLED.findall(text)


def _joined(pairs: Sequence[tuple[str, str]]) -> str:
    entities = [(label, value.strip()) for label, text in pairs for value in text.split(",")]
    return " $ ".join(f"{label.lower()}: {value}" for label, value in entities if value != "none")
