"""AI2D: the image of a doc, and the letter in an answer."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_lmmeval.tasks.scoring.filters import Filter
from pytest_lmmeval.tasks.scoring.reasoning import SCORING_TAGS, strip_reasoning

_LETTER_AND_POINT = re.compile(r"\s*([A-Z])\.")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def images(doc: Mapping[str, Any]) -> list[Any]:
    """Return the diagram, in RGB."""
    return [doc["image"].convert("RGB")]


class OptionLetter(Filter):
    """Reduce "B. leaf" to "B"; any other answer stays as it is.

    An answer in which no letter of an option is left, once the metric has ignored punctuation, is
    reported as unparsed.
    """

    def apply(
        self, resps: Sequence[Sequence[str]], docs: Sequence[Mapping[str, Any]]
    ) -> Iterable[str]:
        """Return one answer per doc."""
        answers = [_reduced(responses[0]) for responses in resps]
        self.missed = [
            not _is_letter(answer, len(doc["options"]))
            for answer, doc in zip(answers, docs, strict=True)
        ]
        return answers


def _reduced(answer: str) -> str:
    match = _LETTER_AND_POINT.match(answer)
    return match.group(1) if match else answer


def _is_letter(answer: str, options: int) -> bool:
    bare = strip_reasoning(answer, SCORING_TAGS).translate(_NO_PUNCTUATION).strip().upper()
    return len(bare) == 1 and bare in string.ascii_uppercase[:options]
