"""Completions and SGLang's generate: what answers mean, and which are no score."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import ask
from checkpoints import save_tiny_llama
from echo_server import EchoModel
from servers import MODEL, Received, Reply, ScriptedServer

from pytest_lmmeval.models.base import AsyncLM
from pytest_lmmeval.models.registry import create_model
from pytest_lmmeval.records import ImagePart, Instance, Message, Response, TextPart

PAIR = Instance("task", 0, 0, "loglikelihood", "the dog", " jumps over")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny")


def prompt(repeat: int = 0, **gen_kwargs: Any) -> Instance:
    return Instance("task", 0, 0, "generate_until", "the dog", "", gen_kwargs, repeat)


def asked(
    name: str, script: Callable[[Received], Reply | str], *requests: Instance, **arguments: Any
) -> tuple[list[Response], list[Any]]:
    with ScriptedServer(script) as server:
        model = create_model(name, {"model": MODEL, "base_url": server.url, **arguments})
        assert isinstance(model, AsyncLM)
        responses = ask(model, *requests)
        return responses, [received.json for received in server.requests]


def failure(script: Callable[[Received], Reply | str], folder: Path, name: str) -> str:
    """Return why a likelihood could not be had, though the server was asked once only."""
    (response,), sent = asked(name, script, PAIR, tokenizer=str(folder))
    assert len(sent) == 1
    assert response.failure is not None
    assert response.logprob is None
    return f"{response.failure.kind}: {response.failure.message}"


@pytest.mark.parametrize("name", ["local-completions", "sglang-generate"])
def test_an_answer_is_kept_with_its_reason_usage_and_latency(name: str, folder: Path) -> None:
    (text, score), _ = asked(
        name, EchoModel(folder), prompt(max_gen_toks=3, until=[]), PAIR, tokenizer=str(folder)
    )
    assert text.finish_reason == "length"
    assert text.usage["completion_tokens"] == 3
    assert score.usage["prompt_tokens"] > text.usage["prompt_tokens"] > 0
    assert score.latency > 0
    assert (score.attempts, score.text) == (1, None)


@pytest.mark.parametrize("name", ["local-completions", "sglang-generate"])
def test_repeats_have_seeds_of_their_own(name: str, folder: Path) -> None:
    requests = [prompt(repeat, temperature=0.8, do_sample=True) for repeat in range(3)]
    _, sent = asked(
        name, EchoModel(folder), *requests, tokenizer=str(folder), seed=10, num_concurrent=1
    )
    seeds = [body.get("seed") or body["sampling_params"]["sampling_seed"] for body in sent]
    assert sorted(seeds) == [10, 11, 12]


@pytest.mark.parametrize("name", ["local-completions", "sglang-generate"])
@pytest.mark.parametrize(
    ("gen_kwargs", "said"),
    [
        ({"num_beams": 4}, "num_beams=4 cannot be sent"),
        ({"temprature": 1}, "Did you mean 'temperature'?"),
        ({"n": 2}, "n must be 1"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(
    name: str, gen_kwargs: dict[str, Any], said: str
) -> None:
    (response,), sent = asked(name, lambda _: "x", prompt(**gen_kwargs), tokenizer_backend="none")
    assert sent == []
    assert response.failure is not None
    assert said in response.failure.message


def test_an_image_is_refused(folder: Path) -> None:
    message = Message("user", (ImagePart(b""), TextPart("What?")))
    for kind in ("generate_until", "loglikelihood"):
        request = Instance("task", 0, 0, kind, (message,), "x")
        (response,), sent = asked(
            "local-completions", lambda _: "x", request, tokenizer=str(folder)
        )
        assert sent == []
        assert response.failure is not None
        assert "takes text only, no images" in response.failure.message


def test_a_task_that_says_not_to_sample_is_not_sampled() -> None:
    request = prompt(do_sample=False, temperature=0.7)
    for name in ("local-completions", "local-chat-completions"):
        arguments = {"tokenizer_backend": "none"} if name == "local-completions" else {}
        _, (body,) = asked(name, lambda _: Reply(status=400), request, **arguments)
        assert body["temperature"] == 0


def choice(logprobs: Any, **usage: int) -> Reply:
    return Reply(body={"choices": [{"index": 0, "text": "", "logprobs": logprobs}], "usage": usage})


def scored(count: int, value: Any = -1.0) -> dict[str, Any]:
    return {"token_logprobs": [value] * count, "top_logprobs": [{"a": 0.0}] * count}


def test_a_server_that_ignores_echo_is_an_error_and_no_score(folder: Path) -> None:
    # llama.cpp answers with the log-probabilities of one generated token, in the form of chats.
    content = {"content": [{"token": "a", "logprob": -1.0}]}
    said = failure(lambda _: choice(content, completion_tokens=1), folder, "local-completions")
    assert said == "model: the server scored no prompt; it ignores echo or logprobs"
    said = failure(lambda _: choice(None), folder, "local-completions")
    assert "the server scored no prompt" in said


@pytest.mark.parametrize("count", [1, 40])
def test_another_number_of_tokens_than_was_sent_is_an_error(count: int, folder: Path) -> None:
    said = failure(
        lambda _: choice(scored(count), completion_tokens=1), folder, "local-completions"
    )
    assert f"the server scored {count} tokens where" in said


def test_a_token_without_a_score_is_an_error(folder: Path) -> None:
    def script(received: Received) -> Reply:
        return choice(scored(len(received.json["prompt"][0]) + 1, None), completion_tokens=1)

    assert "left out log-probabilities" in failure(script, folder, "local-completions")


def test_a_server_that_generates_no_token_is_read_as_well(folder: Path) -> None:
    def script(received: Received) -> Reply:
        return choice(scored(len(received.json["prompt"][0])), completion_tokens=0)

    (response,), (body,) = asked("local-completions", script, PAIR, tokenizer=str(folder))
    length = len(body["prompt"][0])
    context = len(EchoModel(folder).tokenizer.encode("the dog"))
    assert response.logprob == -(length - context)
    assert response.is_greedy is False


def test_other_tokens_than_sglang_was_sent_are_an_error(folder: Path) -> None:
    entry = [-1.0, 5, None]
    meta = {"input_token_logprobs": [entry] * 40, "input_top_logprobs": [[entry]] * 40}
    said = failure(
        lambda _: Reply(body=[{"text": "", "meta_info": meta}]), folder, "sglang-generate"
    )
    assert "the server scored other tokens than the continuation's" in said


def test_sglang_needs_tokens_to_score() -> None:
    (response,), sent = asked("sglang-generate", lambda _: "x", PAIR, tokenizer_backend="none")
    assert sent == []
    assert response.failure is not None
    assert "needs the tokens" in response.failure.message


@pytest.mark.parametrize("suffix", ["", "/v1", "/generate", "/"])
def test_sglang_is_found_by_any_of_its_addresses(suffix: str, folder: Path) -> None:
    with ScriptedServer(EchoModel(folder)) as server:
        url = server.url.removesuffix("/v1") + suffix
        model = create_model(
            "sglang-generate", {"model": MODEL, "base_url": url, "tokenizer": str(folder)}
        )
        assert isinstance(model, AsyncLM)
        (response,) = ask(model, PAIR)
        assert {received.path for received in server.requests} == {"/generate"}
    assert response.logprob is not None
    assert math.isfinite(response.logprob)


@pytest.mark.parametrize(
    ("engine", "argument", "asks"),
    [
        ("vllm", None, True),
        ("sglang", None, True),
        ("unknown", None, True),
        ("llamacpp", None, False),
        ("vllm", False, False),
        ("llamacpp", True, True),
    ],
)
def test_a_begun_answer_is_continued_by_the_engines_own_way(
    engine: str, argument: bool | None, asks: bool
) -> None:
    turns = (Message("user", (TextPart("1+1?"),)), Message("assistant", (TextPart("It is"),)))
    models = Reply(body={"data": [{"id": MODEL, "owned_by": engine}]})
    with ScriptedServer(models=models) as server:
        model = create_model(
            "local-chat-completions",
            {"model": MODEL, "base_url": server.url, "continue_final_message": argument},
        )
        assert isinstance(model, AsyncLM)
        ask(model, Instance("task", 0, 0, "generate_until", turns))
        body = server.requests[0].json
    assert body.get("continue_final_message", False) is asks
    assert body.get("add_generation_prompt", True) is not asks
