"""A subclass of lm-eval's ``TemplateAPI`` runs here with one import changed.

The classes below are written for lm-eval and use nothing of ours. The test runs each twice: on
lm-eval's superclass and on ours, against the same server, and what is sent must be the same.
"""

from __future__ import annotations

import json
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from asking import ask
from checkpoints import save_tiny_llama
from lm_eval.api.instance import Instance as PeerInstance
from lm_eval.models import api_models
from servers import MODEL, Received, Reply, ScriptedServer

import pytest_lmmeval
from pytest_lmmeval.errors import ModelUnavailable
from pytest_lmmeval.records import Instance, Message, TextPart


def texts_of(outputs: Any) -> list[str]:
    """lm-eval hands over one answer or a list of them."""
    outputs = outputs if isinstance(outputs, list) else [outputs]
    return [text for out in outputs for text in out["texts"]]


def text_model(base: Any) -> Any:
    """An API with a form of its own, for texts and likelihoods."""

    class OwnAPI(base):  # type: ignore[misc]  # the superclass is the test's parameter
        def __init__(self, base_url: str, flavour: str = "plain", **kwargs: Any) -> None:
            super().__init__(base_url=base_url, **kwargs)
            self.flavour = flavour

        def _create_payload(
            self, messages: Any, *, generate: bool = False, gen_kwargs: Any = None,
            seed: int = 1234, eos: Any = None, **kwargs: Any,
        ) -> dict[str, Any]:  # fmt: skip
            body = {"in": messages, "who": self.model, "seed": seed, "flavour": self.flavour}
            if not generate:
                return body | {"score": True}
            gen_kwargs.pop("do_sample", False)
            return body | {
                "most": gen_kwargs.pop("max_gen_toks", self._max_gen_toks),
                "temperature": gen_kwargs.pop("temperature", 0),
                "ends": [*gen_kwargs.pop("until", []), eos],
                **gen_kwargs,
            }

        @staticmethod
        def parse_generations(outputs: Any, **kwargs: Any) -> list[str]:
            return texts_of(outputs)

        @staticmethod
        def parse_logprobs(
            outputs: Any, tokens: Any = None, ctxlens: Any = None, **kwargs: Any
        ) -> list[tuple[float, bool]]:
            (out,) = outputs if isinstance(outputs, list) else [outputs]
            values = out["scores"]
            return [
                (value - len(prompt) + start, True)
                for value, prompt, start in zip(values, tokens, ctxlens, strict=True)
            ]

        @cached_property
        def api_key(self) -> str:
            return "own-key"

        @cached_property
        def header(self) -> dict[str, str]:
            return {"X-Own": self.api_key}

        def tok_encode(self, string: Any, *args: Any, **kwargs: Any) -> Any:
            tokens = super().tok_encode(string, *args, **kwargs)
            return [t for t in tokens if t != 9] if isinstance(string, str) else tokens

        @property
        def prefix_token_id(self) -> int:
            return 7

    return OwnAPI


def chat_model(base: Any) -> Any:
    """An API that takes conversations."""

    class OwnChat(base):  # type: ignore[misc]  # the superclass is the test's parameter
        chat = True

        def __init__(self, base_url: str, **kwargs: Any) -> None:
            super().__init__(base_url=base_url, tokenizer_backend=None, **kwargs)

        def _create_payload(
            self, messages: Any, generate: bool = True, gen_kwargs: Any = None, **kwargs: Any
        ) -> dict[str, Any]:
            return {"turns": messages, "ends": gen_kwargs.pop("until")}

        def parse_generations(self, outputs: Any, **kwargs: Any) -> list[str]:
            return texts_of(outputs)

        def parse_logprobs(self, outputs: Any, **kwargs: Any) -> list[tuple[float, bool]]:
            raise NotImplementedError

    return OwnChat


def answer(received: Received) -> Reply:
    given = received.json.get("in", "")
    count = 1 if isinstance(given, str) else len(given)
    return Reply(body={"texts": ["yes END no"] * count, "scores": [-3.0] * count})


def theirs(model: Any, method: str, *requests: tuple[Any, ...]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        asked = [PeerInstance(method, {}, arguments, 0) for arguments in requests]
        return getattr(model, method)(asked, disable_tqdm=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("tokenized", [True, False])
def test_a_subclass_sends_and_scores_what_it_does_on_lm_evals(
    batch_size: int, tokenized: bool, folder: str
) -> None:
    kwargs = {"until": ["END"], "top_p": 0.9, "max_gen_toks": 5, "do_sample": False}
    pairs = [("the dog and the fox", " jumps"), ("the", " dog")]
    settings: dict[str, Any] = {"model": MODEL, "tokenizer": folder, "flavour": "sour"}
    settings |= {"batch_size": batch_size, "tokenized_requests": tokenized}
    with ScriptedServer(answer) as server:
        url = f"{server.url}/own"
        peer = text_model(api_models.TemplateAPI)(url, **settings)
        scores = theirs(peer, "loglikelihood", *pairs)
        theirs(peer, "generate_until", *((context, dict(kwargs)) for context, _ in pairs))
        sent = [(received.path, received.json) for received in server.requests]
    with ScriptedServer(answer) as server:
        url = f"{server.url}/own"
        model = text_model(pytest_lmmeval.TemplateAPI)(url, num_concurrent=1, **settings)
        scored = ask(model, *(Instance("t", 0, 0, "loglikelihood", *pair) for pair in pairs))
        texts = ask(
            model, *(Instance("t", 0, 0, "generate_until", c, "", kwargs) for c, _ in pairs)
        )
        assert [(received.path, received.json) for received in server.requests] == sent
        assert {received.headers["x-own"] for received in server.requests} == {"own-key"}
    assert [(r.logprob, r.is_greedy) for r in scored] == scores
    # lm-eval leaves it to the server to stop.
    assert [r.text for r in texts] == ["yes ", "yes "]


def test_a_subclass_for_chats_sends_what_it_does_on_lm_evals() -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1+1? é"}]
    kwargs = {"until": ["\n"]}
    with ScriptedServer(answer) as server:
        peer = chat_model(api_models.TemplateAPI)(f"{server.url}/own", model=MODEL)
        prompt = api_models.JsonChatStr(json.dumps(turns))
        theirs(peer, "generate_until", (prompt, dict(kwargs)))
        model = chat_model(pytest_lmmeval.TemplateAPI)(f"{server.url}/own", model=MODEL)
        messages = (
            Message("system", (TextPart("Be brief."),)),
            Message("user", (TextPart("1+1? é"),)),
        )
        (response,) = ask(model, Instance("t", 0, 0, "generate_until", messages, "", kwargs))
        first, second = (received.json for received in server.requests)
    assert first == second
    assert response.text == "yes END no"


def test_a_missing_key_that_a_subclass_tells_as_lm_evals_do_is_one_line() -> None:
    class Keyed(pytest_lmmeval.TemplateAPI):
        @property
        def api_key(self) -> str:
            raise ValueError("API key not found. Please set OWN_KEY.")

    with pytest.raises(ModelUnavailable, match="Please set OWN_KEY"):
        ask(Keyed("m", base_url="http://127.0.0.1:9/v1", tokenizer_backend="none"))


def test_an_answer_that_a_subclass_cannot_read_is_asked_for_again_and_then_a_failure() -> None:
    with ScriptedServer(lambda _: Reply(body={"error": {"message": "busy"}})) as server:
        model = chat_model(pytest_lmmeval.TemplateAPI)(
            f"{server.url}/own", model=MODEL, max_retries=2, retry_backoff_s=0.01
        )
        (response,) = ask(model, Instance("t", 0, 0, "generate_until", "x", "", {"until": []}))
    assert response.failure is not None
    assert response.failure.kind == "invalid_response"
    assert "KeyError: 'texts'" in response.failure.message
    assert "busy" in response.failure.message
    assert len(server.requests) == 2


def test_one_prompt_that_is_refused_leaves_the_others_of_its_request_alone(
    tmp_path: Path,
) -> None:
    folder = str(save_tiny_llama(tmp_path / "tiny"))

    def script(received: Received) -> Reply:
        return Reply(status=400) if "bad" in str(received.json["in"]) else answer(received)

    with ScriptedServer(script) as server:
        model = text_model(pytest_lmmeval.TemplateAPI)(
            f"{server.url}/own",
            model=MODEL,
            tokenizer=folder,
            tokenized_requests=False,
            batch_size=4,
        )
        contexts = ["one", "two", "bad", "three", "four"]
        responses = ask(
            model, *(Instance("t", 0, 0, "generate_until", c, "", {"until": []}) for c in contexts)
        )
        sizes = [len(received.json["in"]) for received in server.requests]
    assert [bool(response.failure) for response in responses] == [False, False, True, False, False]
    assert sorted(sizes, reverse=True)[0] == 4
