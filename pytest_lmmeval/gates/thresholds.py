"""Margins: how far a metric may move, in the three units that a person means.

    1pp      one percentage point of the metric's scale: 0.01 where a full score is 1, 1 where it
             is 100
    2%rel    2 % of the baseline's value
    0.01     the metric's own units

A bare ``1%`` could be either of the first two, and is refused.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pytest_lmmeval.errors import UsageError, nearest

MarginUnit: TypeAlias = Literal["pp", "%rel", ""]

_FORM: Final = re.compile(r"(?P<amount>[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(?P<unit>\D*)")
_EXPECTED: Final = (
    "expected a margin like '1pp' (percentage points), '2%rel' (of the baseline's value) or 0.01 "
    "(the metric's own units)"
)


@dataclass(frozen=True, slots=True)
class Margin:
    """How far a metric may move for the worse.

    Attributes:
        amount: A finite number, at least 0.
        unit: "pp", "%rel", or "" for the metric's own units.
    """

    amount: float
    unit: MarginUnit = ""

    def resolve(self, baseline: float, scale: float | None) -> float:
        """Return the margin in the metric's own units.

        Args:
            baseline: The baseline's value of the metric.
            scale: The metric's full score (1 or 100); None if it has no upper end.

        Raises:
            UsageError: The unit makes no sense for this metric.
        """
        if self.unit == "pp":
            if scale is None:
                raise UsageError(
                    f"a margin of {self} needs a metric with a full score, such as 0–1 or 0–100; "
                    f"write '{self.amount:g}%rel' or a number in the metric's own units"
                )
            return self.amount / 100 * scale
        if self.unit == "%rel":
            if baseline == 0:
                raise UsageError(
                    f"a margin of {self} is nothing where the baseline is 0; "
                    "give it in pp or in the metric's own units"
                )
            return self.amount / 100 * abs(baseline)
        if scale is not None and self.amount >= scale:
            raise UsageError(
                f"a margin of {self} is the metric's whole scale (0–{scale:g}); "
                f"for {self.amount:g} percentage point(s) write '{self.amount:g}pp'"
            )
        return self.amount

    def __str__(self) -> str:
        return f"{self.amount:g}{self.unit}"


def parse_margin(value: object) -> Margin:
    """Read a margin as written in a suite file or on the command line.

    Raises:
        UsageError: The value is no margin, or could mean two things.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UsageError(f"{value!r} is not a margin; {_EXPECTED}")
    if not isinstance(value, str):
        return _checked(Margin(float(value)), value)
    match = _FORM.fullmatch(value.strip())
    if match is None:
        raise UsageError(f"{value!r} is not a margin; {_EXPECTED}")
    try:
        amount = float(match["amount"])
    except ValueError:
        raise UsageError(f"{value!r} is not a margin; {_EXPECTED}") from None
    unit = match["unit"].strip()
    if unit == "%":
        raise UsageError(
            f"{value!r} can mean two things: write '{amount:g}pp' for percentage points, "
            f"'{amount:g}%rel' for a share of the baseline's value, or {amount / 100:g} in the "
            "metric's own units"
        )
    for known in ("pp", "%rel", ""):
        if unit == known:
            return _checked(Margin(amount, known), value)
    hint = nearest(unit, ("pp", "%rel"))
    raise UsageError(f"{value!r} has the unknown unit {unit!r}; {_EXPECTED}.{hint}")


def _checked(margin: Margin, written: object) -> Margin:
    if not math.isfinite(margin.amount) or margin.amount < 0:
        raise UsageError(f"{written!r} is not a margin: it must be finite and at least 0")
    if margin.unit == "pp" and margin.amount >= 100:
        raise UsageError(f"{written!r} is the metric's whole scale; a gate needs less than 100pp")
    return margin
