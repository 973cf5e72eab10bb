"""What an endpoint really does, found out by asking it before any task's data are opened.

Servers answer HTTP 200 and do something else: llama.cpp and ``transformers serve`` ignore ``echo``,
llama-cpp-python's log-probabilities are off by one, and some drop images. Each need is probed once
for a model, and only when a selected task has it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from pytest_lmmeval.errors import RequestError, Unsupported
from pytest_lmmeval.models.base import Need
from pytest_lmmeval.models.credentials import Scrubber
from pytest_lmmeval.models.endpoints.failures import AttemptError, shortened
from pytest_lmmeval.models.endpoints.image_probe import find_image_fault
from pytest_lmmeval.models.endpoints.likelihood_probe import find_likelihood_fault
from pytest_lmmeval.records import Instance, Response

_ATTEMPTS = 3
_PAUSE = 1.0
# What says nothing about the endpoint's abilities; the run's own requests wait for better times.
_PASSING = frozenset({"connection", "timeout", "rate_limit", "auth"})
_FINDERS = {"image": find_image_fault, "likelihood": find_likelihood_fault}


class Askable(Protocol):
    """An endpoint that can be asked outside the run."""

    async def ask_once(
        self, request: Instance, extra: Mapping[str, Any] | None = None
    ) -> tuple[Response, Any]:
        """See ``EndpointLM``."""


class Unknown(Exception):
    """The endpoint gave no answer that tells anything."""


class Prober:
    """Asks an endpoint what it does. Belongs to the event loop that its model was started on.

    Args:
        model: The model behind the endpoint.
        where: What messages call the endpoint.
        scrub: Hides credentials in what the endpoint says.
    """

    def __init__(self, model: Askable, where: str, scrub: Scrubber) -> None:
        self._model = model
        self._where = where
        self._scrub = scrub
        self._faults: dict[Need, str | None] = {}
        self._one_at_a_time = asyncio.Lock()

    async def require(self, need: Need) -> None:
        """Check that the endpoint does what tasks need.

        Raises:
            Unsupported: It does not; the message says what it did instead.
        """
        async with self._one_at_a_time:
            if need not in self._faults:
                self._faults[need] = await self._find(need)
        if fault := self._faults[need]:
            said = shortened(self._scrub(fault))
            raise Unsupported(f"{self._where} {said} (probe=false asks without this check)")

    async def _find(self, need: Need) -> str | None:
        try:
            return await _FINDERS[need](self._model, self._ask)
        except Unknown:
            return None

    async def _ask(
        self, request: Instance, extra: Mapping[str, Any] | None = None
    ) -> tuple[Response, Any]:
        """Return an answer and its JSON.

        Raises:
            RequestError: The endpoint refused the request, or its answer cannot be used.
            Unknown: It was not reached.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._model.ask_once(request, extra)
            except RequestError as error:
                # As for the run's own requests: what an answer lacks, the next one may have.
                if error.kind != "invalid_response" or attempt == _ATTEMPTS:
                    raise
            except AttemptError as error:
                passing = error.kind in _PASSING or error.away
                # One timeout was long enough to wait.
                is_last = attempt == _ATTEMPTS or not error.retry or error.kind == "timeout"
                if is_last and passing:
                    raise Unknown(error.message) from None
                if is_last:
                    raise RequestError(error.kind, error.message) from None
            await asyncio.sleep(_PAUSE)
        raise AssertionError("the last attempt returns or raises")
