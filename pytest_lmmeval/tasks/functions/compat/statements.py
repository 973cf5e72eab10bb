"""What a module's source says about its import statements, before and without executing it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_CAUGHT = frozenset({"BaseException", "Exception", "ImportError", "ModuleNotFoundError"})
_Imports = ast.Import | ast.ImportFrom


@dataclass(frozen=True, slots=True)
class ImportStatements:
    """The import statements of a file.

    Attributes:
        optional: Lines of those that may fail, because the file says what to do then.
        top: The modules that executing the file imports.
        certain: By the first line of a function, the modules that each call of it imports.
    """

    optional: frozenset[int]
    top: tuple[str, ...]
    certain: Mapping[int, tuple[str, ...]]


@functools.lru_cache(maxsize=1024)
def import_statements(file: str) -> ImportStatements:
    """Read a file's import statements; there are none in a file that cannot be read."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ImportStatements(frozenset(), (), {})
    optional = {
        node.lineno
        for block in ast.walk(tree)
        if isinstance(block, ast.Try) and any(map(_goes_on, block.handlers))
        for statement in block.body
        for node in ast.walk(statement)
        if isinstance(node, _Imports)
    }
    functions = (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    certain = {_first_line(node): tuple(_certain(node.body)) for node in functions}
    return ImportStatements(frozenset(optional), tuple(_certain(tree.body)), certain)


def _goes_on(handler: ast.ExceptHandler) -> bool:
    """Whether a handler catches a failed import and does something else than to raise."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
    catches = handler.type is None or bool(names & _CAUGHT)
    return catches and not any(isinstance(statement, ast.Raise) for statement in handler.body)


def _first_line(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    # As code objects count it: from the first decorator.
    return min([function.lineno, *(decorator.lineno for decorator in function.decorator_list)])


def _certain(body: Iterable[ast.stmt]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            yield statement.module
        elif isinstance(statement, ast.Try) and not any(map(_goes_on, statement.handlers)):
            yield from _certain(statement.body)
