"""What the expressions of a function stand for."""

from __future__ import annotations

import ast
import builtins
import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from census.uses import Use
from census.values import Columns, Fields, Items, Known, Local, Method, Pieces, Row, Rows, Value

if TYPE_CHECKING:
    from census.reading import Frame, Reader


class Expressions:
    """Evaluates the expressions of one function.

    Args:
        reader: Reads the functions that are called.
        frame: The function.
    """

    def __init__(self, reader: Reader, frame: Frame) -> None:
        self._reader = reader
        self._frame = frame

    def value(self, node: ast.expr) -> Value:
        """Return what an expression stands for."""
        handler: Callable[[Any], Value] | None
        handler = getattr(self, f"_{type(node).__name__.lower()}", None)
        if handler is None:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self.value(child)
            return None
        found: Value = handler(node)
        if hasattr(node, "lineno") and found is not None:
            place = (node.lineno, node.end_lineno or 0, node.col_offset, node.end_col_offset or 0)
            self._reader.places[self._frame.file, *place] = found
        return found

    def assign(self, target: ast.expr, value: Value) -> None:
        """Give a name, a column or several of them a value."""
        if isinstance(target, ast.Name):
            self._frame.names[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            for index, part in enumerate(target.elts):
                self.assign(part, item_of(value, index))
        elif isinstance(target, ast.Subscript):
            owner, key = self.value(target.value), self.value(target.slice)
            if isinstance(key, Known) and isinstance(key.value, str):
                if isinstance(owner, Row):
                    owner.written[key.value] = value
                elif isinstance(owner, Fields):
                    owner.fields[key.value] = value

    def element(self, value: Value) -> Value:
        """Return what iterating over a value gives."""
        match value:
            case Rows():
                return value.row
            case Row():
                return Columns(value)
            case Use():
                value.vote("list", 0)
                return value.element()
            case Items():
                return next((item for item in value.items if item is not None), None)
            case Known(value=list() | tuple() | dict() as known) if known:
                return Known(next(iter(known)))
            case Method(owner=Row() | Use() as owner):
                return _element_of_view(owner, value.name)
        return None

    def _name(self, node: ast.Name) -> Value:
        frame = self._frame
        if node.id in frame.names:
            return frame.names[node.id]
        if node.id in frame.globals:
            return Known(frame.globals[node.id])
        return Known(getattr(builtins, node.id)) if hasattr(builtins, node.id) else None

    def _constant(self, node: ast.Constant) -> Value:
        return Known(node.value)

    def _attribute(self, node: ast.Attribute) -> Value:
        owner = self.value(node.value)
        if isinstance(owner, Known):
            try:
                return Known(getattr(owner.value, node.attr))
            except AttributeError:
                return None
        if isinstance(owner, Use) and node.attr in ("size", "width", "height", "mode"):
            owner.vote("image", 2)
            return None
        return None if owner is None else Method(owner, node.attr)

    def _subscript(self, node: ast.Subscript) -> Value:
        owner, key = self.value(node.value), None
        if isinstance(node.slice, ast.Slice):
            for part in (node.slice.lower, node.slice.upper):
                if part is not None and isinstance(index := self.value(part), Use):
                    index.vote("integer", 2)
            return owner
        key = self.value(node.slice)
        return subscript(owner, key)

    def _call(self, node: ast.Call) -> Value:
        function = self.value(node.func)
        arguments: list[Value] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                self.element(self.value(argument.value))
            else:
                arguments.append(self.value(argument))
        keywords = {}
        for keyword in node.keywords:
            found = self.value(keyword.value)
            if keyword.arg is not None:
                keywords[keyword.arg] = found
        return self._reader.call_value(function, arguments, keywords)

    def _lambda(self, node: ast.Lambda) -> Value:
        frame = self._frame
        return Local(node, frame.names, frame.file, dict(frame.globals))

    def _binop(self, node: ast.BinOp) -> Value:
        left, right = self.value(node.left), self.value(node.right)
        for use, other in ((left, right), (right, left)):
            if not isinstance(use, Use) or not isinstance(other, Known):
                continue
            if isinstance(node.op, ast.Add) and isinstance(other.value, str):
                use.vote("text", 2)
            elif isinstance(node.op, ast.Add) and isinstance(other.value, list):
                use.vote("list", 2)
            elif isinstance(other.value, int) and isinstance(node.op, ast.Add | ast.Sub):
                use.vote("integer", 2)
            elif isinstance(other.value, int | float) and not isinstance(node.op, ast.Mod):
                use.vote("number")
        if isinstance(node.op, ast.Add):
            return next((v for v in (left, right) if isinstance(v, Items)), None)
        return None

    def _boolop(self, node: ast.BoolOp) -> Value:
        found = [self.value(value) for value in node.values]
        return next((value for value in found if value is not None), None)

    def _compare(self, node: ast.Compare) -> Value:
        sides = [self.value(side) for side in (node.left, *node.comparators)]
        for operator, left, right in zip(node.ops, sides, sides[1:], strict=False):
            if isinstance(operator, ast.In | ast.NotIn):
                self._compare_in(operator, left, right)
            for use, other in ((left, right), (right, left)):
                if isinstance(use, Use) and isinstance(other, Known):
                    self._compare_known(operator, use, other.value)
        return None

    def _compare_in(self, operator: ast.cmpop, left: Value, right: Value) -> None:
        kept = self._reader.filtering and isinstance(operator, ast.In)
        if kept and isinstance(left, Known) and isinstance(right, Use):
            right.only = left.value
        if isinstance(left, Columns) and isinstance(operator, ast.NotIn):
            # It takes all columns but these.
            for number in range(1, 5):
                left.row.column(f"choice{number}")
        if isinstance(left, Use) and isinstance(right, Known | Items):
            values = _plain(right)
            for value in values:
                left.sample(value)
            if kept and values:
                left.only = values[0]

    def _compare_known(self, operator: ast.cmpop, use: Use, value: Any) -> None:
        if isinstance(operator, ast.Eq | ast.NotEq) and isinstance(value, str | int | float):
            use.sample(value)
            if self._reader.filtering and isinstance(operator, ast.Eq) and value != "":
                use.only = value
        elif isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
            use.vote("number" if isinstance(value, float) else "integer", 2)

    def _ifexp(self, node: ast.IfExp) -> Value:
        self.value(node.test)
        found = [self.value(node.body), self.value(node.orelse)]
        return next((v for v in found if v is not None and not isinstance(v, Known)), found[0])

    def _list(self, node: ast.List | ast.Tuple | ast.Set) -> Value:
        found = [self.value(item) for item in node.elts]
        if found and all(isinstance(item, Known) for item in found):
            return Known([item.value for item in found if isinstance(item, Known)])
        return Items(found)

    _tuple = _set = _list

    def _starred(self, node: ast.Starred) -> Value:
        return self.element(self.value(node.value))

    def _dict(self, node: ast.Dict) -> Value:
        fields: dict[str, Value] = {}
        known: dict[Any, Any] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            found = self.value(item)
            if key is None:
                if isinstance(found, Row):
                    fields.update(found.written)
                continue
            name = self.value(key)
            if isinstance(name, Known) and isinstance(name.value, str | int):
                fields[str(name.value)] = found
                if isinstance(found, Known):
                    known[name.value] = found.value
        return Known(known) if known and len(known) == len(node.keys) else Fields(fields)

    def _listcomp(self, node: ast.ListComp | ast.GeneratorExp | ast.SetComp) -> Value:
        self._generators(node.generators)
        found = self.value(node.elt)
        if isinstance(found, Row):
            return Rows(found)
        if isinstance(found, Fields):
            return Rows(Row(Use("doc"), dict(found.fields)))
        return Items([found])

    _generatorexp = _setcomp = _listcomp

    def _dictcomp(self, node: ast.DictComp) -> Value:
        self._generators(node.generators)
        self.value(node.key)
        self.value(node.value)
        return None

    def _generators(self, generators: Sequence[ast.comprehension]) -> None:
        for generator in generators:
            self.assign(generator.target, self.element(self.value(generator.iter)))
            for test in generator.ifs:
                self.value(test)

    def _formattedvalue(self, node: ast.FormattedValue) -> Value:
        found = self.value(node.value)
        plain = node.conversion == -1 and node.format_spec is None
        return found if plain and isinstance(found, Known) else None

    def _joinedstr(self, node: ast.JoinedStr) -> Value:
        parts = [self.value(part) for part in node.values]
        if all(isinstance(part, Known) for part in parts):
            return Known("".join(str(part.value) for part in parts if isinstance(part, Known)))
        return None

    def _namedexpr(self, node: ast.NamedExpr) -> Value:
        found = self.value(node.value)
        self.assign(node.target, found)
        return found


def _element_of_view(owner: Row | Use, name: str) -> Value:
    """Return what iterating over the keys, values or items of a mapping gives."""
    if isinstance(owner, Row):
        return Items([Columns(owner), None]) if name == "items" else Columns(owner)
    key, item = owner.key_name(), owner.element()
    return {"keys": key, "values": item}.get(name, Items([key, item]))


def subscript(owner: Value, key: Value) -> Value:
    """Return what an index or a key gives."""
    constant = key.value if isinstance(key, Known) else None
    match owner:
        case Row() if isinstance(constant, str):
            return owner.column(constant)
        case Fields() if isinstance(constant, str):
            return owner.fields.get(constant)
        case Rows():
            return Items([owner.row.column(constant)]) if isinstance(constant, str) else owner.row
        case Use():
            return _subscript_use(owner, key, constant)
        case Pieces() | Items() if isinstance(constant, int):
            return item_of(owner, constant)
        case Items() if isinstance(key, Use):
            key.vote("integer", 2)
        case Known():
            return _subscript_known(owner.value, key)
    return None


def _subscript_known(owner: Any, key: Value) -> Value:
    if isinstance(key, Use):
        if isinstance(owner, dict):
            for known in owner:
                key.sample(known)
        elif isinstance(owner, list | tuple | str):
            key.vote("integer", 3)
    elif isinstance(key, Known) and isinstance(owner, dict | list | tuple | str):
        plain: Any = owner
        with contextlib.suppress(KeyError, IndexError, TypeError):
            return Known(plain[key.value])
    return None


def _subscript_use(owner: Use, key: Value, constant: Any) -> Value:
    if isinstance(constant, str):
        return owner.key(constant)
    if isinstance(constant, int):
        return owner.element(constant)
    if isinstance(key, Use) and key is owner.names:
        return owner.element()
    if isinstance(key, Use):
        key.vote("integer", 2)
    return owner.element()


def item_of(value: Value, index: int) -> Value:
    """Return an item of a value by its index, as in unpacking."""
    match value:
        case Items():
            return value.items[index] if -len(value.items) <= index < len(value.items) else None
        case Use():
            return value.element(index)
        case Pieces() if value.separator:
            needed = index if index >= 0 else -index - 1
            missing = needed - value.text.separators.count(value.separator)
            value.text.separators += [value.separator] * max(0, missing)
        case Known() if isinstance(value.value, list | tuple) and index < len(value.value):
            return Known(value.value[index])
    return None


def _plain(value: Known | Items) -> list[Any]:
    if isinstance(value, Items):
        return [item.value for item in value.items if isinstance(item, Known)]
    return list(value.value) if isinstance(value.value, list | tuple | set | dict) else []
