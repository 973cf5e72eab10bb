"""What an option is: how it is written, and how what is given for it becomes a value."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_lmmeval.errors import UsageError


@dataclass(frozen=True, slots=True)
class Option:
    """One option: how it is written, and how its text becomes a value of ``RunConfig``.

    Attributes:
        dest: Field of ``RunConfig``.
        parse: Turns the text into the value; raises ValueError with what was expected.
        help: One phrase, as ``--help`` shows it.
        metavar: Stands for the value in ``--help``; None marks a flag.
        joint: What joins the texts of an option that may stand several times; None if it may not.
        bare: Value of an option that is given without one (``--lmm-update-baseline``).
        file: Whether a text that ends in ``.json`` names a file that holds the value.
    """

    dest: str
    parse: Callable[[str], Any]
    help: str
    metavar: str | None = "X"
    joint: str | None = None
    bare: str | None = None
    file: bool = False

    @property
    def flag(self) -> str:
        """The option as typed, ``--lmm-num-fewshot``."""
        return "--lmm-" + self.dest.replace("_", "-")

    @property
    def ini(self) -> str:
        """The ini key, ``lmm_num_fewshot``."""
        return "lmm_" + self.dest

    def read(self, given: Any, where: str, folder: Path) -> Any:
        """Return the value of what is given for this option.

        Args:
            given: The text, or a value as an ini file, a suite or a caller has it.
            where: Names the place that it was given in, for messages.
            folder: Folder that paths are relative to.

        Raises:
            UsageError: It cannot be used; names the place, the text and what was expected.
        """
        text = self._text(given)
        try:
            if self.file and text.endswith(".json"):
                text = (folder / text).read_text(encoding="utf-8")
            return _anchor(self.parse(text), folder)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from None
        except ValueError as error:
            raise UsageError(f"{where}: {text!r} is not valid: expected {error}") from None
        except OSError as error:
            raise UsageError(f"{where}: cannot read {text!r}: {error.strerror}") from None

    def _text(self, given: Any) -> str:
        """Return a value of an ini file, a suite or a caller as the command line would give it."""
        if isinstance(given, Mapping):
            return json.dumps(given, default=str)
        if isinstance(given, Sequence) and not isinstance(given, str):
            return (self.joint or ",").join(map(str, given))
        return str(given)


def _anchor(value: Any, folder: Path) -> Any:
    """Make relative paths absolute, so that a worker started elsewhere finds the same files."""
    if isinstance(value, Path):
        return folder / value
    if isinstance(value, tuple):
        return tuple(_anchor(inner, folder) for inner in value)
    if isinstance(value, Mapping):
        return {name: _anchor(inner, folder) for name, inner in value.items()}
    return value
