"""Whole tasks through endpoints, from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from checkpoints import save_tiny_llama
from echo_server import EchoModel
from hf_peer import Peer
from projects import ROWS, Project, results_of
from servers import MODEL, ScriptedServer

TASK = """
task: {name}
custom_dataset: !function rows.load
dataset_kwargs: {{name: rows}}
test_split: test
output_type: {kind}
doc_to_text: "{{{{question}}}}"
doc_to_target: {target}
{more}
metric_list:
  - {{metric: {metric}, higher_is_better: true}}
"""
DOCS: list[dict[str, Any]] = [
    {"question": f"Question: which dog is number {i}?\nAnswer:", "choices": ["the fox", "a dog"]}
    for i in range(12)
]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny")


def write(project: Project, name: str, **parts: str) -> None:
    path = project.pytester.path
    (path / "conftest.py").unlink(missing_ok=True)
    (path / "rows.py").write_text(ROWS)
    rows = [{**doc, "answer": i % 2} for i, doc in enumerate(DOCS)]
    (path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (path / f"{name}.yaml").write_text(TASK.format(name=name, **parts))


@pytest.mark.parametrize("model", ["local-completions", "sglang-generate"])
def test_a_likelihood_task_scores_as_the_model_in_process(
    model: str, project: Project, folder: Path
) -> None:
    write(
        project, "choices", kind="multiple_choice", target="answer", metric="acc",
        more='doc_to_choice: "{{choices}}"',
    )  # fmt: skip
    pairs = [(d["question"], f" {choice}") for d in DOCS for choice in d["choices"]]
    scores = iter(Peer(folder, add_bos_token=False).loglikelihood(pairs))
    picked = [max((0, 1), key=[next(scores)[0] for _ in range(2)].__getitem__) for _ in DOCS]
    expected = sum(p == i % 2 for i, p in enumerate(picked)) / len(DOCS)
    with ScriptedServer(EchoModel(folder)) as server:
        arguments = f"model={MODEL},base_url={server.url},tokenizer={folder}"
        project.run(
            "choices.yaml", f"--lmm-model={model}", f"--lmm-model-args={arguments}",
            "--lmm-output-path=out",
        )  # fmt: skip
    found: Any = results_of(project.pytester.path / "out")["results"]["choices"]
    assert found["acc,none"] == pytest.approx(expected)


def test_a_chat_endpoint_is_not_asked_for_likelihoods(project: Project) -> None:
    write(
        project, "choices", kind="multiple_choice", target="answer", metric="acc",
        more='doc_to_choice: "{{choices}}"',
    )  # fmt: skip
    with ScriptedServer() as server:
        result = project.run(
            "choices.yaml", "-rs", "--lmm-model=anthropic",
            f"--lmm-model-args=model={MODEL},base_url={server.url}",
        )  # fmt: skip
        assert server.requests == []
    result.stdout.fnmatch_lines(["*anthropic cannot answer loglikelihood requests*"])
