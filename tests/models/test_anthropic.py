"""Anthropic's messages: what its answers mean, and what it cannot be asked."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from asking import ask, request
from PIL import Image
from servers import MODEL, Reply, ScriptedServer

from pytest_lmmeval.errors import ModelUnavailable
from pytest_lmmeval.models.endpoints.anthropic import AnthropicMessages
from pytest_lmmeval.models.registry import create_model
from pytest_lmmeval.records import Instance, Message, Response, TextPart
from pytest_lmmeval.warnings import LmmWarning

ANSWER: dict[str, Any] = {
    "content": [
        {"type": "thinking", "thinking": "Let me see.", "signature": "x"},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "B."},
    ],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 11, "output_tokens": 5, "cache_read_input_tokens": 0},
}


def asked(instance: Instance, answer: Any = ANSWER, **arguments: Any) -> tuple[Response, Any]:
    with ScriptedServer(lambda _: Reply(body=answer)) as server:
        model = AnthropicMessages(MODEL, base_url=server.url, **arguments)
        (response,) = ask(model, instance)
        return response, server.requests[0]


def test_text_blocks_are_the_answer_and_thinking_is_kept_beside_it() -> None:
    response, received = asked(request("Which?"), api_key="sk-ant-1234")
    assert (response.text, response.reasoning) == ("It is B.", "Let me see.")
    assert response.finish_reason == "stop"
    assert response.usage == {"prompt_tokens": 11, "completion_tokens": 5}
    assert received.path == "/v1/messages"
    assert received.headers["x-api-key"] == "sk-ant-1234"
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in received.headers


def test_an_answer_at_its_limit_is_told() -> None:
    response, _ = asked(request("Which?"), {**ANSWER, "stop_reason": "max_tokens"})
    assert response.finish_reason == "length"


def test_stops_are_applied_here_too() -> None:
    response, _ = asked(request("Which?", gen_kwargs={"until": [" B"]}))
    assert response.text == "It is"


def test_an_image_goes_out_as_anthropic_takes_it() -> None:
    image = Image.new("RGB", (3, 2), "red")
    _, received = asked(request(image, "Which?"))
    first, second = received.json["messages"][0]["content"]
    assert first["type"] == "image"
    assert first["source"]["type"] == "base64"
    assert first["source"]["media_type"] == "image/png"
    assert base64.b64decode(first["source"]["data"]).startswith(b"\x89PNG")
    assert second == {"type": "text", "text": "Which?"}


def test_an_answer_that_is_begun_ends_in_no_white_space() -> None:
    turns = (Message("user", (TextPart("1+1?"),)), Message("assistant", (TextPart("It is "),)))
    _, received = asked(Instance("task", 0, 0, "generate_until", turns))
    assert received.json["messages"][-1]["content"] == [{"type": "text", "text": "It is"}]


def test_stops_that_are_blank_are_not_sent() -> None:
    _, received = asked(request("Which?", gen_kwargs={"until": ["\n\n"]}))
    assert "stop_sequences" not in received.json


def test_what_has_no_meaning_here_is_told() -> None:
    with pytest.warns(LmmWarning, match="tokenizer has no effect"):
        create_model("anthropic", {"model": MODEL, "base_url": "http://h", "tokenizer": "gpt2"})


def test_its_key_is_not_that_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "openais-key")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "anthropics-key")
    _, received = asked(request("Which?"))
    assert received.headers["x-api-key"] == "anthropics-key"
    assert "openais-key" not in str(received.headers)


def test_a_wrong_key_is_told_with_its_own_variable() -> None:
    with ScriptedServer(models=Reply(status=401)) as server:
        model = AnthropicMessages(MODEL, base_url=server.url, api_key="wrong-key")
        with pytest.raises(ModelUnavailable, match="or set ANTHROPIC_API_KEY"):
            ask(model)
