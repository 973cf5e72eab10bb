"""llama.cpp and ``transformers serve``, launched by a suite, are asked what they can do.

vLLM and SGLang are too large for this; ``benchmarks/real_servers.py`` launches them on demand.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from checkpoints import save_tiny_llama
from projects import Project, results_of

SERVE = Path(__file__).parents[2] / "examples" / "capitals" / "serve.py"
ROWS = """
from PIL import Image

def load(**settings):
    return {"test": [{"word": "red"}, {"word": "blue"}]}

def visual(doc):
    return [Image.new("RGB", (64, 64), doc["word"])]
"""
COMMON = """
custom_dataset: !function rows.load
test_split: test
doc_to_text: "{{word}}"
parts: 1
"""
TASKS = {
    "texts": 'output_type: generate_until\ndoc_to_target: "{{word}}"\n'
    "generation_kwargs: {max_gen_toks: 2}\nmetric_list: [{metric: exact_match}]",
    "scores": "output_type: multiple_choice\ndoc_to_choice: [' a', ' b']\ndoc_to_target: 0\n"
    "metric_list: [{metric: acc}]",
    "pictures": "output_type: generate_until\ndoc_to_visual: !function rows.visual\n"
    'doc_to_target: "{{word}}"\ngeneration_kwargs: {max_new_tokens: 2}\n'
    "metric_list: [{metric: exact_match}]",
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_tiny_llama(tmp_path_factory.mktemp("real") / "tiny")
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content if m.content is string else m.content[-1].text }}"
        "{% endfor %}"
    )
    return folder


def run_suite(project: Project, name: str, **arguments: Any) -> pytest.RunResult:
    folder = project.pytester.path
    (folder / "conftest.py").unlink()
    (folder / "rows.py").write_text(ROWS)
    for task, body in TASKS.items():
        (folder / f"{task}.yaml").write_text(f"task: {task}\n{COMMON}{body}\n")
    suite = {
        "lmmeval": 1,
        "models": {name: arguments},
        "tasks": [{"task": f"./{task}.yaml"} for task in TASKS],
    }
    (folder / "all.lmm.yaml").write_text(json.dumps(suite))
    return project.run("all.lmm.yaml", "--lmm-output-path=out", "-rs")


@pytest.mark.parametrize("model", ["openai_compatible", "local-completions"])
def test_llama_cpp_answers_texts_and_nothing_else(
    model: str, project: Project, checkpoint: Path
) -> None:
    server = {"cmd": ["{python}", str(SERVE), "--port", "{port}"], "ready_timeout": 120}
    own = {"tokenizer": str(checkpoint), "tokenized_requests": False}
    arguments = {"model": "smollm2", "server": server, **(own if "local" in model else {})}
    result = run_suite(project, model, **arguments)
    assert "exact_match,none" in results_of(project.pytester.path / "out")["results"]["texts"]
    result.assert_outcomes(passed=1, skipped=5)
    if model == "openai_compatible":
        result.stdout.fnmatch_lines(["*refuses images: HTTP 500: image input is not supported*"])
        result.stdout.fnmatch_lines(["*cannot answer loglikelihood requests*"])
    else:
        result.stdout.fnmatch_lines(["*returns no likelihoods of a prompt*ignores echo*"])


def test_transformers_serve_drops_images_of_a_text_model(
    project: Project, checkpoint: Path
) -> None:
    command = ["{python}", "-m", "transformers.cli.transformers", "serve", str(checkpoint)]
    server = {
        "cmd": [*command, "--host", "127.0.0.1", "--port", "{port}", "--device", "cpu"],
        "env": {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        "ready_timeout": 300,
    }
    result = run_suite(project, "openai_compatible", model=str(checkpoint), server=server)
    assert "exact_match,none" in results_of(project.pytester.path / "out")["results"]["texts"]
    result.assert_outcomes(passed=1, skipped=5)
    result.stdout.fnmatch_lines(["*drops images: *prompt tokens with an image attached*"])
