"""As many connections as requests at once, whatever limit of open files the shell came with."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from number_task import write_number_task
from servers import MODEL, Reply, ScriptedServer

from pytest_lmmeval import evaluate
from pytest_lmmeval.models.registry import create_model

AT_ONCE = 100


@pytest.fixture
def _few_files() -> Iterator[None]:
    limit, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = set(map(int, os.listdir("/dev/fd")))
    unused = [number for number in range(len(used) + AT_ONCE) if number not in used]
    resource.setrlimit(resource.RLIMIT_NOFILE, (unused[AT_ONCE // 2], highest))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, highest))


@pytest.mark.usefixtures("_few_files")
def test_more_requests_at_once_than_files_may_be_open_find_room(tmp_path: Path) -> None:
    task = write_number_task(tmp_path, AT_ONCE)
    with ScriptedServer(lambda received: Reply(received.prompt, delay=0.4)) as server:
        given = f"base_url={server.url},model={MODEL},num_concurrent={AT_ONCE},max_retries=1"
        model = create_model("openai_compatible", given)
        samples = evaluate(model, str(task))["numbers"].samples
    assert [sample.responses[0].text for sample in samples] == [str(n) for n in range(AT_ONCE)]
