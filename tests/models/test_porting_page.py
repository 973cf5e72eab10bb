"""The examples of docs/porting-api-models.md run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from asking import ask
from checkpoints import save_tiny_llama
from servers import MODEL, Received, Reply, ScriptedServer

from pytest_lmmeval.models import registry
from pytest_lmmeval.models.base import AsyncLM
from pytest_lmmeval.models.registry import create_model
from pytest_lmmeval.records import Instance

PAGE = Path(__file__).parents[2] / "docs" / "porting-api-models.md"


@pytest.fixture
def examples(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the class of each example; their names are forgotten after the test."""
    monkeypatch.setattr(registry, "_registered", {})
    found = []
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        namespace: dict[str, Any] = {"__name__": "example"}
        exec(block, namespace)
        found.append(namespace["OurAPI"])
    return found


def test_the_ported_class_generates_and_scores(examples: list[Any], tmp_path: Path) -> None:
    folder = str(save_tiny_llama(tmp_path / "tiny"))

    def script(received: Received) -> Reply:
        (tokens,) = received.json["in"]
        if not received.json.get("score"):
            assert received.json["most"] == 3
            return Reply(body={"choices": [{"text": "yes\nno"}]})
        return Reply(body={"choices": [{"logprobs": [-0.5] * len(tokens), "greedy": True}]})

    with ScriptedServer(script) as server:
        model = create_model(
            "our-api", f"model={MODEL},base_url={server.url}/api,tokenizer={folder}"
        )
        assert type(model) is examples[0]
        assert isinstance(model, AsyncLM)
        text, score = ask(
            model,
            Instance("t", 0, 0, "generate_until", "a", "", {"until": ["\n"], "max_tokens": 3}),
            Instance("t", 1, 0, "loglikelihood", "a", "b"),
        )
    assert text.text == "yes"
    assert (score.logprob, score.is_greedy) == (-0.5, True)


def test_the_new_class_asks_in_its_own_form(examples: list[Any]) -> None:
    def script(received: Received) -> Reply:
        assert received.path == "/v1/ask"
        assert received.json == {"model": MODEL, "prompt": "a", "most": 64}
        return Reply(body={"text": "yes", "why": "stop"})

    with ScriptedServer(script) as server:
        model = examples[1](MODEL, base_url=server.url)
        (response,) = ask(model, Instance("t", 0, 0, "generate_until", "a"))
    assert (response.text, response.finish_reason) == ("yes", "stop")
