"""lm-eval's whole results dict for a folder of tasks, measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ANSWERS = ("The answer is {}.", "{}", "I do not know", "nothing but 7")
TASKS = ["sums", "twice", "likely"]


def answer(prompt: str) -> str:
    """Answer the last sum of a prompt: rightly in two ways, or not."""
    left, right = prompt.rpartition("What is ")[2].partition("?")[0].split(" + ")
    total = int(left) + int(right)
    return ANSWERS[total % len(ANSWERS)].format(total)


def likelihood(context: str, continuation: str) -> tuple[float, bool]:
    """Return what the scripted model says of a choice."""
    return -1.0 - (len(context) * 7 + ord(continuation.strip()[0])) % 11, continuation == " yes"


def run_peer(folder: Path, tasks: Sequence[str] = TASKS) -> dict[str, Any]:
    """Return what ``lm_eval.simple_evaluate`` returns, as JSON holds it."""
    done = subprocess.run(
        [sys.executable, __file__, str(folder), *tasks],
        cwd=folder,
        env={**os.environ, "DISABLE_MULTIPROC": "1", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"lm-eval failed:\n{done.stderr[-6000:]}"
    results: dict[str, Any] = json.loads((folder / "peer.json").read_text())
    return results


def _main(folder: Path, tasks: list[str]) -> None:
    import lm_eval.evaluator
    import lm_eval.tasks
    from lm_eval.api.model import LM

    # It asks pip, git and the drivers about the machine after each evaluation.
    for reporter in ("add_env_info", "get_git_commit_hash"):
        setattr(lm_eval.evaluator, reporter, lambda *args: None)

    class Scripted(LM):  # type: ignore[misc]  # the peer ships no types
        def generate_until(self, requests: Any, disable_tqdm: bool = False) -> list[str]:
            return [answer(request.args[0]) for request in requests]

        def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
            return [likelihood(*request.args) for request in requests]

        def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> Any:
            raise NotImplementedError

    manager = lm_eval.tasks.TaskManager(include_path=str(folder), include_defaults=False)
    results = lm_eval.evaluator.simple_evaluate(
        model=Scripted(), tasks=tasks, task_manager=manager, limit=20, num_fewshot=2
    )
    (folder / "peer.json").write_text(json.dumps(results, default=str))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2:])
