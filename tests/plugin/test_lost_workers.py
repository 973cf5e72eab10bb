"""A worker that dies costs time, and no verdict and no doc; what kills workers is given up."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from projects import Project, number_list, results_of
from xdist.scheduler import LoadScheduling, LoadScopeScheduling, WorkStealingScheduling

from pytest_lmmeval.session.scheduling import GateScheduling

TASKS = ("--lmm-tasks=./good.yaml,./worse.yaml", "--lmm-no-fuse")
WRONG = number_list([*range(0, 200, 5), *range(1000, 1060)])
DISTS = ["load", "worksteal", "loadfile", "loadscope", "loadgroup"]

# Dies over the numbers of DIE, once for each, as by the kernel's out-of-memory killer.
MORTAL = """
class Mortal(Scripted):
    def answer(self, number):
        if number in ids("DIE"):
            try:
                open(f"died-{number}", "x").close()
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), 9)
        return super().answer(number)

@pytest.fixture(scope="session")
def lmm_model():
    return Mortal()
"""


@pytest.fixture
def accepted(project: Project) -> Project:
    conftest = project.pytester.path / "conftest.py"
    conftest.write_text(conftest.read_text() + MORTAL)
    project.add_task("good")
    project.add_task("worse", first=1000)
    project.accept(*TASKS)
    return project


def doc_ids(folder: Path, task: str) -> list[int]:
    (path,) = folder.rglob(f"samples_{task}_*.jsonl")
    return [json.loads(line)["doc_id"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("dist", DISTS)
def test_lost_parts_are_measured_by_another_worker(accepted: Project, dist: str) -> None:
    undisturbed, _ = accepted.verdicts(*TASKS, WRONG=WRONG)
    found, result = accepted.verdicts(*TASKS, "-n2", f"--dist={dist}", WRONG=WRONG, DIE="30,1120")
    assert len(list(accepted.pytester.path.glob("died-*"))) == 2
    assert found == undisturbed
    assert found["worse exact_match,number"]["outcome"] == "FAIL"
    assert result.ret == 1
    result.assert_outcomes(passed=9, failed=1)
    out = accepted.pytester.path / "out"
    assert doc_ids(out, "good") == doc_ids(out, "worse") == list(range(200))
    assert results_of(out)["incomplete"] == {}


def test_a_run_that_lost_a_worker_is_green_if_nothing_else_failed(accepted: Project) -> None:
    accepted.add_task("whole", parts=1)
    result = accepted.run("--lmm-tasks=./whole.yaml", "-n2", "--junitxml=r.xml", DIE="30")
    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 1, "skipped": 1, "rerun": 1}
    result.stdout.fnmatch_lines(
        ["worker 'gw?' died while it measured whole.yaml::part:01, which *"]
    )
    (suite,) = ET.parse(accepted.pytester.path / "r.xml").iter("testsuite")
    assert {name: suite.get(name) for name in ("failures", "errors")} == {
        "failures": "0",
        "errors": "0",
    }


@pytest.mark.parametrize("dist", DISTS)
def test_a_part_that_kills_every_worker_is_given_up(accepted: Project, dist: str) -> None:
    found, result = accepted.verdicts(*TASKS, "-n2", f"--dist={dist}", "-v", KILL="30", WRONG=WRONG)
    good, worse = found["good exact_match,number"], found["worse exact_match,number"]
    assert good["outcome"] == "ERROR"
    assert "1 of 4 parts gave no result: part:0" in good["reason"]
    assert (worse["outcome"], worse["n"]) == ("FAIL", 200)
    result.stdout.fnmatch_lines(
        ["*died while it measured good.yaml::part:0?: * workers were lost*"]
    )
    outcomes = result.parseoutcomes()
    # The part and its gate; all other parts and the other gate were run.
    assert (outcomes["errors"], outcomes["failed"], outcomes["passed"]) == (2, 1, 7)
    assert result.ret == 1


def test_a_run_in_which_nothing_failed_but_a_lost_part_says_nothing(accepted: Project) -> None:
    result = accepted.run("--lmm-tasks=./good.yaml", "-n2", KILL="30")
    assert result.ret == 11


def test_without_restarts_the_gate_says_what_is_missing(accepted: Project) -> None:
    found, result = accepted.verdicts(
        "--lmm-tasks=./good.yaml", "-n1", "--max-worker-restart=0", KILL="30"
    )
    assert found["good exact_match,number"]["outcome"] == "ERROR"
    assert "parts gave no result" in found["good exact_match,number"]["reason"]
    assert result.ret == 11


def test_a_worker_takes_the_place_of_the_one_that_it_replaces(project: Project) -> None:
    project.pytester.makepyfile(
        test_place="""
        import os, pytest
        from pytest_lmmeval.models.local.devices import device_name

        @pytest.mark.parametrize("number", range(6))
        def test_place(pytestconfig, number):
            given = pytestconfig.workerinput
            place = device_name("{worker}", has_cuda=True), given["lmm_replaces"]
            with open("places", "a") as out:
                print(*place, file=out)
            if number in (1, 3):
                os.kill(os.getpid(), 9)
        """
    )
    project.run("-n2", "-p", "no:randomly")
    lines = (project.pytester.path / "places").read_text().split("\n")[:-1]
    assert len(lines) == 6
    assert {line.split()[0] for line in lines} <= {"0", "1"}
    assert sum(line.endswith("True") for line in lines) >= 1


@pytest.mark.parametrize("dist", ["each", "no"])
def test_each_is_refused_and_no_is_a_plain_run(accepted: Project, dist: str) -> None:
    args = ("--tx=2*popen", "--dist=each") if dist == "each" else ("--dist=no",)
    found, result = accepted.verdicts(*TASKS, *args, WRONG=WRONG)
    if dist == "no":
        assert found["worse exact_match,number"]["outcome"] == "FAIL"
        return
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
    result.stderr.fnmatch_lines(["*--dist each: every worker would ask*--dist load*"])
    assert found == {}


class Mortal:
    """A worker as a scheduler of xdist sees it: one that is dead cannot be sent anything."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.is_dead = False
        self.sent: list[int] = []

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        if self.is_dead:
            raise OSError("cannot send (already closed?)")
        self.sent += indices

    def shutdown(self) -> None:
        self.shutting_down = True


TESTS = [f"test_{name}.py::test" for name in "abcdefgh"]


@pytest.fixture
def two_at_work(
    pytester: pytest.Pytester, request: pytest.FixtureRequest
) -> tuple[GateScheduling, list[Mortal]]:
    """Two workers that one of xdist's schedulers has given something to do."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    config = pytester.parseconfigure("-d", "--tx=2*popen")
    session: Any = SimpleNamespace(config=config)  # none of its other parts is needed
    scheduling = GateScheduling(request.param(config), session)
    workers = [Mortal("gw0"), Mortal("gw1")]
    for worker in workers:
        scheduling.add_node(worker)
        scheduling.add_node_collection(worker, TESTS)
    scheduling.schedule()
    return scheduling, workers


every_scheduler = pytest.mark.parametrize(
    "two_at_work", [LoadScheduling, LoadScopeScheduling, WorkStealingScheduling], indirect=True
)


@every_scheduler
def test_workers_that_die_together_are_told_apart(
    two_at_work: tuple[GateScheduling, list[Mortal]],
) -> None:
    scheduling, workers = two_at_work
    for worker in workers:
        worker.is_dead = True
    running = [TESTS[worker.sent[0]] for worker in workers]
    assert [scheduling.remove_node(worker) for worker in workers] == running
    assert len(set(running)) == 2


@every_scheduler
def test_a_worker_that_dies_while_the_replacement_of_another_one_collects_is_told(
    two_at_work: tuple[GateScheduling, list[Mortal]],
) -> None:
    scheduling, workers = two_at_work
    running = [TESTS[worker.sent[0]] for worker in workers]
    found = []
    for number, worker in enumerate(workers):
        worker.is_dead = True
        found.append(scheduling.remove_node(worker))
        if number == 0:
            scheduling.add_node(Mortal("gw2"))
    assert found == running
