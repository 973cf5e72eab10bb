"""A task's own data get the model's arguments and ``--lmm-metadata``, as RULER's docs need them."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from typing import Any

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


def given_to(project: Project, *args: str) -> dict[str, Any]:
    """Return what the task's ``custom_dataset`` was given."""
    result = project.run(*args, "--lmm-output-path=out")
    assert result.ret == 0
    (samples,) = (project.pytester.path / "out").rglob("samples_*.jsonl")
    found: dict[str, Any] = json.loads(
        json.loads(samples.read_text().splitlines()[0])["doc"]["given"]
    )
    return found


OWN = "metadata: {version: 2, size: 1, tokenizer: t5, lengths: [1]}\n"
RUN = ("fitted.yaml", "--lmm-model=fitting", "--lmm-model-args=tokenizer=gpt2,size=2")


@pytest.mark.parametrize("by", ["pairs", "json", "ini", "suite"])
def test_metadata_of_the_run_win_over_the_models_arguments_and_the_tasks_own(
    fitted: Project, by: str
) -> None:
    folder = fitted.pytester.path
    path = folder / "fitted.yaml"
    path.write_text(path.read_text() + OWN)
    args = list(RUN)
    if by == "pairs":
        args.append("--lmm-metadata=size=3,lengths=[4096,8192]")
    elif by == "json":
        args.append('--lmm-metadata={"size": 3, "lengths": [4096, 8192]}')
    elif by == "ini":
        ini = folder / "tox.ini"
        ini.write_text(ini.read_text() + "\nlmm_metadata = size=3,lengths=[4096,8192]\n")
    else:
        suite = SUITE.replace("size: 3, ", "size: 2, ").replace(
            "[./fitted.yaml]", "[{task: ./fitted.yaml, metadata: {size: 3, lengths: [4096, 8192]}}]"
        )
        (folder / "pr.lmm.yaml").write_text(suite)
        args = ["pr.lmm.yaml"]
    found = given_to(fitted, *args)
    # lm-eval 0.4.13: the YAML's, then the model's arguments, then --metadata, then dataset_kwargs.
    assert (found["size"], found["lengths"]) == (3, [4096, 8192])
    assert (found["tokenizer"], found["version"], found["name"]) == ("gpt2", 2, "fitted")
    written = results_of(folder / "out")
    assert written["configs"]["fitted"]["metadata"] == {
        "version": 2,
        "size": 3,
        "tokenizer": "t5",
        "lengths": [4096, 8192],
    }


def test_metadata_are_in_the_fingerprint_of_a_task_that_makes_its_docs(fitted: Project) -> None:
    def settings(*args: str) -> dict[str, Any]:
        given_to(fitted, *RUN, *args)
        found: dict[str, Any] = results_of(fitted.pytester.path / "out")["fingerprints"]["fitted"]
        shutil.rmtree(fitted.pytester.path / "out")
        return dict(found["settings"])

    plain, long, longer = settings(), *map(settings, ("--lmm-metadata=n=1", "--lmm-metadata=n=2"))
    assert plain != long != longer != plain


def test_the_version_of_a_task_may_be_given_as_metadata(fitted: Project) -> None:
    # As in lm-eval, where the task's version is whatever its metadata say in the end.
    given_to(fitted, *RUN, "--lmm-metadata=version=9")
    assert results_of(fitted.pytester.path / "out")["versions"]["fitted"] == 9


def test_a_key_in_the_metadata_reaches_the_task_alone(fitted: Project) -> None:
    rows = fitted.pytester.path / "rows.py"
    rows.write_text(rows.read_text().replace("def load(**given):", HASHED))
    key = "k9Qx7vT2mZ8pLw4"
    result = fitted.run(
        *RUN,
        f"--lmm-metadata=store_password={key},passkeys=4",
        "--lmm-output-path=out",
        "--lmm-show-config",
        "-vv",
        "--showlocals",
    )
    given = hashlib.sha256(key.encode()).hexdigest()
    (samples,) = (fitted.pytester.path / "out").rglob("samples_*.jsonl")
    assert given in samples.read_text()
    assert key not in result.stdout.str() + result.stderr.str()
    assert [
        p for p in (fitted.pytester.path / "out").rglob("*.json*") if key in p.read_text()
    ] == []


HASHED = """
import hashlib

def load(**given):
    given["store_password"] = hashlib.sha256(given["store_password"].encode()).hexdigest()
"""


TABLE = """
def as_data_set(splits):
    from datasets import Dataset

    return {name: Dataset.from_list(rows) for name, rows in splits.items()}
"""


def test_lm_eval_gives_its_data_the_same(fitted: Project) -> None:
    """The oracle: lm-eval's own configuration and task manager, on the same file."""
    from lm_eval.config.evaluate_config import EvaluatorConfig
    from lm_eval.tasks import TaskManager

    path = fitted.pytester.path / "fitted.yaml"
    # A key of ours, which lm-eval refuses.
    path.write_text(path.read_text().replace("parts: 1\n", "") + OWN)
    rows = path.with_name("rows.py")
    rows.write_text(
        rows.read_text().replace("return {", "return as_data_set({").rstrip() + ")\n" + TABLE
    )
    cli = argparse.Namespace(
        tasks="fitted",
        model="dummy",
        model_args={"tokenizer": "gpt2", "size": 2},
        metadata={"size": 3, "lengths": [4096, 8192]},
        include_path=str(path.parent),
    )
    config = EvaluatorConfig.from_cli(cli)
    manager = TaskManager(
        include_path=str(path.parent), include_defaults=False, metadata=config.metadata
    )
    task = manager.load(["fitted"])["tasks"]["fitted"]
    theirs = json.loads(task.dataset["test"][0]["given"])
    ours = given_to(fitted, *RUN, "--lmm-metadata=size=3,lengths=[4096,8192]")
    assert {name: ours[name] for name in theirs} == theirs
