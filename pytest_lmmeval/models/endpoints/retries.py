"""When a request is sent again, and when the server is given up.

A request may fail ``max_attempts`` times. What shows that the server itself is away (no connection,
a connection that breaks, HTTP 502, 503 or 504) counts only if the server has answered another
request since; else all wait together, for ``outage_budget`` seconds, so that a restart is survived
however many requests were in flight. After that the server counts as gone: requests fail at once,
but for one in a few seconds that tells when it is back.

A server in trouble may also answer nothing but HTTP 500, 429 or a proxy's web page. Unless the user
set the number of attempts, that is waited for in the same way; but it may as well be one request's
own fault, so nobody else is refused for it.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from pytest_lmmeval.models.endpoints.failures import AttemptError

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

LONGEST_WAIT = 8.0
SECONDS_BETWEEN_PROBES = 5.0
# What a request met that got no HTTP status.
_UNREADABLE = "an unreadable answer"
_MET = {"connection": "no connection", "timeout": "no answer in time"}


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
        strict: Whether every failure counts that an answer of the server brought.
    """

    def __init__(
        self,
        max_attempts: int,
        budget: float,
        first_wait: float,
        outage: Outage,
        *,
        strict: bool = True,
    ) -> None:
        self.max_attempts = max_attempts
        self.budget = budget
        self.first_wait = first_wait
        self.outage = outage
        self._trouble = None if strict else Outage(outage.budget)
        # What requests may be meeting together.
        self.shared = (outage,) if self._trouble is None else (outage, self._trouble)
        self._asleep: dict[_Attempts, str] = {}

    def answered(self) -> None:
        """Note that a request was answered."""
        for met in self.shared:
            met.answered()

    def failed(self, error: AttemptError) -> None:
        """Note that an attempt failed."""
        met = self.met_by_all(error)
        if met is not None:
            met.failed()
        if error.status and not error.retry:
            self.answered()
        elif error.status and not error.away:
            self.outage.answered()

    def met_by_all(self, error: AttemptError) -> Outage | None:
        """Return what all requests may be meeting, if an error can be a sign of it."""
        if error.away:
            return self.outage
        waits = error.retry and error.kind != "timeout" and error.retry_after is None
        if not waits or self._trouble is None or self._trouble.over:
            return None
        return self._trouble

    def waiting(self) -> dict[str, int]:
        """Return how many requests wait for another attempt, by what they met."""
        return dict(Counter(self._asleep.copy().values()))

    async def run(self, send: Callable[[], Awaitable[T]]) -> T:
        """Call ``send`` until it returns, and return what it does.

        Raises:
            AttemptError: The last one, when there is to be no other attempt.
        """
        answers = [met.answers for met in self.shared]
        try:
            return await send()
        except AttemptError as error:
            behind_us = [error]
        request = _Attempts(self, answers)
        # Only now, for nearly all requests need one attempt, and tenacity costs as much as one.
        # Deferred for the same reason: most runs have no other request.
        from tenacity import AsyncRetrying, retry_if_exception

        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception(_can_be_retried),
                wait=self._wait,
                stop=request.stop,
                before_sleep=lambda state: self._fall_asleep(request, state),
                reraise=True,
            ):
                self._asleep.pop(request, None)
                with attempt:
                    if behind_us:
                        raise behind_us.pop()
                    return await send()
        finally:
            self._asleep.pop(request, None)
        raise AssertionError("tenacity ends with a result or an error")

    def _fall_asleep(self, request: _Attempts, state: RetryCallState) -> None:
        error = _error_of(state)
        self._asleep[request] = (
            f"HTTP {error.status}" if error.status else _MET.get(error.kind, _UNREADABLE)
        )

    def _wait(self, state: RetryCallState) -> float:
        error = _error_of(state)
        if error.retry_after is not None:
            return error.retry_after + random.uniform(0, self.first_wait)
        backoff = min(LONGEST_WAIT, self.first_wait * 2.0 ** min(state.attempt_number - 1, 16))
        jittered = random.uniform(backoff / 2, backoff)
        met = self.met_by_all(error)
        return jittered if met is None else min(jittered, met.seconds_left)


class _Attempts:
    """What one request has behind it.

    Args:
        policy: The policy.
        answers: How many answers there were before it was sent, by what requests may be meeting.
    """

    def __init__(self, policy: RetryPolicy, answers: Sequence[int]) -> None:
        self._policy = policy
        self._counted = 0
        self._answers = dict(zip(policy.shared, answers, strict=True))

    def stop(self, state: RetryCallState) -> bool:
        error = _error_of(state)
        met = self._policy.met_by_all(error)
        if met is None or met.answers != self._answers[met]:
            self._counted += 1
        if met is not None:
            self._answers[met] = met.answers
        if self._counted >= self._policy.max_attempts or self._policy.outage.over:
            return True
        if met is not None and error.retry_after is None:
            return False  # the wait ends with the outage's budget, and there is a last attempt
        spent = state.seconds_since_start or 0.0
        left = self._policy.budget - spent if met is None else met.seconds_left
        return state.upcoming_sleep > left


def _can_be_retried(error: BaseException) -> bool:
    return isinstance(error, AttemptError) and error.retry


def _error_of(state: RetryCallState) -> AttemptError:
    assert state.outcome is not None
    error = state.outcome.exception()
    assert isinstance(error, AttemptError)
    return error
