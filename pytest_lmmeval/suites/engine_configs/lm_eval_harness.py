"""Configs of vLLM's lm-eval-harness and of SGLang's lm-eval tests.

    model_name: "meta-llama/Meta-Llama-3-8B-Instruct"
    tasks:
    - name: "gsm8k"
      metrics:
      - name: "exact_match,strict-match"
        value: 0.756
    limit: 250
    num_fewshot: 5

Both hand the file to lm-eval, so tasks are run for lm-eval's number (``--lmm-parity=lm_eval``), on
the first ``limit`` docs. vLLM accepts ``measured >= value * (1 - rtol)``, SGLang
``numpy.isclose(value, measured, rtol)``; ``rtol`` is 0.08 where the file gives none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import TaskError, UsageError, nearest
from pytest_lmmeval.gates.old_rules import OldRule
from pytest_lmmeval.plans.task_plans import ModelPlan, TaskPlan
from pytest_lmmeval.suites.engine_configs.values import EngineConfig, tensor_parallel, vllm_server
from pytest_lmmeval.tasks.catalog.manager import TaskManager, TaskSpec
from pytest_lmmeval.tasks.files.yaml_files import Block

DEFAULT_RTOL: Final = 0.08
# Seconds that a server may take to be ready; large models load for a quarter of an hour.
_READY: Final = 1800
_SETTINGS: Final = ("limit", "num_fewshot", "gen_kwargs", "fewshot_as_multiturn")
_FLAGS: Final = ("max_model_len", "kv_cache_dtype", "moe_backend", "tokenizer_mode")
_SWITCHES: Final = ("enforce_eager", "trust_remote_code")
_USED: Final = (
    "model_name",
    "backend",
    "tasks",
    "rtol",
    "apply_chat_template",
    "num_concurrent",
    "batch_size",
    "env_vars",
    *_SETTINGS,
    *_FLAGS,
    *_SWITCHES,
)


def plan_lm_eval(file: EngineConfig, key: str) -> list[TaskPlan]:
    """Plan the tasks of a config; see ``plan_config``."""
    file.warn_of_unused(_USED)
    settings = {name: file.body.get(name) for name in _SETTINGS}
    if file.run.dialect is None:
        settings["parity"] = "lm_eval"
    settings["limit_from"] = "first"
    run = file.settings(**settings)
    model = _model(file)
    manager = TaskManager(include_path=file.run.include_path)
    plans: dict[str, TaskPlan] = {}
    for entry in file.body["tasks"]:
        spec = _task(manager, entry, file, run)
        if spec.name in plans:
            raise TaskError(f"task {spec.name!r} stands here twice", file.path, entry.line)
        plans[spec.name] = _plan(file, spec, entry, run, key, model)
    return list(plans.values())


def _task(manager: TaskManager, entry: Block, file: EngineConfig, run: RunConfig) -> TaskSpec:
    try:
        specs = manager.select([str(entry["name"])], dialect=run.forced_dialect)
    except UsageError as error:
        raise file.error(str(error), "name", entry) from None
    if len(specs) != 1:
        message = f"expected one task; {entry['name']!r} is {len(specs)}"
        raise file.error(message, "name", entry)
    return specs[0].under(run.parity)


def _plan(
    file: EngineConfig,
    spec: TaskSpec,
    entry: Block,
    run: RunConfig,
    key: str,
    model: ModelPlan | None,
) -> TaskPlan:
    name = spec.name.replace("::", ".")
    baseline = file.baseline(name)
    known = [",".join(pair) for pair in spec.config.metric_keys]
    gates = []
    for metric in entry["metrics"]:
        if not isinstance(metric, Block) or metric.get("name") not in known:
            found = metric.get("name") if isinstance(metric, Mapping) else metric
            message = f"metric {found!r} of task {name!r} is not one of {', '.join(known)}."
            line = metric.line if isinstance(metric, Block) else entry.line
            raise TaskError(message + nearest(str(found), known), file.path, line)
        line = metric.lines.get("value", metric.line)
        gates.append(file.gate(metric["name"], _old_rule(file, metric), line, baseline))
    return TaskPlan(
        key=f"{key}::{name}",
        name=name,
        task=spec.config.with_metadata(run.metadata),
        config=run,
        gates=tuple(gates),
        baseline=baseline,
        suite=file.path.stem,
        model=model,
        tags=spec.tags,
    )


def _is_sglang(file: EngineConfig) -> bool:
    """Whether a file is SGLang's: it alone says how many requests go out at once."""
    return "num_concurrent" in file.body or file.path.resolve().parent.name == "lm_eval_configs"


def _old_rule(file: EngineConfig, metric: Block) -> OldRule:
    rtol = file.number("rtol", DEFAULT_RTOL)
    value = file.number("value", block=metric)
    if _is_sglang(file):
        return OldRule("SGLang", "close", value, rtol)
    return OldRule("vLLM", "relative", value, rtol)


def _model(file: EngineConfig) -> ModelPlan | None:
    name, body = file.text("model_name"), file.body
    backend = str(body.get("backend", "vllm"))
    if backend == "hf":
        return None if file.run.model is not None else ModelPlan("hf", {"pretrained": name})
    chat = backend == "vllm-vlm" or bool(body.get("apply_chat_template"))
    args: dict[str, Any] = {"model": name}
    if "num_concurrent" in body:
        args["num_concurrent"] = file.whole("num_concurrent")
    asks = "local-chat-completions" if chat else "local-completions"
    return file.model(asks, args, _server(file, name))


def _server(file: EngineConfig, model: str) -> dict[str, Any]:
    env = file.body.get("env_vars") or {}
    if _is_sglang(file):
        command = ["{python}", "-m", "sglang.launch_server", "--model-path", model]
        section = {"cmd": [*command, "--port", "{port}"], "env": env}
        return {**section, "ready": "/health", "ready_timeout": _READY, "model": model}
    flags = ["--tensor-parallel-size", tensor_parallel()]
    for name in _FLAGS:
        if name in file.body:
            flags += [f"--{name.replace('_', '-')}", str(file.body[name])]
    flags += [f"--{name.replace('_', '-')}" for name in _SWITCHES if file.body.get(name)]
    return vllm_server(model, flags, env, _READY)
