"""A model server for tests: real HTTP on loopback, answers by script, faults on demand.

::

    def script(request: Received) -> Reply | str:
        return "B" if "capital" in request.prompt else Reply(status=429)

    with ScriptedServer(script) as server:
        ...  # server.url, server.requests
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self, TypeAlias

from pytest_lmmeval.models.endpoints.image_probe import QUESTION

MODEL = "test-model"


@dataclass(frozen=True)
class Received:
    """A request as it arrived.

    Attributes:
        number: Its place among the requests of the server, from 0.
        attempt: How often the same body came before.
        path: Its path.
        headers: Its headers, with lower-case names.
        body: Its bytes.
    """

    number: int
    attempt: int
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def prompt(self) -> str:
        """The texts of all messages, or the prompt of a completion."""
        payload = self.json
        if "messages" not in payload:
            return str(payload.get("prompt", ""))
        return "".join(part["text"] for part in self._parts() if part["type"] == "text")

    @property
    def images(self) -> list[bytes]:
        """The encoded images of all messages, in order."""
        urls = [part["image_url"]["url"] for part in self._parts() if part["type"] == "image_url"]
        return [base64.b64decode(url.partition("base64,")[2]) for url in urls]

    def _parts(self) -> Iterator[Any]:
        for message in self.json["messages"]:
            content = message["content"]
            yield from [{"type": "text", "text": content}] if isinstance(content, str) else content


@dataclass(frozen=True)
class Reply:
    """What a script answers.

    Attributes:
        text: The content of the message, if ``body`` is not given.
        status: The HTTP status.
        body: Instead of a chat completion: JSON, or bytes as they are.
        headers: Further headers.
        delay: Seconds before the answer.
        finish_reason: That of the choice.
        fault: ``reset`` breaks the connection, ``truncate`` ends the answer halfway.
    """

    text: str | None = None
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    finish_reason: str = "stop"
    fault: Literal["reset", "truncate"] | None = None

    def encoded(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        if self.body is not None:
            return json.dumps(self.body).encode()
        if self.status != 200:
            return json.dumps({"error": {"message": f"scripted {self.status}"}}).encode()
        return json.dumps(completion(self.text, self.finish_reason)).encode()


Script: TypeAlias = Callable[[Received], Reply | str]


def completion(text: str | None, finish_reason: str = "stop", **message: Any) -> dict[str, Any]:
    """Return a chat completion as OpenAI sends it."""
    content = {"role": "assistant", "content": text, **message}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [{"index": 0, "message": content, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    }


def echo(request: Received) -> str:
    """Answer with the prompt."""
    return request.prompt


class ScriptedServer:
    """An OpenAI-compatible server in a thread, as a context manager; can be stopped and restarted.

    Args:
        script: Answers each request but those for ``/models`` and empty ones.
        models: What ``/v1/models`` lists, or the reply to that.
        key: If given, requests without it as bearer token get 401.
        port: A port, or 0 for a free one.
        missing: Whether there is no API: whatever is posted gets 404.
        sees_probes: Whether the script answers the image probe's questions too. Otherwise they get
            an answer that tells nothing, and are not among ``requests``.
    """

    def __init__(
        self,
        script: Script = echo,
        *,
        models: Sequence[str] | Reply = (MODEL,),
        key: str | None = None,
        port: int = 0,
        missing: bool = False,
        sees_probes: bool = False,
    ) -> None:
        self.script = script
        self.sees_probes = sees_probes
        self.missing = missing
        self.models = models
        self.key = key
        self.port = port
        self.requests: list[Received] = []
        self.most_at_once = 0
        self._at_once = 0
        self._bodies: dict[bytes, int] = {}
        self._lock = threading.Lock()
        self._http: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The base URL, for example ``http://127.0.0.1:8000/v1``."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        self._http = _Server(("127.0.0.1", self.port), self)
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        """End the server and break its connections, as a crash would."""
        if self._http is None or self._thread is None:
            return
        self._http.shutdown()
        self._thread.join()
        self._http.break_connections()
        self._http.server_close()
        self._http = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def receive(self, path: str, headers: Mapping[str, str], body: bytes) -> Received:
        with self._lock:
            attempt = self._bodies.get(body, 0)
            self._bodies[body] = attempt + 1
            request = Received(len(self.requests), attempt, path, headers, body)
            self.requests.append(request)
        return request

    @contextlib.contextmanager
    def in_flight(self) -> Iterator[None]:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            yield
        finally:
            with self._lock:
                self._at_once -= 1


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], owner: ScriptedServer) -> None:
        self.owner = owner
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def break_connections(self) -> None:
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        models = self.server.owner.models
        if not self._has_key():
            self._send(_refused())
        elif not self.path.endswith("/models"):
            self._send(Reply(status=200 if self.path == "/health" else 404))
        elif isinstance(models, Reply):
            self._send(models)
        else:
            entries = [{"id": name, "object": "model", "owned_by": "test"} for name in models]
            self._send(Reply(body={"object": "list", "data": entries}))

    def do_POST(self) -> None:
        owner = self.server.owner
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._has_key():
            self._send(_refused())
        elif owner.missing:
            self._send(Reply(status=404, body=b"<h1>Not Found</h1>"))
        elif body == b"{}":
            self._send(Reply(status=400, body={"error": {"message": "'messages' is required"}}))
        elif not owner.sees_probes and QUESTION.encode() in body:
            self._send(Reply("a picture"))
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            with owner.in_flight():
                reply = owner.script(owner.receive(self.path, headers, body))
                self._send(Reply(reply) if isinstance(reply, str) else reply)

    def log_message(self, *_: object) -> None:
        """Keep the terminal to the tests."""

    def _has_key(self) -> bool:
        key = self.server.owner.key
        return key is None or self.headers.get("Authorization") == f"Bearer {key}"

    def _send(self, reply: Reply) -> None:
        time.sleep(reply.delay)
        if reply.fault == "reset":
            # Lingering for no time makes the kernel send RST.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
            return
        content = reply.encoded()
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if reply.fault == "truncate":
            self.close_connection = True
            content = content[: len(content) // 2]
        self.wfile.write(content)


def _refused() -> Reply:
    return Reply(status=401, body={"error": {"message": "Incorrect API key provided"}})
