"""What a model behind an endpoint has from its start to its close: connections and threads."""

from __future__ import annotations

import concurrent.futures as cf
import os
from collections.abc import Callable
from typing import TypeVar

from pytest_lmmeval.models.beside_loop import BesideLoop
from pytest_lmmeval.models.endpoints.sending import Sender
from pytest_lmmeval.models.endpoints.transport import Transport

T = TypeVar("T")

_ENCODER_THREADS = 4


class OpenedEndpoint:
    """An endpoint that bodies can be sent to. Belongs to the event loop that opened it.

    Args:
        transport: The connections, which are open; they are closed with this.
        sender: Sends bodies over them.

    Attributes:
        sender: The same.
    """

    def __init__(self, transport: Transport, sender: Sender) -> None:
        self.sender = sender
        self._transport = transport
        self._encoders = cf.ThreadPoolExecutor(
            min(_ENCODER_THREADS, os.cpu_count() or 1), "lmm-encode"
        )
        self._beside_loop = BesideLoop(self._encoders)

    async def off_loop(self, build: Callable[[], T]) -> T:
        """Return what ``build`` returns, which may take so long that others would wait for it."""
        return await self._beside_loop.do(build)

    async def close(self) -> None:
        """Close all connections and threads."""
        await self._transport.close()
        self._encoders.shutdown(wait=False, cancel_futures=True)
