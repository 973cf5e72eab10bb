"""For the same doc our body is what lmms-eval 0.7.3 sent; ``record_lmms_eval.py`` recorded it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from asking import ask
from lmms_eval_cases import CASES, Case, picture, written_down
from servers import MODEL, ScriptedServer

from pytest_lmmeval.models.base import AsyncLM
from pytest_lmmeval.models.registry import create_model
from pytest_lmmeval.records import ImagePart, Instance, Message, TextPart

RECORDED = json.loads(Path(__file__).with_name("lmms_eval_payloads.json").read_text("utf-8"))
NAMES = {
    "openai": "openai",
    "openai_compatible": "openai",
    "async_openai": "openai",
    "srt_api": "srt_api",
}


def sent(name: str, case: Case) -> Any:
    content = tuple(
        TextPart(part) if isinstance(part, str) else ImagePart(picture(part)) for part in case.parts
    )
    messages: tuple[Message, ...] = (Message("user", content),)
    if case.system:
        messages = (Message("system", (TextPart(case.system),)), *messages)
    request = Instance(
        "task",
        0,
        0,
        "generate_until",
        messages,
        gen_kwargs=case.gen_kwargs,
        dialect="lmms_eval",
    )
    with ScriptedServer() as server:
        model = create_model(name, {"model": MODEL, "base_url": server.url})
        assert isinstance(model, AsyncLM)
        (response,) = ask(model, request)
        assert response.failure is None, response.failure
        (received,) = server.requests
    return written_down(received.json)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("name", list(NAMES))
def test_a_doc_is_asked_about_as_lmms_eval_did(name: str, case: Case) -> None:
    recorded = RECORDED[NAMES[name]]
    if case.name in recorded:
        assert sent(name, case) == recorded[case.name]
    else:
        assert NAMES[name] == "srt_api"  # which takes images before one text, and nothing else
        assert case.system or isinstance(case.parts[0], str)
