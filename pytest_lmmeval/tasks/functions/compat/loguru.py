"""A stand-in for loguru's logger, which half of lmms-eval's tasks import to say a line or two."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "success": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "exception": logging.ERROR,
    "critical": logging.CRITICAL,
}


class Logger:
    """Logs through ``logging``; what configures the real one does nothing here."""

    def __init__(self) -> None:
        self._log = logging.getLogger("pytest_lmmeval.tasks")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in _LEVELS:
            # add, bind, catch, opt, …: the caller goes on with a logger.
            return lambda *args, **kwargs: self

        def say(message: Any, *args: Any, **kwargs: Any) -> None:
            text = str(message)
            if args or kwargs:
                text = text.format(*args, **kwargs)
            self._log.log(_LEVELS[name], "%s", text)

        return say


logger = Logger()
