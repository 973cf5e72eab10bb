"""A server that answers at once, after a fixed time, or with a heavy tail, and counts.

    python -m throughput.server --port 0 --vocabulary tokenizer.json

One thread and no framework, so that what is measured is the client: a short request costs it about
20 to 40 µs. It prints its port and ends when its standard input does.

- ``/v1/chat/completions`` and ``/v1/completions``: the answer to the doc whose marker ``DOC-<n>``
  the request holds is ``answer(n)``.
- ``/v1/completions`` with ``echo``: each token of a prompt of token ids has a log-probability that
  depends on the token alone, so that a client's sums can be checked.
- ``/reset?latency=…&fault_share=…`` sets both and begins to count anew; ``/stats`` tells.

Latency is drawn by a generator that is seeded with the doc, so all clients see the same.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import math
import random
import re
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

GREEDY = " the"
_MARKER = re.compile(rb"DOC-(\d+)")
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
# The marker is near an end of the body; between may lie the megabyte of an image.
_NEAR = 4096
# Requests of a client's own before the docs (is it alive, what can it do) have no marker, and those
# that score are shorter.
_SHORTEST_SCORED_DOC = 200
_P99 = 2.3263478740408408


def answer(doc: int) -> str:
    """Return what the server answers about a doc."""
    return f"The answer is {doc * 7 % 1000}."


@dataclass
class Latency:
    """How long a request takes: nothing, ``fixed:SECONDS``, or ``tail:MEDIAN,P99,MOST``."""

    text: str = "zero"

    def of(self, seed: bytes) -> float:
        """Return seconds; of a log-normal distribution with that median and 99th percentile."""
        kind, _, rest = self.text.partition(":")
        if kind == "zero":
            return 0.0
        values = [float(value) for value in rest.split(",")]
        if kind == "fixed":
            return values[0]
        median, p99, most = values
        draw = random.Random(seed).lognormvariate(math.log(median), math.log(p99 / median) / _P99)
        return min(most, draw)


@dataclass
class Stats:
    """What was counted since the last reset; times in seconds of the server's clock."""

    requests: int = 0
    faults: int = 0
    first: float = 0.0
    last: float = 0.0
    in_flight: int = 0
    most_in_flight: int = 0
    cpu_before: float = field(default_factory=time.process_time)

    def begin(self) -> None:
        """Count a request that came in."""
        self.first = self.first or time.perf_counter()
        self.requests += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def end(self) -> None:
        """Count an answer that went out."""
        self.last = time.perf_counter()
        self.in_flight -= 1

    def shown(self) -> dict[str, float]:
        """Return the figures; ``phase`` is from the first request to the last answer."""
        return {
            "requests": self.requests,
            "faults": self.faults,
            "phase": self.last - self.first,
            "most_in_flight": self.most_in_flight,
            "cpu": time.process_time() - self.cpu_before,
        }


class Scores:
    """Log-probabilities of tokens, as pieces of JSON.

    Args:
        vocabulary: The ``tokenizer.json`` of the clients.
    """

    def __init__(self, vocabulary: Path | None) -> None:
        ids: dict[str, int] = {}
        if vocabulary is not None:
            ids = json.loads(vocabulary.read_text(encoding="utf-8"))["model"]["vocab"]
        self._texts = {number: text.replace("Ġ", " ") for text, number in ids.items()}

    def logprob(self, token: int) -> float:
        """Return the log-probability of a token, the same everywhere."""
        if self._texts.get(token) == GREEDY:
            return -0.05
        return -3.0 - token * 7919 % 997 / 100

    def choice(self, index: int, prompt: list[int]) -> dict[str, Any]:
        """Return the choice of a completion that echoes a prompt and continues it by one token."""
        tokens = [self._texts.get(token, "?") for token in prompt] + [GREEDY]
        scored = [self.logprob(token) for token in prompt] + [-0.05]
        tops = [{token: score} if token == GREEDY else {GREEDY: -0.05, token: score}
                for token, score in zip(tokens, scored, strict=True)]  # fmt: skip
        logprobs = {
            "tokens": tokens,
            "token_logprobs": [None, *scored[1:]],
            "top_logprobs": [None, *tops[1:]],
        }
        return {"index": index, "text": "", "finish_reason": "length", "logprobs": logprobs}


class Service:
    """Makes answers and counts requests.

    Args:
        scores: Where log-probabilities come from.
        record: File to which the bodies of docs' requests are appended, one a line.
    """

    def __init__(self, scores: Scores, record: Path | None = None) -> None:
        self.latency = Latency()
        self.fault_share = 0.0
        self.stats = Stats()
        self._scores = scores
        self._record = record.open("ab") if record is not None else None
        self._attempts: Counter[bytes] = Counter()

    def reset(self, settings: dict[str, str]) -> None:
        """Take other settings and begin to count anew."""
        self.latency = Latency(settings.get("latency", "zero"))
        self.fault_share = float(settings.get("fault_share", 0))
        self.stats = Stats()
        self._attempts.clear()
        if self._record is not None:
            self._record.flush()
            self._record.truncate(0)

    def flush(self) -> None:
        """Write out what was recorded."""
        if self._record is not None:
            self._record.flush()

    def note(self, body: bytes) -> None:
        """Record a body."""
        if self._record is not None:
            self._record.write(body + b"\n")

    def fault(self, doc: bytes) -> str | None:
        """Return what goes wrong with this attempt at a doc, by chance that is seeded with both."""
        if not self.fault_share:
            return None
        self._attempts[doc] += 1
        draw = random.Random(b"%s/%d" % (doc, self._attempts[doc]))
        if draw.random() >= self.fault_share:
            return None
        self.stats.faults += 1
        return draw.choice(("429", "500", "reset", "truncated"))

    def answered(self, path: str, doc: bytes | None, body: bytes) -> bytes:
        """Return the JSON of an answer."""
        if path.endswith("/completions") and not path.endswith("/chat/completions"):
            asked = json.loads(body)
            if asked.get("echo"):
                return self._echoed(asked)
            if doc is None:
                return self._continued()
            return _completion({"text": answer(int(doc))})
        content = answer(int(doc)) if doc is not None else "Yes."
        return _completion({"message": {"role": "assistant", "content": content}})

    def _echoed(self, asked: dict[str, Any]) -> bytes:
        prompts = asked["prompt"]
        if isinstance(prompts[0], int):
            prompts = [prompts]
        choices = [self._scores.choice(index, prompt) for index, prompt in enumerate(prompts)]
        usage = {"prompt_tokens": sum(map(len, prompts)), "completion_tokens": len(prompts)}
        return json.dumps({"choices": choices, "usage": usage}).encode()

    def _continued(self) -> bytes:
        logprobs = {
            "tokens": [GREEDY],
            "token_logprobs": [-0.05],
            "top_logprobs": [{GREEDY: -0.05}],
        }
        return _completion({"text": GREEDY, "logprobs": logprobs})


def _completion(choice: dict[str, Any]) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", **choice}
    usage = {"prompt_tokens": 60, "completion_tokens": 6, "total_tokens": 66}
    return orjson.dumps({"id": "1", "model": "m", "choices": [choice], "usage": usage})


class Connection(asyncio.Protocol):
    """One client's connection: HTTP/1.1, kept alive, one request at a time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = bytearray()
        self._whole: int | None = None
        self._start = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._received += data
        while self._is_whole():
            whole = bytes(self._received[: self._whole])
            del self._received[: self._whole]
            head, body = whole[: self._start], whole[self._start :]
            self._whole = None
            self._handle(head.split(b" ", 2)[1].decode(), body)

    def _is_whole(self) -> bool:
        if self._whole is None:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return False
            self._start = end + 4
            length = _LENGTH.search(self._received, 0, end)
            self._whole = self._start + (int(length[1]) if length else 0)
        return len(self._received) >= self._whole

    def _handle(self, target: str, body: bytes) -> None:
        url = urlsplit(target)
        if url.path == "/reset":
            self._service.reset(dict(parse_qsl(url.query)))
            self._send(200, b"{}")
        elif url.path == "/stats":
            self._service.flush()
            self._send(200, json.dumps(self._service.stats.shown()).encode())
        elif not body:
            self._send(200, b'{"object": "list", "data": [{"id": "m", "max_model_len": 2048}]}')
        else:
            self._answer(url.path, body)

    def _answer(self, path: str, body: bytes) -> None:
        found = _MARKER.search(body, 0, _NEAR) or _MARKER.search(body, max(0, len(body) - _NEAR))
        doc = found[1] if found else None
        if doc is None and (b'"echo"' not in body or len(body) < _SHORTEST_SCORED_DOC):
            self._send(200, self._service.answered(path, doc, body))
            return
        self._service.stats.begin()
        self._service.note(body)
        seed = doc or hashlib.blake2b(body, digest_size=8).digest()
        fault = self._service.fault(seed)
        content = b"" if fault in ("429", "500") else self._service.answered(path, doc, body)
        delay = self._service.latency.of(seed)
        if delay:
            asyncio.get_running_loop().call_later(delay, self._finish, fault, content)
        else:
            self._finish(fault, content)

    def _finish(self, fault: str | None, content: bytes) -> None:
        self._service.stats.end()
        if fault == "reset":
            self._transport.abort()
        elif fault == "truncated":
            self._send(200, content, sent=len(content) // 2)
            self._transport.close()
        elif fault is not None:
            self._send(int(fault), b'{"error": {"message": "injected"}}')
        else:
            self._send(200, content)

    def _send(self, status: int, content: bytes, sent: int | None = None) -> None:
        more = b"Retry-After: 0\r\n" if status == 429 else b""
        head = b"HTTP/1.1 %d .\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
        self._transport.write(head % (status, more, len(content)) + content[:sent])


async def serve(port: int, service: Service) -> None:
    """Serve on loopback until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(service), "127.0.0.1", port, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    done = asyncio.Event()

    def wait_for_the_end() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    await done.wait()
    service.flush()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--vocabulary", type=Path)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    asyncio.run(serve(options.port, Service(Scores(options.vocabulary), options.record)))


if __name__ == "__main__":
    main()
