"""What a task's Python functions use of a doc, read from their source without running them."""

from __future__ import annotations

import ast
import functools
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from census.calls import call_known, call_method
from census.expressions import Expressions
from census.uses import Use
from census.values import Fields, Items, Known, Local, Method, Pieces, Row, Rows, Value

Span: TypeAlias = "tuple[str, int, int, int, int]"
_DEPTH = 12
# A loop over constants may make the names of columns.
_ROUNDS = 40


@functools.cache
def parse(file: str) -> ast.Module:
    """Return a file's syntax tree."""
    return ast.parse(Path(file).read_text(encoding="utf-8"))


@functools.cache
def _definitions(file: str) -> dict[int, list[ast.FunctionDef | ast.Lambda]]:
    """Return a file's functions by the line on which their code objects begin."""
    found: dict[int, list[ast.FunctionDef | ast.Lambda]] = {}
    for node in ast.walk(parse(file)):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
            line = min([node.lineno, *(d.lineno for d in decorators)])
            found.setdefault(line, []).append(node)
    return found


def definition(function: types.FunctionType) -> ast.FunctionDef | ast.Lambda | None:
    """Return the syntax tree of a function, if its source is there."""
    code = function.__code__
    try:
        candidates = _definitions(code.co_filename).get(code.co_firstlineno, [])
    except (OSError, SyntaxError, UnicodeDecodeError):
        return None
    name = code.co_name
    named = [
        n for n in candidates if (n.name if isinstance(n, ast.FunctionDef) else "<lambda>") == name
    ]
    return named[0] if named else None


@dataclass
class Frame:
    """A function that is being read.

    Attributes:
        file: Its file.
        globals: Its module's names.
        names: Its own.
        returned: What it returns.
    """

    file: str
    globals: Mapping[str, Any]
    names: dict[str, Value]
    returned: list[Value] = field(default_factory=list)


class Reader:
    """Reads functions, and remembers for each place in the source what stands there.

    Args:
        folder: Where the files of tasks lie; functions of other files are not read.

    Attributes:
        places: The value of each expression, by its file, lines and columns.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = f"{folder}/"
        self.places: dict[Span, Value] = {}
        self._active: list[Any] = []
        self._filters = 0

    @property
    def filtering(self) -> bool:
        """Whether what is read decides if a doc is kept."""
        return self._filters > 0

    def call(
        self,
        function: Any,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value] | None = None,
        *,
        filtering: bool = False,
    ) -> Value:
        """Read a function as if it were called, and return what it would return."""
        keywords = dict(keywords or {})
        while isinstance(function, functools.partial):
            keywords = {**{k: Known(v) for k, v in function.keywords.items()}, **keywords}
            arguments = [*map(Known, function.args), *arguments]
            function = function.func
        function = getattr(function, "__wrapped__", function)
        if isinstance(function, types.MethodType):
            arguments, function = [Known(function.__self__), *arguments], function.__func__
        if isinstance(function, Local):
            frame = Frame(function.file, function.globals, dict(function.names))
            return self._enter(function.node, frame, arguments, keywords, filtering)
        if not isinstance(function, types.FunctionType):
            return call_known(self, function, arguments, keywords)
        own = function.__code__.co_filename.startswith(self._folder)
        node = definition(function) if own else None
        if node is None:
            return call_known(self, function, arguments, keywords)
        closure = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=False))
        names = {name: Known(_contents(cell)) for name, cell in closure.items()}
        frame = Frame(function.__code__.co_filename, function.__globals__, dict(names))
        return self._enter(node, frame, arguments, keywords, filtering)

    def call_value(
        self, value: Value, arguments: Sequence[Value], keywords: Mapping[str, Value]
    ) -> Value:
        """Read a call of something that is itself a value."""
        if isinstance(value, Method):
            return call_method(self, value, arguments, keywords)
        if isinstance(value, Known):
            return self.call(value.value, arguments, keywords)
        if isinstance(value, Local):
            return self.call(value, arguments, keywords)
        return None

    def _enter(
        self,
        node: ast.FunctionDef | ast.Lambda,
        frame: Frame,
        arguments: Sequence[Value],
        keywords: Mapping[str, Value],
        filtering: bool,
    ) -> Value:
        if len(self._active) >= _DEPTH or node in self._active:
            return None
        given = node.args
        names = [a.arg for a in (*given.posonlyargs, *given.args)]
        defaults = Expressions(self, frame)
        found = [defaults.value(default) for default in given.defaults]
        frame.names.update(zip(reversed(names), reversed(found), strict=False))
        unbound = [*names[: len(names) - len(found)], *(a.arg for a in given.kwonlyargs)]
        frame.names.update(dict.fromkeys(unbound))
        frame.names.update(zip(names, arguments, strict=False))
        frame.names.update(keywords)
        self._active.append(node)
        self._filters += filtering
        try:
            expressions = Expressions(self, frame)
            if isinstance(node, ast.Lambda):
                return expressions.value(node.body)
            _Statements(expressions, frame).read(node.body)
        finally:
            self._active.pop()
            self._filters -= filtering
        return _joined(frame.returned)


class _Statements:
    """Reads the statements of a function in order, and both ways of each branch."""

    def __init__(self, expressions: Expressions, frame: Frame) -> None:
        self._expressions = expressions
        self._frame = frame

    def read(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self._read(statement)

    def _read(self, node: ast.stmt) -> None:
        value = self._expressions.value
        match node:
            case ast.Return(value=ast.expr() as returned):
                self._frame.returned.append(value(returned))
            case ast.Assign():
                found = value(node.value)
                for target in node.targets:
                    self._expressions.assign(target, found)
            case ast.AnnAssign(value=ast.expr() as given):
                self._expressions.assign(node.target, value(given))
            case ast.AugAssign():
                value(
                    ast.copy_location(
                        ast.BinOp(_read_target(node.target), node.op, node.value), node
                    )
                )
            case ast.For():
                for element in self._elements(value(node.iter)):
                    self._expressions.assign(node.target, element)
                    self.read(node.body)
                self.read(node.orelse)
            case ast.FunctionDef():
                frame = self._frame
                self._frame.names[node.name] = Local(
                    node, frame.names, frame.file, dict(frame.globals)
                )
            case ast.Expr():
                value(node.value)
            case _:
                self._read_branches(node)

    def _elements(self, value: Value) -> list[Value]:
        """Return what a loop runs over: each of some constants, or one that stands for all."""
        if isinstance(value, Known) and isinstance(value.value, list | tuple | range):
            return [Known(item) for item in value.value[:_ROUNDS]]
        return [self._expressions.element(value)]

    def _read_branches(self, node: ast.stmt) -> None:
        for item in getattr(node, "items", []):
            found = self._expressions.value(item.context_expr)
            if item.optional_vars is not None:
                self._expressions.assign(item.optional_vars, found)
        test = getattr(node, "test", None)
        if test is not None:
            self._expressions.value(test)
        for part in ("body", "orelse", "finalbody"):
            self.read(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            self.read(handler.body)
        for case in getattr(node, "cases", []):
            self.read(case.body)


def _read_target(target: ast.expr) -> ast.expr:
    copied = ast.parse(ast.unparse(target), mode="eval").body
    return ast.copy_location(copied, target)


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _joined(returned: Sequence[Value]) -> Value:
    """Return the one value that stands for all that a function may return."""
    known = [value for value in returned if value is not None]
    for kind in (Rows, Row, Fields, Use, Items, Pieces):
        for value in known:
            if isinstance(value, kind):
                return value
    return known[0] if known else None
