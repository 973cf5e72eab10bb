"""Filters that reduce an answer to the letter of an option."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_lmmeval.tasks.files.schema import shown
from pytest_lmmeval.tasks.scoring.filters import Filter

if TYPE_CHECKING:
    from pytest_lmmeval.tasks.scoring.option_letter import Options

_LETTER_AND_POINT = re.compile(r"\s*([A-Z])\.")
# How data sets write that there is no such option.
_NO_OPTION = ("", "nan", "none")


class OptionLetterFilter(Filter):
    """Reduce each response to the letter of the option that it names; see ``find_letter``.

    Args:
        options: Where a doc's options are: a column that holds a list of texts (or such a list
            written as text), the columns of options A, B, … of which empty ones are left out, or
            a function of the doc. It returns texts, a mapping from letters to texts, or None for
            a doc that has no options, whose responses stay as they are.
        fallback: Stands for a response that names no option.
    """

    kinds: ClassVar[Mapping[str, str]] = {"options": "text names function", "fallback": "text"}

    def __init__(
        self,
        options: str | Sequence[str] | Callable[[Any], Any],
        fallback: str = "[invalid]",
    ) -> None:
        self.options = options
        self.fallback = fallback

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return each instance's letters."""
        # Deferred: to compile its regular expressions takes 7 ms.
        from pytest_lmmeval.tasks.scoring.option_letter import find_letter

        filtered, missed = [], []
        for responses, doc in zip(resps, docs, strict=True):
            options = self._options_of(doc)
            if options is None:
                filtered.append(list(responses))
                missed.append(False)
                continue
            letters = [find_letter(r if isinstance(r, str) else "", options) for r in responses]
            filtered.append([letter or self.fallback for letter in letters])
            missed.append(not any(letters))
        self.missed = missed
        return filtered

    def _options_of(self, doc: Mapping[str, Any]) -> Options | None:
        if isinstance(self.options, str):
            return _options(doc[self.options], self.options)
        if callable(self.options):
            return _options(self.options(doc), "options")
        texts = zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", self.options, strict=False)
        return {
            letter: str(doc[column])
            for letter, column in texts
            if str(doc[column]).strip().lower() not in _NO_OPTION
        }


def _options(value: Any, column: str) -> Options | None:
    if isinstance(value, str):
        # MMMU, for one, has its lists as Python writes them.
        with contextlib.suppress(SyntaxError, ValueError):
            value = ast.literal_eval(value)
    if value is None or isinstance(value, Mapping):
        return value
    if not isinstance(value, list | tuple):
        raise ValueError(f"doc has no list of options in {column!r}: {shown(value)}")
    from pytest_lmmeval.tasks.scoring.option_letter import lettered  # deferred, as above

    return lettered(value)


class LetterAndPointFilter(Filter):
    """Reduce "B. leaf" to "B", and leave any other first response as it is.

    lmms-eval's tasks of AI2D and MuirBench have this as their "flexible-extract".
    """

    def apply(self, resps: Any, docs: Any) -> Iterable[Any]:
        """Return one answer per instance."""
        answers = [str(responses[0]) for responses in resps]
        matches = [_LETTER_AND_POINT.match(answer) for answer in answers]
        return [m.group(1) if m else a for m, a in zip(matches, answers, strict=True)]
