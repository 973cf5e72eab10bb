"""A tokenizer comes from a folder, from a file of tiktoken without a network, or there is none."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import tiktoken
from api_peer import answer
from asking import ask
from checkpoints import save_tiny_llama
from echo_server import EchoModel
from servers import MODEL, ScriptedServer

from pytest_lmmeval.errors import ModelUnavailable, UsageError
from pytest_lmmeval.models.endpoints.completions import Completions
from pytest_lmmeval.records import Instance, Response

MERGES = [b"th", b"the", b" t", b" the", b"in", b"er", b" q", b"qu"]
END = 100257  # cl100k_base's end of text


@pytest.fixture
def encoding(tmp_path: Path) -> Path:
    """A file in tiktoken's format: all bytes and a few merges, each with its rank."""
    tokens = [bytes([i]) for i in range(256)] + MERGES
    lines = [f"{base64.b64encode(t).decode()} {rank}" for rank, t in enumerate(tokens)]
    path = tmp_path / "cl100k_base.tiktoken"
    path.write_text("\n".join(lines))
    return path


def asked(*requests: Instance, **arguments: Any) -> tuple[list[Any], list[Response]]:
    folder = arguments.get("tokenizer") or ""
    script = EchoModel(Path(folder)) if Path(folder, "config.json").is_file() else answer
    with ScriptedServer(script) as server:
        responses = ask(Completions(MODEL, base_url=server.url, **arguments), *requests)
        return [received.json for received in server.requests], responses


def scoring(context: str, continuation: str) -> Instance:
    return Instance("task", 0, 0, "loglikelihood", context, continuation)


def refusal(**arguments: Any) -> str:
    with pytest.raises(ModelUnavailable) as error:
        asked(**arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_tiktoken_reads_a_local_file_without_a_network(
    encoding: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    (body, empty), _ = asked(
        scoring("Say <|endoftext|> in the ", "queue"),
        scoring("", " the"),
        tokenizer_backend="tiktoken",
        tokenizer=str(encoding),
        num_concurrent=1,
    )
    ranks = {bytes([i]): i for i in range(256)} | {t: 256 + i for i, t in enumerate(MERGES)}
    # The library's own class, with a split that gives the same pieces for this text.
    plain = tiktoken.Encoding(
        "plain", pat_str=r" ?\w+| ?[^\s\w]+|\s", mergeable_ranks=ranks, special_tokens={}
    )
    assert body["prompt"] == [plain.encode("Say <|endoftext|> in the queue")]
    assert empty["prompt"] == [[END, 256 + MERGES.index(b" the")]]


def test_tiktokens_end_of_text_is_one_more_stop(encoding: Path) -> None:
    request = Instance("task", 0, 0, "generate_until", "the", gen_kwargs={"until": ["\n"]})
    (body,), _ = asked(request, tokenizer_backend="tiktoken", tokenizer=str(encoding))
    assert body["stop"] == ["\n", "<|endoftext|>"]
    assert body["prompt"] == [[257]]


def test_a_file_of_tiktoken_must_say_which_encoding_it_is(encoding: Path, tmp_path: Path) -> None:
    other = encoding.rename(tmp_path / "cl100k.tiktoken")
    assert "Did you mean 'cl100k_base'?" in refusal(
        tokenizer_backend="tiktoken", tokenizer=str(other)
    )
    missing = str(tmp_path / "o200k_base.tiktoken")
    assert "cannot be read" in refusal(tokenizer_backend="tiktoken", tokenizer=missing)


def test_a_model_that_tiktoken_does_not_know_is_told() -> None:
    assert "tiktoken knows no encoding for 'test-model'" in refusal(tokenizer_backend="tiktoken")


def test_without_a_tokenizer_text_is_generated_but_nothing_scored() -> None:
    prompt = Instance("task", 0, 0, "generate_until", "the", gen_kwargs={"until": ["\n"]})
    (body,), (text, score) = asked(prompt, scoring("a", "b"), tokenizer_backend=None)
    assert (body["prompt"], body["stop"], text.text) == ("the", ["\n"], "yes")
    assert score.failure is not None
    assert "a likelihood needs the tokens of its continuation" in score.failure.message


def test_a_tokenizer_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    message = refusal(tokenizer=str(tmp_path))
    assert f"the tokenizer {str(tmp_path)!r} cannot be loaded" in message
    assert "give tokenizer=FOLDER" in message


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"tokenizer_backend": "hugingface"}, "Did you mean 'huggingface'?"),
        ({"tokenizer_backend": "remote"}, "name its tokenizer instead"),
        ({"truncate": "letf"}, "Did you mean 'left'?"),
        ({"batch_size": "auto"}, "for models in this process"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"max_length": 1}, "max_length must be at least 2"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as error:
        Completions(MODEL, base_url="http://h", **arguments)
    assert said in str(error.value)


def test_what_is_too_long_is_cut_left_out_or_refused_and_counted(tmp_path: Path) -> None:
    folder = str(save_tiny_llama(tmp_path / "tiny"))
    long = "the dog " * 60
    requests = [
        Instance("task", 0, 0, "generate_until", long, gen_kwargs={"max_gen_toks": 4}),
        scoring(long, " yes"),
    ]
    given: dict[str, Any] = {"tokenizer": folder, "max_length": 32}
    bodies, responses = asked(*requests, **given, truncate="left", num_concurrent=1)
    # One token is kept for what is generated when scoring.
    assert [len(body["prompt"][0]) for body in bodies] == [32 - 1 - 4, 32 - 1]
    assert all(response.truncated for response in responses)
    assert all(response.is_answered for response in responses)

    bodies, responses = asked(*requests, **given, truncate="skip")
    assert bodies == []
    assert all(r.truncated and not r.failure and not r.is_answered for r in responses)

    bodies, responses = asked(*requests, **given)
    assert bodies == []
    assert [r.failure.kind for r in responses if r.failure] == ["client", "client"]


def test_what_the_answer_takes_all_room_for_is_refused(tmp_path: Path) -> None:
    folder = str(save_tiny_llama(tmp_path / "tiny"))
    requests = [
        Instance("task", 0, 0, "generate_until", "the", gen_kwargs={"max_gen_toks": 32}),
        scoring("the", " dog" * 60),
    ]
    _, responses = asked(*requests, tokenizer=folder, max_length=32, truncate="left")
    messages = [response.failure.message for response in responses if response.failure]
    assert "leave no room for a prompt" in messages[0]
    assert "of which at most 30 fit" in messages[1]
