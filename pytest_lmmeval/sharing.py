"""Identical requests are asked once: what one of them is answered, all of them get.

Only likelihoods are shared, which are a function of the request. A generated text is asked for each
time, as the peers do it: a server need not give the same text twice, not even at temperature 0, and
repeats are there to see that.

A failure is nobody's but its own request's: requests that waited for one that failed are then asked
for themselves, so that sharing never costs a doc its answer.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from pytest_lmmeval.records import Instance, Message, Part, Response, TextPart
from pytest_lmmeval.shards import Key, Request
from pytest_lmmeval.tasks.values import media_digest

DETERMINISTIC = frozenset({"loglikelihood", "loglikelihood_rolling"})
# About 25 MB of answers; beyond, the one that was not wanted for longest is asked again.
ANSWERS_KEPT = 65_536


class SharedAnswers:
    """The answers of a process's requests to one model. Lives on the pipeline's event loop.

    Args:
        capacity: How many answers are kept.
    """

    def __init__(self, capacity: int = ANSWERS_KEPT) -> None:
        self._capacity = capacity
        self._known: OrderedDict[Key, Response] = OrderedDict()
        # The request that is in flight, and those that wait for it.
        self._waiting: dict[Key, list[Request]] = {}

    def find(self, request: Request) -> Response | None:
        """Return the answer that an identical request got, or None if none has."""
        if request.key is None:
            return None
        response = self._known.get(request.key)
        if response is not None:
            self._known.move_to_end(request.key)
        return response

    def follow(self, request: Request) -> bool:
        """Let a request wait if an identical one is being asked; otherwise note that it is."""
        if request.key is None or request.alone:
            return False
        waiting = self._waiting.setdefault(request.key, [])
        if waiting:
            # Many docs may wait for one answer; one prompt in memory is enough for all of them.
            alike = replace(request.instance, context=waiting[0].instance.context)
            request = replace(request, instance=alike)
        waiting.append(request)
        return len(waiting) > 1

    def settle(self, request: Request, response: Response) -> list[Request]:
        """Take in an answer.

        Returns:
            The requests that waited for it: ``find`` has their answer now, or it was a failure and
            they are to be asked for themselves.
        """
        if request.key is None:
            return []
        if response.failure is None:
            self._keep(request.key, response)
        if request.alone:
            return []
        _, *waited = self._waiting.pop(request.key)
        return waited if response.failure is None else [replace(r, alone=True) for r in waited]

    def _keep(self, key: Key, response: Response) -> None:
        self._known[key] = replace(response, usage={}, latency=0.0, attempts=0, shared=True)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)


def request_keys(instances: Sequence[Instance], scope: object) -> list[Key | None]:
    """Return what tells each request from all that are not identical; None where none is shared.

    Args:
        instances: The requests of one doc.
        scope: What must be the same for two requests to share an answer.

    Raises:
        OSError: An image file cannot be read.
    """
    keys: list[Key | None] = []
    context: object = None
    asked = hashlib.blake2b(digest_size=16)
    for instance in instances:
        if instance.request_type not in DETERMINISTIC:
            keys.append(None)
            continue
        if instance.context is not context:
            # The choices of one question share a long prompt.
            context = instance.context
            asked = hashlib.blake2b(digest_size=16)
            _add_context(asked, instance.context)
        own = asked.copy()
        settings = sorted(instance.gen_kwargs.items())
        for text in (instance.continuation, instance.request_type, instance.dialect, str(settings)):
            _add(own, text)
        keys.append((scope, own.digest()))
    return keys


def _add_context(asked: hashlib.blake2b, context: str | tuple[Message, ...]) -> None:
    if isinstance(context, str):
        _add(asked, context)
        return
    for message in context:
        _add(asked, message.role)
        _add(asked, str(len(message.content)))
        for part in message.content:
            _add(asked, _shown(part))


def _shown(part: Part) -> str:
    if isinstance(part, TextPart):
        return f"text {part.text}"
    return f"image {media_digest(part.image)}"


def _add(asked: hashlib.blake2b, text: str) -> None:
    # With its length, so that no two lists of texts run into the same bytes.
    encoded = text.encode("utf-8", "surrogatepass")
    asked.update(b"%d:" % len(encoded))
    asked.update(encoded)
