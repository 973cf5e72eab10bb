"""An API key reaches the server and nothing else."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from asking import ask, request
from servers import MODEL, Received, Reply, ScriptedServer

from pytest_lmmeval.errors import LmmError
from pytest_lmmeval.models.credentials import Scrubber
from pytest_lmmeval.models.endpoints.openai import OpenAIChat
from pytest_lmmeval.models.registry import create_model
from pytest_lmmeval.warnings import LmmWarning

KEY = "sk-4f9d2c71e8"


def parrot(received: Received) -> Reply:
    """Refuse, repeating every header in the message, as careless servers do."""
    said = " ".join(f"{name}={value}" for name, value in received.headers.items())
    return Reply(status=400, body={"error": {"message": said}})


@pytest.mark.parametrize("source", ["api_key", "auth_token", "environment", "netrc"])
def test_a_key_is_sent_and_never_shown(
    source: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    arguments = {source: KEY} if source in ("api_key", "auth_token") else {}
    if source == "environment":
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
    if source == "netrc":
        write_netrc(tmp_path, f"machine 127.0.0.1 login x password {KEY}", monkeypatch)
    with caplog.at_level(logging.DEBUG), ScriptedServer(parrot, key=KEY) as server:
        model = create_model(
            "openai_compatible", {"model": MODEL, "base_url": server.url, **arguments}
        )
        assert isinstance(model, OpenAIChat)
        (response,) = ask(model, request("x"))
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert response.failure is not None
    assert "authorization=***" in response.failure.message
    shown = [str(response), repr(model), str(model.identity()), repr(vars(model)), caplog.text]
    assert KEY not in " ".join(shown)


def write_netrc(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "netrc"
    path.write_text(text)
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))


@pytest.mark.parametrize(
    "text",
    [f"machine other.host login x password {KEY}", f"default login x password {KEY}"],
    ids=["another-host", "any-host"],
)
def test_a_password_of_netrc_goes_to_its_own_host_only(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    write_netrc(tmp_path, text, monkeypatch)
    with ScriptedServer() as server:
        ask(OpenAIChat(MODEL, base_url=server.url), request("x"))
        assert "authorization" not in server.requests[0].headers


def test_a_netrc_file_that_cannot_be_read_is_told_without_what_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    write_netrc(tmp_path, f"machine 127.0.0.1\n{KEY} login x", monkeypatch)
    with pytest.warns(LmmWarning, match=r"netrc:\d+ cannot be read as a netrc file") as caught:
        OpenAIChat(MODEL, base_url="http://127.0.0.1:9")
    assert KEY not in str(caught[0].message)


def test_the_argument_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "another-key")
    with ScriptedServer(key=KEY) as server:
        (response,) = ask(OpenAIChat(MODEL, base_url=server.url, api_key=KEY), request("x"))
    assert response.text == "x"


def test_a_header_of_the_user_is_sent_and_its_value_never_shown() -> None:
    with ScriptedServer(parrot) as server:
        model = OpenAIChat(
            MODEL, base_url=server.url, api_key=KEY, header={"authorization": "Basic abcdef"}
        )
        (response,) = ask(model, request("x"))
        assert server.requests[0].headers["authorization"] == "Basic abcdef"
    assert "abcdef" not in f"{response} {model!r} {vars(model)!r}"


def test_credentials_of_the_url_are_sent_and_never_shown() -> None:
    with ScriptedServer(parrot) as server:
        url = server.url.replace("://", "://alice:wonderland@")
        model = OpenAIChat(MODEL, base_url=url)
        (response,) = ask(model, request("x"))
        # RFC 7617: the base64 of alice:wonderland.
        sent = server.requests[0].headers["authorization"]
        assert sent == "Basic YWxpY2U6d29uZGVybGFuZA=="
    shown = f"{response} {model!r} {vars(model)!r} {model.identity()}"
    assert "wonderland" not in shown
    assert "YWxpY2U6" not in shown


def test_a_bad_url_is_refused_without_its_credentials() -> None:
    with pytest.raises(LmmError) as error:
        OpenAIChat(MODEL, base_url="ftp://alice:wonderland@h/v1")
    assert "wonderland" not in str(error.value)


def test_an_answer_that_happens_to_hold_the_key_is_left_alone() -> None:
    with ScriptedServer(lambda _: "EMPTY") as server:
        (response,) = ask(OpenAIChat(MODEL, base_url=server.url, api_key="EMPTY"), request("x"))
    assert response.text == "EMPTY"


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        (f"key {KEY}!", "key ***!"),
        ("Incorrect API key provided: sk-proj-***wxyz", "Incorrect API key provided: ***"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("serve --api-key abc --port 80", "serve --api-key *** --port 80"),
        ("--hf-token=abc", "--hf-token=***"),
        ("http://user:pw@h:80/v1", "http://***@h:80/v1"),
        ("http://h:80/v1 has hf_vision, task-force and max-tokens 5", None),
    ],
)
def test_what_looks_like_a_key_is_hidden_and_nothing_else(text: str, scrubbed: str | None) -> None:
    assert Scrubber([KEY, "", "x"])(text) == (text if scrubbed is None else scrubbed)
