"""A run that fails with a server that repeats every header leaves no trace of the key."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest
from checkpoints import save_tiny_llama
from projects import Project
from servers import MODEL, Received, Reply, ScriptedServer

FAKE = Path(__file__).parents[1] / "models" / "fake_sglang.py"
KEY = "k9Qx7-vT2mZ8-pLw4"


def parrot(received: Received) -> Reply:
    """Refuse, repeating every header in the message, as careless servers do."""
    said = " ".join(f"{name}={value}" for name, value in received.headers.items())
    return Reply(status=400, body={"error": {"message": said}})


def traces(folder: Path) -> list[str]:
    """Return the files below a folder that hold the key, by name or content."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    return [str(p) for p in files if KEY.encode() in p.read_bytes() or KEY in p.name]


@pytest.mark.parametrize(
    ("model", "source", "workers"),
    [
        ("local-completions", "argument", "2"),
        ("openai_compatible", "argument", "0"),
        ("openai_compatible", "environment", "0"),
        ("local-completions", "netrc", "0"),
        ("srt_api", "argument", "0"),
        ("openai_compatible", "header", "0"),
        ("openai_compatible", "url", "0"),
    ],
)
def test_a_key_is_in_no_artefact_of_a_failing_run(
    model: str, source: str, workers: str, project: Project, tmp_path: Path
) -> None:
    (project.pytester.path / "conftest.py").unlink()
    project.add_task("numbers", docs=8)
    secret = f",api_key={KEY}" if source == "argument" else ""
    env = {"OPENAI_API_KEY": KEY} if source == "environment" else {"OPENAI_API_KEY": ""}
    if source == "netrc":
        # Outside the project, whose files are searched.
        path = tmp_path.parent / f"{tmp_path.name}-netrc"
        path.write_text(f"machine 127.0.0.1 login x password {KEY}")
        path.chmod(0o600)
        env["NETRC"] = str(path)
    plain = ",tokenizer_backend=none" if model == "local-completions" else ""
    if source == "header":
        secret = f",header={{'Authorization': 'Bearer {KEY}'}}"
    with ScriptedServer(parrot, key=None if source == "url" else KEY) as server:
        url = server.url.replace("//", f"//user:{KEY}@") if source == "url" else server.url
        result = project.run(
            "numbers.yaml",
            f"--lmm-model={model}",
            f"--lmm-model-args=model={MODEL},base_url={url}{plain}{secret}",
            "--lmm-output-path=out",
            "--lmm-show-config",
            "--junitxml=junit.xml",
            "--showlocals",
            "--log-level=DEBUG",
            "-vv",
            "-rA",
            f"-n{workers}",
            **env,
        )
        assert len(server.requests) == 8  # nothing that cannot pass is sent again
    said = f"{result.stdout.str()}{result.stderr.str()}"
    assert "authorization=***" in said
    assert "lmmeval configuration" in said
    assert KEY not in said
    assert traces(project.pytester.path) == []
    # No answer is no regression: the gate cannot be judged.
    assert result.ret != 0
    assert "ERROR" in said


@pytest.mark.parametrize("source", ["argument", "header", "suite", "environment", "netrc"])
def test_a_key_is_not_in_the_configuration_that_is_shown(
    source: str, project: Project, tmp_path: Path
) -> None:
    folder = project.pytester.path
    (folder / "conftest.py").unlink()
    path = project.add_task("numbers", docs=2, parts=1)
    if source in ("argument", "environment"):
        # What is known to be a key is hidden wherever somebody put it.
        path.write_text(path.read_text() + f"description: The key is {KEY}.\n")
    secret, env = "", {"OPENAI_API_KEY": ""}
    if source == "argument":
        secret = f",api_key={KEY}"
    elif source == "header":
        secret = f",header={{'Authorization': 'Bearer {KEY}'}}"
    elif source == "environment":
        env["OPENAI_API_KEY"] = KEY
    elif source == "netrc":
        netrc = tmp_path.parent / f"{tmp_path.name}-netrc"
        netrc.write_text(f"machine 127.0.0.1 login x password {KEY}")
        netrc.chmod(0o600)
        env["NETRC"] = str(netrc)
    with ScriptedServer(lambda received: "It is 0.", key=KEY) as server:
        args = [
            "numbers.yaml",
            "--lmm-model=openai_compatible",
            f"--lmm-model-args=model={MODEL},base_url={server.url}{secret}",
        ]
        if source == "suite":
            args = ["pr.lmm.yaml"]
            (folder / "pr.lmm.yaml").write_text(SUITE.format(model=MODEL, url=server.url, key=KEY))
        result = project.run(*args, "--lmm-show-config", "-n0", **env)
        assert len(server.requests) == 2
    assert result.ret == 0
    said = f"{result.stdout.str()}{result.stderr.str()}"
    result.stdout.fnmatch_lines(["run:", "model:", f"*model: {MODEL}", "tasks:"])
    assert KEY not in said
    hidden = {"argument": "api_key=***", "header": "header=***", "suite": "api_key=***"}
    assert hidden.get(source, "") in said
    if source in ("argument", "environment"):
        assert "The key is ***." in said


SUITE = """
lmmeval: 1
models:
  openai_compatible: {{model: {model}, base_url: "{url}", api_key: {key}}}
tasks: [./numbers.yaml]
"""
LIKELIHOODS = """
task: choices
custom_dataset: !function rows.load
dataset_kwargs: {name: numbers}
test_split: test
output_type: multiple_choice
doc_to_text: "{{number}} is"
doc_to_choice: [" odd", " even"]
doc_to_target: 0
metric_list: [{metric: acc}]
parts: 1
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("keys") / "tiny")


@pytest.mark.parametrize("status", [200, 400])
def test_a_key_is_not_in_what_a_probe_tells(
    checkpoint: Path, status: int, project: Project
) -> None:
    def unreadable(received: Received) -> Reply:
        return Reply(status=status, body=parrot(received).body)

    (project.pytester.path / "conftest.py").unlink()
    (project.pytester.path / "choices.yaml").write_text(LIKELIHOODS)
    with ScriptedServer(unreadable, key=KEY) as server:
        result = project.run(
            "choices.yaml",
            "--lmm-model=local-completions",
            f"--lmm-model-args=model={MODEL},base_url={server.url},tokenizer={checkpoint},api_key={KEY}",
            "--lmm-strict",
            "-vv",
            "-rA",
        )
    said = f"{result.stdout.str()}{result.stderr.str()}"
    assert "returns no likelihoods of a prompt" in said
    assert "authorization=***" in said
    assert KEY not in said


def test_a_key_is_not_in_the_log_that_a_dead_server_leaves(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.pytester.path / "conftest.py").unlink()
    project.add_task("numbers", docs=8)
    monkeypatch.setenv("LAUNCHES", str(tmp_path / "launches"))
    command = f"{sys.executable} {FAKE}"
    result = project.run(
        "numbers.yaml",
        "--lmm-model=srt_api",
        f'--lmm-model-args=model_version=broken,launch=True,launch_command="{command}"',
        "-vv",
        OPENAI_API_KEY=KEY,
    )
    said = f"{result.stdout.str()}{result.stderr.str()}"
    assert "started with ***" in said
    assert KEY not in said
    assert not [
        p
        for p in Path(tempfile.gettempdir()).glob("pytest-lmmeval-*/*.log")
        if KEY in p.read_text()
    ]
