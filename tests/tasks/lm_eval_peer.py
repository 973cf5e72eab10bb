"""lm-eval itself, run beside ours in the same process, on the same data and the same model."""

from __future__ import annotations

import contextlib
import io
import json
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import lm_eval.evaluator
import lm_eval.tasks
import numpy as np
import pytest
import torch
from lm_eval.api.model import LM


class Likelihoods(Protocol):
    """The model that says how likely a text is: the same object on both sides."""

    def likelihood(self, context: str, continuation: str) -> tuple[float, bool]:
        """Return a log-likelihood in nats, and whether the text is the greedy one."""


@dataclass(frozen=True)
class Case:
    """One evaluation that both sides make.

    Attributes:
        name: Name of the case.
        task: Name of the task or group.
        answers: For each doc, the response to each repeat, for a task that generates.
        num_fewshot: Overrides the task's.
        limit: Only the first docs: how many, or below 1 their share.
        samples: Only the docs with these ids.
        chat: Whether prompts are chats.
        multiturn: Whether shots are turns of the chat.
        system: The system instruction.
        gen_kwargs: Laid over the task's.
        bootstrap_iters: Replicates for standard errors.
    """

    name: str
    task: str
    answers: list[list[str]] = field(default_factory=list)
    num_fewshot: int | None = None
    limit: float | None = None
    samples: list[int] | None = None
    chat: bool = False
    multiturn: bool = True
    system: str | None = None
    gen_kwargs: dict[str, Any] = field(default_factory=dict)
    bootstrap_iters: int = 100


def run_peer(
    folder: Path, cases: Sequence[Case], make_model: Callable[[Case], Any]
) -> dict[str, Any]:
    """Evaluate cases with lm-eval; a case of its own "gsm8k" gets the folder's data.

    Args:
        folder: The tasks and data.
        cases: What to evaluate.
        make_model: Returns a model of lm-eval for a case.

    Returns:
        By case: ``samples`` with lm-eval's keys by task, ``results`` by task and
        ``"metric,filter"``, and for a group the same of it and the groups within as ``groups``.
        From a scripted model also ``prompts``, ``images`` and ``gen_kwargs`` per doc, and ``asked``
        with the context and continuation of each likelihood.
    """
    with _prepared(folder):
        shipped = Path(lm_eval.tasks.__file__).parent
        local = folder.with_name(f"{folder.name}-peer")
        local.mkdir()
        (local / "gsm8k.yaml").write_text(
            f"include: {shipped}/gsm8k/gsm8k.yaml\n"
            "task: gsm8k\ndataset_path: json\ndataset_name: null\n"
            "dataset_kwargs: {data_files: {train: train.jsonl, test: test.jsonl}}\n"
        )
        manager = lm_eval.tasks.TaskManager(
            include_path=[str(folder), str(local)], include_defaults=False
        )
        return {case.name: _evaluated(case, manager, make_model(case)) for case in cases}


@contextlib.contextmanager
def _prepared(folder: Path) -> Iterator[None]:
    """Keep what lm-eval does to the process from the tests after it."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.chdir(folder)
        # Its bootstrap would fork a pool per metric.
        patch.setenv("DISABLE_MULTIPROC", "1")
        # It asks pip, git and the drivers about the machine after each evaluation.
        for reporter in ("add_env_info", "get_git_commit_hash"):
            patch.setattr(lm_eval.evaluator, reporter, lambda *args: None)
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
            yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


def _evaluated(case: Case, manager: Any, model: Any) -> dict[str, Any]:
    try:
        return _evaluate(case, manager, model)
    except Exception as error:
        error.add_note(f"lm-eval fails in the case {case.name!r}")
        raise


def _evaluate(case: Case, manager: Any, model: Any) -> dict[str, Any]:
    results = lm_eval.evaluator.simple_evaluate(
        model=model,
        tasks=[case.task],
        task_manager=manager,
        num_fewshot=case.num_fewshot,
        limit=case.limit,
        samples=None if case.samples is None else {case.task: case.samples},
        bootstrap_iters=case.bootstrap_iters,
        system_instruction=case.system,
        apply_chat_template=case.chat,
        fewshot_as_multiturn=case.multiturn,
        gen_kwargs=case.gen_kwargs or None,
        confirm_run_unsafe_code=True,
    )
    assert results is not None
    found = {
        "samples": {
            task: [{key: row[key] for key in row if key != "arguments"} for row in rows]
            for task, rows in results["samples"].items()
        },
        "results": results["results"],
        "groups": results.get("groups", {}),
    }
    # As lm-eval writes them: a JSON number is the float it was.
    measured: dict[str, Any] = json.loads(json.dumps(found, default=_plain))
    return measured | (model.asked_for() if isinstance(model, Scripted) else {})


def _plain(value: Any) -> Any:
    # All that JSON does not know is NumPy's, or an image.
    return value.tolist() if hasattr(value, "tolist") else repr(value)


class Scripted(LM):  # type: ignore[misc]  # the peer ships no types
    """A model with an answer for each doc, and the likelihoods of another one."""

    MULTIMODAL = True

    def __init__(self, case: Case, model: Likelihoods) -> None:
        super().__init__()
        self.prompts: list[Any] = []
        self.images: list[Any] = []
        self.gen_kwargs: list[Any] = []
        self.asked: list[Any] = []
        self._case = case
        self._model = model
        self._turns: dict[tuple[str, int], int] = {}

    def asked_for(self) -> dict[str, Any]:
        """Return what the model was asked."""
        return {
            "prompts": self.prompts,
            "images": self.images,
            "gen_kwargs": self.gen_kwargs,
            "asked": self.asked,
        }

    def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
        """Answer from the script, and remember what was asked."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> str:
        key = request.task_name, request.doc_id
        turn = self._turns.get(key, 0)
        self._turns[key] = turn + 1
        if turn == 0:
            context, gen_kwargs, *media = request.args
            self.prompts.append(json.loads(context) if self._case.chat else context)
            self.images.append(media[0]["visual"] if media else [])
            self.gen_kwargs.append(gen_kwargs)
        # Of chosen docs lm-eval knows the places in the choice only.
        chosen = self._case.samples
        doc_id: int = chosen[request.doc_id] if chosen else request.doc_id
        return self._case.answers[doc_id][turn]

    def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
        """Ask the model."""
        self.asked += [list(request.args) for request in requests]
        return [self._model.likelihood(*request.args) for request in requests]

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> Any:
        """Ask the model for whole texts."""
        self.asked += [[*request.args, ""] for request in requests]
        return [self._model.likelihood("", *request.args)[0] for request in requests]

    def apply_chat_template(self, history: Any, add_generation_prompt: bool = True) -> str:
        """Return a chat as JSON, to be read again."""
        return json.dumps(history)

    @property
    def tokenizer_name(self) -> str:
        """Whatever: lm-eval keeps requests by it, where it is asked to."""
        return "scripted"
