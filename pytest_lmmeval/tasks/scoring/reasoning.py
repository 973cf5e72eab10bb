"""Reasoning that a model writes before its answer, and how lmms-eval removes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

Pairs: TypeAlias = Sequence[Sequence[str]]

DEFAULT_TAGS = (("<think>", "</think>"), ("<thinking>", "</thinking>"))
# What lmms-eval's command line strips where a task says nothing.
SCORING_TAGS = (("<think>", "</think>"), ("<analysis>", "</analysis>"))


def strip_reasoning(text: str, pairs: Pairs) -> str:
    """Return ``text`` without the blocks between each pair of tags, stripped.

    A lone closing tag ends a block that the chat template opened: only what follows the last one
    stays. An opening tag that is never closed is left alone, as in lmms-eval.
    """
    for start, end in pairs:
        opened = text.find(start)
        while opened >= 0 and (closed := text.find(end, opened)) >= 0:
            text = text[:opened] + text[closed + len(end) :]
            opened = text.find(start)
        if end in text and start not in text:
            text = text.rpartition(end)[2]
    return text.strip()


def read_pairs(value: Any) -> Pairs:
    """Return what a task's ``reasoning_tags`` asks for.

    Args:
        value: Pairs of tags, the same as JSON text, "none" or false for none, or None for the
            default of lmms-eval's command line.

    Raises:
        ValueError: It is something else; the message says what was expected.
    """
    if value is None:
        return SCORING_TAGS
    if value is False or value == "none":
        return ()
    pairs = json.loads(value) if isinstance(value, str) else value
    for pair in pairs if isinstance(pairs, list | tuple) else [pairs]:
        tags = pair if isinstance(pair, list | tuple) else ()
        if len(tags) != 2 or not all(isinstance(tag, str) and tag for tag in tags):
            raise ValueError("expected pairs of tags, as in [['<think>', '</think>']]")
    return tuple(tuple(pair) for pair in pairs)
