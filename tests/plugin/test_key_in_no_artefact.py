"""A run that fails with a server that repeats every header leaves no trace of the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import Project
from servers import MODEL, Received, Reply, ScriptedServer

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
    with ScriptedServer(parrot, key=KEY) as server:
        result = project.run(
            "numbers.yaml",
            f"--lmm-model={model}",
            f"--lmm-model-args=model={MODEL},base_url={server.url}{plain}{secret}",
            "--lmm-output-path=out",
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
    assert KEY not in said
    assert traces(project.pytester.path) == []
    # No answer is no regression: the gate cannot be judged.
    assert result.ret != 0
    assert "ERROR" in said
