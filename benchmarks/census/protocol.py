"""How the census speaks with its workers: a line of JSON each way, over their standard streams."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer the lines of standard input until it ends.

    What tasks print goes to standard error.
    """
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        out.write('"ready"\n')
        out.flush()
        for line in sys.stdin:
            out.write(json.dumps(answer(json.loads(line)), ensure_ascii=True) + "\n")
            out.flush()
