"""The command lines that are measured: the bare loop, ours, and each peer that is there."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from throughput.workloads import Workload

_BARE = Path(__file__).with_name("bare.py")
_INSPECT_TASK = Path(__file__).with_name("inspect_task.py")


@dataclass(frozen=True)
class Setting:
    """Where a client runs.

    Attributes:
        workload: What is measured.
        folder: Its data and tasks.
        tokenizer: Folder of the tokenizer.
        port: The server's.
        out: A fresh folder for what the client writes.
    """

    workload: Workload
    folder: Path
    tokenizer: Path
    port: int
    out: Path

    @property
    def url(self) -> str:
        """Where the API begins."""
        return f"http://127.0.0.1:{self.port}/v1"


@dataclass(frozen=True)
class Client:
    """A tool.

    Attributes:
        name: Its name in the table.
        command: Returns its command line.
        docs_seen: Returns how many docs its own output says were scored, and the metric's value.
        environment: Variables that it needs.
        can: Whether it can do a workload.
    """

    name: str
    command: Callable[[Setting], list[str]]
    docs_seen: Callable[[Setting], tuple[int, float | None]]
    environment: Mapping[str, str] = field(default_factory=dict)
    can: Callable[[Workload], bool] = lambda workload: True


def _bare(setting: Setting) -> list[str]:
    workload = setting.workload
    source = "bodies" if workload.kind == "bodies" else "all.jsonl"
    url = f"{setting.url}/{workload.endpoint}"
    arguments = [workload.kind, url, str(workload.concurrency), str(setting.folder / source)]
    return [sys.executable, str(_BARE), *arguments, str(setting.out / "samples.jsonl")]


def _bare_seen(setting: Setting) -> tuple[int, float | None]:
    lines = (setting.out / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    return len(lines), None


def _ours(setting: Setting, *more: str, concurrency: str = "") -> list[str]:
    workload = setting.workload
    at_once = concurrency or workload.concurrency
    arguments = f"base_url={setting.url},model=m,num_concurrent={at_once}"
    name = "openai_compatible"
    if workload.endpoint == "completions":
        name = "local-completions"
        arguments += f",tokenizer={setting.tokenizer},max_length=2048"
    arguments += f",{workload.arguments}" if workload.arguments else ""
    return [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly",
        f"--rootdir={setting.folder}", "-c", str(setting.folder / "pytest.ini"),
        f"--lmm-model={name}", f"--lmm-model-args={arguments}",
        "--lmm-tasks=" + ",".join(str(setting.folder / f"{t}.yaml") for t in workload.tasks),
        f"--lmm-output-path={setting.out}", *more,
    ]  # fmt: skip


def _ours_seen(setting: Setting) -> tuple[int, float | None]:
    (path,) = setting.out.rglob("results_*.json")
    return _results(json.loads(path.read_text(encoding="utf-8")))


def _results(results: dict[str, Any]) -> tuple[int, float | None]:
    """Return the docs and the mean of the first metric, from lm-eval's layout of results."""
    docs = sum(entry["effective"] for entry in results["n-samples"].values())
    values = [
        value
        for entry in results["results"].values()
        for key, value in entry.items()
        if "," in key and "_stderr" not in key and isinstance(value, float)
    ]
    return docs, sum(values) / len(values) if values else None


def _lm_eval(python: str) -> Callable[[Setting], list[str]]:
    def command(setting: Setting) -> list[str]:
        workload = setting.workload
        is_chat = workload.endpoint == "chat/completions"
        name = "local-chat-completions" if is_chat else "local-completions"
        arguments = (
            f"base_url={setting.url}/{workload.endpoint},model=m,"
            f"num_concurrent={workload.concurrency},max_length=2048,"
            f"tokenizer={setting.tokenizer},tokenizer_backend=huggingface"
        )
        return [
            python, "-m", "lm_eval", "run", "--model", name, "--model_args", arguments,
            "--include_path", str(setting.folder), "--tasks", *workload.tasks, "--log_samples",
            "--output_path", str(setting.out), *(["--apply_chat_template"] if is_chat else []),
        ]  # fmt: skip

    return command


def _lmms_eval(python: str) -> Callable[[Setting], list[str]]:
    def command(setting: Setting) -> list[str]:
        workload = setting.workload
        arguments = f"model_version=m,base_url={setting.url},num_concurrent={workload.concurrency}"
        return [
            python, "-m", "lmms_eval", "--model", "openai", "--model_args", arguments,
            "--include_path", str(setting.folder), "--tasks", ",".join(workload.tasks),
            "--batch_size", "1", "--log_samples", "--output_path", str(setting.out),
        ]  # fmt: skip

    return command


def _inspect(python: str) -> Callable[[Setting], list[str]]:
    def command(setting: Setting) -> list[str]:
        # It takes files below the folder that it runs in.
        shutil.copy(_INSPECT_TASK, setting.folder)
        return [
            python, "-m", "inspect_ai", "eval", _INSPECT_TASK.name,
            "-T", f"data={setting.folder / 'all.jsonl'}", "--model", "openai/m",
            "-M", "responses_api=false", "--model-base-url", setting.url,
            "--max-connections", str(setting.workload.concurrency),
            "--max-samples", str(setting.workload.concurrency), "--display", "none",
            "--log-dir", str(setting.out), "--log-format", "json",
        ]  # fmt: skip

    return command


def _inspect_seen(setting: Setting) -> tuple[int, float | None]:
    (path,) = setting.out.glob("*.json")
    results = json.loads(path.read_text(encoding="utf-8"))["results"]
    value = results["scores"][0]["metrics"]["accuracy"]["value"]
    return results["completed_samples"], value


def _has_no_images(workload: Workload) -> bool:
    return workload.kind != "images"


def _is_generation(workload: Workload) -> bool:
    return workload.endpoint == "chat/completions"


def _is_one_generation(workload: Workload) -> bool:
    # The command of inspect_ai takes one task.
    return _is_generation(workload) and len(workload.tasks) == 1


BARE = Client("bare", _bare, _bare_seen)
OURS = Client("ours", _ours, _ours_seen)
OURS_N2 = Client("ours -n 2", lambda setting: _ours(setting, "-n", "2"), _ours_seen)
OURS_AUTO = Client("ours auto", lambda setting: _ours(setting, concurrency="auto"), _ours_seen)


def peer(name: str, python: str) -> Client:
    """Return a peer that is installed in an environment.

    Args:
        name: ``lm_eval``, ``lmms_eval`` or ``inspect_ai``.
        python: The environment's interpreter.
    """
    keys = {"OPENAI_API_KEY": "unused", "OPENAI_API_BASE": "unused"}
    if name == "lm_eval":
        return Client("lm-eval", _lm_eval(python), _peer_seen, keys, _has_no_images)
    if name == "inspect_ai":
        return Client("inspect_ai", _inspect(python), _inspect_seen, keys, _is_one_generation)
    return Client("lmms-eval", _lmms_eval(python), _peer_seen, keys, _is_generation)


def _peer_seen(setting: Setting) -> tuple[int, float | None]:
    (path,) = (p for p in setting.out.rglob("*results*.json"))
    return _results(json.loads(path.read_text(encoding="utf-8")))
