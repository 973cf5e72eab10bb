"""One body on its way to an endpoint: sent until it is answered or has failed for good."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.credentials import Scrubber
from pytest_lmmeval.models.endpoints.failures import AttemptError, shortened
from pytest_lmmeval.models.endpoints.retries import RetryPolicy
from pytest_lmmeval.models.endpoints.slots import Slots
from pytest_lmmeval.models.endpoints.transport import Transport
from pytest_lmmeval.records import Failure, FailureKind, Response


class Sender:
    """Posts bodies to one URL. Belongs to the event loop of its transport.

    Args:
        transport: An open transport.
        url: Where bodies go.
        retries: Whether and when one is sent again.
        scrub: Hides credentials in messages.
        slots: How many bodies are on their way at once.
    """

    def __init__(
        self,
        transport: Transport,
        url: str,
        retries: RetryPolicy,
        scrub: Scrubber,
        slots: Slots,
    ) -> None:
        self._transport = transport
        self._url = url
        self._retries = retries
        self._scrub = scrub
        self._slots = slots

    async def send(
        self, body: bytes, parse: Callable[[Any], Sequence[Response]], count: int = 1
    ) -> list[Response]:
        """Return the answers to the ``count`` requests in ``body``, or as many failures.

        Args:
            body: JSON.
            parse: Reads the JSON of an answer; raises RequestError if it is malformed.
            count: How many requests the body holds.
        """
        outage = self._retries.outage
        if not outage.admits():
            away = f"not sent: the server has been away for over {outage.budget:g} s"
            return [self.failed("connection", away, attempts=0)] * count
        attempts = 0
        started = 0.0

        async def attempt() -> list[Response]:
            nonlocal attempts, started
            async with self._slots.hold():
                attempts += 1
                started = time.perf_counter()
                responses = await self._attempt(body, parse)
            seconds = time.perf_counter() - started
            return [dataclasses.replace(r, latency=seconds, attempts=attempts) for r in responses]

        try:
            return await self._retries.run(attempt)
        except AttemptError as error:
            seconds = time.perf_counter() - started
            failure = self.failed(error.kind, error.message, attempts=attempts, latency=seconds)
            return [failure] * count

    async def send_once(self, body: bytes) -> Any:
        """Return the JSON of the answer to a body that is not sent again.

        Raises:
            AttemptError: There is none.
        """
        return await self._transport.request("POST", self._url, body)

    def failed(
        self, kind: FailureKind, message: str, *, attempts: int, latency: float = 0.0
    ) -> Response:
        """Return the response to a request that failed for good."""
        failure = Failure(kind, shortened(self._scrub(message)))
        return Response(failure=failure, attempts=attempts, latency=latency)

    async def _attempt(
        self, body: bytes, parse: Callable[[Any], Sequence[Response]]
    ) -> Sequence[Response]:
        try:
            answer = await self._transport.request("POST", self._url, body)
            responses = parse(answer)
        except RequestError as error:
            # What the answer lacks today it may have tomorrow; what cannot be read at all will not.
            again = error.kind == "invalid_response"
            failure = AttemptError(error.kind, shortened(self._scrub(error.message)), retry=again)
            self._retries.failed(failure)
            raise failure from None
        except AttemptError as error:
            self._retries.failed(error)
            raise
        self._retries.answered()
        return responses
