r"""Whether texts can be encoded in two parts, told from a ``tokenizer.json``.

The choices of one question are scored with one long context before each of them. Where a tokenizer
splits every text before a space, and nothing in it looks across that place, the tokens of the whole
are those of the context and those of the choice, and the context is encoded once.

Of which tokenizers that is certain:

- How a text is split is a known pattern, none of whose pieces goes on from another character to a
  space (``" ?\p{L}+"``), and which looks ahead only within white space.
- Its normalizer, if any, composes characters. None is composed with a space behind it.
- No added token holds white space, or takes in what is beside it.
- Its model encodes each piece by itself, and always in the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_LOWER_LAST = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
_UPPER_FIRST = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
# As transformers' converters and its tokenizers of these models write them.
_PATTERNS = frozenset(
    {
        # Llama 3, and OpenAI's cl100k
        _SHORT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _SPACES,
        # Qwen 2 and 3
        _SHORT + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _SPACES,
        # Qwen 3.5
        _SHORT
        + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"
        + _SPACES,
        # gpt-oss, and OpenAI's o200k
        f"{_LOWER_LAST}{_SHORT}?|{_UPPER_FIRST}{_SHORT}?|"
        + r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"
        + _SPACES,
        # Mistral's tekken
        f"{_LOWER_LAST}|{_UPPER_FIRST}|" + r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|" + _SPACES,
    }
)
_TAKING_MORE = ("lstrip", "rstrip", "single_word")


def cuts_before_spaces(file: Mapping[str, Any]) -> bool:
    """Whether a text may be cut before a space that follows a character which is no white space.

    The tokens of both parts are then those of the text. Special tokens that are put around a text
    are left aside.

    Args:
        file: The JSON of a ``tokenizer.json``.
    """
    normalizer = file.get("normalizer")
    return (
        (normalizer is None or normalizer.get("type") == "NFC")
        and _splits_before_spaces(file.get("pre_tokenizer") or {})
        and all(_is_alone(token) for token in file.get("added_tokens") or ())
        and not file["model"].get("dropout")
    )


def _splits_before_spaces(splitter: Mapping[str, Any]) -> bool:
    if splitter.get("type") == "ByteLevel":
        return splitter.get("use_regex", True) is True  # GPT-2's pattern
    if splitter.get("type") != "Sequence" or len(splitter["pretokenizers"]) != 2:
        return False
    split, as_bytes = splitter["pretokenizers"]
    return (
        split.get("type") == "Split"
        and split["pattern"].get("Regex") in _PATTERNS
        and split.get("behavior") == "Isolated"
        and not split.get("invert")
        and as_bytes.get("type") == "ByteLevel"
        and not as_bytes.get("use_regex", True)
    )


def _is_alone(token: Mapping[str, Any]) -> bool:
    """Whether an added token is found wherever it stands, and takes in nothing beside it."""
    no_space = not any(character.isspace() for character in token["content"])
    return no_space and not any(token.get(name) for name in _TAKING_MORE)
