"""What a task's generation arguments ask for, whatever name each family of tasks gives it.

lm-eval says ``max_gen_toks`` and ``until``, lmms-eval ``max_new_tokens`` and applies no stops with
servers; both carry arguments that mean nothing to a server. Every argument is mapped, known to
change nothing, or refused, so that none is sent or dropped in silence.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_lmmeval.errors import RequestError, nearest
from pytest_lmmeval.records import Instance
from pytest_lmmeval.warnings import LmmWarning

DEFAULT_MAX_TOKENS = {"lm_eval": 256, "lmms_eval": 1024}
# Of several in one of lm-eval's tasks the first counts.
_LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_STOPS = ("stop", "stop_sequences")
# lmms-eval's models of servers read none of these; its tasks set them for models in process.
_WITHOUT_EFFECT: Mapping[str, frozenset[str]] = {
    "lm_eval": frozenset(),
    "lmms_eval": frozenset(
        {
            "image_aspect_ratio",
            "max_agentic_steps",
            "num_beams",
            "repetition_penalty",
            "skip_special_tokens",
            "stop_sequences",
            "top_k",
            "until",
            "visual_cot",
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Generation:
    """A request's generation arguments under one set of names.

    Attributes:
        max_tokens: Most tokens to generate.
        temperature: Sampling temperature; 0 is greedy.
        stop: Strings before the first of which the answer ends.
        do_sample: Whether to sample, where the task says so.
        extra: What else is asked for, by the task's own names.
    """

    max_tokens: int
    temperature: float
    stop: tuple[str, ...]
    do_sample: bool | None
    extra: Mapping[str, Any]


# What was read last: all requests of a task have one mapping.
_last: tuple[Mapping[str, Any], tuple[str, int | None], Generation] | None = None


def read_generation(request: Instance, default_max_tokens: int | None = None) -> Generation:
    """Read a request's ``gen_kwargs`` by the rules of its dialect.

    Args:
        request: A generation request.
        default_max_tokens: For tasks that set none; by default the peer's, 256 or 1024.

    Raises:
        RequestError: An argument has a value of the wrong type, or two of lmms-eval's contradict
            each other.
    """
    global _last
    by, last = (request.dialect, default_max_tokens), _last
    if last is not None and last[0] is request.gen_kwargs and last[1] == by:
        return last[2]
    read = _read(request, default_max_tokens)
    _last = (request.gen_kwargs, by, read)
    return read


def _read(request: Instance, default_max_tokens: int | None) -> Generation:
    given = {name: value for name, value in request.gen_kwargs.items() if value is not None}
    limit = default_max_tokens or DEFAULT_MAX_TOKENS[request.dialect]
    max_tokens = _take_max_tokens(given, limit, request.dialect)
    temperature = given.pop("temperature", 0)
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)):
        raise RequestError("client", f"temperature must be a number, not {temperature!r}")
    do_sample = given.pop("do_sample", None)
    if do_sample is False and temperature and request.dialect == "lm_eval":
        temperature = 0  # as its models in process read it; its API models would sample
    stop = stops_of(request)
    if request.dialect == "lm_eval":
        given.pop("until", None)
    return Generation(max_tokens, temperature, stop, do_sample, given)


def stops_of(request: Instance) -> tuple[str, ...]:
    """Return the strings before the first of which an answer ends; lmms-eval's tasks have none.

    Raises:
        RequestError: They are of the wrong type, or under another name than ``until``.
    """
    if request.dialect == "lmms_eval":
        return ()
    for name in _STOPS:
        if name in request.gen_kwargs:
            raise RequestError("client", f"give the stops in {name!r} as 'until'")
    until = request.gen_kwargs.get("until") or ()
    stops = (until,) if isinstance(until, str) else until
    if not isinstance(stops, Sequence) or not all(isinstance(stop, str) for stop in stops):
        raise RequestError("client", f"until must be a text or a list of texts, not {until!r}")
    return tuple(stop for stop in stops if stop)


def accepted_arguments(
    request: Instance, extra: Mapping[str, Any], accepted: frozenset[str]
) -> dict[str, Any]:
    """Return those of ``extra`` that a model takes.

    Raises:
        RequestError: An argument is neither in ``accepted`` nor known to change nothing.
    """
    if not extra:
        return {}
    sent = {}
    for name, value in extra.items():
        if name in accepted:
            sent[name] = value
        elif name == "num_beams" and value == 1:
            continue
        elif name not in _WITHOUT_EFFECT[request.dialect]:
            raise RequestError(
                "client",
                f"the generation argument {name}={value!r} cannot be sent to this model."
                f"{nearest(name, {*accepted, *_LIMITS, 'temperature', 'until'})}",
            )
    if sent.get("n", 1) != 1:
        raise RequestError("client", f"n must be 1, not {sent['n']!r}: one answer is scored")
    return sent


def cut_at_stops(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """Return ``text`` up to the first of ``stops`` in it, and whether there was one."""
    cut = text
    for stop in stops:
        cut = cut.split(stop, 1)[0]
    return cut, len(cut) < len(text)


def with_end(until: Sequence[str] | None, eos: str | None) -> list[str]:
    """Return stops and, as one more of them, the end of text."""
    stops = list(until or ())
    return stops if eos is None or eos in stops else [*stops, eos]


def _take_max_tokens(given: dict[str, Any], default: int, dialect: str) -> int:
    limits = {name: given.pop(name) for name in _LIMITS if name in given}
    if len({repr(value) for value in limits.values()}) > 1:
        found = " and ".join(f"{name}={value!r}" for name, value in limits.items())
        if dialect != "lm_eval":
            raise RequestError("client", f"{found} contradict each other; give one of them")
        # The order of lm-eval's normalize_gen_kwargs.
        _tell_once(f"{found} contradict each other; the first of them counts")
    for name, value in limits.items():
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if not whole or isinstance(value, bool) or value < 1:
            raise RequestError("client", f"{name} must be a positive integer, not {value!r}")
        return int(value)
    return default


@functools.cache
def _tell_once(message: str) -> None:
    """Warn, but not with every request of a task."""
    warnings.warn(LmmWarning(message), stacklevel=4)
