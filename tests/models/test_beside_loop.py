"""Work that takes long is done beside the event loop, quick work on it."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from pytest_lmmeval.models.beside_loop import BesideLoop


def where(works: Sequence[Callable[[], Any]]) -> list[bool]:
    """Do works one after the other; return for each whether it was done on the loop's thread."""

    def watched(work: Callable[[], Any]) -> bool:
        work()
        return threading.current_thread() is threading.main_thread()

    async def run() -> list[bool]:
        with cf.ThreadPoolExecutor(2) as pool:
            beside = BesideLoop(pool)
            return [await beside.do(partial(watched, work)) for work in works]

    return asyncio.run(run())


def slow() -> None:
    time.sleep(0.005)  # stands for work: beyond the 3 ms for which the loop may be held up


def test_the_first_works_which_import_what_they_need_are_done_on_threads() -> None:
    assert not any(where([int] * 8))


def test_quick_work_is_done_on_the_loop() -> None:
    assert where([int] * 200)[8:].count(True) > 64


def test_slow_work_is_tried_on_the_loop_twice_and_then_done_on_threads() -> None:
    on_loop = where([slow] * 100)
    assert [i for i, on in enumerate(on_loop) if on] == [8, 9]


def test_work_that_becomes_quick_comes_back_to_the_loop() -> None:
    assert where([slow] * 12 + [int] * 4000)[-1]


def test_an_error_reaches_whoever_asked() -> None:
    async def run() -> None:
        with cf.ThreadPoolExecutor(1) as pool:
            beside = BesideLoop(pool)
            for _ in range(20):
                with pytest.raises(ZeroDivisionError):
                    await beside.do(lambda: 1 // 0)

    asyncio.run(run())


def test_code_that_has_a_loop_of_its_own_runs_wherever_it_falls() -> None:
    async def answer() -> int:
        return 42

    def work() -> int:
        coroutine = answer()
        try:
            return asyncio.run(coroutine)
        finally:
            coroutine.close()

    async def run() -> list[int]:
        with cf.ThreadPoolExecutor(1) as pool:
            beside = BesideLoop(pool)
            return [await beside.do(work) for _ in range(20)]

    assert asyncio.run(run()) == [42] * 20
