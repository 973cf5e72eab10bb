"""SQuAD's exact match and F1, which transformers had until version 4 and lm-eval's tasks import.

Source: the evaluation script of Rajpurkar et al. (2018), Know What You Don't Know.
"""

from __future__ import annotations

import re
import string
from collections import Counter

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(s: str) -> str:
    """Return a text in lower case, without ASCII punctuation, articles and extra white space."""
    words = re.sub(r"\b(a|an|the)\b", " ", s.lower().translate(_NO_PUNCTUATION))
    return " ".join(words.split())


def get_tokens(s: str) -> list[str]:
    """Return the words of a normalised text."""
    return normalize_answer(s).split() if s else []


def compute_exact(a_gold: str, a_pred: str) -> int:
    """Return whether two texts are the same once normalised."""
    return int(normalize_answer(a_gold) == normalize_answer(a_pred))


def compute_f1(a_gold: str, a_pred: str) -> float:
    """Return F1 over the words of two texts; of two of which one has none, whether both have."""
    gold, said = get_tokens(a_gold), get_tokens(a_pred)
    if not gold or not said:
        return int(gold == said)
    shared = sum((Counter(gold) & Counter(said)).values())
    return 2 * shared / (len(gold) + len(said))
