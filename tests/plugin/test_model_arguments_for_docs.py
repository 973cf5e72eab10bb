"""A task's own data get the model's arguments, as RULER's do to fit its docs to a tokenizer."""

from __future__ import annotations

import json

import pytest
from projects import Project, results_of

ROWS = """
import json

def load(**given):
    text = json.dumps(given, default=str, sort_keys=True)
    return {"test": [{"number": number, "given": text} for number in range(given["size"])]}
"""
CONFTEST = """
from pytest_lmmeval import LM, register_model

@register_model("fitting")
class Fitting(LM):
    def __init__(self, tokenizer, size=1, api_key=None, **rest):
        super().__init__()

    def generate_until(self, requests):
        return ["It is 0."] * len(requests)
"""
SUITE = """
lmmeval: 1
models:
  fitting: {tokenizer: gpt2, size: 3, api_key: sk-123456}
tasks: [./fitted.yaml]
"""


@pytest.fixture
def fitted(project: Project) -> Project:
    path = project.add_task("fitted", parts=1)
    path.with_name("rows.py").write_text(ROWS)
    path.with_name("conftest.py").write_text(CONFTEST)
    path.write_text(path.read_text().replace("Which number", "{{given}} Which number"))
    return project


@pytest.mark.parametrize("by", ["option", "suite"])
def test_they_arrive_without_credentials(fitted: Project, by: str) -> None:
    folder = fitted.pytester.path
    if by == "suite":
        (folder / "pr.lmm.yaml").write_text(SUITE)
        args = ["pr.lmm.yaml"]
    else:
        model_args = "--lmm-model-args=tokenizer=gpt2,size=3,api_key=sk-123456"
        args = ["fitted.yaml", "--lmm-model=fitting", model_args]
    fitted.run(*args, "--lmm-output-path=out")
    assert results_of(folder / "out")["n-samples"]["fitted"]["effective"] == 3
    (samples,) = (folder / "out").rglob("samples_*.jsonl")
    prompt = json.dumps(json.loads(samples.read_text().splitlines()[0])["arguments"])
    assert "gpt2" in prompt
    assert "sk-123456" not in samples.read_text()
