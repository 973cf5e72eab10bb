"""lm-eval itself, run beside ours in a process of its own.

As a module: ``run_peer`` hands it cases and returns what it measured. As a script: the other side.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """One evaluation that both sides make.

    Attributes:
        name: Name of the case.
        task: Name of the task.
        answers: For each doc, the response to each repeat, for a task that generates.
        num_fewshot: Overrides the task's.
        limit: Only the first docs.
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
    limit: int | None = None
    chat: bool = False
    multiturn: bool = True
    system: str | None = None
    gen_kwargs: dict[str, Any] = field(default_factory=dict)
    bootstrap_iters: int = 100


def run_peer(folder: Path, cases: Sequence[Case]) -> dict[str, Any]:
    """Evaluate cases with lm-eval; a case of its own "gsm8k" gets the folder's data.

    Returns:
        By case: ``prompts`` and ``gen_kwargs`` per doc, ``asked`` with the context and continuation
        of each likelihood, ``samples`` with lm-eval's keys, ``results`` by ``"metric,filter"``, and
        for a group the same of it and the groups within as ``groups``.
    """
    (folder / "cases.json").write_text(json.dumps([asdict(case) for case in cases]))
    environment = {
        **os.environ,
        # Its bootstrap would fork a pool per metric.
        "DISABLE_MULTIPROC": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(folder / "cache"),
    }
    done = subprocess.run(
        [sys.executable, __file__, str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"lm-eval failed:\n{done.stderr[-6000:]}"
    results: dict[str, Any] = json.loads((folder / "peer.json").read_text())
    return results


def likelihood(context: str, continuation: str) -> tuple[float, bool]:
    """Return what the scripted model says of a continuation: the same for the same texts.

    Args:
        context: A prompt, or a chat as JSON.
        continuation: What follows it; for a rolling likelihood the whole text follows "".
    """
    digest = hashlib.sha256(json.dumps([context, continuation]).encode()).digest()
    return -len(continuation) * (0.5 + digest[0] / 256), digest[1] % 3 == 0


def _main(folder: Path) -> None:
    import lm_eval.evaluator
    import lm_eval.tasks

    # It asks pip, git and the drivers about the machine after each evaluation.
    for reporter in ("add_env_info", "get_git_commit_hash"):
        setattr(lm_eval.evaluator, reporter, lambda *args: None)
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
    cases = [Case(**case) for case in json.loads((folder / "cases.json").read_text())]
    measured = {case.name: _evaluate(case, manager) for case in cases}
    (folder / "peer.json").write_text(json.dumps(measured))


def _evaluate(case: Case, manager: Any) -> dict[str, Any]:
    from lm_eval.evaluator import simple_evaluate

    model = _scripted_model(case)
    results = simple_evaluate(
        model=model,
        tasks=[case.task],
        task_manager=manager,
        num_fewshot=case.num_fewshot,
        limit=case.limit,
        bootstrap_iters=case.bootstrap_iters,
        system_instruction=case.system,
        apply_chat_template=case.chat,
        fewshot_as_multiturn=case.multiturn,
        gen_kwargs=case.gen_kwargs or None,
    )
    samples = [
        {key: value for key, value in sample.items() if key != "arguments"}
        for sample in results["samples"].get(case.task, ())
    ]
    return {
        "prompts": model.prompts,
        "gen_kwargs": model.gen_kwargs,
        "asked": model.asked,
        "samples": json.loads(json.dumps(samples, default=_plain)),
        "results": json.loads(json.dumps(results["results"][case.task], default=_plain)),
        "groups": json.loads(json.dumps(results.get("groups", {}), default=_plain)),
    }


def _plain(value: Any) -> Any:
    return value.tolist()  # All that JSON does not know is NumPy's.


def _scripted_model(case: Case) -> Any:
    from lm_eval.api.model import LM

    class Scripted(LM):  # type: ignore[misc]  # the peer ships no types
        def __init__(self) -> None:
            super().__init__()
            self.prompts: list[Any] = []
            self.gen_kwargs: list[Any] = []
            self.asked: list[Any] = []
            self.seen: dict[int, int] = {}

        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            return [self._answer(request) for request in requests]

        def _answer(self, request: Any) -> str:
            turn = self.seen.get(request.doc_id, 0)
            self.seen[request.doc_id] = turn + 1
            if turn == 0:
                context, gen_kwargs = request.args
                self.prompts.append(json.loads(context) if case.chat else context)
                self.gen_kwargs.append(gen_kwargs)
            return str(case.answers[request.doc_id][turn])

        def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
            self.asked += [list(request.args) for request in requests]
            return [likelihood(*request.args) for request in requests]

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> Any:
            self.asked += [[*request.args, ""] for request in requests]
            return [likelihood("", *request.args)[0] for request in requests]

        def apply_chat_template(self, history: Any, add_generation_prompt: bool = True) -> str:
            return json.dumps(history)

        @property
        def tokenizer_name(self) -> str:
            return "scripted"

    return Scripted()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
