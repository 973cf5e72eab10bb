"""When a request is sent again, and when the server is given up.

A request may fail ``max_attempts`` times. What shows that the server itself is away (no connection,
a connection that breaks, HTTP 502, 503 or 504) counts only if the server has answered another
request since; else all wait together, for ``outage_budget`` seconds, so that a restart is survived
however many requests were in flight. After that the server counts as gone: requests fail at once,
but for one in a few seconds that tells when it is back.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from pytest_lmmeval.models.failures import AttemptError

T = TypeVar("T")

LONGEST_WAIT = 8.0
SECONDS_BETWEEN_PROBES = 5.0


class Outage:
    """Since when no request has been answered because the server is away.

    Args:
        budget: Seconds after which the server counts as gone.
        clock: Returns seconds, monotonic.
    """

    def __init__(self, budget: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget
        self.answers = 0
        self._clock = clock
        self._since: float | None = None
        self._probed = 0.0

    @property
    def seconds_left(self) -> float:
        """For how much longer requests wait for the server."""
        away = 0.0 if self._since is None else self._clock() - self._since
        return max(0.0, self.budget - away)

    @property
    def over(self) -> bool:
        """Whether the server counts as gone."""
        return self._since is not None and self.seconds_left == 0.0

    def answered(self) -> None:
        """Note that the server answered, whatever it said."""
        self.answers += 1
        self._since = None

    def failed(self) -> None:
        """Note that an attempt found the server away."""
        self._probed = self._clock()
        if self._since is None:
            self._since = self._probed

    def admits(self) -> bool:
        """Whether a request may be sent: always, or now and then once the server is gone."""
        if not self.over:
            return True
        if self._clock() - self._probed < SECONDS_BETWEEN_PROBES:
            return False
        self._probed = self._clock()
        return True


class RetryPolicy:
    """Decides for every request whether and when it is sent again.

    Args:
        max_attempts: How often a request may fail.
        budget: Seconds after a request's first attempt in which another may begin.
        first_wait: Seconds before the second attempt; doubles, with jitter, up to 8 s.
        outage: The state of the server, shared by all requests.
    """

    def __init__(self, max_attempts: int, budget: float, first_wait: float, outage: Outage) -> None:
        self.max_attempts = max_attempts
        self.budget = budget
        self.first_wait = first_wait
        self.outage = outage

    async def run(self, send: Callable[[], Awaitable[T]]) -> T:
        """Call ``send`` until it returns, and return what it does.

        Raises:
            AttemptError: The last one, when there is to be no other attempt.
        """
        request = _Attempts(self)
        try:
            return await send()
        except AttemptError as error:
            behind_us = [error]
        # Only now, for nearly all requests need one attempt, and tenacity costs as much as one.
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(_can_be_retried),
            wait=self._wait,
            stop=request.stop,
            reraise=True,
        ):
            with attempt:
                if behind_us:
                    raise behind_us.pop()
                return await send()
        raise AssertionError("tenacity ends with a result or an error")

    def _wait(self, state: RetryCallState) -> float:
        error = _error_of(state)
        if error.retry_after is not None:
            return error.retry_after + random.uniform(0, self.first_wait)
        backoff = min(LONGEST_WAIT, self.first_wait * 2.0 ** min(state.attempt_number - 1, 16))
        jittered = random.uniform(backoff / 2, backoff)
        return min(jittered, self.outage.seconds_left) if error.away else jittered


class _Attempts:
    """What one request has behind it."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._counted = 0
        self._answers = policy.outage.answers

    def stop(self, state: RetryCallState) -> bool:
        outage = self._policy.outage
        error = _error_of(state)
        if not error.away or outage.answers != self._answers:
            self._counted += 1
        self._answers = outage.answers
        if self._counted >= self._policy.max_attempts or outage.over:
            return True
        if error.away and error.retry_after is None:
            return False  # the wait ends with the outage's budget, and there is a last attempt
        spent = state.seconds_since_start or 0.0
        left = outage.seconds_left if error.away else self._policy.budget - spent
        return state.upcoming_sleep > left


def _can_be_retried(error: BaseException) -> bool:
    return isinstance(error, AttemptError) and error.retry


def _error_of(state: RetryCallState) -> AttemptError:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert isinstance(error, AttemptError)
    return error
