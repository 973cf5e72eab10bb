"""Scores and texts through HTTP are those of the same weights in this process, by lm-eval's hf."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from asking import ask
from checkpoints import TEXT_CONTEXT, TEXTS, save_tiny_llama
from echo_server import EchoModel
from hf_peer import Peer, documents, failures, prompts, scoring
from servers import MODEL, ScriptedServer

from pytest_lmmeval.models.base import AsyncLM
from pytest_lmmeval.models.registry import create_model
from pytest_lmmeval.records import Message, Response, TextPart

WORDS = " ".join(TEXTS).split()
# Both compute in float32, but in batches of other shapes.
NOISE = 1e-4
CHAT_TEMPLATE = (
    "{%- for message in messages -%}[{{ message['role'] }}]{{ message['content'] }}"
    "{%- if not loop.last or add_generation_prompt %}\n{% endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}[assistant]{%- endif -%}"
)
ENDPOINTS = ("local-completions", "sglang-generate")


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "adds-bos"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return save_tiny_llama(folder, adds_bos=request.param)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "plain")


def endpoint(name: str, url: str, folder: Path, **arguments: Any) -> AsyncLM:
    fixed = {"model": MODEL, "base_url": url, "tokenizer": str(folder)}
    model = create_model(name, {**fixed, **arguments})
    assert isinstance(model, AsyncLM)
    return model


def answers(name: str, folder: Path, requests: Sequence[Any], **arguments: Any) -> list[Response]:
    with ScriptedServer(EchoModel(folder)) as server:
        return ask(endpoint(name, server.url, folder, **arguments), *requests)


def pairs() -> list[tuple[str, str]]:
    rng = random.Random(0)
    found = [("", " Paris"), ("", "<s> Paris"), ("Ünïcödé 東京", " 🦊 fox")]
    for count in (1, 2, 5, 13):
        context = " ".join(rng.choices(WORDS, k=count))
        found += [(context, " yes"), (context, " no, it is not"), (context + " \n", "yes")]
    return found


@pytest.mark.parametrize("add_bos_token", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_likelihood_is_that_of_the_model_in_process(
    name: str, batch_size: int, add_bos_token: bool, checkpoint: Path
) -> None:
    asked = pairs()
    theirs = Peer(checkpoint, add_bos_token=add_bos_token).loglikelihood(asked)
    ours = answers(
        name, checkpoint, scoring(*asked), batch_size=batch_size, add_bos_token=add_bos_token
    )
    assert failures(ours) == []
    assert [r.logprob for r in ours] == pytest.approx([lp for lp, _ in theirs], abs=NOISE, rel=0)
    assert [r.is_greedy for r in ours] == [greedy for _, greedy in theirs]


def test_a_greedy_continuation_is_told_from_others(plain: Path) -> None:
    """The pairs above are hardly ever greedy, so these are made to be."""
    peer = Peer(plain)
    contexts = [" ".join(WORDS[i : i + 6]) for i in range(6)]
    made = peer.generate(contexts, {"max_gen_toks": 1, "until": []})
    asked = [*zip(contexts, made, strict=True), *((c, " zebra") for c in contexts)]
    theirs = [greedy for _, greedy in peer.loglikelihood(asked)]
    assert True in theirs
    assert False in theirs
    for name in ENDPOINTS:
        assert [r.is_greedy for r in answers(name, plain, scoring(*asked))] == theirs


def test_prompts_as_text_score_the_same_though_the_server_adds_a_bos_token(
    checkpoint: Path,
) -> None:
    asked = [pair for pair in pairs() if pair[0].strip()]
    adds_bos = EchoModel(checkpoint).tokenizer.encode("")
    theirs = Peer(checkpoint, add_bos_token=bool(adds_bos)).loglikelihood(asked)
    ours = answers("local-completions", checkpoint, scoring(*asked), tokenized_requests=False)
    assert failures(ours) == []
    assert [r.logprob for r in ours] == pytest.approx([lp for lp, _ in theirs], abs=NOISE, rel=0)


def test_a_second_bos_token_is_an_error_and_no_score(tmp_path: Path) -> None:
    folder = save_tiny_llama(tmp_path / "bos", adds_bos=True)
    (response,) = answers(
        "local-completions", folder, scoring(("The", " dog")),
        tokenized_requests=False, add_bos_token=True,
    )  # fmt: skip
    (message,) = failures([response])
    assert "adds a BOS token to a text that begins with one" in message


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_document_scores_as_in_process(name: str, checkpoint: Path) -> None:
    texts = ["Paris", " ".join(WORDS[:20]), " ".join(WORDS * 3), "Ünïcödé 東京 🦊 " * 12]
    # A server that reads 96 tokens generates one of them, and a prompt holds one of context.
    peer = Peer(checkpoint, max_length=TEXT_CONTEXT - 2, add_bos_token=False)
    ours = answers(name, checkpoint, documents(*texts), max_length=TEXT_CONTEXT)
    assert failures(ours) == []
    assert [r.logprob for r in ours] == pytest.approx(peer.rolling(texts), abs=5 * NOISE, rel=0)
    assert len(texts[2].split()) > TEXT_CONTEXT  # so that there were windows


@pytest.mark.parametrize("tokenized", [True, False])
@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_text_is_that_of_the_model_in_process(name: str, tokenized: bool, plain: Path) -> None:
    contexts = [" ".join(WORDS[i : i + 8]) for i in range(5)]
    peer = Peer(plain)
    free = peer.generate(contexts, {"max_gen_toks": 12, "until": []})
    stop = free[0][len(free[0]) // 2 :][:2]
    for until in ([], [stop]):
        asked = prompts(*contexts, max_gen_toks=12, until=until, do_sample=False)
        ours = answers(name, plain, asked, tokenized_requests=tokenized)
        assert failures(ours) == []
        assert [r.text for r in ours] == peer.generate(
            contexts, {"max_gen_toks": 12, "until": until}
        )
    assert free[0].split(stop)[0] == ours[0].text != free[0]
    assert ours[0].finish_reason == "stop"


@pytest.mark.parametrize("begun", ["", "It is"])
def test_a_chat_is_that_of_the_model_in_process(begun: str, tmp_path: Path) -> None:
    folder = save_tiny_llama(tmp_path / "chat")
    tokenizer = EchoModel(folder).tokenizer
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    turns = [{"role": "user", "content": "Which dog?"}]
    turns += [{"role": "assistant", "content": begun}] if begun else []
    peer = Peer(folder)
    prompt = peer.chat_prompt(turns, opens_turn=not begun)
    theirs = peer.generate([prompt], {"max_gen_toks": 10, "until": []})
    messages = tuple(
        Message("user" if t["role"] == "user" else "assistant", (TextPart(t["content"]),))
        for t in turns
    )
    asked = prompts(messages, max_gen_toks=10)
    for name in ("local-chat-completions", *ENDPOINTS):
        with ScriptedServer(EchoModel(folder)) as server:
            arguments = {} if name == "local-chat-completions" else {"tokenizer": str(folder)}
            model = create_model(name, {"model": MODEL, "base_url": server.url, **arguments})
            assert isinstance(model, AsyncLM)
            ours = ask(model, *asked)
        assert failures(ours) == []
        assert [r.text for r in ours] == theirs, name
