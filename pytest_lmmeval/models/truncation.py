"""What becomes of a prompt that is longer than the model's context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from pytest_lmmeval.errors import RequestError, UsageError, nearest

Policy: TypeAlias = Literal["left", "error", "skip"]
_POLICIES: tuple[Policy, ...] = ("left", "error", "skip")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A prompt made to fit.

    Attributes:
        tokens: The prompt's last tokens; None if the request is not to be put.
        dropped: How many tokens the model does not see.
    """

    tokens: tuple[int, ...] | None
    dropped: int


def read_policy(truncation: bool | str) -> Policy:
    """Return the policy that a ``truncation`` argument names; true is left and false is error.

    Raises:
        UsageError: There is none of this name.
    """
    if isinstance(truncation, bool):
        return "left" if truncation else "error"
    for policy in _POLICIES:
        if truncation == policy:
            return policy
    raise UsageError(
        f"truncation must be left, error or skip, not {truncation!r}."
        f"{nearest(truncation, _POLICIES)}"
    )


def fit(tokens: Sequence[int], room: int, policy: Policy) -> Fitted:
    """Return ``tokens`` so that at most ``room`` are left, the last ones.

    Raises:
        RequestError: They are too many, and the policy is to say so.
    """
    dropped = max(0, len(tokens) - room)
    if not dropped:
        return Fitted(tuple(tokens), 0)
    if policy == "error":
        raise RequestError("client", f"the prompt has {len(tokens)} tokens, the model takes {room}")
    return Fitted(tuple(tokens[dropped:]) if policy == "left" else None, dropped)
