"""Identical requests are asked once: what one of them is answered, all of them get.

Only likelihoods are shared, which are a function of the request. A generated text is asked for each
time, as the peers do it: a server need not give the same text twice, not even at temperature 0, and
repeats are there to see that.

A failure is nobody's but its own request's: requests that waited for one that failed are then asked
for themselves, so that sharing never costs a doc its answer.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from pytest_lmmeval.pipeline.shards import Key, Request
from pytest_lmmeval.records import Instance, Response

DETERMINISTIC = frozenset({"loglikelihood", "loglikelihood_rolling"})
# About 40 MB of answers; beyond, the one that was not wanted for longest is asked again.
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
        if response is None:
            return None
        self._known.move_to_end(request.key)
        return replace(response, usage={}, latency=0.0, attempts=0, shared=True, recalled=False)

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
        self._known[key] = response
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)


def shared_key(instance: Instance, asked: bytes, scope: object) -> Key | None:
    """Return what tells a request from all that are not identical; None for one never shared.

    Args:
        instance: The request.
        asked: Its digest.
        scope: What must be the same for two requests to share an answer.
    """
    return (scope, asked) if instance.request_type in DETERMINISTIC else None
