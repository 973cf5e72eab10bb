"""The scorer of capitals.yaml: is an accepted name in the answer?"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

APOSTROPHES = "'‘’ʻʼ`"
WORD = re.compile(r"[^\W_]+")


def contains(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score 1 if one of the accepted names stands in the answer as whole words."""
    answer = _words(results[0])
    return {"contains": float(any(_words(name) in answer for name in doc["accepted"]))}


def _words(text: str) -> str:
    """Return the words of a text between blanks, without case, accents and apostrophes.

    Whole words, because "Tunisia" is no way to say Tunis.
    """
    letters = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in letters if not unicodedata.combining(c) and c not in APOSTROPHES)
    return f" {' '.join(WORD.findall(plain))} "
