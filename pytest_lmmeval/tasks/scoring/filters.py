"""Filters: what happens to the responses of a doc before they are scored.

A filter gets the responses of many instances at once, one list per instance with one entry per
repeat, and returns one value per instance in the same order; ``docs`` runs parallel to it. That is
the interface of both peers, so filters written for them run here. Where the peers disagree the
class of lm-eval has the plain name and lmms-eval's is prefixed ``Lmms``.

A filter that looks for an answer tells where it found none: ``apply`` sets ``missed``, one flag per
instance. Such docs are counted as unparsed, which is not the same as wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from pytest_lmmeval.tasks.scoring.reasoning import DEFAULT_TAGS, strip_reasoning


class Filter:
    """Base of all filters; keyword arguments are the filter's other keys in the YAML.

    Attributes:
        missed: Per instance, whether ``apply`` found no answer in any of its responses. None for
            filters that do not look for one.
        kinds: What arguments have to be, by name, as ``schema.check_kind`` takes it.
    """

    missed: Sequence[bool] | None = None
    kinds: ClassVar[Mapping[str, str]] = {}

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

    kinds: ClassVar[Mapping[str, str]] = {"k": "count"}

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

    kinds: ClassVar[Mapping[str, str]] = {"mapping_dict": "mapping"}

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
