"""JSON for results and samples: whatever a task or model came up with, it can be written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson

from pytest_lmmeval.surrogates import printable

# Keys that may be other than text take it half as long again, and few values have such.
_OPTIONS = (orjson.OPT_APPEND_NEWLINE, orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def json_line(value: Any) -> bytes:
    """Return a value as one line of JSON, NaN and infinities as null, other types as text."""
    for options in _OPTIONS:
        try:
            return orjson.dumps(value, default=str, option=options)
        except TypeError:
            continue
    # A lone surrogate, a number of more than 64 bits, a key that is no scalar.
    return (json.dumps(_writable(value), ensure_ascii=False) + "\n").encode()


def json_document(value: Any) -> bytes:
    """Return a value as indented JSON, with the same liberties as ``json_line``."""
    return orjson.dumps(orjson.loads(json_line(value)), option=orjson.OPT_INDENT_2)


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {printable(str(name)): _writable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(inner) for inner in value]
    return printable(str(value))
