"""A model behind one endpoint of an HTTP API: connection, key, check, retries."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import orjson

from pytest_lmmeval.errors import ModelUnavailable, RequestError, UsageError
from pytest_lmmeval.models.base import AsyncLM, Need
from pytest_lmmeval.models.credentials import Scrubber, SecretHeaders, find_key
from pytest_lmmeval.models.endpoints.addresses import Address, find_url
from pytest_lmmeval.models.endpoints.failures import shortened
from pytest_lmmeval.models.endpoints.opened import OpenedEndpoint
from pytest_lmmeval.models.endpoints.preflight import Preflight
from pytest_lmmeval.models.endpoints.retries import Outage, RetryPolicy
from pytest_lmmeval.models.endpoints.sending import Sender
from pytest_lmmeval.models.endpoints.slots import AdaptiveSlots, FixedSlots
from pytest_lmmeval.models.endpoints.transport import Limits, Transport
from pytest_lmmeval.models.messages import has_media, without_media
from pytest_lmmeval.records import Failure, Instance, Response

if TYPE_CHECKING:
    from pytest_lmmeval.models.endpoints.probing import Prober

_ATTEMPTS = 5


class EndpointLM(AsyncLM):
    """A model behind one endpoint of an HTTP API.

    A subclass says where requests go (``endpoint``), what they hold (``create_payload``) and what
    their answers mean (``parse_response``). Connections, retries, timeouts, keys and the check of
    the server before the first request are here.

    Args:
        model: The model's name, as the server knows it.
        base_url: The server's root, its ``/v1``, or the full URL of the endpoint. Without it the
            environment's OPENAI_API_BASE or OPENAI_BASE_URL.
        api_key: Sent as a bearer token. Without it ``auth_token``, then OPENAI_API_KEY, then the
            password of the host's entry in the netrc file.
        auth_token: Another name for it.
        num_concurrent: Requests in flight; ``auto`` finds how many the server can work on.
        max_concurrent: Most of them with ``auto``; 512.
        timeout: Seconds from sending a request to the end of its answer, for each attempt.
        connect_timeout: Seconds for establishing a connection.
        max_retries: Most attempts at a request, as in lm-eval. Without it five, and what all
            requests meet together is waited out like a restart.
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
        probe: Whether the endpoint is asked what it can do before tasks that need likelihoods or
            images; see ``probing``.

    Attributes:
        endpoint: The path below the base URL that requests go to; "" if ``base_url`` has it.
        root: The path of a base URL that is given without one.
        key_variable: The environment variable that may hold the key.
        url_variables: Those that may hold the base URL.
        logprobs_wanted: Further fields of a body that ask for the log-probabilities of what is
            generated, where the API has them.
    """

    endpoint: ClassVar[str]
    root: ClassVar[str] = "/v1"
    key_variable: ClassVar[str] = "OPENAI_API_KEY"
    url_variables: ClassVar[Sequence[str]] = ("OPENAI_API_BASE", "OPENAI_BASE_URL")
    logprobs_wanted: ClassVar[Mapping[str, Any]] = {}
    sends_no_bos = False

    def __init__(
        self,
        model: str | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        auth_token: str | None = None,
        num_concurrent: int | Literal["auto"] = 32,
        max_concurrent: int | None = None,
        timeout: float = 300,
        connect_timeout: float = 10,
        max_retries: int | None = None,
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
        probe: bool = True,
    ) -> None:
        if not model:
            raise UsageError("the argument 'model' is missing: the model's name at the server")
        for name, seconds in (("timeout", timeout), ("connect_timeout", connect_timeout)):
            if seconds <= 0:
                raise UsageError(f"{name} must be a number of seconds above 0, not {seconds!r}")
        self.model = model
        self.adaptive = AdaptiveSlots.asked_for(num_concurrent, max_concurrent)
        self.num_concurrent = self.adaptive.most if self.adaptive else max(1, int(num_concurrent))
        self._bodies = self.num_concurrent  # a subclass may put several requests into one
        self.seed = seed
        self.max_gen_toks = max_gen_toks
        self.extra_body = dict(extra_body or {})
        self.startup_timeout = startup_timeout
        url = find_url(base_url, self.url_variables)
        self.address = Address.parse(url, self.endpoint, self.root)
        self._key = find_key(
            api_key, auth_token, variable=self.key_variable, host=self.address.host
        )
        self._given_header = SecretHeaders(header or {})
        self._limits = Limits(connect_timeout, timeout)
        self._verify: bool | str = (ca_cert_path or True) if verify_certificate else False
        self._retries = RetryPolicy(
            _ATTEMPTS if max_retries is None else max_retries,
            retry_budget,
            retry_backoff_s,
            Outage(outage_budget),
            strict=max_retries is not None,
        )
        self._opened: OpenedEndpoint | None = None
        self.engine: str | None = None
        self.context_length: int | None = None
        self._is_probed = probe
        self._prober: Prober | None = None

    # For subclasses.

    def create_payload(self, request: Instance) -> dict[str, Any]:
        """Return the JSON body that asks for ``request``.

        Runs in a thread where requests with media take long.

        Raises:
            RequestError: The request cannot be put to this API.
        """
        raise NotImplementedError

    def parse_response(self, request: Instance, answer: Any) -> Response:
        """Return what the JSON of a successful answer says.

        Raises:
            RequestError: The answer is malformed; with the kind "invalid_response" the request is
                sent again.
        """
        raise NotImplementedError

    @property
    def api_key(self) -> str:
        """The key that requests carry; empty if there is none."""
        return self._key.value

    def credentials(self, key: str) -> dict[str, str]:
        """Return the headers that carry the key, if there is one."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    @property
    def header(self) -> dict[str, str]:
        """The headers of every request: the credentials, and what the user gave, which wins."""
        headers = self.credentials(self.api_key)
        if not headers and self.address.user is not None:
            pair = ":".join(self.address.user).encode()
            headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        given = {name.lower() for name in self._given_header}
        kept = {name: value for name, value in headers.items() if name.lower() not in given}
        return kept | {name: str(value) for name, value in self._given_header.items()}

    # For the pipeline.

    async def astart(self) -> None:
        """Connect, and check that the server, the key and the model's name are right.

        Raises:
            ModelUnavailable: They are not; the message says what to do.
        """
        try:
            headers = self.header
        except (ValueError, KeyError) as error:
            # How lm-eval's subclasses say that a key is missing.
            raise ModelUnavailable(str(error)) from error
        transport = Transport(headers, self._limits, self._scrub, verify=self._verify)
        await transport.open()
        sender = Sender(
            transport,
            self.address.url(self.endpoint),
            self._retries,
            self._scrub,
            self.adaptive or FixedSlots(self._bodies),
        )
        self._opened = OpenedEndpoint(transport, sender)
        served = await Preflight(
            transport,
            self.address,
            self.endpoint,
            has_key=bool(self.api_key),
            patience=self.startup_timeout,
            key_variable=self.key_variable,
        ).run(self.model)
        self.engine, self.context_length = served.engine, served.context_length
        self._prober = None  # what an earlier start found out may hold no longer

    async def probe(self, need: Need) -> None:
        """Find out, by asking, whether the endpoint does what a task needs; once for each need.

        Raises:
            Unsupported: It does not; the message says what it did instead.
        """
        if not self._is_probed:
            return
        if self._prober is None:
            # Deferred: who asks for texts alone needs no probe.
            from pytest_lmmeval.models.endpoints.probing import Prober

            self._prober = Prober(self, self.address.base, self._scrub)
        await self._prober.require(need)

    async def ask_once(
        self, request: Instance, extra: Mapping[str, Any] | None = None
    ) -> tuple[Response, Any]:
        """Return the response to a request that is sent once, and the JSON it was read from.

        Args:
            request: The request.
            extra: Further fields of its body.

        Raises:
            RequestError: It cannot be put, or the answer cannot be read.
            AttemptError: There is no answer.
        """
        answer = await self._post_once(self.create_payload(request), extra)
        return self.parse_response(request, answer), answer

    def count_tokens(self, text: str) -> int | None:
        """Return the number of a text's tokens, special ones left out; None without a tokenizer."""
        return None

    async def count_tokens_there(self, text: str) -> int | None:
        """Return how many tokens the server makes of a text, None if it does not tell."""
        return None

    def resized_images(self, request: Instance) -> int:
        """Return how many images of a request, once its body is made, are sent smaller."""
        return 0

    async def _post_once(self, payload: Mapping[str, Any], extra: Mapping[str, Any] | None) -> Any:
        return await self._here.sender.send_once(self._dump({**payload, **(extra or {})}))

    def waiting(self) -> dict[str, int]:
        """Return how many requests wait for another attempt; see ``AsyncLM``."""
        return self._retries.waiting()

    async def aclose(self) -> None:
        """Close all connections and threads."""
        if self._opened is not None:
            await self._opened.close()

    async def respond(self, request: Instance) -> Response:
        """Send ``request`` until it is answered or has failed for good."""
        shows, resized = has_media(request), 0
        try:
            if shows:
                body = await self._here.off_loop(lambda: self._dump(self.create_payload(request)))
            else:
                body = self._dump(self.create_payload(request))
        except RequestError as error:
            return self._failed(error)
        if shows:
            resized = self.resized_images(request)
            # While the answer is on its way, the body is all that is needed of the media.
            request = without_media(request)
        (response,) = await self._here.sender.send(
            body, lambda answer: [self.parse_response(request, answer)]
        )
        return dataclasses.replace(response, resized=resized) if resized else response

    def identity(self) -> dict[str, str]:
        """Return the model's name, the engine where it told, and what shapes every request."""
        # A path names the model by its last part: where it lies on a machine decides no answer.
        is_path = self.model.startswith(("/", "./", "../", "~"))
        name = self.model.rstrip("/").rpartition("/")[2] if is_path else self.model
        identity = {"model": name, "endpoint": self.endpoint, "seed": str(self.seed)}
        if self.engine is not None:
            identity["engine"] = self.engine
        if self.max_gen_toks is not None:
            identity["max_gen_toks"] = str(self.max_gen_toks)
        if self.extra_body:
            body = orjson.dumps(self.extra_body, option=orjson.OPT_SORT_KEYS).decode()
            identity["extra_body"] = self._scrub(body)
        return identity

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self.model!r}, base_url={self.address.base!r})"

    # Internals.

    @cached_property
    def _scrub(self) -> Scrubber:
        return Scrubber([self.api_key, *self.header.values(), *(self.address.user or ())])

    @property
    def _here(self) -> OpenedEndpoint:
        assert self._opened is not None, "the model was not started"
        return self._opened

    def _dump(self, payload: Mapping[str, Any]) -> bytes:
        return orjson.dumps({**payload, **self.extra_body})

    def _failed(self, error: RequestError) -> Response:
        """Return the response to a request that cannot be sent."""
        message = shortened(self._scrub(error.message))
        return Response(failure=Failure(error.kind, message), attempts=0)
