"""lm-eval's own ``hf`` and ours give one checkpoint the same scores, over whole tasks."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lm_eval.models.huggingface
import pytest
from lm_eval_cases import TEXTS, select, write_cases
from lm_eval_peer import Case, run_peer
from task_builders import TaskFolder
from tiny_language_model import save_tiny_gpt2

from pytest_lmmeval.models.local.huggingface import HFText
from pytest_lmmeval.records import Instance, Response, Sample
from pytest_lmmeval.tasks.task import Task, TaskSettings

# Fewer tokens than the model's context holds.
_SHORT = {"max_gen_toks": 12}

CASES = [
    Case("choices", "choices"),
    Case("with shots", "choices_shots"),
    Case("all metrics", "choices_all"),
    Case("no question", "choices_bare"),
    Case("named", "choices_named"),
    Case("several right ones", "choices_several"),
    Case("an empty choice", "choices_uneven"),
    Case("odd texts", "choices_odd"),
    Case("in the prompt", "gaps_shots"),
    Case("a target", "target"),
    Case("a document", "document"),
    Case("odd documents", "document_odd"),
    Case("choices in a chat", "choices_shots", chat=True, system="Be brief."),
    Case("choices in one turn", "choices_shots", chat=True, multiturn=False),
    Case("choices after a prefix", "choices_prefixed", chat=True, num_fewshot=1),
    Case("answers", "shots_from_train", gen_kwargs=_SHORT),
    Case("odd answers", "odd_drawn", gen_kwargs=_SHORT),
    Case("answers that stop early", "colons", gen_kwargs=_SHORT | {"until": ["a", "\n"]}),
    Case("answers in a chat", "dressed", chat=True, system="Be brief.", gen_kwargs=_SHORT),
]


@dataclass(frozen=True)
class Both:
    """The folder of the cases, what lm-eval measured, and our model, by whether it chats."""

    folder: Path
    peer: dict[str, Any]
    models: dict[bool, HFText]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = TaskFolder(tmp_path_factory.mktemp("peer"))
    write_cases(folder)
    checkpoint = str(save_tiny_gpt2(tmp_path_factory.mktemp("model"), TEXTS))
    theirs = lm_eval.models.huggingface.HFLM(
        pretrained=checkpoint, device="cpu", dtype="float32", batch_size=1
    )
    peer = run_peer(folder.path, CASES, lambda case: theirs)
    models = {
        chat: HFText(checkpoint, device="cpu", dtype="float32", apply_chat_template=chat)
        for chat in (False, True)
    }
    for model in models.values():
        model.start()
    yield Both(folder.path, peer, models)
    for model in models.values():
        model.close()


def make_task(case: Case, both: Both) -> Task:
    _, (spec,) = select(case, both.folder)
    settings = TaskSettings(
        num_fewshot=case.num_fewshot,
        chat=case.chat,
        fewshot_as_multiturn=case.multiturn,
        system_instruction=case.system,
        gen_kwargs=case.gen_kwargs,
        parity="lm_eval",
    )
    return Task(spec, settings=settings)


def respond(model: HFText, instances: list[Instance]) -> list[Response]:
    ask: Any = getattr(model, instances[0].request_type)
    found: list[Response] = ask(instances)
    return found


def run(case: Case, both: Both) -> tuple[Task, list[Sample]]:
    task = make_task(case, both)
    built = [task.instances(doc_id) for doc_id in task.doc_ids()]
    flat = iter(respond(both.models[case.chat], [i for row in built for i in row]))
    responses = [list(itertools.islice(flat, len(row))) for row in built]
    return task, task.score(task.doc_ids(), responses)


# lm-eval warns of the same docs.
@pytest.mark.filterwarnings("ignore:task .* names a choice that is not there")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_checkpoint_gets_the_same_scores(both: Both, case: Case) -> None:
    _, samples = run(case, both)
    theirs = {row["doc_id"]: row for row in both.peer[case.name]["samples"][case.task]}
    assert [sample.doc_id for sample in samples] == sorted(theirs)
    for sample in samples:
        row = theirs[sample.doc_id]
        ours = [answer(response) for response in sample.responses]
        # Sums of float32 logits, of which a batch computes the last bits in another order.
        assert ours == [close(value) for (value,) in row["resps"]]
        for key, value in sample.scores.items():
            assert json.loads(json.dumps(value)) == close(row[key.partition(",")[0]])


def answer(response: Response) -> Any:
    assert response.failure is None
    if response.text is not None:
        return response.text
    if response.is_greedy is None:
        return response.logprob
    return [response.logprob, response.is_greedy]


def close(value: Any) -> Any:
    """Return what equals a value: all but floats exactly."""
    if isinstance(value, list):
        return [close(item) for item in value]
    return pytest.approx(value, rel=1e-6, abs=1e-6) if isinstance(value, float) else value
