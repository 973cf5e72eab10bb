"""Servers behind TLS: whose certificates are believed, and what is told of the others."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from own_authority import authority, certificate
from raw_asking import SAID, WHOLE, using
from raw_server import answering, raw_server

from pytest_lmmeval.errors import ModelUnavailable
from pytest_lmmeval.models.endpoints.failures import AttemptError
from pytest_lmmeval.models.endpoints.transport import Transport


def test_certificates_are_checked_unless_the_user_says_otherwise(tmp_path: Path) -> None:
    made, bundle = authority(tmp_path)
    body = b"x" * 3_000_000

    async def run(verify: bool | str, name: str) -> Any:
        context = certificate(made, name)
        async with raw_server(answering(WHOLE), context=context) as server:
            url = server.url("localhost", "https")
            try:
                return await using(
                    lambda transport: transport.request("POST", url, body), verify=verify
                )
            except AttemptError as error:
                return error

    assert asyncio.run(run(bundle, "localhost")) == SAID
    assert asyncio.run(run(False, "elsewhere.example")) == SAID
    for verify, name in ((True, "localhost"), (bundle, "elsewhere.example")):
        error = asyncio.run(run(verify, name))
        assert isinstance(error, AttemptError)
        assert (error.kind, error.retry) == ("connection", False)
        assert "its TLS certificate is not trusted" in error.message
        assert "ca_cert_path=… helps" in error.message


def test_a_server_without_tls_is_told_from_one_that_is_away() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    async def run() -> Any:
        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]

            async def work(transport: Transport) -> Any:
                with pytest.raises(AttemptError, match="is it an http:// address") as caught:
                    await transport.request("GET", f"https://127.0.0.1:{port}/v1")
                return caught.value

            return await using(work)

    assert asyncio.run(run()).retry is False


def test_a_bundle_that_is_not_there_is_told_before_anything_is_sent() -> None:
    async def work(transport: Transport) -> None:
        raise AssertionError("it was opened")

    with pytest.raises(ModelUnavailable, match=r"ca_cert_path 'nowhere.pem': "):
        asyncio.run(using(work, verify="nowhere.pem"))
