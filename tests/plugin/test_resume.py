"""A run that is killed, and the one that goes on from it: nothing is asked twice."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from projects import Project, results_of
from servers import Received, Reply, ScriptedServer

DOCS = 60
AT_ONCE = 4
# Every process of the project says which one it is, so that one can be killed from outside.
CONFTEST = """
import os
from pathlib import Path

def pytest_configure(config):
    name = getattr(config, "workerinput", {}).get("workerid", "main")
    Path("pids").mkdir(exist_ok=True)
    Path("pids", name).write_text(str(os.getpid()))
"""


class ServedProject:
    """A project with two tasks whose docs a server answers, and which can be killed."""

    def __init__(self, project: Project, server: ScriptedServer) -> None:
        self.path = project.pytester.path
        self.server = server
        self.kill_at: int | None = None
        self.victim = "main"
        self.killed = signal.SIGKILL
        project.add_task("evens", DOCS, parts=3)
        project.add_task("odds", DOCS, parts=3, first=1000)
        (self.path / "conftest.py").write_text(CONFTEST)
        server.script = self._answer

    def _answer(self, request: Received) -> Reply:
        if request.number == self.kill_at:
            os.kill(int((self.path / "pids" / self.victim).read_text()), self.killed)
        match = re.search(r"number is (\d+)", request.prompt)
        assert match is not None
        return Reply(f"It is {match[1]}.", delay=0.005)

    def run(self, *args: str, out: str = "out") -> subprocess.CompletedProcess[str]:
        """Run pytest; the requests that it sends are the server's ``requests`` afterwards."""
        self.server.requests.clear()
        model = f"base_url={self.server.url},model=test-model,num_concurrent={AT_ONCE}"
        command = [
            *(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly"),
            *(
                "evens.yaml",
                "odds.yaml",
                "--lmm-model=openai_compatible",
                f"--lmm-output-path={out}",
            ),
            *(f"--lmm-model-args={model}", *args),
        ]
        ran = subprocess.run(command, cwd=self.path, text=True, capture_output=True, timeout=120)
        self._wait_for_workers()
        self.kill_at = None
        return ran

    def _wait_for_workers(self) -> None:
        """Wait until the workers of a controller that was killed are gone, too."""
        for file in (self.path / "pids").iterdir():
            with contextlib.suppress(ProcessLookupError):
                for _ in range(400):
                    os.kill(int(file.read_text()), 0)
                    time.sleep(0.05)

    def results(self, out: str = "out") -> dict[str, Any]:
        """Return all that the run wrote, by file, but for times and how many answers were there."""
        found = results_of(self.path / out)
        del found["date"], found["recalled_answers"]
        del found["config"]["output_path"], found["config"]["model_args"]  # the port
        samples = {
            re.sub(r"_\d{4}-.*", "", path.name): re.sub(
                r'"latency": ?\[[^\]]*\]', "", path.read_text()
            )
            for path in (self.path / out).rglob("samples_*.jsonl")
        }
        text = json.dumps(found).replace(str(self.path), "the project")
        return {"results": json.loads(text), **samples}


@pytest.fixture
def served(project: Project) -> Any:
    with ScriptedServer() as server:
        yield ServedProject(project, server)


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Any]:
    """What a run that nothing disturbed wrote, found by the first test that needs it."""
    return {}


def expected(served: ServedProject, undisturbed: dict[str, Any]) -> dict[str, Any]:
    if not undisturbed:
        ran = served.run(out="whole")
        assert ran.returncode == 0, ran.stdout
        assert len(served.server.requests) == 2 * DOCS
        undisturbed.update(served.results("whole"))
    return undisturbed


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("args", [(), ("-n2",)], ids=["one process", "the controller of two"])
def test_after_a_kill_only_what_was_in_flight_is_asked_again(
    served: ServedProject, undisturbed: dict[str, Any], share: float, args: tuple[str, ...]
) -> None:
    whole = expected(served, undisturbed)
    served.kill_at = int(share * 2 * DOCS)
    assert served.run(*args, out="killed").returncode == -signal.SIGKILL
    # Workers may have asked a little more before they saw that their controller was gone.
    sent = len(served.server.requests)
    ran = served.run("--lmm-resume", *args)
    assert ran.returncode == 0, ran.stdout
    assert len(served.server.requests) <= 2 * DOCS - sent + AT_ONCE
    assert served.results() == whole


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_worker_that_is_killed_costs_what_it_had_in_flight(
    served: ServedProject, undisturbed: dict[str, Any], share: float
) -> None:
    whole = expected(served, undisturbed)
    served.kill_at, served.victim = int(share * 2 * DOCS), "gw0"
    ran = served.run("-n2")
    # Another worker does what it left, and finds what it was answered.
    assert "6 passed" in ran.stdout, ran.stdout
    assert len(served.server.requests) <= 2 * DOCS + AT_ONCE
    assert served.results() == whole


def test_workers_look_nothing_up_while_none_has_died(served: ServedProject) -> None:
    assert served.run("-n2").returncode == 0
    with contextlib.closing(sqlite3.connect(served.path / ".lmmeval/journal.sqlite")) as journal:
        made = journal.execute("SELECT sql FROM sqlite_master WHERE type = 'index'").fetchall()
    # The first look makes the index, which each answer that is kept then has to enter.
    assert not [sql for (sql,) in made if sql is not None]


def test_ctrl_c_keeps_what_was_answered(served: ServedProject, undisturbed: dict[str, Any]) -> None:
    whole = expected(served, undisturbed)
    served.kill_at, served.killed = DOCS, signal.SIGINT
    ran = served.run(out="broken-off")
    assert ran.returncode == pytest.ExitCode.INTERRUPTED
    assert "--lmm-resume asks for the rest" in ran.stdout
    sent = len(served.server.requests)
    assert served.run("--lmm-resume").returncode == 0
    assert len(served.server.requests) <= 2 * DOCS - sent + AT_ONCE
    assert served.results() == whole


def test_a_run_that_was_answered_in_full_leaves_nothing_to_resume(served: ServedProject) -> None:
    assert served.run().returncode == 0
    ran = served.run("--lmm-resume", out="again")
    assert len(served.server.requests) == 2 * DOCS
    assert "nothing was sent for them" not in ran.stdout
    # Git sees nothing of it.
    assert (served.path / ".lmmeval" / ".gitignore").read_text() == "*\n"


def test_a_resumed_run_that_ends_well_leaves_nothing_either(served: ServedProject) -> None:
    served.kill_at = DOCS
    served.run(out="killed")
    ran = served.run("--lmm-resume")
    sent = len(served.server.requests)
    assert f"{2 * DOCS - sent} answers were in " in ran.stdout
    told = results_of(served.path / "out")["recalled_answers"]
    assert sum(told.values()) == 2 * DOCS - sent
    served.run("--lmm-resume", out="again")
    assert len(served.server.requests) == 2 * DOCS


def test_without_the_option_a_run_asks_everything(served: ServedProject) -> None:
    served.kill_at = DOCS
    served.run(out="killed")
    served.run()
    assert len(served.server.requests) == 2 * DOCS


def test_a_failed_doc_alone_is_asked_again(served: ServedProject) -> None:
    answer = served.server.script

    def failing(request: Received) -> Reply | str:
        return Reply(status=400) if "number is 17?" in request.prompt else answer(request)

    served.server.script = failing
    assert served.run().returncode != 0
    served.server.script = answer
    ran = served.run("--lmm-resume", out="again")
    assert ran.returncode == 0, ran.stdout
    assert len(served.server.requests) == 1


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (lambda path: rewrite(path / "evens.yaml", "Which number is", "Say which number is"), DOCS),
        (lambda path: rewrite(path / "evens.yaml", "max_gen_toks: 8", "max_gen_toks: 9"), DOCS),
        (lambda path: rewrite(path / "evens.jsonl", '"number": 5}', '"number": 555}'), 1),
        (lambda path: rewrite(path / "evens.yaml", "exact_match", "acc"), 0),
    ],
    ids=["prompt", "arguments", "data", "scoring"],
)
def test_what_changes_a_question_misses_and_what_scores_it_does_not(
    served: ServedProject, change: Callable[[Path], object], asked: int
) -> None:
    served.run("--lmm-use-cache")
    change(served.path)
    served.run("--lmm-use-cache", out="again")
    assert len(served.server.requests) == asked


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("argument", "asked"),
    [("seed=7", 2 * DOCS), ("timeout=7", 0), ("max_retries=2", 0), ("max_gen_toks=5", 2 * DOCS)],
)
def test_a_model_argument_misses_if_it_decides_an_answer(
    served: ServedProject, argument: str, asked: int
) -> None:
    served.run("--lmm-use-cache=kept.sqlite")
    served.run("--lmm-use-cache=kept.sqlite", f"--lmm-model-args={argument}", out="again")
    assert len(served.server.requests) == asked


def test_a_cache_serves_another_host_and_another_concurrency(served: ServedProject) -> None:
    served.run("--lmm-use-cache=kept.sqlite")
    with ScriptedServer(served.server.script) as elsewhere:
        served.server = elsewhere
        ran = served.run("--lmm-use-cache=kept.sqlite", out="again")
    assert ran.returncode == 0, ran.stdout
    assert not elsewhere.requests


def test_two_runs_at_once_share_a_journal(served: ServedProject) -> None:
    model = f"base_url={served.server.url},model=test-model,num_concurrent={AT_ONCE}"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "evens.yaml", "odds.yaml"]
    command += ["--lmm-model=openai_compatible", f"--lmm-model-args={model}", "--lmm-use-cache"]
    both = [
        subprocess.Popen([*command, f"--lmm-output-path=out{i}"], cwd=served.path, text=True)
        for i in range(2)
    ]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    found = [results_of(served.path / f"out{i}")["results"] for i in range(2)]
    assert found[0] == found[1]
    served.run("--lmm-use-cache", out="again")
    assert not served.server.requests


def test_no_key_is_in_the_journal(served: ServedProject) -> None:
    served.server.key = "sk-this-is-secret"
    served.run("--lmm-use-cache", "--lmm-model-args=api_key=sk-this-is-secret")
    assert len(served.server.requests) == 2 * DOCS
    written = b"".join(path.read_bytes() for path in (served.path / ".lmmeval").iterdir())
    assert b"It is 1059." in written
    assert b"sk-this-is-secret" not in written
    # Another key is no other model.
    served.server.key = "sk-another"
    served.run("--lmm-use-cache", "--lmm-model-args=api_key=sk-another", out="again")
    assert not served.server.requests


def test_answers_are_scored_again_without_a_server(served: ServedProject) -> None:
    served.run("--lmm-use-cache")
    whole = served.results()
    served.server.stop()
    ran = served.run("--lmm-replay", out="again")
    assert ran.returncode == 0, ran.stdout
    again = served.results("again")
    for found in (whole, again):
        del found["results"]["config"]
    assert again == whole


def test_a_replay_says_which_docs_have_no_answer(served: ServedProject) -> None:
    served.run("--lmm-use-cache=kept.sqlite")
    rewrite(served.path / "evens.jsonl", '"number": 5}', '"number": 555}')
    served.server.stop()
    ran = served.run("--lmm-replay=kept.sqlite", out="again")
    assert "doc 5: model: --lmm-replay: no answer to this in the journal" in ran.stdout
    assert results_of(served.path / "again")["outcomes"]["evens"]["failed"] == 1


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--lmm-replay=missing.sqlite",), "there is no journal"),
        (("--lmm-replay=kept.sqlite", "--lmm-model-args=seed=7"), "has no run of the model"),
    ],
)
def test_a_replay_that_cannot_be_is_one_error(
    served: ServedProject, args: tuple[str, ...], told: str
) -> None:
    served.run("--lmm-use-cache=kept.sqlite")
    ran = served.run(*args, out="again")
    assert ran.returncode != 0
    assert told in " ".join(ran.stdout.split())
    assert not served.server.requests


def test_predictions_are_written_and_nothing_is_judged(served: ServedProject) -> None:
    ran = served.run("--lmm-predict-only")
    assert ran.returncode == 0, ran.stdout
    assert "6 passed, 2 skipped" in ran.stdout
    rows = [
        json.loads(line)
        for path in (served.path / "out").rglob("samples_*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert len(rows) == 2 * DOCS
    assert all(row["resps"][0][0].startswith("It is ") for row in rows)
    assert all(row["metrics"] == [] for row in rows)
    results = results_of(served.path / "out")["results"]
    assert "exact_match,number" not in results["evens"]


def test_predictions_need_somewhere_to_be_written(project: Project) -> None:
    project.add_task("evens", 4)
    result = project.run("evens.yaml", "--lmm-predict-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--lmm-predict-only*--lmm-output-path*"])


def test_a_command_line_that_caches_requests_is_told_why_it_need_not(project: Project) -> None:
    project.add_task("evens", 4)
    result = project.run("evens.yaml", "--lmm-cache-requests=refresh")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*--lmm-cache-requests has no effect*"])
