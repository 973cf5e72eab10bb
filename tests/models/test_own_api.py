"""A subclass of ``TemplateAPI`` needs an endpoint, a payload and a parser, and has all the rest."""

from __future__ import annotations

from typing import Any

from asking import ask, request
from servers import MODEL, Reply, ScriptedServer

from pytest_lmmeval.errors import RequestError
from pytest_lmmeval.models.endpoints.api import TemplateAPI
from pytest_lmmeval.models.messages import messages_of
from pytest_lmmeval.models.registry import create_model, register_model
from pytest_lmmeval.records import Instance, Response


class Completions(TemplateAPI):
    """A user's model: completions, with a key in a header of its own."""

    endpoint = "/completions"

    def __init__(self, suffix: str = "", **settings: Any) -> None:
        super().__init__(**settings)
        self.suffix = suffix

    def credentials(self, key: str) -> dict[str, str]:
        return {"X-Key": key}

    def create_payload(self, request: Instance) -> dict[str, Any]:
        (message,) = messages_of(request)
        return {"model": self.model, "prompt": message.text + self.suffix}

    def parse_response(self, request: Instance, answer: Any) -> Response:
        if "choices" not in answer:
            raise RequestError("invalid_response", f"no choices for doc {request.doc_id}")
        return Response(text=answer["choices"][0]["text"])


def answer(received: Any) -> Reply:
    if received.attempt == 0:
        return Reply(body={})
    said = {"text": f"{received.path} {received.prompt} {received.headers['x-key']}"}
    return Reply(body={"choices": [said]})


def test_a_subclass_sends_its_payload_and_reads_its_answer_with_retries() -> None:
    with ScriptedServer(answer) as server:
        url = f"{server.url}/completions"
        model = Completions("!", model=MODEL, base_url=url, api_key="abcdef", retry_backoff_s=0.01)
        (response,) = ask(model, request("hello"))
    assert response.text == "/v1/completions hello! abcdef"
    assert response.attempts == 2
    assert "abcdef" not in repr(model)


def test_what_a_subclass_refuses_is_a_failure_with_its_words() -> None:
    with ScriptedServer(lambda _: Reply(body={})) as server:
        model = Completions(model=MODEL, base_url=server.url, max_retries=1)
        (response,) = ask(model, request("hello", doc_id=4))
    assert response.failure is not None
    assert response.failure.message == "no choices for doc 4"


def test_a_registered_subclass_takes_the_arguments_of_its_base() -> None:
    register_model("own-completions")(Completions)
    model = create_model("own-completions", "model=m,base_url=http://h,suffix=x,num_concurrent=3")
    assert isinstance(model, Completions)
    assert (model.suffix, model.num_concurrent) == ("x", 3)
