"""Filters: what happens to the responses of a doc before they are scored.

A filter gets the responses of many instances at once, one list per instance with one entry per
repeat, and returns one value per instance in the same order; ``docs`` runs parallel to it. That is
the interface of both peers, so filters written for them run here. Where the peers disagree the
class of lm-eval has the plain name and lmms-eval's is prefixed ``Lmms``.

A filter that looks for an answer tells where it found none: ``apply`` sets ``missed``, one flag per
instance. Such docs are counted as unparsed, which is not the same as wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from pytest_lmmeval.tasks.reasoning import DEFAULT_TAGS, strip_reasoning


class Filter:
    """Base of all filters; keyword arguments are the filter's other keys in the YAML.

    Attributes:
        missed: Per instance, whether ``apply`` found no answer in any of its responses. None for
            filters that do not look for one.
    """

    missed: Sequence[bool] | None = None

    def __init__(self, **kwargs: Any) -> None:
        pass

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return the filtered responses, one entry per instance.

        Args:
            resps: Per instance, its responses.
            docs: The doc of each instance.
        """
        raise NotImplementedError(f"{type(self).__name__} has no apply()")


class _EachFilter(Filter):
    """A filter that treats every response alone."""

    def one(self, response: Any) -> Any:
        raise NotImplementedError

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return each instance's responses, each one filtered."""
        return [[self.one(response) for response in responses] for responses in resps]


class TakeFirstFilter(Filter):
    """Keep the first response of each instance, without its list."""

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return the first responses."""
        return [responses[0] for responses in resps]


class TakeFirstKFilter(Filter):
    """Keep the first ``k`` responses of each instance."""

    def __init__(self, k: int) -> None:
        self.k = k

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return lists of ``k`` responses.

        Raises:
            ValueError: An instance has fewer; the task's ``repeats`` decides how many there are.
        """
        for responses in resps:
            if len(responses) < self.k:
                raise ValueError(f"k={self.k} needs 'repeats' of at least {self.k}")
        return [responses[: self.k] for responses in resps]


class MajorityVoteFilter(Filter):
    """Keep the most frequent response of each instance, in a list; the first seen wins a tie."""

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return lists of one response."""
        return [[Counter(responses).most_common(1)[0][0]] for responses in resps]


class LowercaseFilter(_EachFilter):
    """Lower-case each response."""

    def one(self, response: str) -> str:
        """Return the response in lower case."""
        return response.lower()


class UppercaseFilter(_EachFilter):
    """Upper-case each response."""

    def one(self, response: str) -> str:
        """Return the response in upper case."""
        return response.upper()


class WhitespaceFilter(_EachFilter):
    """Strip each response."""

    def one(self, response: str) -> str:
        """Return the response without white space at its ends."""
        return response.strip()


class LmmsWhitespaceFilter(_EachFilter):
    """Drop one leading space, which is all that lmms-eval's ``remove_whitespace`` does."""

    def one(self, response: str) -> str:
        """Return the response without a first space."""
        return response.removeprefix(" ")


class StripThinkingFilter(_EachFilter):
    """Drop reasoning blocks (lmms-eval's ``strip_thinking``)."""

    def __init__(self, tag_pairs: Sequence[Sequence[str]] | None = None) -> None:
        self.tag_pairs = tag_pairs or DEFAULT_TAGS

    def one(self, response: Any) -> Any:
        """Return what remains outside the tags."""
        return strip_reasoning(response, self.tag_pairs) if isinstance(response, str) else response


class MapFilter(Filter):
    """Replace each response by its entry in a mapping."""

    def __init__(
        self, mapping_dict: Mapping[Any, Any] | None = None, default_value: Any = None
    ) -> None:
        self.mapping_dict = mapping_dict or {}
        self.default_value = default_value

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return the entries; ``default_value`` where there is none."""
        self.missed = [not any(r in self.mapping_dict for r in responses) for responses in resps]
        return [[self.mapping_dict.get(r, self.default_value) for r in rs] for rs in resps]


class CustomFilter(Filter):
    """Call the task's own ``filter_fn(resps, docs)``."""

    def __init__(self, filter_fn: Callable[[Any, Any], Iterable[Any]]) -> None:
        self.filter_fn = filter_fn

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return what the function returns."""
        return self.filter_fn(resps, docs)


class RegexFilter(Filter):
    """Extract what a regular expression matches.

    Args:
        regex_pattern: Searched with ``re.findall``.
        group_select: Which of the matches, negative from the end. Of several groups in it the
            first one that is not empty counts.
        fallback: Stands for a response without a match.
    """

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
        """Return the selected match, stripped; "" if all its groups are empty, None without one."""
        matches = regex.findall(response if isinstance(response, str) else "")
        try:
            match = matches[self.group_select]
        except IndexError:
            return None
        if isinstance(match, tuple):
            match = next((group for group in match if group), "")
        return str(match).strip()

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return each instance's matches."""
        # With several groups an empty match is none at all; with one it is an answer, namely "".
        empty_counts = self.regex.groups < 2
        found = [[self.search(self.regex, r) for r in responses] for responses in resps]
        hits = [[m is not None and bool(m or empty_counts) for m in ms] for ms in found]
        self.missed = [not any(flags) for flags in hits]
        return [
            [match if hit else self.fallback for match, hit in zip(ms, flags, strict=True)]
            for ms, flags in zip(found, hits, strict=True)
        ]


class _Punctuation(dict[int, int | None]):
    """Deletes every character of a Unicode punctuation category in ``str.translate``."""

    def __missing__(self, code: int) -> int | None:
        kept = None if unicodedata.category(chr(code)).startswith("P") else code
        return self.setdefault(code, kept)


class ExtendedRegexFilter(RegexFilter):
    """A regex filter that can normalise responses; base of lmms-eval tasks' own filters."""

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


FILTERS: dict[str, type[Filter]] = {
    "custom": CustomFilter,
    "lowercase": LowercaseFilter,
    "majority_vote": MajorityVoteFilter,
    "map": MapFilter,
    "multi_choice_regex": MultiChoiceRegexFilter,
    "regex": RegexFilter,
    "remove_whitespace": WhitespaceFilter,
    "strip_thinking": StripThinkingFilter,
    "take_first": TakeFirstFilter,
    "take_first_k": TakeFirstKFilter,
    "uppercase": UppercaseFilter,
}
LMMS_FILTERS: dict[str, type[Filter]] = {
    **FILTERS,
    "multi_choice_regex": LmmsMultiChoiceRegexFilter,
    "remove_whitespace": LmmsWhitespaceFilter,
}
