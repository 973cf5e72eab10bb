"""A wrong address, key or model name is told in one line before anything is sent."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from asking import ask, request
from servers import MODEL, Reply, ScriptedServer

from pytest_lmmeval.errors import ModelUnavailable, UsageError
from pytest_lmmeval.models.endpoints import preflight
from pytest_lmmeval.models.endpoints.addresses import Address
from pytest_lmmeval.models.endpoints.completions import Completions
from pytest_lmmeval.models.endpoints.openai import OpenAIChat


@pytest.fixture(autouse=True)
def _no_key_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def refusal(base_url: str, model: str = MODEL, **arguments: Any) -> str:
    """Return why the model cannot be started, which is one line."""
    with pytest.raises(ModelUnavailable) as error:
        ask(OpenAIChat(model, base_url=base_url, **arguments))
    message = str(error.value)
    assert "\n" not in message
    return message


def test_a_dead_server_is_told() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
        message = refusal(url)
    assert message.startswith(f"no model server at {url}: Connection refused.")


def test_an_unknown_host_is_told() -> None:
    assert "no model server at http://no-such-host.invalid" in refusal(
        "http://no-such-host.invalid"
    )


def test_a_port_where_something_else_listens_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"220 mail ESMTP\r\n")

        talking = threading.Thread(target=talk)
        talking.start()
        message = refusal(f"http://127.0.0.1:{listener.getsockname()[1]}")
        talking.join()
    assert "no HTTP" in message


def test_https_where_http_is_spoken_is_told() -> None:
    with ScriptedServer() as server:
        message = refusal(server.url.replace("http:", "https:"))
    assert "TLS fails with" in message
    assert "is it an http:// address?" in message


def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_ANSWER_WITHIN", 0.2)
    with ScriptedServer(models=Reply(delay=0.6)) as server:
        assert "no answer within 0.2 s" in refusal(server.url)


def test_a_path_without_the_api_is_told() -> None:
    with ScriptedServer(models=Reply(status=404), missing=True) as website:
        message = refusal(website.url)
    assert "has no /chat/completions (HTTP 404: Not Found); is base_url right?" in message


def test_a_wrong_key_is_told_without_showing_it() -> None:
    with ScriptedServer(key="right-key-1234") as server:
        message = refusal(server.url, api_key="wrong-key-5678")
        assert "refuses the API key (HTTP 401: Incorrect API key provided)" in message
        assert "wrong-key-5678" not in message
        assert "wants an API key" in refusal(server.url)
        assert ask(OpenAIChat(MODEL, base_url=server.url, api_key="right-key-1234")) == []


def test_a_model_that_is_not_served_is_told_with_those_that_are() -> None:
    with ScriptedServer(models=["qwen2-vl", "llava-1.5"]) as server:
        message = refusal(server.url, "llava-1.6")
    assert "does not serve 'llava-1.6'. Did you mean 'llava-1.5'?" in message
    assert "'qwen2-vl', 'llava-1.5'" in message


@pytest.mark.parametrize(
    "models",
    [
        ["other", MODEL],
        [f"{MODEL}@main"],
        [f"models/{MODEL}"],
        ["test-*"],
        [],
        Reply(status=404),
        Reply(status=500),
        Reply(body={"data": None}),
        Reply(body=[{"id": MODEL}]),
        Reply(body=b"not json"),
        Reply(body={"data": [{"id": "/m.gguf", "aliases": [MODEL], "owned_by": "llamacpp"}]}),
    ],
    ids=str,
)
def test_a_list_that_leaves_room_for_doubt_is_no_obstacle(models: Any) -> None:
    with ScriptedServer(models=models) as server:
        (response,) = ask(OpenAIChat(MODEL, base_url=server.url), request("x"))
    assert response.text == "x"


def test_a_folder_passes_unless_the_engine_lists_all_it_serves(tmp_path: Path) -> None:
    cached = {"id": "org/cached", "owned_by": "org"}
    with ScriptedServer(models=Reply(body={"data": [cached]})) as server:
        assert ask(OpenAIChat(str(tmp_path), base_url=server.url)) == []
    with ScriptedServer(models=Reply(body={"data": [cached | {"owned_by": "vllm"}]})) as server:
        assert "does not serve" in refusal(server.url, str(tmp_path))


def test_the_engine_is_part_of_the_identity_where_it_tells() -> None:
    entry = {"id": MODEL, "owned_by": "sglang"}
    with ScriptedServer(models=Reply(body={"data": [entry]})) as server:
        model = OpenAIChat(MODEL, base_url=server.url)
        ask(model)
    assert model.identity()["engine"] == "sglang"
    assert str(server.port) not in str(model.identity())


@pytest.mark.parametrize(
    ("entry", "length"),
    [
        ({"id": MODEL, "owned_by": "vllm", "max_model_len": 4096}, 4096),
        ({"id": MODEL, "owned_by": "llamacpp", "meta": {"n_ctx": 512, "n_ctx_train": 8192}}, 512),
        ({"id": MODEL, "owned_by": "organization"}, None),
    ],
)
def test_the_context_length_is_known_where_the_server_tells(
    entry: dict[str, Any], length: int | None
) -> None:
    with ScriptedServer(models=Reply(body={"data": [entry]})) as server:
        model = OpenAIChat(MODEL, base_url=server.url)
        ask(model)
    assert model.context_length == length


def test_a_max_length_beyond_the_servers_is_told() -> None:
    entry = {"id": MODEL, "owned_by": "vllm", "max_model_len": 4096}
    fixed: dict[str, Any] = {"tokenizer_backend": "none"}
    with ScriptedServer(models=Reply(body={"data": [entry]})) as server:
        within = Completions(MODEL, base_url=server.url, max_length=4096, **fixed)
        assert ask(within) == []
        beyond = Completions(MODEL, base_url=server.url, max_length=4097, **fixed)
        with pytest.raises(ModelUnavailable, match=r"max_length=4097, and .* reads 4096 tokens"):
            ask(beyond)


def test_a_server_that_is_starting_is_waited_for_if_asked() -> None:
    loading = Reply(status=503, body={"error": {"message": "Loading model"}})
    with ScriptedServer(models=loading) as server:
        message = refusal(server.url)
        assert "is not ready (HTTP 503: Loading model); startup_timeout=120 waits" in message
        timer = threading.Timer(0.3, setattr, (server, "models", [MODEL]))
        timer.start()
        assert ask(OpenAIChat(MODEL, base_url=server.url, startup_timeout=10)) == []
        timer.join()


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h:8000", "http://h:8000/v1"),
        ("http://h:8000/", "http://h:8000/v1"),
        ("http://h:8000/v1", "http://h:8000/v1"),
        ("http://h:8000/v1/", "http://h:8000/v1"),
        ("http://h:8000/v1/chat/completions", "http://h:8000/v1"),
        ("http://h/chat/completions/", "http://h/v1"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_a_base_url_may_be_given_in_any_form(url: str, base: str) -> None:
    assert Address.parse(url, "/chat/completions").base == base


def test_a_query_is_sent_with_every_request_and_not_shown() -> None:
    address = Address.parse("http://h/v1/chat/completions?api-version=1", "/chat/completions")
    assert address.url("/chat/completions") == "http://h/v1/chat/completions?api-version=1"
    assert "api-version" not in repr(address)


@pytest.mark.parametrize("url", ["h:8000/v1", "ftp://h/v1", "http://", "http://h:x/v1"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="base_url"):
        Address.parse(url, "/chat/completions")
