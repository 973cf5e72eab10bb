"""Per-doc scores and doc ids as short text, so that a baseline can hold them and be reviewed.

A packed list of scores names its own form. Docs stand in order, most significant bit first, and
zero bits fill the last byte:

    b1:<base64>                      scores of 0 and 1: one bit a doc
    b2:<base64>, b3:<base64>, …      the mean of several runs of 0 and 1: how many runs got it right
    v<bits>:<v0|v1|…>:<base64>       at most 16 different scores: a table, and an index per doc
    q16:<lo>:<hi>:<base64>           other scores, rounded to 65,536 steps between lo and hi

b and v are exact. q16 is off by at most (hi - lo) / 131,070 a doc (see ``max_error``), which is
far below anything a gate can tell apart. 1,319 binary scores take 223 characters.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import math
import re
from collections.abc import Sequence
from typing import Final

from pytest_lmmeval.errors import BaselineError

_MAX_TABLE: Final = 16
_STEPS: Final = 65_535
_SPAN: Final = re.compile(r"(\d{1,12})(?:-(\d{1,12}))?", re.ASCII)


def pack(scores: Sequence[float], *, runs: int = 1) -> str:
    """Return the scores as text.

    Args:
        scores: One finite number per doc.
        runs: How many runs each score is the mean of.

    Raises:
        BaselineError: A score is not a finite number.
    """
    values = [float(score) + 0.0 for score in scores]  # + 0.0 turns -0.0 into 0.0
    for position, value in enumerate(values):
        if not math.isfinite(value):
            raise BaselineError(f"score {position} is {value}; expected a finite number")
    counts = [round(value * runs) for value in values]
    rounding = 1e-9 if runs > 1 else 0.0  # a mean of runs may be off in its last digit
    if all(
        0 <= count <= runs and abs(count / runs - value) <= rounding
        for count, value in zip(counts, values, strict=True)
    ):
        bits = runs.bit_length()
        return f"b{bits}:{_encode(counts, bits)}"
    table = sorted(set(values))
    if len(table) <= _MAX_TABLE:
        return _pack_table(values, table)
    return _pack_steps(values, table[0], table[-1])


def unpack(text: str, n: int, *, runs: int = 1) -> tuple[float, ...]:
    """Return the scores of ``n`` docs that ``pack`` wrote.

    Raises:
        BaselineError: The text is cut, of another form, or not for ``n`` docs and ``runs`` runs.
    """
    form, _, rest = text.partition(":")
    kind, digits = form[:1], form[1:]
    if not (kind in {"b", "v", "q"} and digits.isascii() and digits.isdigit() and rest):
        raise BaselineError(
            f"{text[:24]!r} is not a packed score list; expected 'b1:…', 'v2:…' or 'q16:…'"
        )
    if kind == "b":
        return _unpack_counts(rest, n, int(digits), runs)
    if kind == "v":
        return _unpack_table(rest, n, int(digits))
    if digits != "16":
        raise BaselineError(f"scores are packed as {form!r}; expected 'q16'")
    return _unpack_steps(rest, n)


def max_error(text: str) -> float:
    """Return by how much an unpacked score can be off: 0, but for the q16 form."""
    if not text.startswith("q16:"):
        return 0.0
    low, high, _ = _split_steps(text.removeprefix("q16:"))
    return (high - low) / (2 * _STEPS) * (1 + 1e-9)  # and what floating point adds


def pack_ids(ids: Sequence[int]) -> str | None:
    """Return ascending doc ids as ranges ("0-99,150"), or as bits ("b1:…") if those are shorter.

    Returns:
        None where the ids are 0 to n - 1, which needs no words.
    """
    if list(ids) == list(range(len(ids))):
        return None
    starts = [i for i, doc in enumerate(ids) if i == 0 or doc != ids[i - 1] + 1]
    ends = [*starts[1:], len(ids)]
    ranges = ",".join(
        f"{ids[start]}" if end == start + 1 else f"{ids[start]}-{ids[end - 1]}"
        for start, end in zip(starts, ends, strict=True)
    )
    # Six bits a character: more bits than this cannot be shorter. Short ranges are easier to read.
    if len(ranges) <= max(100, ids[-1] // 6):
        return ranges
    wanted = set(ids)
    bits = f"b1:{_encode([doc in wanted for doc in range(ids[-1] + 1)], 1)}"
    return min(ranges, bits, key=len)


def unpack_ids(text: str | None, n: int) -> Sequence[int]:
    """Return the ``n`` doc ids that ``pack_ids`` wrote.

    Raises:
        BaselineError: The text is damaged or holds another number of ids.
    """
    if text is None:
        return range(n)
    spans = _bit_spans(text) if text.startswith("b1:") else _range_spans(text)
    ascending = all(low <= high for low, high in spans) and all(
        left[1] < right[0] for left, right in itertools.pairwise(spans)
    )
    count = sum(high - low + 1 for low, high in spans)
    if not ascending or count != n:
        raise BaselineError(f"doc ids {_shortened(text)!r} are not {n} ids in ascending order")
    return tuple(doc for low, high in spans for doc in range(low, high + 1))


def _range_spans(text: str) -> list[tuple[int, int]]:
    spans = []
    for span in text.split(","):
        match = _SPAN.fullmatch(span)
        if match is None:
            raise BaselineError(f"{_shortened(span)!r} is not a range of doc ids; expected '0-99'")
        spans.append((int(match[1]), int(match[2] or match[1])))
    return spans


def _bit_spans(text: str) -> list[tuple[int, int]]:
    body = text.removeprefix("b1:")
    size = len(body) // 4 * 3 - body.count("=")
    return [(doc, doc) for doc, bit in enumerate(_decode(body, size * 8, 1)) if bit]


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}…"


def _encode(codes: Sequence[int], bits: int) -> str:
    digits = "".join(format(code, f"0{bits}b") for code in codes)
    digits += "0" * (-len(digits) % 8)
    raw = int(digits or "0", 2).to_bytes(len(digits) // 8, "big")
    return base64.b64encode(raw).decode("ascii")


def _decode(body: str, n: int, bits: int) -> list[int]:
    try:
        raw = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BaselineError(f"packed scores are not base64: {error}") from error
    size = (n * bits + 7) // 8
    if len(raw) != size:
        raise BaselineError(
            f"packed scores are {len(raw)} bytes long; expected {size} for {n} docs"
        )
    digits = format(int.from_bytes(raw, "big"), f"0{size * 8}b")
    canonical = base64.b64encode(raw).decode("ascii") == body
    if not canonical or "1" in digits[n * bits :]:
        raise BaselineError(
            f"packed scores hold more than the scores of {n} docs; they are damaged"
        )
    return [int(digits[start : start + bits], 2) for start in range(0, n * bits, bits)]


def _unpack_counts(body: str, n: int, bits: int, runs: int) -> tuple[float, ...]:
    if bits != runs.bit_length():
        raise BaselineError(
            f"scores are packed as 'b{bits}'; expected 'b{runs.bit_length()}' for {runs} run(s)"
        )
    counts = _decode(body, n, bits)
    if counts and max(counts) > runs:
        raise BaselineError(f"a doc is right in {max(counts)} of {runs} runs; scores are damaged")
    return tuple(count / runs for count in counts)


def _pack_table(values: Sequence[float], table: Sequence[float]) -> str:
    bits = max(1, (len(table) - 1).bit_length())
    index = {value: position for position, value in enumerate(table)}
    names = "|".join(repr(value) for value in table)
    return f"v{bits}:{names}:{_encode([index[value] for value in values], bits)}"


def _unpack_table(rest: str, n: int, bits: int) -> tuple[float, ...]:
    names, _, body = rest.partition(":")
    table = [_number(name) for name in names.split("|")]
    if len(table) > _MAX_TABLE or bits != max(1, (len(table) - 1).bit_length()):
        raise BaselineError(f"a table of {len(table)} scores does not go with 'v{bits}'")
    codes = _decode(body, n, bits)
    if codes and max(codes) >= len(table):
        raise BaselineError(f"score number {max(codes)} is not in the table {names!r}")
    return tuple(table[code] for code in codes)


def _pack_steps(values: Sequence[float], low: float, high: float) -> str:
    span = high - low
    if not math.isfinite(span):
        raise BaselineError(f"scores from {low!r} to {high!r} are too far apart to be stored")
    codes = [round((value - low) / span * _STEPS) for value in values]
    return f"q16:{low!r}:{high!r}:{_encode(codes, 16)}"


def _split_steps(rest: str) -> tuple[float, float, str]:
    parts = rest.split(":")
    if len(parts) != 3:
        raise BaselineError(f"{rest[:40]!r} is not '<lowest>:<highest>:<base64>'")
    low, high = _number(parts[0]), _number(parts[1])
    if not (low < high and math.isfinite(high - low)):
        raise BaselineError(f"scores cannot reach from {low!r} to {high!r}")
    return low, high, parts[2]


def _unpack_steps(rest: str, n: int) -> tuple[float, ...]:
    low, high, body = _split_steps(rest)
    span = high - low
    return tuple(low + code / _STEPS * span for code in _decode(body, n, 16))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BaselineError(f"{text!r} stands where packed scores hold a number")
    return value
