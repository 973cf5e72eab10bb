"""Filters that find an answer in a response by a regular expression."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from pytest_lmmeval.tasks.scoring.filters import Filter


class RegexFilter(Filter):
    """Extract what a regular expression matches.

    Args:
        regex_pattern: Searched with ``re.findall``.
        group_select: Which of the matches, negative from the end. Of several groups in it the
            first one that is not empty counts.
        fallback: Stands for a response without a match.
    """

    kinds: ClassVar[Mapping[str, str]] = {"regex_pattern": "text", "group_select": "integer"}

    def __init__(
        self,
        regex_pattern: str = r"#### (\-?[0-9\.\,]+)",
        group_select: int = 0,
        fallback: Any = "[invalid]",
    ) -> None:
        self.regex_pattern = regex_pattern
        self.regex = re.compile(regex_pattern)
        self.group_select = group_select
        self.fallback = fallback

    def search(self, regex: re.Pattern[str], response: Any) -> str | None:
        """Return the selected match, stripped; None without one, and if all its groups are empty.

        With several groups an empty match is none at all; with one it is an answer, namely "".
        """
        match = self._selected(regex, response)
        if isinstance(match, tuple):
            match = next((group for group in match if group), None)
        return None if match is None else match.strip()

    def _selected(self, regex: re.Pattern[str], response: Any) -> str | tuple[str, ...] | None:
        matches: list[str | tuple[str, ...]]
        matches = regex.findall(response if isinstance(response, str) else "")
        try:
            return matches[self.group_select]
        except IndexError:
            return None

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return each instance's matches."""
        found = [[self.search(self.regex, r) for r in responses] for responses in resps]
        self.missed = [all(match is None for match in matches) for matches in found]
        return [
            [self._fallback(r) if match is None else match for r, match in zip(rs, ms, strict=True)]
            for rs, ms in zip(resps, found, strict=True)
        ]

    def _fallback(self, response: Any) -> Any:
        """Return what stands for a response in which nothing was found.

        Where there was a match, and all its groups were empty, lm-eval strips it like a match.
        """
        if isinstance(self.fallback, str) and self._selected(self.regex, response) is not None:
            return self.fallback.strip()
        return self.fallback


class _Punctuation(dict[int, int | None]):
    """Deletes every character of a Unicode punctuation category in ``str.translate``."""

    def __missing__(self, code: int) -> int | None:
        kept = None if unicodedata.category(chr(code)).startswith("P") else code
        return self.setdefault(code, kept)


class ExtendedRegexFilter(RegexFilter):
    """A regex filter that can normalise responses; base of lmms-eval tasks' own filters."""

    kinds: ClassVar[Mapping[str, str]] = {
        **RegexFilter.kinds,
        "ignore_case": "boolean",
        "ignore_punctuation": "boolean",
        "regexes_to_ignore": "list",
    }
    punct_tbl: ClassVar[dict[int, int | None]] = _Punctuation()

    def __init__(
        self,
        regex_pattern: str = r"#### (\-?[0-9\.\,]+)",
        group_select: int = 0,
        fallback: Any = "[invalid]",
        ignore_case: bool = False,
        ignore_punctuation: bool = False,
        regexes_to_ignore: Sequence[str] | None = None,
    ) -> None:
        super().__init__(regex_pattern, group_select, fallback)
        self.ignore_case = ignore_case
        self.ignore_punctuation = ignore_punctuation
        self.regexes_to_ignore = regexes_to_ignore

    def filter_ignores(self, st: str) -> str:
        """Return the text without what is to be ignored: regexes, then case, then punctuation."""
        for regex in self.regexes_to_ignore or ():
            st = re.sub(regex, "", st)
        st = st.lower() if self.ignore_case else st
        return st.translate(self.punct_tbl) if self.ignore_punctuation else st

    def find_match(
        self, regex: re.Pattern[str], resp: Any, convert_dict: Mapping[str, str] | None = None
    ) -> str | None:
        """Return the selected match, translated where ``convert_dict`` has it."""
        match = self.search(regex, resp)
        return (convert_dict or {}).get(match, match) if match else match


class MultiChoiceRegexFilter(ExtendedRegexFilter):
    """Find the letter of a choice, as "(A)".

    Three searches, in order: the regex; the text of one of ``doc["choices"]``; a bare letter after
    a colon. Matches the text anywhere, even within a word, as the peers do.
    """

    longest_first: ClassVar[bool] = True

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return each instance's letters."""
        filtered = []
        missed = []
        for responses, doc in zip(resps, docs, strict=True):
            answers = self._answers(responses, doc["choices"])
            missed.append(not any(answers))
            filtered.append([answer or self.fallback for answer in answers])
        self.missed = missed
        return filtered

    def _answers(self, responses: Sequence[Any], choices: Sequence[str]) -> list[str | None]:
        letters = [chr(ord("A") + index) for index in range(len(choices))]
        texts = [self.filter_ignores(choice.strip()) for choice in choices]
        by_text = {text: f"({letter})" for text, letter in zip(texts, letters, strict=True)}
        patterns = [re.escape(text) for text in texts]
        if self.longest_first:
            patterns.sort(key=len, reverse=True)
        any_text = re.compile("|".join(patterns))
        after_colon = re.compile(rf":\s*({'|'.join(letters)})")
        by_letter = {letter: f"({letter})" for letter in letters}

        def answer(response: Any) -> str | None:
            text = response if isinstance(response, str) else ""
            return (
                self.find_match(self.regex, text)
                or self.find_match(any_text, self.filter_ignores(text), by_text)
                or self.find_match(after_colon, text, by_letter)
            )

        return [answer(response) for response in responses]


class LmmsMultiChoiceRegexFilter(MultiChoiceRegexFilter):
    """As lmms-eval has it: choices are searched in their order, not the longest first."""

    longest_first = False
