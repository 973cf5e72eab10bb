"""The superclass of models behind an HTTP API: everything but the payload and its answer."""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures as cf
import dataclasses
import os
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from pytest_lmmeval.errors import RequestError, UsageError
from pytest_lmmeval.models.addresses import Address
from pytest_lmmeval.models.base import AsyncLM
from pytest_lmmeval.models.credentials import Scrubber, find_key
from pytest_lmmeval.models.failures import AttemptError, shortened
from pytest_lmmeval.models.messages import has_images
from pytest_lmmeval.models.preflight import Preflight
from pytest_lmmeval.models.retries import Outage, RetryPolicy
from pytest_lmmeval.models.transport import Limits, Transport
from pytest_lmmeval.records import Failure, FailureKind, Instance, Response

_ENCODER_THREADS = 4


class TemplateAPI(AsyncLM):
    """A model behind an HTTP API.

    A subclass says where requests go (``endpoint``), what they hold (``create_payload``) and what
    their answers mean (``parse_response``). Connections, retries, timeouts, keys and the check of
    the server before the first request are here.

    Args:
        model: The model's name, as the server knows it.
        base_url: The server's root, its ``/v1``, or the full URL of the endpoint. Without it the
            environment's OPENAI_API_BASE or OPENAI_BASE_URL.
        api_key: Sent as a bearer token. Without it ``auth_token``, then OPENAI_API_KEY.
        auth_token: Another name for it.
        num_concurrent: Requests in flight.
        timeout: Seconds from sending a request to the end of its answer, for each attempt.
        connect_timeout: Seconds for establishing a connection.
        max_retries: Most attempts at a request, as in lm-eval.
        retry_budget: Seconds after a request's first attempt in which another may begin.
        retry_backoff_s: Seconds before the second attempt; doubles, with jitter, up to 8 s.
        outage_budget: Seconds for which all requests together wait for a server that is away.
        startup_timeout: Seconds for which a server that is away at the start may be starting.
        seed: Sampling seed of lm-eval's tasks.
        max_gen_toks: Most tokens to generate where a task does not say.
        extra_body: Further fields of every request, such as ``{"chat_template_kwargs": {…}}``.
        header: Further HTTP headers.
        verify_certificate: Whether the server's TLS certificate is checked.
        ca_cert_path: A bundle of certificates to check it against.
    """

    endpoint: ClassVar[str]

    def __init__(
        self,
        model: str | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        auth_token: str | None = None,
        num_concurrent: int = 32,
        timeout: float = 300,
        connect_timeout: float = 10,
        max_retries: int = 5,
        retry_budget: float = 600,
        retry_backoff_s: float = 0.5,
        outage_budget: float = 90,
        startup_timeout: float = 0,
        seed: int = 1234,
        max_gen_toks: int | None = None,
        extra_body: dict[str, Any] | None = None,
        header: dict[str, Any] | None = None,
        verify_certificate: bool = True,
        ca_cert_path: str | None = None,
    ) -> None:
        if not model:
            raise UsageError("the argument 'model' is missing: the model's name at the server")
        base_url = base_url or os.getenv("OPENAI_API_BASE") or os.getenv("OPENAI_BASE_URL")
        if not base_url:
            raise UsageError(
                "the argument 'base_url' is missing, for example http://127.0.0.1:8000/v1 (OpenAI's"
                " own is https://api.openai.com/v1)"
            )
        for name, seconds in (("timeout", timeout), ("connect_timeout", connect_timeout)):
            if seconds <= 0:
                raise UsageError(f"{name} must be a number of seconds above 0, not {seconds!r}")
        self.model = model
        self.num_concurrent = max(1, num_concurrent)
        self.seed = seed
        self.max_gen_toks = max_gen_toks
        self.extra_body = dict(extra_body or {})
        self.startup_timeout = startup_timeout
        self.address = Address.parse(base_url, self.endpoint)
        self._key = find_key(api_key, auth_token)
        headers = self._headers(header or {})
        self._scrub = Scrubber([self._key.value, *headers.values(), *(self.address.user or ())])
        limits = Limits(self.num_concurrent, connect_timeout, timeout)
        verify = (ca_cert_path or True) if verify_certificate else False
        self._transport = Transport(headers, limits, self._scrub, verify=verify)
        self._outage = Outage(outage_budget)
        self._retries = RetryPolicy(max_retries, retry_budget, retry_backoff_s, self._outage)
        self._encoders: cf.ThreadPoolExecutor | None = None
        self._engine: str | None = None

    # For subclasses.

    def create_payload(self, request: Instance) -> dict[str, Any]:
        """Return the JSON body that asks for ``request``.

        Runs in a thread if the request holds media.

        Raises:
            RequestError: The request cannot be put to this API.
        """
        raise NotImplementedError

    def parse_response(self, request: Instance, answer: Any) -> Response:
        """Return what the JSON of a successful answer says.

        Raises:
            RequestError: The answer is malformed; the request is sent again.
        """
        raise NotImplementedError

    def credentials(self, key: str) -> dict[str, str]:
        """Return the headers that carry the key, if there is one."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    # For the pipeline.

    async def astart(self) -> None:
        """Connect, and check that the server, the key and the model's name are right.

        Raises:
            ModelUnavailable: They are not; the message says what to do.
        """
        workers = min(_ENCODER_THREADS, os.cpu_count() or 1)
        self._encoders = cf.ThreadPoolExecutor(workers, "lmm-encode")
        await self._transport.open()
        self._engine = await Preflight(
            self._transport,
            self.address,
            self.endpoint,
            has_key=bool(self._key),
            patience=self.startup_timeout,
        ).run(self.model)

    async def aclose(self) -> None:
        """Close all connections and threads."""
        await self._transport.close()
        if self._encoders is not None:
            self._encoders.shutdown(wait=False, cancel_futures=True)
            self._encoders = None

    async def respond(self, request: Instance) -> Response:
        """Send ``request`` until it is answered or has failed for good."""
        try:
            body = await self._encode(request)
        except RequestError as error:
            return self._failed(error.kind, error.message, attempts=0)
        if not self._outage.admits():
            away = f"not sent: the server has been away for over {self._outage.budget:g} s"
            return self._failed("connection", away, attempts=0)
        attempts = 0
        started = 0.0

        async def send() -> Response:
            nonlocal attempts, started
            attempts += 1
            started = time.perf_counter()
            response = await self._attempt(request, body)
            seconds = time.perf_counter() - started
            return dataclasses.replace(response, latency=seconds, attempts=attempts)

        try:
            return await self._retries.run(send)
        except AttemptError as error:
            seconds = time.perf_counter() - started
            return self._failed(error.kind, error.message, attempts=attempts, latency=seconds)

    def identity(self) -> dict[str, str]:
        """Return the model's name, the engine where it told, and what shapes every request."""
        # A path names the model by its last part: where it lies on a machine decides no answer.
        is_path = self.model.startswith(("/", "./", "../", "~"))
        name = self.model.rstrip("/").rpartition("/")[2] if is_path else self.model
        identity = {"model": name, "endpoint": self.endpoint, "seed": str(self.seed)}
        if self._engine is not None:
            identity["engine"] = self._engine
        if self.max_gen_toks is not None:
            identity["max_gen_toks"] = str(self.max_gen_toks)
        if self.extra_body:
            body = orjson.dumps(self.extra_body, option=orjson.OPT_SORT_KEYS).decode()
            identity["extra_body"] = self._scrub(body)
        return identity

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, base_url={self.address.base!r})"

    # Internals.

    async def _encode(self, request: Instance) -> bytes:
        """Build the body once, however often it is sent; images are encoded off the loop."""
        if not has_images(request):
            return self._body(request)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._encoders, self._body, request)

    def _body(self, request: Instance) -> bytes:
        return orjson.dumps({**self.create_payload(request), **self.extra_body})

    async def _attempt(self, request: Instance, body: bytes) -> Response:
        url = self.address.url(self.endpoint)
        try:
            answer = await self._transport.request("POST", url, body)
            self._outage.answered()
            return self.parse_response(request, answer)
        except RequestError as error:
            raise AttemptError(error.kind, self._clean(error.message), retry=True) from None
        except AttemptError as error:
            if error.away:
                self._outage.failed()
            elif error.status:
                self._outage.answered()
            raise

    def _clean(self, message: str) -> str:
        return shortened(self._scrub(message))

    def _failed(
        self, kind: FailureKind, message: str, *, attempts: int, latency: float = 0.0
    ) -> Response:
        failure = Failure(kind, self._clean(message))
        return Response(failure=failure, attempts=attempts, latency=latency)

    def _headers(self, extra: Mapping[str, Any]) -> dict[str, str]:
        """Merge the credentials with what the user gave, which wins."""
        headers = self.credentials(self._key.value)
        if not headers and self.address.user is not None:
            pair = ":".join(self.address.user).encode()
            headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        given = {name.lower() for name in extra}
        kept = {name: value for name, value in headers.items() if name.lower() not in given}
        return kept | {name: str(value) for name, value in extra.items()}
