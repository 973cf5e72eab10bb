"""Requests through a proxy: when there is one, and what it may answer in a server's place."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from own_authority import authority, certificate
from raw_asking import SAID, WHOLE, twice, using
from raw_server import answering, raw_server

from pytest_lmmeval.models.endpoints.failures import AttemptError
from pytest_lmmeval.models.endpoints.http.proxies import proxy_for
from pytest_lmmeval.models.endpoints.transport import Transport

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://api.example.com/v1", "http://proxy:3128"),
        ("https://inside.example.org/v1", None),
        ("https://port.example.com:8443/v1", None),
        ("https://port.example.com:8444/v1", "http://proxy:3128"),
        ("https://10.1.2.3:8000/v1", None),
        ("https://11.1.2.3:8000/v1", "http://proxy:3128"),
        ("https://[fd00::5]:8000/v1", None),
        ("https://127.0.0.1:8000/v1", None),
        ("https://0.0.0.0:8000/v1", None),
        ("https://localhost/v1", None),
        ("https://localhost./v1", None),
    ],
)
@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_the_environments_proxy_is_used_but_not_for_hosts_that_it_leaves_out(
    url: str, proxy: str | None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "http://proxy:3128")
    monkeypatch.setenv(
        "NO_PROXY", ".example.org, port.example.com:8443, 10.0.0.0/8, fd00::/8, no/network"
    )
    assert proxy_for(url) == proxy


def test_a_proxy_without_a_scheme_is_asked_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "user:s3cret@proxy:3128")
    assert proxy_for("https://api.example.com/v1") == "http://user:s3cret@proxy:3128"


def test_a_proxy_of_another_kind_is_told_without_its_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://user:pass@proxy:1080")
    with pytest.raises(AttemptError, match=r"is socks5h://…, not http:// or https://") as caught:
        proxy_for("https://api.example.com/v1")
    assert (caught.value.retry, "pass" in str(caught.value)) == (False, False)


def test_a_proxy_of_the_environment_is_asked_in_the_servers_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def run() -> tuple[list[Any], list[bytes], int]:
        async with raw_server(answering(WHOLE)) as proxy:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            url = "http://model.example/v1"
            found = await using(lambda transport: twice(transport, url))
            return found, proxy.heads, proxy.connections

    found, heads, connections = asyncio.run(run())
    assert (found, connections) == ([SAID, SAID], 1)
    assert all(head.startswith(b"POST http://model.example/v1 HTTP/1.1\r\n") for head in heads)


def through(
    answer: Any, url: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[AttemptError, list[bytes]]:
    """Return what came of a request through a proxy, and the heads that the proxy got."""

    async def run() -> tuple[AttemptError, list[bytes]]:
        async with raw_server(answer) as proxy:
            for name in ("http_proxy", "https_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

            async def work(transport: Transport) -> AttemptError:
                with pytest.raises(AttemptError) as caught:
                    await transport.request("POST", url, b"{}", within=0.3)
                return caught.value

            headers = {"Authorization": "Bearer s3cret"}
            return await using(work, headers=headers), proxy.heads

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (answering(close=True), "the server closed the connection"),
        (answering(WHOLE[:-1], close=True), "the answer breaks off"),
        (answering(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "no HTTP: "),
        (answering(), "no answer within 0.3 s"),
        (answering(b"HTTP/1.1 407 Authenticate\r\nContent-Length: 0\r\n\r\n"), "HTTP 407"),
    ],
    ids=["closed", "broken off", "no HTTP", "silent", "locked"],
)
def test_behind_a_proxy_faults_have_the_same_names(
    answer: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, _ = through(answer, "http://model.example/v1", monkeypatch)
    assert error.message.startswith(said)


@pytest.mark.parametrize(
    ("status", "retry"), [(407, False), (403, False), (429, True), (502, True), (503, True)]
)
def test_a_proxy_that_opens_no_way_to_a_tls_server_is_told_by_its_status(
    status: int, retry: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = b"HTTP/1.1 %d No Way\r\nContent-Length: 0\r\n\r\n" % status
    error, heads = through(answering(refusal), "https://model.example/v1", monkeypatch)
    assert error.message == f"the proxy answers HTTP {status} No Way"
    assert (error.kind, error.status, error.retry) == ("connection", status, retry)
    assert heads[0].startswith(b"CONNECT model.example:443 HTTP/1.1\r\n")
    assert b"s3cret" not in heads[0]


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(1 << 16):
        writer.write(piece)
    writer.close()


def test_what_passes_through_a_proxy_to_a_tls_server_is_between_the_two_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, bundle = authority(tmp_path)
    opened: list[bytes] = []

    async def run() -> tuple[list[Any], list[bytes]]:
        context = certificate(made, "model.example")
        async with raw_server(answering(WHOLE), context=context) as server:

            async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                opened.append(await reader.readuntil(b"\r\n\r\n"))
                there, back = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await asyncio.gather(carry(reader, back), carry(there, writer))

            async with await asyncio.start_server(tunnel, "127.0.0.1", 0) as proxy:
                port = proxy.sockets[0].getsockname()[1]
                monkeypatch.setenv("https_proxy", f"http://user:pass@127.0.0.1:{port}")
                found = await using(
                    lambda transport: twice(transport, "https://model.example/v1"),
                    headers={"Authorization": "Bearer s3cret"},
                    verify=bundle,
                )
                return found, server.heads

    found, heads = asyncio.run(run())
    assert found == [SAID, SAID]
    assert all(b"\r\nAuthorization: Bearer s3cret\r\n" in head for head in heads)
    assert [head.split()[:2] for head in opened] == [[b"CONNECT", b"model.example:443"]]
    assert b"\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n" in opened[0]
    assert b"s3cret" not in opened[0]


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("127.0.0.1:9", "the proxy 127.0.0.1:9: Connection refused"),
        ("nowhere.invalid:3128", "the proxy nowhere.invalid:3128: "),
    ],
)
def test_a_proxy_that_is_not_there_is_not_taken_for_the_server(
    proxy: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"user:pass@{proxy}")

    async def work(transport: Transport) -> Any:
        with pytest.raises(AttemptError) as caught:
            await transport.request("POST", "http://model.example/v1", b"{}")
        return caught.value

    error = asyncio.run(using(work))
    assert error.message.startswith(said)
    assert (error.away, "pass" in error.message) == (True, False)
