"""HTTP/1.1 as servers speak it: RFC 9110 and 9112, and what breaks on the way."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from own_authority import authority, certificate
from raw_asking import BODY, SAID, WHOLE, asked, failure, twice, using
from raw_server import answering, raw_server

from pytest_lmmeval.errors import ModelUnavailable
from pytest_lmmeval.models.endpoints.failures import AttemptError
from pytest_lmmeval.models.endpoints.transport import Transport


def chunked(*pieces: bytes) -> bytes:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


def with_coding(name: bytes, content: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (name, len(content)) + content


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


KEPT = {
    "length": WHOLE,
    "chunks": chunked(BODY[:7], BODY[7:8], BODY[8:]),
    "chunks and trailers": chunked(BODY)[:-2] + b"X-Trailer: 1\r\n\r\n",
    "early hints before it": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + WHOLE,
    "continue before it": b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
    "gzip": with_coding(b"gzip", gzip.compress(BODY)),
    "deflate": with_coding(b"Deflate", zlib.compress(BODY)),
    "deflate without zlib's head": with_coding(b"deflate", raw_deflate(BODY)),
    "identity": with_coding(b"identity", BODY),
    "header names in capitals": WHOLE.replace(b"Content-Length", b"CONTENT-LENGTH"),
    "a header of two lines": WHOLE.replace(b"OK\r\n", b"OK\r\nX-A: 1\r\nX-A: 2\r\n"),
    "no reason": WHOLE.replace(b"200 OK", b"200 "),
    "gzip in two members": with_coding(b"gzip", gzip.compress(BODY[:9]) + gzip.compress(BODY[9:])),
    "a trailer that is no header": chunked(BODY)[:-2] + b"Content-Encoding: gzip\r\n\r\n",
    "lines without CR": WHOLE.replace(b"\r\n", b"\n"),
    "a folded header": WHOLE.replace(b"OK\r\n", b"OK\r\nX-A: 1\r\n  2\r\n"),
    "a space behind a chunk's size": chunked(BODY).replace(
        b"%x\r\n" % len(BODY), b"%x \r\n" % len(BODY)
    ),
    "a length beside chunks": chunked(BODY).replace(b"OK\r\n", b"OK\r\nContent-Length: 7\r\n"),
    "an offer of another protocol": WHOLE.replace(
        b"OK\r\n", b"OK\r\nUpgrade: h2\r\nConnection: Upgrade, Keep-Alive\r\n"
    ),
}


@pytest.mark.parametrize("sent", KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("piece", [1, 10**9], ids=["byte by byte", "at once"])
def test_an_answer_in_any_framing_is_read_and_its_connection_used_again(
    sent: bytes, piece: int
) -> None:
    pieces = [sent[i : i + piece] for i in range(0, len(sent), piece)]
    found, server = asked(answering(*pieces), twice)
    assert found == [SAID, SAID]
    assert (server.connections, server.bodies) == (1, [b"{}", b"{}"])


CLOSED = {
    "the end of the connection is the end of the answer": b"HTTP/1.1 200 OK\r\n\r\n" + BODY,
    "an old server": b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY),
    "the server says so": WHOLE.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n"),
}


@pytest.mark.parametrize("sent", CLOSED.values(), ids=CLOSED)
def test_a_connection_that_the_server_ends_is_followed_by_another(sent: bytes) -> None:
    found, server = asked(answering(sent, close=True), twice)
    assert (found, server.connections) == ([SAID, SAID], 2)


def test_a_connection_that_the_server_closed_while_idle_is_not_used_again() -> None:
    async def spaced(transport: Transport, url: str) -> list[Any]:
        first = await transport.request("POST", url, b"{}")
        await asyncio.sleep(0.1)
        return [first, await transport.request("POST", url, b"{}")]

    found, server = asked(answering(WHOLE, close=True), spaced)
    assert (found, server.connections) == ([SAID, SAID], 2)


async def hang_up(_: int, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def reset(_: int, writer: asyncio.StreamWriter) -> None:
    own = writer.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("end", [hang_up, reset])
def test_a_request_that_meets_the_end_of_an_idle_connection_goes_out_again(end: Any) -> None:
    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number in (1, 4):
            await end(number, writer)
        else:
            writer.write(WHOLE)

    async def four_times(transport: Transport, url: str) -> list[Any]:
        return [*await twice(transport, url), *await twice(transport, url)]

    found, server = asked(answer, four_times)
    assert (found, len(server.bodies), server.connections) == ([SAID] * 4, 6, 3)


def test_a_server_that_breaks_down_over_a_request_is_not_asked_at_once() -> None:
    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 0:
            writer.write(WHOLE)
        else:
            await asyncio.sleep(1.1)
            writer.close()

    async def work(transport: Transport, url: str) -> Any:
        await transport.request("POST", url, b"{}")
        with pytest.raises(AttemptError, match="the server closed the connection") as caught:
            await transport.request("POST", url, b"{}")
        return caught.value

    error, server = asked(answer, work)
    assert (error.away, len(server.bodies)) == (True, 2)


@pytest.mark.parametrize("less", [0, 1, len(BODY)], ids=["whole", "nearly whole", "a head"])
def test_what_nobody_asked_for_is_no_answer_to_the_next_request(less: int) -> None:
    unasked = WHOLE.replace(b"said", b"fake")
    sent, rest = unasked[: len(unasked) - less], unasked[len(unasked) - less :]
    first: list[asyncio.StreamWriter] = []

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number == 0:
            first.append(writer)
            writer.write(WHOLE + sent)
        else:
            writer.write((rest if writer in first else b"") + WHOLE)

    found, server = asked(answer, twice)
    assert (found, server.connections) == ([SAID, SAID], 2)


BROKEN: dict[str, tuple[Any, str, str]] = {
    "closed before it": (answering(close=True), "connection", "the server closed the connection"),
    "reset before it": (reset, "connection", "Connection reset by peer"),
    "within its head": (
        answering(WHOLE[:20], close=True),
        "connection",
        "the server closed the connection",
    ),
    "within its body": (
        answering(WHOLE[:-1], close=True),
        "invalid_response",
        "the answer breaks off",
    ),
    "within its chunks": (
        answering(chunked(BODY)[:-5], close=True),
        "invalid_response",
        "the answer breaks off",
    ),
    "no HTTP": (answering(b"SSH-2.0-OpenSSH_9.6\r\n"), "invalid_response", "no HTTP: "),
    "a length that is none": (
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"),
        "invalid_response",
        "no HTTP: ",
    ),
    "another protocol": (
        answering(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        "invalid_response",
        "no HTTP: ",
    ),
    "a broken gzip": (
        answering(with_coding(b"gzip", gzip.compress(BODY)[:-9])),
        "invalid_response",
        "the answer cannot be decompressed (gzip)",
    ),
    "an unknown coding": (
        answering(with_coding(b"br", BODY)),
        "invalid_response",
        "the answer's content coding 'br' was not asked for",
    ),
}


@pytest.mark.parametrize(("answer", "kind", "said"), BROKEN.values(), ids=BROKEN)
def test_an_answer_that_does_not_arrive_whole_is_told_and_tried_again(
    answer: Any, kind: str, said: str
) -> None:
    error = failure(answer)
    assert (error.kind, error.retry) == (kind, True)
    assert error.message.startswith(said)
    assert error.away is (kind == "connection")


@pytest.mark.parametrize("content", [b"", b"\x8b\x02\x80"], ids=["empty", "unreadable"])
@pytest.mark.parametrize("coding", [b"gzip", b"br"])
def test_a_refusal_counts_whatever_the_coding_of_its_words(content: bytes, coding: bytes) -> None:
    refused = with_coding(coding, content).replace(b"200 OK", b"401 No")
    error = failure(answering(refused))
    assert (error.kind, error.status, error.retry) == ("auth", 401, False)


@pytest.mark.parametrize(
    "body",
    [rb'{"text": "\ud83d"}', b'{"logprobs": [NaN, -Infinity]}', b'\xef\xbb\xbf{"text": "x"}'],
    ids=["half a character", "no numbers", "a byte order mark"],
)
def test_json_as_python_writes_it_is_read_as_python_reads_it(body: bytes) -> None:
    sent = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)

    async def once(transport: Transport, url: str) -> Any:
        return await transport.request("POST", url, b"{}")

    found, _ = asked(answering(sent), once)
    assert repr(found) == repr(json.loads(body))


def test_an_answer_that_trickles_is_late_however_much_of_it_came() -> None:
    pieces = [WHOLE[i : i + 1] for i in range(len(WHOLE))]
    error = failure(answering(*pieces, pause=0.02), within=0.2)
    assert (error.kind, error.message) == ("timeout", "no answer within 0.2 s")


def test_after_a_late_answer_its_connection_is_not_used_again() -> None:
    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0 if number else 0.3)
        writer.write(WHOLE if number else WHOLE.replace(b"said", b"late"))
        await writer.drain()

    async def late_then_good(transport: Transport, url: str) -> Any:
        with pytest.raises(AttemptError, match="no answer within"):
            await transport.request("POST", url, b"{}", within=0.1)
        return await transport.request("POST", url, b"{}")

    found, server = asked(answer, late_then_good)
    assert (found, server.connections) == (SAID, 2)


def test_each_request_of_a_connection_has_its_own_limit() -> None:
    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep((0, 0.2, 0, 1.5)[number])
        writer.write(WHOLE)

    async def work(transport: Transport, url: str) -> list[Any]:
        limits = (0.1, 1.0, 60.0)
        found = [await transport.request("POST", url, b"{}", within=limit) for limit in limits]
        with pytest.raises(AttemptError, match=r"no answer within 0\.3 s"):
            await transport.request("POST", url, b"{}", within=0.3)
        return found

    found, server = asked(answer, work)
    assert (found, server.connections) == ([SAID, SAID, SAID], 1)


def test_a_cancelled_request_takes_its_connection_along() -> None:
    async def cancelled_then_good(transport: Transport, url: str) -> Any:
        waiting = asyncio.ensure_future(transport.request("POST", url, b"{}"))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return await transport.request("POST", url, b"{}")

    async def answer(number: int, writer: asyncio.StreamWriter) -> None:
        if number:
            writer.write(WHOLE)

    found, server = asked(answer, cancelled_then_good)
    assert (found, server.connections) == (SAID, 2)


def test_a_body_beyond_any_buffer_arrives_as_it_was_sent() -> None:
    body = json.dumps({"image": "x" * 9_000_000}).encode()

    async def once(transport: Transport, url: str) -> Any:
        return await transport.request("POST", url, body)

    found, server = asked(answering(WHOLE), once)
    assert (found, server.bodies) == (SAID, [body])


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_server_that_refuses_a_body_before_it_has_read_it_is_heard(
    scheme: str, tmp_path: Path
) -> None:
    made, bundle = authority(tmp_path)
    context = certificate(made, "localhost") if scheme == "https" else None
    large = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n"
    connections, ended = 0, asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(WHOLE if b"Content-Length: 2\r\n" in head else large)
        with suppress(ConnectionError):
            while await reader.read(1 << 16):
                pass
        writer.transport.abort()
        ended.set()

    async def run() -> Any:
        async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
            url = f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}/v1"

            async def work(transport: Transport) -> Any:
                with pytest.raises(AttemptError, match="HTTP 413") as caught:
                    await transport.request("POST", url, b"x" * 20_000_000)
                async with asyncio.timeout(10):
                    await ended.wait()
                ended.clear()
                return caught.value, await transport.request("POST", url, b"{}")

            found = await using(work, verify=bundle)
            await ended.wait()
            return found

    error, found = asyncio.run(run())
    assert (error.retry, found, connections) == (False, SAID, 2)


def test_many_at_once_get_each_their_own_answer_on_no_more_connections_than_it_takes() -> None:
    async def many(transport: Transport, url: str) -> list[Any]:
        bodies = [b'{"n":%d}' % n for n in range(200)]
        return await asyncio.gather(*(transport.request("POST", url, body) for body in bodies))

    async def run() -> tuple[list[Any], int]:
        async def answer(number: int, writer: asyncio.StreamWriter) -> None:
            own = server.bodies[number]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(own), own))

        async with raw_server(answer) as server:
            found = await using(lambda transport: many(transport, server.url()))
            return found, server.connections

    found, connections = asyncio.run(run())
    assert found == [{"n": n} for n in range(200)]
    assert connections < 200


def test_a_request_says_what_http_asks_for() -> None:
    async def run() -> list[bytes]:
        async with raw_server(answering(WHOLE)) as server:

            async def work(transport: Transport) -> None:
                await transport.request("POST", f"{server.url()}/a b/é?q=1&r=ü", b"{}")
                await transport.request("GET", server.url("localhost"))

            await using(work, headers={"Authorization": "Bearer s3cret", "user-agent": "own"})
            return [head.replace(b":%d" % server.port, b"") for head in server.heads]

    post, get = asyncio.run(run())
    lines = post.decode().split("\r\n")
    assert lines[0] == "POST /v1/a%20b/%C3%A9?q=1&r=%C3%BC HTTP/1.1"
    assert {"Host: 127.0.0.1", "Content-Length: 2", "Content-Type: application/json"} < {*lines}
    assert {"Authorization: Bearer s3cret", "user-agent: own"} < {*lines}
    assert post.lower().count(b"user-agent") == 1
    assert get.startswith(b"GET /v1 HTTP/1.1\r\nHost: localhost\r\n")
    assert b"content-length" not in get.lower()


def test_a_header_that_would_begin_another_request_is_refused_without_its_value() -> None:
    async def work(transport: Transport) -> None:
        raise AssertionError("it was opened")

    with pytest.raises(ModelUnavailable, match="'X-Key' holds the end of a line") as caught:
        asyncio.run(using(work, headers={"X-Key": "s3cret\r\nHost: elsewhere"}))
    assert "s3cret" not in str(caught.value)


def test_a_server_that_listens_on_one_of_a_names_addresses_is_found() -> None:
    async def run(host: str) -> Any:
        async with raw_server(answering(WHOLE), host) as server:
            url = server.url("localhost" if host == "127.0.0.1" else "[::1]")
            return await using(lambda transport: transport.request("GET", url))

    assert asyncio.run(run("127.0.0.1")) == SAID
    assert asyncio.run(run("::1")) == SAID


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 70 + ".example"])
def test_a_name_that_leads_nowhere_is_told(host: str) -> None:
    async def work(transport: Transport) -> Any:
        with pytest.raises(AttemptError) as caught:
            await transport.request("GET", f"http://{host}/v1")
        return caught.value

    assert asyncio.run(using(work)).kind == "connection"
