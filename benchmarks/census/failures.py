"""What a failed expression says of the values in it."""

from __future__ import annotations

import ast
import json
import re
import types
from typing import Any

from census.uses import Kind, Use
from census.values import Items, Pieces, Row, Value

_WANTS_TEXT = ("expected str", "to str", "string-like", "must be str", "expected string")
_WANTS_LIST = ("not iterable", "has no len", "to list", "can only join")


def learn(
    error: BaseException, node: ast.expr, values: dict[int, Value], frame: types.FrameType
) -> None:
    """Change what is known of the values in an expression so that it may not fail again.

    Args:
        error: How it failed.
        node: The expression.
        values: What the expressions within it stand for, by the ``id`` of their nodes.
        frame: Where it failed.
    """
    match node:
        case ast.Subscript():
            owner, key = values.get(id(node.value)), values.get(id(node.slice))
            _subscript(error, owner, key, node, frame)
        case ast.Call():
            _call(error, values, node, frame)
        case ast.Attribute():
            _attribute(error, values.get(id(node.value)))
        case ast.BinOp() if isinstance(error, TypeError):
            for side in (node.left, node.right):
                _operand(values.get(id(side)), str(error))
        case _:
            _other(error, node, values)


def _other(error: BaseException, node: ast.expr, values: dict[int, Value]) -> None:
    message = str(error)
    if isinstance(node, ast.Compare) and "not supported between" in message:
        for value in values.values():
            force(value, "number")
    elif isinstance(error, TypeError) and "not iterable" in message:
        force(values.get(id(node)), "list")
    elif isinstance(error, ValueError) and (found := re.search(r"expected (\d+)", message)):
        _lengthen(values.get(id(node)), int(found[1]))


def _subscript(
    error: BaseException, owner: Value, key: Value, node: ast.Subscript, frame: types.FrameType
) -> None:
    match error:
        case KeyError(args=[missing, *_]):
            if isinstance(owner, Row | Use) and isinstance(missing, str):
                (owner.doc if isinstance(owner, Row) else owner).key(missing)
            elif isinstance(key, Use) and isinstance(known := _evaluated(node.value, frame), dict):
                _choose(key, list(known))
        case IndexError() if isinstance(key, Use):
            force(key, "integer")
            key.samples = [0]
        case IndexError():
            index = _evaluated(node.slice, frame)
            _lengthen(owner, index + 1 if isinstance(index, int) and index >= 0 else 4)
        case TypeError() if isinstance(owner, Use):
            _subscript_type(str(error), owner, _evaluated(node.slice, frame))
        case TypeError() if "indices must be integers" in str(error):
            force(key, "integer")


def _subscript_type(message: str, owner: Use, index: Any) -> None:
    if "string ind" in message and isinstance(index, str):
        owner.forced = None
        owner.key(index)
    elif "string ind" in message:
        force(owner, "list")
    elif "not subscriptable" in message:
        force(owner, "mapping" if owner.keys else "list")


def _call(
    error: BaseException, values: dict[int, Value], node: ast.Call, frame: types.FrameType
) -> None:
    uses = [use for a in node.args if isinstance(use := values.get(id(a)), Use)]
    if not uses:
        return
    match error:
        case json.JSONDecodeError():
            uses[0].decoded("json")
        case SyntaxError():
            uses[0].decoded("python")
        case ValueError() if "invalid literal" in str(error):
            uses[0].digits, uses[0].samples = True, []
        case ValueError() if isinstance(node.func, ast.Attribute):
            known = _evaluated(node.func.value, frame)
            if isinstance(known, list | tuple | str) and len(known):
                _choose(uses[0], list(known))
        case TypeError():
            _call_type(str(error), uses)
        case FileNotFoundError():
            force(uses[0], "image_file")


def _call_type(message: str, uses: list[Use]) -> None:
    if "sequence item" in message:
        force(uses[0].element(), "text")
        return
    for use in uses:
        _operand(use, message)


def _operand(value: Value, message: str) -> None:
    if "bytes-like object is required" in message:
        force(value, "bytes")
    elif any(text in message for text in _WANTS_TEXT):
        force(value, "text")
    elif any(text in message for text in _WANTS_LIST):
        force(value, "list")


def _attribute(error: BaseException, owner: Value) -> None:
    if not isinstance(error, AttributeError):
        return
    name = error.name or ""
    kinds: tuple[tuple[Any, Kind], ...] = (("", "text"), ({}, "mapping"), ([], "list"))
    for example, kind in kinds:
        if hasattr(example, name):
            force(owner, kind)
            return
    if name in ("convert", "size", "save", "resize", "mode"):
        force(owner, "image")


def _choose(use: Use, known: list[Any]) -> None:
    use.forced = None
    use.votes.clear()
    use.samples = []
    for value in known:
        use.sample(value)


def force(value: Value, kind: Kind) -> None:
    """Take a kind as proved, unless it failed before."""
    if isinstance(value, Use) and (kind not in value.tried or value.trial):
        value.tried.add(value.kind)
        value.forced = kind


def _lengthen(value: Value, length: int) -> None:
    match value:
        case Use():
            if value.kind == "text" and value.length >= length:
                force(value, "list")
            value.length = max(value.length, length)
        case Pieces() if value.separator:
            missing = length - 1 - value.text.separators.count(value.separator)
            value.text.separators += [value.separator] * max(0, missing)
        case Items():
            for item in value.items:
                _lengthen(item, length)


def _evaluated(node: ast.expr, frame: types.FrameType) -> Any:
    """Return the value of a part of the failed expression."""
    try:
        code = compile(ast.Expression(node), "<census>", "eval")
        return eval(code, frame.f_globals, dict(frame.f_locals))  # the task's own code
    # It is a piece of foreign code, run once more.
    except Exception:
        return None
