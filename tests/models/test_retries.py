"""What passes is tried again, what cannot pass is not, and no request takes another with it."""

from __future__ import annotations

import asyncio
import email.utils
import random
import threading
import time
from typing import Any

import pytest
from asking import ask, request
from servers import MODEL, Received, Reply, Script, ScriptedServer

from pytest_lmmeval.models.endpoints.failures import AttemptError, failure_of
from pytest_lmmeval.models.endpoints.openai import OpenAIChat
from pytest_lmmeval.models.endpoints.retries import Outage, RetryPolicy
from pytest_lmmeval.records import Response

QUICK: dict[str, Any] = {"retry_backoff_s": 0.01}


def once(fault: Reply) -> Script:
    """Fail the first attempt at each request, then answer."""
    return lambda received: fault if received.attempt == 0 else "B"


def answer(script: Script, **arguments: Any) -> tuple[Response, ScriptedServer]:
    with ScriptedServer(script) as server:
        model = OpenAIChat(MODEL, base_url=server.url, **{**QUICK, **arguments})
        (response,) = ask(model, request("x"))
    return response, server


@pytest.mark.parametrize(
    "fault",
    [
        *(Reply(status=status) for status in (408, 409, 429, 500, 502, 503, 504)),
        Reply("B", fault="truncate"),
        Reply(body=b'{"choices": [{"mess'),
        Reply(body={"choices": []}),
        Reply(body={"choices": [{"index": 0}]}),
        Reply(body={"error": {"message": "overloaded"}}),
        Reply(body=[1]),
        Reply(body=b"null"),
    ],
    ids=lambda reply: reply.fault or (reply.status if reply.status != 200 else str(reply.body)),
)
def test_what_passes_is_tried_again(fault: Reply) -> None:
    response, server = answer(once(fault))
    assert (response.text, response.failure, response.attempts) == ("B", None, 2)
    assert len(server.requests) == 2
    assert server.requests[0].body == server.requests[1].body


def test_a_broken_connection_counts_unless_it_was_kept_for_the_next_request() -> None:
    response, server = answer(
        lambda received: Reply(fault="reset") if received.attempt < 2 else "B"
    )
    assert (response.text, response.failure, response.attempts) == ("B", None, 2)
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, "client"),
        (400, "client"),
        (401, "auth"),
        (403, "auth"),
        (404, "client"),
        (413, "client"),
        (422, "client"),
    ],
)
def test_what_cannot_pass_is_sent_once(status: int, kind: str) -> None:
    response, server = answer(lambda _: Reply(status=status, headers={"Location": "/login"}))
    assert response.failure is not None
    assert response.failure.kind == kind
    assert str(status) in response.failure.message
    assert len(server.requests) == response.attempts == 1


@pytest.mark.parametrize(
    ("reply", "kind", "said"),
    [
        (Reply(status=500), "server", "HTTP 500: scripted 500"),
        (Reply(status=429), "rate_limit", "HTTP 429: scripted 429"),
        (Reply(body={"choices": []}), "invalid_response", "no choice"),
        (Reply(body=b"<html>"), "invalid_response", "<html>"),
        (Reply("B", fault="truncate"), "invalid_response", "breaks off"),
    ],
)
def test_attempts_are_bounded_and_the_last_failure_is_told(
    reply: Reply, kind: str, said: str
) -> None:
    response, server = answer(lambda _: reply, max_retries=3)
    assert response.failure is not None
    assert response.text is None
    assert response.failure.kind == kind
    assert said in response.failure.message
    assert len(server.requests) == response.attempts == 3


def test_no_answer_in_time_is_a_timeout_and_tried_again() -> None:
    response, server = answer(lambda _: Reply("B", delay=0.6), timeout=0.1, max_retries=2)
    assert response.failure is not None
    assert (response.failure.kind, response.attempts) == ("timeout", 2)
    assert "0.1 s" in response.failure.message
    assert len(server.requests) == 2


def test_an_image_that_the_model_cannot_read_is_sent_once_though_the_status_is_500() -> None:
    # llama.cpp's answer to an image for a text model, word for word.
    said = "image input is not supported - hint: if this is unexpected, you may need to provide "
    body = {"error": {"code": 500, "message": said + "the mmproj", "type": "server_error"}}
    response, server = answer(lambda _: Reply(status=500, body=body))
    assert response.failure is not None
    assert response.failure.kind == "client"
    assert "image input is not supported" in response.failure.message
    assert len(server.requests) == 1


def test_an_exhausted_quota_is_not_waited_for() -> None:
    body = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    response, server = answer(lambda _: Reply(status=429, body=body))
    assert response.failure is not None
    assert response.failure.kind == "rate_limit"
    assert len(server.requests) == 1


def test_one_failing_request_leaves_the_others_alone() -> None:
    def script(received: Received) -> Reply | str:
        return Reply(status=400) if received.prompt == "7" else received.prompt

    with ScriptedServer(script) as server:
        model = OpenAIChat(MODEL, base_url=server.url, num_concurrent=8, **QUICK)
        responses = ask(model, *(request(str(i)) for i in range(40)))
    assert [r.text for r in responses if not r.failure] == [str(i) for i in range(40) if i != 7]
    assert [i for i, r in enumerate(responses) if r.failure] == [7]
    assert 1 < server.most_at_once <= 8


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_server_decides_how_long_to_wait(form: str) -> None:
    now = time.time()
    value = "1" if form == "seconds" else email.utils.formatdate(now + 2, usegmt=True)
    arrivals: list[float] = []

    def script(received: Received) -> Reply | str:
        arrivals.append(time.time())
        return Reply(status=429, headers={"Retry-After": value}) if len(arrivals) == 1 else "B"

    response, _ = answer(script)
    assert response.text == "B"
    # Not before the server said, which with a date means to the second.
    assert arrivals[1] - (arrivals[0] if form == "seconds" else int(now) + 1) >= 1


def test_a_wait_beyond_the_budget_is_not_begun() -> None:
    response, server = answer(lambda _: Reply(status=429, headers={"Retry-After": "3600"}))
    assert response.failure is not None
    assert len(server.requests) == 1


@pytest.mark.parametrize("value", ["soon", "-5", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_wait_that_is_over_or_cannot_be_read_is_none(value: str) -> None:
    assert not failure_of(429, {"Retry-After": value}, b"").retry_after


def test_a_server_that_restarts_is_waited_for() -> None:
    first = threading.Event()

    def script(received: Received) -> Reply | str:
        first.set()
        return Reply("slow", delay=0.3) if received.attempt == 0 else "B"

    server = ScriptedServer(script)
    server.start()

    def restart() -> None:
        first.wait()
        server.stop()
        time.sleep(0.5)
        server.start()

    restarting = threading.Thread(target=restart)
    restarting.start()
    try:
        model = OpenAIChat(MODEL, base_url=server.url, max_retries=2, **QUICK)
        responses = ask(model, *(request(str(i)) for i in range(8)))
    finally:
        restarting.join()
        server.stop()
    assert {response.text for response in responses} <= {"B", "slow"}
    assert max(response.attempts for response in responses) > 2


def test_a_server_that_stays_away_fails_the_rest_at_once() -> None:
    server = ScriptedServer()
    server.start()
    model = OpenAIChat(MODEL, base_url=server.url, outage_budget=0.4, **QUICK)

    async def run() -> tuple[list[Response], float, list[Response]]:
        await model.astart()
        server.stop()
        waiting = await asyncio.gather(*(model.respond(request(str(i))) for i in range(4)))
        started = time.monotonic()
        rest = [await model.respond(request(str(i))) for i in range(500)]
        seconds = time.monotonic() - started
        await model.aclose()
        return waiting, seconds, rest

    waiting, seconds, rest = asyncio.run(run())
    assert {r.failure.kind for r in [*waiting, *rest] if r.failure} == {"connection"}
    assert all(r.failure for r in [*waiting, *rest])
    assert {r.attempts for r in rest} == {0}
    # 500 requests that each waited out the budget would take 200 s.
    assert seconds < 20


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_answer_ends_an_outage() -> None:
    clock = Clock()
    outage = Outage(90, clock)
    outage.failed()
    clock.now += 89
    assert not outage.over
    outage.answered()
    clock.now += 2
    outage.failed()
    assert not outage.over
    clock.now += 90
    assert outage.over


def test_a_server_that_is_gone_is_asked_now_and_then() -> None:
    clock = Clock()
    outage = Outage(90, clock)
    outage.failed()
    clock.now += 100
    assert [outage.admits() for _ in range(3)] == [True, False, False]
    clock.now += 6
    assert outage.admits()
    outage.answered()
    assert outage.admits()
    assert outage.admits()


def attempts_until_given_up(
    errors: list[AttemptError], outage: Outage, others: bool, *, strict: bool = True
) -> int:
    """Count the attempts of a request that meets ``errors``, while others are answered or not."""
    policy = RetryPolicy(3, 600, 0.0, outage, strict=strict)
    count = 0

    async def send() -> None:
        nonlocal count
        if others:
            policy.answered()
        error = errors[count]
        count += 1
        policy.failed(error)
        raise error

    with pytest.raises(AttemptError):
        asyncio.run(policy.run(send))
    return count


def test_an_outage_counts_against_a_request_only_if_others_are_answered() -> None:
    away = AttemptError("connection", "refused", retry=True, away=True)
    final = AttemptError("client", "no", retry=False)
    errors = [away] * 9 + [final]
    assert attempts_until_given_up(errors, Outage(90), others=False) == 10
    assert attempts_until_given_up(errors, Outage(90), others=True) == 3


@pytest.mark.parametrize(
    ("status", "kind"), [(500, "server"), (429, "rate_limit"), (0, "invalid_response")]
)
def test_trouble_that_all_requests_meet_is_waited_out_like_a_restart(
    status: int, kind: Any
) -> None:
    trouble = AttemptError(kind, "trouble", retry=True, status=status)
    final = AttemptError("client", "no", retry=False)
    errors = [trouble] * 9 + [final]
    assert attempts_until_given_up(errors, Outage(90), others=False, strict=False) == 10
    assert attempts_until_given_up(errors, Outage(90), others=True, strict=False) == 3
    # Attempts that the user counted are counted.
    assert attempts_until_given_up(errors, Outage(90), others=False, strict=True) == 3


@pytest.mark.parametrize(
    "error",
    [
        AttemptError("timeout", "late", retry=True),
        AttemptError("rate_limit", "busy", retry=True, status=429, retry_after=0),
    ],
    ids=["timeout", "told-to-wait"],
)
def test_what_brings_its_own_wait_always_counts(error: AttemptError) -> None:
    assert attempts_until_given_up([error] * 9, Outage(90), others=False, strict=False) == 3


def test_trouble_that_does_not_end_refuses_nobody() -> None:
    clock = Clock()
    outage = Outage(90, clock)
    policy = RetryPolicy(3, 600, 0.0, outage, strict=False)
    policy.failed(AttemptError("server", "trouble", retry=True, status=500))
    clock.now += 1000
    assert not outage.over
    assert outage.admits()


FAULTS = (
    Reply(status=429, headers={"Retry-After": "0"}),
    Reply(status=429),
    Reply(status=500),
    Reply("B", fault="reset"),
    Reply("B", fault="truncate"),
    Reply(body=b"<html>busy</html>"),
    Reply("B", delay=1.5),  # a timeout
)


@pytest.mark.parametrize("outage", ["away", "internal-errors"])
def test_every_request_is_answered_through_random_faults_and_an_outage(outage: str) -> None:
    faulty = random.Random(0)
    reached, over = threading.Event(), threading.Event()

    def script(received: Received) -> Reply | str:
        if received.number == 300:
            reached.set()
        if outage == "internal-errors" and reached.is_set() and not over.is_set():
            return Reply(status=500)
        # One in a hundred of each, and no request meets more than one, as they are counted.
        fault = faulty.randrange(100)
        if received.attempt == 0 and fault < len(FAULTS):
            return FAULTS[fault]
        return received.prompt

    server = ScriptedServer(script)
    server.start()

    def go_away() -> None:
        reached.wait()
        if outage == "away":
            server.stop()
        time.sleep(2)
        over.set()
        if outage == "away":
            server.start()

    trouble = threading.Thread(target=go_away)
    trouble.start()
    try:
        model = OpenAIChat(
            MODEL, base_url=server.url, num_concurrent=8, timeout=1, retry_backoff_s=0.05
        )
        responses = ask(model, *(request(str(i)) for i in range(700)))
    finally:
        reached.set()
        trouble.join()
        server.stop()
    assert [r.failure for r in responses if r.failure] == []
    assert [r.text for r in responses] == [str(i) for i in range(700)]
    assert max(r.attempts for r in responses) > 2


def test_a_request_that_is_cancelled_is_not_tried_again() -> None:
    arrived = threading.Event()

    def script(_: Received) -> Reply:
        arrived.set()
        return Reply("B", delay=0.3)

    with ScriptedServer(script) as server:
        model = OpenAIChat(MODEL, base_url=server.url, **QUICK)

        async def run() -> None:
            await model.astart()
            task = asyncio.ensure_future(model.respond(request("x")))
            await asyncio.to_thread(arrived.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await model.aclose()

        asyncio.run(run())
    assert len(server.requests) == 1
