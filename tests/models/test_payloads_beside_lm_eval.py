"""For the same doc our body is lm-eval's, which asks a server of the same kind beside us.

Each deliberate difference is named where it is made, and listed in docs/endpoints.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from api_peer import PeerAPI, answer
from asking import ask
from checkpoints import TEXTS, save_tiny_llama
from PIL import Image
from servers import MODEL, ScriptedServer

from pytest_lmmeval.models.base import AsyncLM
from pytest_lmmeval.models.registry import create_model
from pytest_lmmeval.records import ImagePart, Instance, Message, Part, TextPart

PROMPT = "Question: What is the capital of France?\nAnswer:"
GENERATION: dict[str, dict[str, Any]] = {
    "defaults": {"until": ["\n\n"]},
    "one-stop-as-text": {"until": "\n"},
    "many-stops": {"until": ["\n", "</s>", "Q:", "<|im_end|>", "5th"], "max_gen_toks": 64},
    "greedy": {"until": ["\n"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 7},
    "sampled": {"until": ["Q:"], "do_sample": True, "temperature": 0.7, "top_p": 0.9},
    "limit-by-another-name": {"until": ["\n"], "max_tokens": 5},
}
PAIRS = [
    ("The quick brown fox", " jumps over the lazy dog"),
    ("Question: And of Japan? Answer: ", "Tokyo"),
    ("two lines\n\n", " yes"),
    ("", " Paris"),
    ("Ünïcödé 東京", " 🦊 fox"),
]
TOKENIZED = pytest.mark.parametrize("tokenized", [True, False], ids=["tokens", "text"])
KWARGS = pytest.mark.parametrize("gen_kwargs", list(GENERATION.values()), ids=list(GENERATION))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "key-of-the-test")


def sent(name: str, *requests: Instance, **arguments: Any) -> list[Any]:
    """Return the bodies that our model sends, in the order in which they arrive."""
    with ScriptedServer(answer) as server:
        model = create_model(name, {"model": MODEL, "base_url": server.url, **arguments})
        assert isinstance(model, AsyncLM)
        ask(model, *requests)
        return [received.json for received in server.requests]


def generation(context: Any, gen_kwargs: Mapping[str, Any]) -> Instance:
    return Instance("task", 0, 0, "generate_until", context, gen_kwargs=gen_kwargs)


def chat(turns: Sequence[Mapping[str, str]], images: Sequence[Image.Image] = ()) -> Any:
    messages = []
    for number, turn in enumerate(turns):
        parts: tuple[Part, ...] = (TextPart(turn["content"]),)
        if number == len(turns) - 1:
            parts = (*map(ImagePart, images), *parts)
        messages.append(Message(turn["role"], parts))  # type: ignore[arg-type]  # a role
    return tuple(messages)


def turns(*, system: bool = False, begun: str = "") -> list[dict[str, str]]:
    made = [{"role": "system", "content": "Be brief."}] if system else []
    made += [
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "2+2? é"},
    ]
    return made + ([{"role": "assistant", "content": begun}] if begun else [])


@KWARGS
@TOKENIZED
@pytest.mark.parametrize("name", ["local-completions", "sglang-generate"])
def test_a_text_is_asked_for_as_by_lm_eval(
    name: str, tokenized: bool, gen_kwargs: dict[str, Any], folder: Path
) -> None:
    arguments = {"tokenizer": str(folder), "tokenized_requests": tokenized}
    backend = {"tokenizer_backend": "huggingface"}
    theirs = PeerAPI(name, **arguments, **backend).generates(PROMPT, gen_kwargs)
    ours = sent(name, generation(PROMPT, gen_kwargs), **arguments)
    if name == "sglang-generate" and gen_kwargs.get("temperature"):
        # Repeats differ by their seed, which lm-eval does not send here.
        assert ours[0]["sampling_params"].pop("sampling_seed") == 1234
    assert ours == theirs


@TOKENIZED
def test_prompts_of_a_batch_share_a_request_as_in_lm_eval(tokenized: bool, folder: Path) -> None:
    kwargs = {"until": ["\n"], "max_gen_toks": 4}
    contexts = [PROMPT, "A shorter prompt", "short"]  # lm-eval sorts by length
    arguments: dict[str, Any] = {"tokenizer": str(folder), "tokenized_requests": tokenized}
    arguments["batch_size"] = 2
    peer = PeerAPI("local-completions", **arguments, tokenizer_backend="huggingface")
    theirs = peer.generates(contexts[0], kwargs, others=contexts[1:])
    requests = [generation(context, kwargs) for context in contexts]
    assert sent("local-completions", *requests, **arguments) == theirs
    assert [len(body["prompt"]) for body in theirs] == [2, 1]


@TOKENIZED
@pytest.mark.parametrize("pair", PAIRS, ids=repr)
def test_a_likelihood_is_asked_for_as_by_lm_eval(
    pair: tuple[str, str], tokenized: bool, folder: Path
) -> None:
    arguments = {"tokenizer": str(folder), "tokenized_requests": tokenized}
    backend = {"tokenizer_backend": "huggingface"}
    theirs = PeerAPI("local-completions", **arguments, **backend).scores(pair)
    request = Instance("task", 0, 0, "loglikelihood", *pair)
    assert sent("local-completions", request, **arguments) == theirs


@pytest.mark.parametrize("batch_size", [1, 3])
def test_sglang_is_asked_for_likelihoods_as_by_lm_eval(batch_size: int, folder: Path) -> None:
    pairs = [PAIRS[0], ("A shorter prompt", " dog"), ("a", " dog")]
    arguments = {"tokenizer": str(folder), "batch_size": batch_size}
    theirs = PeerAPI("sglang-generate", **arguments).scores(*pairs)
    requests = [Instance("task", 0, 0, "loglikelihood", *pair) for pair in pairs]
    ours = sent("sglang-generate", *requests, **arguments, num_concurrent=1)
    starts = [start for body in ours for start in body.pop("logprob_start_len")]
    # Ours begins one token before the continuation; what lies before can come from the cache.
    assert {body.pop("logprob_start_len") for body in theirs} == {0}
    assert ours == theirs
    lengths = [len(tokens) for body in theirs for tokens in body["input_ids"]]
    assert all(0 <= start < length - 1 for start, length in zip(starts, lengths, strict=True))


@pytest.mark.parametrize("max_length", [24, 96])
def test_a_document_is_cut_into_windows_as_by_lm_eval(max_length: int, folder: Path) -> None:
    text = " ".join(TEXTS)
    arguments = {"tokenizer": str(folder), "max_length": max_length}
    peer = PeerAPI("local-completions", **arguments, tokenizer_backend="huggingface")
    theirs = peer.rolls(text)
    request = Instance("task", 0, 0, "loglikelihood_rolling", text)
    ours = sent("local-completions", request, **arguments, num_concurrent=1)
    # lm-eval sorts the windows by length.
    assert sorted(ours, key=repr) == sorted(theirs, key=repr)
    assert len(ours) > 1


def test_what_is_too_long_is_cut_as_by_lm_eval_if_asked(folder: Path) -> None:
    text = " ".join(TEXTS)
    arguments: dict[str, Any] = {"tokenizer": str(folder), "max_length": 40}
    peer = PeerAPI("local-completions", **arguments, tokenizer_backend="huggingface")
    kwargs = {"until": ["\n"], "max_gen_toks": 8}
    pair = (text, " dog")
    asked = [
        generation(text, kwargs),
        Instance("task", 1, 0, "loglikelihood", *pair),
    ]
    for truncate, expected in (("left", 2), ("error", 0), ("skip", 0)):
        ours = sent("local-completions", *asked, **arguments, truncate=truncate, num_concurrent=1)
        assert len(ours) == expected
        if expected:
            assert ours == [*peer.generates(text, kwargs), *peer.scores(pair)]


@pytest.mark.parametrize("begun", ["", "It is"], ids=["", "begun"])
@pytest.mark.parametrize("name", ["local-completions", "sglang-generate"])
def test_a_chat_through_the_template_is_asked_as_by_lm_eval(
    name: str, begun: str, tmp_path: Path
) -> None:
    folder = save_tiny_llama(tmp_path / "chat")
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    kwargs = {"until": ["\n"], "max_gen_toks": 9}
    asked = turns(system=True, begun=begun)
    arguments = {"tokenizer": str(folder)}
    peer = PeerAPI(name, **arguments, tokenizer_backend="huggingface")
    theirs = peer.generates(asked, kwargs, templated=True)
    assert sent(name, generation(chat(asked), kwargs), **arguments) == theirs


@KWARGS
@pytest.mark.parametrize("system", [False, True], ids=["", "system"])
def test_a_chat_is_asked_as_by_lm_eval(system: bool, gen_kwargs: dict[str, Any]) -> None:
    theirs = PeerAPI("local-chat-completions").generates(turns(system=system), gen_kwargs)
    ours = sent("local-chat-completions", generation(chat(turns(system=system)), gen_kwargs))
    assert ours == theirs


@KWARGS
def test_openais_own_chat_is_asked_as_by_lm_eval(gen_kwargs: dict[str, Any]) -> None:
    theirs = PeerAPI("openai-chat-completions").generates(turns(), gen_kwargs)
    assert sent("openai-chat-completions", generation(chat(turns()), gen_kwargs)) == theirs


def test_openais_reasoning_models_get_no_stops_as_in_lm_eval() -> None:
    kwargs = GENERATION["many-stops"]
    (theirs,) = PeerAPI("openai-chat-completions", model="o3-mini").generates(turns(), kwargs)
    with ScriptedServer(answer, models=["o3-mini"]) as server:
        model = create_model(
            "openai-chat-completions", {"model": "o3-mini", "base_url": server.url}
        )
        assert isinstance(model, AsyncLM)
        ask(model, generation(chat(turns()), kwargs))
        (ours,) = (received.json for received in server.requests)
    # 1 is the only temperature that they take and their default; lm-eval says so.
    assert theirs.pop("temperature") == 1
    assert ours == theirs


@pytest.mark.parametrize("count", [1, 3])
def test_images_are_sent_as_by_lm_eval(count: int) -> None:
    kwargs = {"until": ["\n\n"], "max_gen_toks": 16}
    images = [Image.linear_gradient("L").resize((8, 4 + i)).convert("RGB") for i in range(count)]
    theirs = PeerAPI("local-chat-completions", max_images=count).generates(turns(), kwargs, images)
    # Without max_images lm-eval sends the first only; here all are always sent.
    assert sent("local-chat-completions", generation(chat(turns(), images), kwargs)) == theirs


def test_an_answer_that_is_begun_is_asked_as_by_lm_eval_and_to_be_continued() -> None:
    kwargs = {"until": ["\n"]}
    (theirs,) = PeerAPI("local-chat-completions").generates(turns(begun="It is"), kwargs)
    (ours,) = sent("local-chat-completions", generation(chat(turns(begun="It is")), kwargs))
    # lm-eval leaves it at that, and most servers open a turn of their own.
    assert ours == theirs | {"add_generation_prompt": False, "continue_final_message": True}


def test_a_chat_without_stops_says_none_where_lm_eval_sends_an_empty_list() -> None:
    (theirs,) = PeerAPI("local-chat-completions").generates(turns(), {})
    (ours,) = sent("local-chat-completions", generation(chat(turns()), {}))
    assert theirs.pop("stop") == []
    assert ours == theirs


def test_an_end_of_text_that_is_given_is_one_more_stop_as_in_lm_eval() -> None:
    kwargs = {"until": ["\n"]}
    theirs = PeerAPI("local-chat-completions", eos_string="</s>").generates(turns(), kwargs)
    asked = generation(chat(turns()), kwargs)
    assert sent("local-chat-completions", asked, eos_string="</s>") == theirs


@pytest.mark.parametrize("system", [False, True], ids=["", "system"])
@pytest.mark.parametrize("begun", ["", "It is"], ids=["", "begun"])
@pytest.mark.parametrize(
    "gen_kwargs",
    [GENERATION["one-stop-as-text"] | {"until": "Q:"}, {"until": ["A", " \n"], "top_p": 0.5}],
)
def test_anthropic_is_asked_as_by_lm_eval(
    gen_kwargs: dict[str, Any], begun: str, system: bool
) -> None:
    asked = turns(system=system, begun=begun)
    theirs = PeerAPI("anthropic-chat").generates(asked, gen_kwargs)
    assert sent("anthropic-chat", generation(chat(asked), gen_kwargs)) == theirs


def test_nothing_that_is_sent_depends_on_the_concurrency(folder: Path) -> None:
    requests = [generation(f"{PROMPT} {i}", GENERATION["many-stops"]) for i in range(12)]
    requests += [Instance("task", i, 0, "loglikelihood", PROMPT, f" {i}") for i in range(12)]
    bodies = [
        sorted(
            sent("local-completions", *requests, tokenizer=str(folder), num_concurrent=n), key=repr
        )
        for n in (1, 16)
    ]
    assert bodies[0] == bodies[1]
