"""What is sent is what the peers send for the same task.

The expected bodies were recorded from lm-eval 0.4.13 (``local-chat-completions``) and lmms-eval
0.7.3 (``openai``, ``srt_api``) asking this very server.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from asking import ask, request
from PIL import Image
from servers import MODEL, Reply, ScriptedServer, completion

from pytest_lmmeval.models.endpoints.openai import OpenAIChat
from pytest_lmmeval.models.endpoints.srt import SRT
from pytest_lmmeval.records import Instance, Message, Response, TextPart


def sent(instance: Instance, **arguments: Any) -> Any:
    """Return the JSON that the server got for one request."""
    with ScriptedServer() as server:
        (response,) = ask(OpenAIChat(MODEL, base_url=server.url, **arguments), instance)
        assert response.failure is None, response.failure
        return server.requests[0].json


def failure(instance: Instance) -> str:
    """Return why a request was not sent."""
    with ScriptedServer() as server:
        (response,) = ask(OpenAIChat(MODEL, base_url=server.url), instance)
        assert not server.requests
    assert response.failure is not None
    assert response.attempts == 0
    return f"{response.failure.kind}: {response.failure.message}"


def png_url(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


GRADIENT = Image.linear_gradient("L").resize((8, 6)).convert("RGB")


def test_an_lmms_eval_task_is_asked_as_lmms_eval_does() -> None:
    body = sent(
        request(
            GRADIENT,
            "Which?\nA. x\nB. y",
            dialect="lmms_eval",
            gen_kwargs={
                "max_new_tokens": 16,
                "temperature": 0,
                "top_p": 1.0,
                "num_beams": 1,
                "do_sample": False,
                "until": ["\n\n"],
                "image_aspect_ratio": "original",
            },
        )
    )
    assert body == {
        "model": MODEL,
        "max_tokens": 16,
        "temperature": 0,
        "top_p": 1.0,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": png_url(GRADIENT)}},
                    {"type": "text", "text": "Which?\nA. x\nB. y"},
                ],
            }
        ],
    }


def test_an_lmms_eval_task_has_its_defaults_and_text_in_a_list() -> None:
    assert sent(request("Why?", dialect="lmms_eval")) == {
        "model": MODEL,
        "max_tokens": 1024,
        "temperature": 0,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}],
    }


def test_an_lm_eval_task_is_asked_as_lm_eval_does() -> None:
    body = sent(
        request(
            "Question: 1+1?\nAnswer:",
            gen_kwargs={
                "until": ["\n", "</s>", "Q:", "<|im_end|>", "5th"],
                "max_gen_toks": 64,
                "temperature": 0.0,
                "do_sample": False,
            },
        )
    )
    assert body == {
        "messages": [{"role": "user", "content": "Question: 1+1?\nAnswer:"}],
        "model": MODEL,
        "max_tokens": 64,
        "temperature": 0.0,
        "stop": ["\n", "</s>", "Q:", "<|im_end|>"],
        "seed": 1234,
    }


def test_an_lm_eval_task_with_an_image_is_asked_as_lm_eval_does() -> None:
    body = sent(request(GRADIENT, "What is this?", gen_kwargs={"until": ["\n\n"], "top_p": 0.9}))
    assert body == {
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image_url",
                        "image_url": {"url": png_url(GRADIENT), "detail": "auto"},
                    },
                    {"type": "text", "text": "What is this?"},
                ],
            }
        ],
        "model": MODEL,
        "max_tokens": 256,
        "temperature": 0,
        "stop": ["\n\n"],
        "seed": 1234,
        "top_p": 0.9,
    }


def test_a_chat_goes_out_turn_by_turn() -> None:
    turns = (
        Message("system", (TextPart("Be brief."),)),
        Message("user", (TextPart("1+1?"),)),
        Message("assistant", (TextPart("2"),)),
        Message("user", (TextPart("2+2?"),)),
    )
    body = sent(Instance("task", 0, 0, "generate_until", turns))
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "2+2?"},
    ]
    assert "stop" not in body


def test_a_plain_prompt_is_one_user_message() -> None:
    body = sent(Instance("task", 0, 0, "generate_until", "Hello"))
    assert body["messages"] == [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(
    "name", ["max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"]
)
def test_the_token_limit_goes_by_any_of_the_peers_names(name: str) -> None:
    body = sent(request("x", gen_kwargs={name: 5}))
    assert body["max_tokens"] == 5
    assert "max_gen_toks" not in body


def test_the_models_own_limit_is_for_tasks_without_one() -> None:
    assert sent(request("x"), max_gen_toks=7)["max_tokens"] == 7
    assert sent(request("x", gen_kwargs={"max_gen_toks": 9}), max_gen_toks=7)["max_tokens"] == 9


def test_each_repeat_has_its_own_seed() -> None:
    assert [sent(request("x", repeat=repeat), seed=10)["seed"] for repeat in (0, 1)] == [10, 11]


def test_a_reasoning_model_gets_its_limit_under_openais_new_name() -> None:
    asked = request("x", gen_kwargs={"until": ["\n"], "max_gen_toks": 3})
    body = sent(asked, max_completion_tokens=True)
    assert body["max_completion_tokens"] == 3
    assert not {"max_tokens", "temperature", "stop"} & set(body)


def test_extra_fields_are_added_to_every_request() -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}, "seed": 5}
    body = sent(request("x"), extra_body=extra)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["seed"] == 5


@pytest.mark.parametrize(
    ("gen_kwargs", "reason"),
    [
        ({"num_beams": 4}, "num_beams=4 cannot be sent"),
        ({"temprature": 0.5}, "Did you mean 'temperature'?"),
        ({"n": 2}, "n must be 1"),
        ({"max_gen_toks": 0}, "must be a positive integer"),
        ({"temperature": "warm"}, "temperature must be a number"),
        ({"until": [1]}, "until must be"),
        ({"stop": ["x"]}, "as 'until'"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(gen_kwargs: dict[str, Any], reason: str) -> None:
    found = failure(request("x", gen_kwargs=gen_kwargs))
    assert found.startswith("client: ")
    assert reason in found


def test_a_likelihood_cannot_be_had_from_chat_completions() -> None:
    found = failure(Instance("task", 0, 0, "loglikelihood", "a", continuation="b"))
    assert "chat completions return no likelihood" in found


def test_srt_api_asks_as_lmms_eval_does() -> None:
    asked = request(
        GRADIENT,
        GRADIENT,
        "Which?",
        dialect="lmms_eval",
        gen_kwargs={"temperature": 0, "top_p": 1.0, "num_beams": 1, "until": ["\n"]},
    )
    with ScriptedServer(lambda _: " B \n", models=["served/path"]) as server:
        model = SRT("served/path", host="127.0.0.1", port=server.port, modality="multi-images")
        assert model.message_format == "simple"
        (response,) = ask(model, asked)
        body = server.requests[0].json
    image = {
        "type": "image_url",
        "image_url": {"url": png_url(GRADIENT)},
        "modalities": "multi-images",
    }
    assert response.text == "B"
    assert body == {
        "model": "served/path",
        "messages": [
            {"role": "user", "content": [image, image, {"type": "text", "text": "Which?"}]}
        ],
        "temperature": 0,
        "max_tokens": 1024,
    }


def answered(reply: Reply | str, instance: Instance | None = None, **arguments: Any) -> Response:
    with ScriptedServer(lambda _: reply) as server:
        model = OpenAIChat(MODEL, base_url=server.url, **arguments)
        (response,) = ask(model, instance or request("x"))
    return response


def test_an_answer_has_its_text_reason_and_usage() -> None:
    response = answered(Reply("B", finish_reason="length"))
    assert (response.text, response.finish_reason, response.failure) == ("B", "length", None)
    assert response.usage == {"prompt_tokens": 7, "completion_tokens": 2}
    assert response.attempts == 1
    assert response.latency > 0


def test_an_answer_is_cut_at_every_stop_though_only_four_are_sent() -> None:
    stops = ["1", "2", "3", "4", "END"]
    asked = request("x", gen_kwargs={"until": stops})
    response = answered(Reply("yes END no", finish_reason="length"), asked)
    assert (response.text, response.finish_reason) == ("yes ", "stop")


def test_lmms_evals_stops_do_not_apply_to_servers() -> None:
    asked = request("x", gen_kwargs={"until": ["END"]}, dialect="lmms_eval")
    assert answered("yes END no", asked).text == "yes END no"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_an_empty_answer_that_was_all_reasoning_is_no_failure(name: str) -> None:
    body = completion(None, "length", **{name: "Let me think"})
    response = answered(Reply(body=body))
    assert (response.text, response.finish_reason) == ("", "length")
    assert response.reasoning == "Let me think"
    assert response.failure is None


def test_the_answer_can_be_what_follows_the_thoughts() -> None:
    response = answered("so 2</think>\n\n2", think_end_token="</think>")
    assert (response.text, response.reasoning) == ("2", "so 2")


def test_content_in_parts_is_joined() -> None:
    body = completion("")
    body["choices"][0]["message"]["content"] = [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    assert answered(Reply(body=body)).text == "ab"
