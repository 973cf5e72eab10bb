"""The rule of a gate, as a suite file writes it.

Two margins make the rule: ``max_drop`` is what may be lost, ``must_detect`` is what must never
slip through. "Drop" always means getting worse, also for a metric where lower is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

from pytest_lmmeval.errors import TaskError, UsageError, nearest
from pytest_lmmeval.gates.thresholds import Margin, parse_margin

OnUndecided: TypeAlias = Literal["warn", "fail"]

_DEFAULT_MAX_DROP: Final = 1.0
_DEFAULT_MUST_DETECT: Final = 3.0


@dataclass(frozen=True, slots=True)
class GateRule:
    """When a metric result passes.

    Attributes:
        max_drop: The drop that is tolerated. None is 1pp, or 1%rel for a metric without a scale.
        must_detect: The drop that a PASS rules out. None is 3pp, or 3%rel where ``max_drop`` is
            relative or the metric has no scale.
        floor: The value, in the metric's own units, below which the gate fails.
        ceiling: The value above which the gate fails.
        on_undecided: What the caller does with UNDECIDED; ``judge`` itself does not look at it.
        max_failed: The share of docs (0 to 1) that may stay without an answer.
        baseline: Whether the run is compared with a baseline. Without one, such a gate is an ERROR;
            False leaves floor and ceiling alone.
        alpha: The risk of a wrong FAIL, and of a wrong PASS, at the margins.
    """

    max_drop: Margin | None = None
    must_detect: Margin | None = None
    floor: float | None = None
    ceiling: float | None = None
    on_undecided: OnUndecided = "warn"
    max_failed: float = 0.005
    alpha: float = 0.05
    baseline: bool = True

    @property
    def level(self) -> float:
        """The confidence level of the two-sided interval: 0.90 for an alpha of 0.05."""
        return 1 - 2 * self.alpha

    def in_force(self, scale: float | None) -> tuple[Margin, Margin]:
        """Return ``max_drop`` and ``must_detect`` with their defaults for this metric."""
        by_scale = Margin(_DEFAULT_MAX_DROP, "%rel" if scale is None else "pp")
        max_drop = self.max_drop or by_scale
        relative = max_drop.unit == "%rel" or scale is None
        default = Margin(_DEFAULT_MUST_DETECT, "%rel" if relative else "pp")
        return max_drop, self.must_detect or default

    def margins(self, baseline: float, scale: float | None) -> tuple[float, float]:
        """Return ``max_drop`` and ``must_detect`` in the metric's own units.

        Raises:
            UsageError: A margin or bound makes no sense for this metric.
        """
        allowed, detect = self.in_force(scale)
        max_drop, must_detect = allowed.resolve(baseline, scale), detect.resolve(baseline, scale)
        if must_detect < max_drop:
            raise UsageError(_crossed(allowed, detect))
        return max_drop, must_detect

    def check_bounds(self, scale: float | None) -> None:
        """Refuse a floor or ceiling that no value of the metric can reach.

        Raises:
            UsageError: A bound lies outside the metric's scale.
        """
        for name, bound in (("floor", self.floor), ("ceiling", self.ceiling)):
            if scale is not None and bound is not None and not 0 <= bound <= scale:
                raise UsageError(f"{name} {bound:g} lies outside the metric's scale, 0–{scale:g}")

    def holds(self, value: float) -> bool:
        """Return whether the value lies between floor and ceiling, rounding errors aside."""
        above = self.floor is None or value >= self.floor or math.isclose(value, self.floor)
        below = self.ceiling is None or value <= self.ceiling or math.isclose(value, self.ceiling)
        return above and below

    @classmethod
    def from_mapping(
        cls,
        mapping: Mapping[str, Any] | None,
        *,
        path: Path | str | None = None,
        line: int | None = None,
    ) -> GateRule:
        """Read the rule of one gate from a suite file.

        Args:
            mapping: The gate's keys; None, as YAML reads an empty entry, is the default rule.
            path: The suite file, for messages.
            line: The gate's 1-based line in it.

        Raises:
            TaskError: An unknown key or a value that cannot be used.
        """
        if not isinstance(mapping, Mapping | None):
            raise TaskError(f"a gate is a mapping of keys, not {mapping!r}", path, line)
        values: dict[str, Any] = {}
        for key, value in (mapping or {}).items():
            if key not in _READERS:
                known = ", ".join(_READERS)
                hint = nearest(str(key), _READERS)
                raise TaskError(f"unknown key {key!r} in a gate; known: {known}.{hint}", path, line)
            try:
                values[key] = _READERS[key](value)
            except UsageError as error:
                raise TaskError(f"{key}: {error}", path, line) from error
        rule = cls(**values)
        problem = rule._contradiction()
        if problem is not None:
            raise TaskError(problem, path, line)
        return rule

    def _contradiction(self) -> str | None:
        # Of margins in different units only a metric can tell which is larger: see margins().
        allowed, detect = self.in_force(scale=1.0)
        if allowed.unit == detect.unit and detect.amount < allowed.amount:
            return _crossed(allowed, detect)
        if self.floor is not None and self.ceiling is not None and self.floor > self.ceiling:
            return f"floor {self.floor:g} is above ceiling {self.ceiling:g}; no value can pass"
        if not self.baseline and self.floor is None and self.ceiling is None:
            return "'baseline: false' leaves nothing to judge by; give a floor or a ceiling"
        return None


def _crossed(allowed: Margin, detect: Margin) -> str:
    return (
        f"must_detect {detect} is smaller than max_drop {allowed}; "
        f"give must_detect a value of at least {allowed}"
    )


def _read_number(value: object) -> float:
    # YAML 1.1 reads 1e-3 as text, so numbers in text are taken too.
    try:
        number = math.nan if isinstance(value, bool) else float(cast("Any", value))
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{value!r} is not a finite number in the metric's own units")
    return number


def _read_share(value: object) -> float:
    percent = isinstance(value, str) and value.strip().endswith("%")
    text = str(value).strip().removesuffix("%")
    try:
        share = math.nan if isinstance(value, bool) else float(text) / (100 if percent else 1)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise UsageError(f"{value!r} is not a share of docs; expected '0.5%' or 0.005")
    return share


def _read_alpha(value: object) -> float:
    alpha = _read_number(value)
    if not 0 < alpha < 0.5:
        raise UsageError(f"{value!r} is not a risk between 0 and 0.5, such as 0.05")
    return alpha


def _read_flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{value!r} is not known; expected true or false")
    return value


def _read_on_undecided(value: object) -> OnUndecided:
    if value == "warn":
        return "warn"
    if value == "fail":
        return "fail"
    hint = nearest(str(value), ("warn", "fail"))
    raise UsageError(f"{value!r} is not known; expected 'warn' or 'fail'.{hint}")


_READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "max_drop": parse_margin,
    "must_detect": parse_margin,
    "floor": _read_number,
    "ceiling": _read_number,
    "on_undecided": _read_on_undecided,
    "max_failed": _read_share,
    "alpha": _read_alpha,
    "baseline": _read_flag,
}
