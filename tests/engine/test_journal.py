"""The journal without pytest: whose answers count, files that are none, several processes."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import sqlite3
from collections.abc import Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from pytest_lmmeval import LM, Instance, RequestError, Response, simple_evaluate
from pytest_lmmeval.errors import JournalError
from pytest_lmmeval.pipeline.journal.answer_text import decoded, encoded
from pytest_lmmeval.pipeline.journal.store import Entry, Store

KEY, OTHER_KEY = b"k" * 16, b"o" * 16
ANSWER = Response(text="4", finish_reason="stop", usage={"completion_tokens": 1}, latency=0.25)


def entry(doc: str, text: str = "4", key: bytes = KEY) -> Entry:
    return Entry(key, doc, encoded(Response(text=text)))


def text(store: Store, doc: str, *, earlier: bool, key: bytes = KEY) -> str | None:
    found = store.find(key, doc, of_earlier_runs=earlier)
    return None if found is None else decoded(found.answer).text


def answers(path: Path) -> list[str | None]:
    with sqlite3.connect(path) as db:
        return [decoded(answer).text for (answer,) in db.execute("SELECT answer FROM answers")]


def test_within_a_run_an_answer_is_its_own_docs(tmp_path: Path) -> None:
    store = Store(tmp_path / "j", "run")
    store.write([entry("t/1")])
    worker = Store(tmp_path / "j", "run")
    assert text(worker, "t/1", earlier=False) == "4"
    assert text(worker, "t/2", earlier=False) is None
    assert text(worker, "t/2", earlier=True) is None
    assert text(worker, "t/1", earlier=False, key=OTHER_KEY) is None


def test_across_runs_it_is_everybodys_where_that_is_asked_for(tmp_path: Path) -> None:
    Store(tmp_path / "j", "first").write([entry("t/1", "one"), entry("t/2", "two")])
    later = Store(tmp_path / "j", "second")
    assert text(later, "t/1", earlier=False) is None
    assert [text(later, doc, earlier=True) for doc in ("t/1", "t/2")] == ["one", "two"]
    assert text(later, "t/3", earlier=True) in ("one", "two")


def test_what_a_run_took_over_goes_with_it(tmp_path: Path) -> None:
    Store(tmp_path / "j", "killed").write([entry("t/1", "one"), entry("t/2", "two")])
    resumed = Store(tmp_path / "j", "resumed")
    found = resumed.find(KEY, "t/1", of_earlier_runs=True)
    assert found is not None
    assert not found.is_own
    resumed.write([entry("t/3", "three")], [found.row])
    resumed.forget(older_than=0.0, own=True)
    assert answers(tmp_path / "j") == ["two"]


def test_runs_of_long_ago_go(tmp_path: Path) -> None:
    Store(tmp_path / "j", "old").write([entry("t/1", "one")])
    with sqlite3.connect(tmp_path / "j") as db:
        db.execute("UPDATE runs SET began = 1000 WHERE name = 'old'")
    Store(tmp_path / "j", "young").write([entry("t/2", "two")])
    now = Store(tmp_path / "j", "now")
    now.forget(older_than=2000.0, own=False)
    assert answers(tmp_path / "j") == ["two"]


@pytest.mark.parametrize(
    "response",
    [
        ANSWER,
        Response(text=""),
        Response(text="half a \ud83d character, \0 and é", reasoning="because"),
        Response(logprob=-0.1 - 0.2, is_greedy=False),
        Response(logprob=-math.inf, is_greedy=True, truncated=3, resized=1),
    ],
)
def test_an_answer_comes_back_as_it_was(tmp_path: Path, response: Response) -> None:
    Store(tmp_path / "j", "run").write([Entry(KEY, "t/1", encoded(response))])
    found = Store(tmp_path / "j", "run").find(KEY, "t/1", of_earlier_runs=False)
    assert found is not None
    assert decoded(found.answer) == response


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE things (name TEXT)")


def of_another_version(path: Path) -> None:
    Store(path, "run").close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path.write_bytes(b"not a database, but text" * 99), "not a database"),
        (foreign, "something else"),
        (of_another_version, "another version"),
        (lambda path: path.mkdir(), "unable to open"),
    ],
    ids=["text", "foreign", "version", "folder"],
)
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, make: object, told: str) -> None:
    path = tmp_path / "j"
    make(path)  # type: ignore[operator]  # one of the four above
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(JournalError, match=told) as caught:
        Store(path, "run")
    assert str(path) in str(caught.value)
    assert before is None or path.read_bytes() == before


def write_many(path: Path, number: int) -> None:
    store = Store(path, f"run {number % 2}")
    for i in range(50):
        store.write([entry(f"{number}/{i}/{j}") for j in range(4)])
    store.close()


def test_processes_open_and_write_one_new_file_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=write_many, args=(tmp_path / "j", number)) for number in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    with sqlite3.connect(tmp_path / "j") as db:
        assert db.execute("SELECT count(*) FROM answers").fetchone() == (800,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def open_many(folder: Path, together: Barrier) -> None:
    for number in range(100):
        together.wait(60)
        store = Store(folder / str(number), "run")
        store.write([entry(str(os.getpid()))])
        store.close()


def test_processes_may_open_a_new_file_at_the_same_moment(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    processes = [context.Process(target=open_many, args=(tmp_path, together)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 3
    assert [len(answers(tmp_path / str(number))) for number in range(100)] == [3] * 100


class Counting(LM):
    """Answers, and counts what it is asked."""

    request_types = frozenset({"generate_until", "loglikelihood"})
    batch_size = 4

    def __init__(self, broken: str = "none") -> None:
        self.broken = broken
        self.asked = 0

    def generate_until(self, requests: Sequence[Instance]) -> Sequence[str]:
        if any(self.broken in str(request.context) for request in requests):
            raise RequestError("server", "500")
        self.asked += len(requests)
        return [f"<{request.context}>" for request in requests]

    def loglikelihood(self, requests: Sequence[Instance]) -> Sequence[tuple[float, bool]]:
        self.asked += len(requests)
        return [(-len(str(r.context) + r.continuation) / 7, False) for r in requests]


TASK = """
task: shown
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
test_split: test
doc_to_text: "Say {{number}}"
"""
GENERATED = TASK + 'doc_to_target: "{{number}}"\n'
CHOSEN = TASK + 'output_type: multiple_choice\ndoc_to_target: 0\ndoc_to_choice: ["a", "b"]\n'


def write_task(folder: Path, yaml: str) -> str:
    rows = [json.dumps({"number": i}) for i in range(30)]
    (folder / "rows.jsonl").write_text("\n".join(rows))
    (folder / "shown.yaml").write_text(yaml.replace("rows.jsonl", str(folder / "rows.jsonl")))
    return str(folder / "shown.yaml")


@pytest.mark.parametrize(("yaml", "requests"), [(GENERATED, 30), (CHOSEN, 60)])
def test_a_second_evaluation_asks_nothing_and_says_the_same(
    tmp_path: Path, yaml: str, requests: int
) -> None:
    task, cache = write_task(tmp_path, yaml), str(tmp_path / "cache.sqlite")
    first, second, without = Counting(), Counting(), Counting()
    results = [
        simple_evaluate(model, tasks=task, use_cache=path)
        for model, path in ((first, cache), (second, cache), (without, None))
    ]
    assert [first.asked, second.asked, without.asked] == [requests, 0, requests]
    assert results[0]["results"] == results[1]["results"] == results[2]["results"]
    assert results[0]["samples"] == results[1]["samples"] == results[2]["samples"]


def test_a_failure_is_asked_again(tmp_path: Path) -> None:
    task, cache = write_task(tmp_path, GENERATED), str(tmp_path / "cache.sqlite")
    simple_evaluate(Counting("Say 17"), tasks=task, use_cache=cache)
    again = Counting()
    found = simple_evaluate(again, tasks=task, use_cache=cache)
    assert again.asked == 1
    assert found["outcomes"]["shown"]["failed"] == 0


def test_another_number_of_shots_or_another_chat_is_another_question(tmp_path: Path) -> None:
    task, cache = write_task(tmp_path, GENERATED), str(tmp_path / "cache.sqlite")
    simple_evaluate(Counting(), tasks=task, use_cache=cache)
    for settings in ({"num_fewshot": 1}, {"system_instruction": "Be brief."}):
        model = Counting()
        simple_evaluate(model, tasks=task, use_cache=cache, **settings)
        assert model.asked == 30


def test_a_file_that_is_no_cache_is_an_error_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "cache.sqlite").write_text("mine" * 999)
    model = Counting()
    with pytest.raises(JournalError, match="not a database"):
        simple_evaluate(
            model,
            tasks=write_task(tmp_path, GENERATED),
            use_cache=str(tmp_path / "cache.sqlite"),
        )
    assert model.asked == 0
