"""The check before the first request: is there a server, is it this API, key and model?

``GET /models`` and an empty request, which every server refuses in its own way, tell a wrong
address from a wrong key and a wrong model name within seconds. Servers differ widely here, so only
an answer that leaves no doubt ends the run.
"""

from __future__ import annotations

import asyncio
import fnmatch
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_lmmeval.errors import ModelUnavailable, nearest
from pytest_lmmeval.models.endpoints.addresses import Address
from pytest_lmmeval.models.endpoints.failures import AttemptError
from pytest_lmmeval.models.endpoints.transport import Transport

_ANSWER_WITHIN = 5.0
_POLL_EVERY = 0.25
_NOT_HERE = frozenset({404, 405, 501})
_ENGINES = frozenset({"vllm", "sglang", "llamacpp"})
_MODELS_SHOWN = 8


@dataclass(frozen=True)
class Served:
    """What a server tells of itself, where it does.

    Attributes:
        engine: Its kind.
        context_length: Tokens of prompt and answer together that its model reads.
    """

    engine: str | None
    context_length: int | None


class Preflight:
    """Checks one server for one model.

    Args:
        transport: An open transport.
        address: The server's base URL.
        endpoint: The path below it that requests will go to.
        has_key: Whether requests carry a key, for the advice in a message.
        key_variable: The environment variable that may hold it, for the same.
        patience: Seconds for which a server that is away may still be starting.
    """

    def __init__(
        self,
        transport: Transport,
        address: Address,
        endpoint: str,
        *,
        has_key: bool,
        patience: float,
        key_variable: str = "OPENAI_API_KEY",
    ) -> None:
        self._transport = transport
        self._address = address
        self._endpoint = endpoint
        self._has_key = has_key
        self._key_variable = key_variable
        self._patience = patience

    async def run(self, model: str) -> Served:
        """Check the server for ``model`` and return what it tells of itself.

        Raises:
            ModelUnavailable: One line that says what is wrong and what to do.
        """
        served = _entries(await self._list_models())
        await self._probe_endpoint()
        engines = {str(entry.get("owned_by", "")) for entry in served} & _ENGINES
        _check_name(model, served, self._address.base, strict=bool(engines))
        return Served(min(engines, default=None), _context_length(model, served))

    async def _list_models(self) -> Any:
        """Return what ``/models`` says; None where the server has no usable list."""
        deadline = time.monotonic() + self._patience
        url = self._address.models_url
        while True:
            try:
                return await self._transport.request("GET", url, within=_ANSWER_WITHIN)
            except AttemptError as error:
                if error.away and time.monotonic() < deadline:
                    await asyncio.sleep(_POLL_EVERY)
                elif self._is_unusable_list(error):
                    return None
                else:
                    raise self._unavailable(error) from None

    @staticmethod
    def _is_unusable_list(error: AttemptError) -> bool:
        """Whether a server is there that only does not list its models."""
        broken = error.kind == "invalid_response" and error.message.startswith("the answer")
        return broken or error.status in _NOT_HERE or (error.status >= 500 and not error.away)

    async def _probe_endpoint(self) -> None:
        error = await self._post_nothing()
        if error is not None and error.status == 0 and error.away:
            # uvicorn closes a connection after an internal error that it answered, as to /models.
            error = await self._post_nothing()
        if error is None:
            return
        about_model = "model" in error.message.lower()
        if error.status in _NOT_HERE and not about_model:
            raise ModelUnavailable(
                f"{self._address.base} has no {self._endpoint} ({error.message}); is base_url "
                "right?"
            )
        if error.kind == "auth" or error.away or 300 <= error.status < 400:
            raise self._unavailable(error)

    async def _post_nothing(self) -> AttemptError | None:
        url = self._address.url(self._endpoint)
        try:
            await self._transport.request("POST", url, b"{}", within=_ANSWER_WITHIN)
        except AttemptError as error:
            return error
        return None

    def _unavailable(self, error: AttemptError) -> ModelUnavailable:
        base = self._address.base
        if error.kind == "auth":
            advice = "refuses the API key" if self._has_key else "wants an API key"
            return ModelUnavailable(
                f"{base} {advice} ({error.message}); give api_key=… or set {self._key_variable}"
            )
        if error.status == 503:
            return ModelUnavailable(
                f"{base} is not ready ({error.message}); startup_timeout=120 waits for it"
            )
        if error.status or not error.retry:
            return ModelUnavailable(f"{base} cannot be used: {error.message}")
        return ModelUnavailable(
            f"no model server at {base}: {error.message}. Is it running, and is base_url right?"
        )


def _entries(listing: Any) -> Sequence[Mapping[str, Any]]:
    """Return the entries of a model list in OpenAI's shape, or of a bare list of them."""
    found = listing.get("data") if isinstance(listing, dict) else listing
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _context_length(model: str, entries: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the context of ``model``, as vLLM and SGLang tell it, or llama.cpp of each slot."""
    own = [entry for entry in entries if entry.get("id") == model] or entries
    found = [entry.get("max_model_len") or (entry.get("meta") or {}).get("n_ctx") for entry in own]
    return found[0] if len(found) == 1 and isinstance(found[0], int) else None


def _check_name(
    model: str, entries: Iterable[Mapping[str, Any]], base: str, *, strict: bool
) -> None:
    """Raise ModelUnavailable if the server lists models and ``model`` is not among them.

    ``transformers serve`` lists its download cache, in which a folder never is, so a folder passes
    unless the engine is one whose list is complete.
    """
    served = [
        name
        for entry in entries
        for name in (entry.get("id"), *(entry.get("aliases") or ()))
        if isinstance(name, str)
    ]
    same = {model, f"{model}@main", f"models/{model}"}
    if not served or any(name in same or _is_pattern_of(model, name) for name in served):
        return
    if not strict and os.path.isdir(model):
        return
    names = list(dict.fromkeys(served))
    more = f" and {len(names) - _MODELS_SHOWN} more" if len(names) > _MODELS_SHOWN else ""
    raise ModelUnavailable(
        f"{base} does not serve {model!r}.{nearest(model, names)} It serves "
        f"{', '.join(map(repr, names[:_MODELS_SHOWN]))}{more}."
    )


def _is_pattern_of(model: str, name: str) -> bool:
    """Whether ``name`` is a proxy's wildcard, such as ``openai/*``, that covers ``model``."""
    return "*" in name and fnmatch.fnmatchcase(model, name)
