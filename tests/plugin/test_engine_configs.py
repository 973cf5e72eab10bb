"""Configs of vLLM's and SGLang's own accuracy gates run as they are, old verdict beside ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy
import pytest
from projects import Project
from servers import Received, Reply, ScriptedServer

from pytest_lmmeval.gates.old_rules import OldRule

# Shaped like .buildkite/lm-eval-harness/configs/Meta-Llama-3-8B-Instruct.yaml, but for the limit.
HARNESS = """# bash run-lm-eval-gsm-hf-baseline.sh -m Meta-Llama-3-8B-Instruct -b 32 -l 250 -f 5
model_name: "meta-llama/Meta-Llama-3-8B-Instruct"
tasks:
- name: "gsm8k"
  metrics:
  - name: "exact_match,strict-match"
    value: 0.756
  - name: "exact_match,flexible-extract"
    value: 0.752
limit: 100
num_fewshot: 5
"""
# As in test/lm_eval_configs/NVIDIA-Nemotron-3-Nano-30B-A3B-FP8.yaml of SGLang.
SGLANG = """model_name: "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-FP8"
tasks:
- name: "gsm8k"
  metrics:
  - name: "exact_match,strict-match"
    value: 0.847
  - name: "exact_match,flexible-extract"
    value: 0.556
limit: 100
num_concurrent: 128
num_fewshot: 5
apply_chat_template: false
fewshot_as_multiturn: true
gen_kwargs: "max_gen_toks=2048"
rtol: 0.05
"""
# As in tests/evals/gsm8k/configs/Qwen3-0.6B-FP8.yaml of vLLM.
GSM8K = """model_name: "Qwen/Qwen3-0.6B-FP8"
accuracy_threshold: 0.375
num_questions: 100
num_fewshot: 5
server_args: "--enforce-eager --max-model-len 4096"
"""


class Gsm8k:
    """Answers sums in the format of the shots; wrong where the test says so."""

    def __init__(self) -> None:
        self.right = 76

    def __call__(self, request: Received) -> Reply | str:
        asked = re.findall(r"Question: How much is (\d+) and 1\?", request.prompt)
        number = int(asked[-1])
        answer = number + 1 if number < self.right else 0
        return Reply(body={"choices": [self.choice(f" One more.\n#### {answer}")]})

    def choice(self, text: str) -> dict[str, Any]:
        return {"index": 0, "text": text, "finish_reason": "stop"}


@pytest.fixture(scope="module")
def gsm8k(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GSM8K in the hub's layout: parquet files with questions and worked answers."""
    folder = tmp_path_factory.mktemp("gsm8k")
    (folder / "main").mkdir()
    for split, first, count in (("train", 1000, 20), ("test", 0, 120)):
        rows = [
            {"question": f"How much is {i} and 1?", "answer": f"One more.\n#### {i + 1:,}"}
            for i in range(first, first + count)
        ]
        target = folder / "main" / f"{split}-00000-of-00001.parquet"
        datasets.Dataset.from_list(rows).to_parquet(target)
    return folder


@pytest.fixture
def model() -> Gsm8k:
    return Gsm8k()


@pytest.fixture
def server(model: Gsm8k) -> Iterator[ScriptedServer]:
    with ScriptedServer(model) as server:
        yield server


@pytest.fixture
def options(server: ScriptedServer, gsm8k: Path, project: Project) -> list[str]:
    (project.pytester.path / "conftest.py").unlink()
    arguments = f"model=test-model,base_url={server.url}/completions,tokenizer_backend=None"
    return [
        "--lmm-model=local-completions",
        f"--lmm-model-args={arguments}",
        f"--lmm-data-map=openai/gsm8k={gsm8k}",
    ]


def test_a_harness_config_runs_unchanged_and_turns_red_where_it_did(
    project: Project, options: list[str], model: Gsm8k
) -> None:
    (project.pytester.path / "Meta-Llama-3-8B-Instruct.yaml").write_text(HARNESS)
    found, result = project.verdicts("Meta-Llama-3-8B-Instruct.yaml", *options)
    assert result.ret == 0, result.stdout.str()
    for key in ("strict-match", "flexible-extract"):
        verdict = found[f"gsm8k exact_match,{key}"]
        assert (verdict["outcome"], verdict["value"], verdict["n"]) == ("PASS", 0.76, 100)
    result.stdout.fnmatch_lines(
        [
            "*exact_match,strict-match*PASS*old rule PASS",
            "*vLLM's own rule says PASS: 0.76 >= 0.756 * (1 - 0.08) = 0.6955",
        ]
    )

    # The old band is 0.6955: 69 of 100 break it, as they did for vLLM.
    model.right = 69
    found, result = project.verdicts("Meta-Llama-3-8B-Instruct.yaml", *options)
    assert result.ret == 1
    assert found["gsm8k exact_match,strict-match"]["outcome"] == "FAIL"
    result.stdout.fnmatch_lines(["*vLLM's own rule says FAIL: 0.69 >= 0.756 * (1 - 0.08) = 0.6955"])


def test_what_the_old_band_lets_through_is_seen_once_there_is_a_baseline(
    project: Project, options: list[str], model: Gsm8k
) -> None:
    (project.pytester.path / "Meta-Llama-3-8B-Instruct.yaml").write_text(HARNESS)
    model.right = 80
    config = "Meta-Llama-3-8B-Instruct.yaml"
    assert project.run(config, "--lmm-update-baseline", *options).ret == 0
    model.right = 72
    found, result = project.verdicts(config, *options)
    assert result.ret == 1
    verdict = found["gsm8k exact_match,strict-match"]
    assert (verdict["outcome"], verdict["lost"]) == ("FAIL", list(range(72, 80)))
    result.stdout.fnmatch_lines(["*FAIL*-8 lost, old rule PASS"])


def test_prompts_are_the_first_docs_with_the_shots_of_lm_eval(
    project: Project, options: list[str], server: ScriptedServer
) -> None:
    (project.pytester.path / "config.yaml").write_text(HARNESS.replace("limit: 100", "limit: 3"))
    project.run("config.yaml", *options)
    prompts = sorted(request.prompt for request in server.requests if "Question" in request.prompt)
    last = [re.findall(r"How much is (\d+) and", prompt)[-1] for prompt in prompts]
    assert sorted(last) == ["0", "1", "2"]
    assert {prompt.count("Question: ") for prompt in prompts} == {6}


def test_an_sglang_config_is_two_sided_for_its_own_rule_and_one_sided_for_ours(
    project: Project, options: list[str], model: Gsm8k, server: ScriptedServer
) -> None:
    (project.pytester.path / "nemotron.yaml").write_text(SGLANG)
    model.right = 85
    found, result = project.verdicts("nemotron.yaml", *options)
    # 0.85 is close to 0.847, and an improvement over 0.556 that SGLang's rule calls a failure.
    assert result.ret == 0, result.stdout.str()
    assert found["gsm8k exact_match,flexible-extract"]["outcome"] == "PASS"
    result.stdout.fnmatch_lines_random(
        [
            "*SGLang's own rule says PASS: isclose(0.847, 0.85, rtol=0.05)",
            "*SGLang's own rule says FAIL: isclose(0.556, 0.85, rtol=0.05)",
        ]
    )
    sent = next(r.json for r in server.requests if "Question" in r.prompt)
    assert sent["max_tokens"] == 2048


def test_a_gsm8k_config_asks_as_vllm_does_and_takes_the_last_number(
    project: Project, options: list[str], model: Gsm8k, server: ScriptedServer
) -> None:
    (project.pytester.path / "Qwen3-0.6B-FP8.yaml").write_text(GSM8K)
    model.right = 30
    found, result = project.verdicts("Qwen3-0.6B-FP8.yaml", *options)
    assert result.ret == 0, result.stdout.str()
    verdict = found["gsm8k_last_number exact_match,last-number"]
    assert (verdict["outcome"], verdict["value"], verdict["n"]) == ("PASS", 0.3, 100)
    result.stdout.fnmatch_lines(["*vLLM's own rule says PASS: 0.3 >= 0.375 - 0.08 = 0.295"])
    shots = "".join(
        f"Question: How much is {i} and 1?\nAnswer: One more.\n#### {i + 1:,}\n\n"
        for i in range(1000, 1005)
    )
    prompts = {request.prompt: request.json for request in server.requests}
    sent = prompts[f"{shots}Question: How much is 7 and 1?\nAnswer:"]
    assert sent["stop"] == ["Question", "Assistant:", "<|separator|>"]
    assert (sent["max_tokens"], sent["temperature"], sent["seed"]) == (256, 0.0, 42)

    model.right = 29
    found, result = project.verdicts("Qwen3-0.6B-FP8.yaml", *options)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*vLLM's own rule says FAIL: 0.29 >= 0.375 - 0.08 = 0.295"])


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (" 5 + 3 = 8", True),
        (" It is 8.", True),
        (" 8, not 9", False),
        (" 1,008 less 1,000 is 8", True),
        (" eight", False),
        ("", False),
    ],
)
def test_the_last_number_is_that_of_vllms_script(
    project: Project, options: list[str], model: Gsm8k, answer: str, right: bool
) -> None:
    one = GSM8K.replace("num_questions: 100", "num_questions: 8").replace("0.375", "0.0")
    (project.pytester.path / "one.yaml").write_text(one)
    server_answers = {7: answer}

    def script(self: Gsm8k, request: Received) -> Reply | str:
        number = int(re.findall(r"How much is (\d+) and", request.prompt)[-1])
        text = server_answers.get(number, f" {number + 1}")
        return Reply(body={"choices": [self.choice(text)]})

    model.__class__ = type("Scripted", (Gsm8k,), {"__call__": script})
    found, result = project.verdicts("one.yaml", *options)
    verdict = found["gsm8k_last_number exact_match,last-number"]
    assert verdict["value"] == (1.0 if right else 7 / 8), result.stdout.str()


def test_a_suite_can_name_configs(project: Project, options: list[str]) -> None:
    evals = project.pytester.path / "evals"
    (evals / "configs").mkdir(parents=True)
    (evals / "configs" / "llama.yaml").write_text(HARNESS)
    (evals / "all.lmm.yaml").write_text("lmmeval: 1\nconfigs: [./configs/llama.yaml]\n")
    found, result = project.verdicts("evals", *options)
    assert result.ret == 0, result.stdout.str()
    assert "llama.gsm8k exact_match,strict-match" in found


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("strict-match", "strict-mach", "*config.yaml:6: metric 'exact_match,strict-mach' *"),
        ("value: 0.756", "value: high", "*config.yaml:7: 'value': expected a number, found 'high'"),
        ('"gsm8k"', '"gsm8kk"', "*config.yaml:4: *gsm8kk*'gsm8k'?*"),
    ],
)
def test_a_config_that_cannot_be_used_says_where(
    project: Project, old: str, new: str, message: str
) -> None:
    (project.pytester.path / "config.yaml").write_text(HARNESS.replace(old, new, 1))
    result = project.run("config.yaml")
    assert result.ret != 0
    result.stdout.fnmatch_lines([message])


def test_without_a_model_of_the_run_the_files_own_is_served(project: Project) -> None:
    from pytest_lmmeval.config.run_config import RunConfig
    from pytest_lmmeval.suites.engine_configs.configs import plan_config

    def server(text: str) -> Mapping[str, Any]:
        path = project.pytester.path / "config.yaml"
        path.write_text(text)
        (plan,) = plan_config(path, RunConfig(root=project.pytester.path), "config.yaml")
        assert plan.model is not None
        assert plan.model.name == "local-completions"
        assert plan.model.server is not None
        return plan.model.server

    harness = server(HARNESS + "max_model_len: 4096\nenforce_eager: true\nenv_vars: {A: '1'}\n")
    assert harness["cmd"] == [
        *("vllm", "serve", "meta-llama/Meta-Llama-3-8B-Instruct", "--port", "{port}"),
        *("--tensor-parallel-size", "1", "--max-model-len", "4096", "--enforce-eager"),
    ]
    assert harness["env"] == {"A": "1"}
    own = server(GSM8K + "startup_max_wait_seconds: 1800\n")
    assert own["cmd"][3:] == [
        *("--port", "{port}", "--enforce-eager", "--max-model-len", "4096", "--trust-remote-code"),
    ]
    assert own["ready_timeout"] == 1800
    assert "sglang.launch_server" in server(SGLANG)["cmd"]


@pytest.mark.parametrize("tolerance", [0.0, 0.05, 0.08])
def test_old_rules_are_those_of_the_engines(tolerance: float) -> None:
    for measured in [i / 200 for i in range(201)]:
        close = OldRule("SGLang", "close", 0.556, tolerance)
        assert close.passes(measured) == numpy.isclose(0.556, measured, rtol=tolerance)
        relative = OldRule("vLLM", "relative", 0.756, tolerance)
        assert relative.passes(measured) == (measured >= 0.756 * (1 - tolerance))
        absolute = OldRule("vLLM", "absolute", 0.375, tolerance)
        assert absolute.passes(measured) == (measured >= 0.375 - tolerance)
