"""Argument strings such as ``a=1,b=true,e=x=y``, as ``--lmm-model-args`` and its like take them.

They are lm-eval's, where a comma always separates. Here a value that opens with a quote or a
bracket ends where that one closes, so that texts, lists and mappings can be given as well.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_lmmeval.errors import UsageError

_QUOTES = ("'", '"')
_BRACKETS = ("[", "{")
_QUOTED = re.compile(r"""(["']).*?\1\s*(?=,|$)""", re.DOTALL)
_SECRET = re.compile(
    r"key|token(?!iz|s)|secret|password|auth(?!or(?!i[sz]))|header|credential", re.IGNORECASE
)
_CONSTANTS: Mapping[str, bool | None] = {"true": True, "false": False, "none": None}


def parse_arguments(text: str | None) -> dict[str, Any]:
    """Parse ``name=value`` pairs that commas separate.

    Values become what they look like, as in lm-eval: true, false and none in any case, integers,
    floats, else text. Text in quotes stays text; lists and mappings are JSON or Python literals.
    A text that opens with ``{`` is one JSON object with all arguments.

    Raises:
        UsageError: A piece has no name or no value, repeats a name, or does not close its quote or
            bracket.
    """
    text = (text or "").strip()
    if text.startswith("{"):
        return _parse_object(text)
    arguments: dict[str, Any] = {}
    for piece in _pieces(text):
        name, equals, value = piece.partition("=")
        name = name.strip()
        if not equals or not name:
            raise UsageError(f"{_shown(piece)} is not of the form name=value")
        if name in arguments:
            raise UsageError(f"the argument {name!r} is given twice")
        arguments[name] = _parse_value(value.strip(), piece)
    return arguments


def is_secret(name: str) -> bool:
    """Whether the value of the argument ``name`` may be a credential, never to be shown."""
    return _SECRET.search(name) is not None


def _shown(piece: str) -> str:
    """Quote a piece for a message; of one that may hold a credential only its name."""
    if not is_secret(piece):
        return repr(piece.strip())
    name = re.match(r"\W*\w*", piece)
    return f"the argument that begins with {name.group().strip() if name else ''!r}"


def _parse_object(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"arguments that open with '{{' must be one JSON object: {error.msg} at character "
            f"{error.pos}"
        ) from None
    return dict(values)


def _pieces(text: str) -> Iterator[str]:
    """Split ``text`` at its commas, except at those within a quoted or bracketed value."""
    start = 0
    while start < len(text):
        end = _end_of_piece(text, start)
        if text[start:end].strip():
            yield text[start:end]
        start = end + 1


def _end_of_piece(text: str, start: int) -> int:
    comma = _next_comma(text, start)
    equals = text.find("=", start, comma)
    if equals < 0:
        return comma
    value = equals + 1
    while text[value : value + 1].isspace():
        value += 1
    opening = text[value : value + 1]
    if opening in _QUOTES:
        quoted = _QUOTED.match(text, value)
        if quoted is None:
            raise UsageError(f"{_shown(text[start:comma])} has no closing {opening}")
        return quoted.end()
    if opening in _BRACKETS:
        closed = _after_bracket(text, value)
        if closed is None or text[closed : _next_comma(text, closed)].strip():
            raise UsageError(
                f"{_shown(text[start:comma])} does not end where its {opening} closes; put the "
                "value in quotes if it is text"
            )
        return _next_comma(text, closed)
    return comma


def _next_comma(text: str, start: int) -> int:
    found = text.find(",", start)
    return len(text) if found < 0 else found


def _after_bracket(text: str, start: int) -> int | None:
    """Return the index behind the bracket that closes the one at ``start``, if there is one."""
    depth, quote = 0, ""
    for index in range(start, len(text)):
        char = text[index]
        if quote:
            quote = "" if char == quote and text[index - 1] != "\\" else quote
        elif char in _QUOTES:
            quote = char
        elif char in "[{(":
            depth += 1
        elif char in "]})":
            depth -= 1
            if depth == 0:
                return index + 1
    return None


def _parse_value(text: str, piece: str) -> Any:
    if text[:1] in _QUOTES:
        return text[1:-1]
    if text[:1] in _BRACKETS:
        return _parse_literal(text, piece)
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _parse_literal(text: str, piece: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        pass  # a Python literal such as ['a', 'b'] will do as well
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise UsageError(
            f"{_shown(piece)} is neither JSON nor a Python literal; put the value in quotes if it "
            "is text"
        ) from None
