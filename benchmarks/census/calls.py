"""What calls in a task's functions say about a doc."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from census.uses import Use
from census.values import Columns, Fields, Items, Known, Local, Method, Pieces, Row, Rows, Value

if TYPE_CHECKING:
    from census.reading import Reader

_TEXT_SAME = frozenset(
    {
        "strip",
        "lstrip",
        "rstrip",
        "lower",
        "upper",
        "title",
        "capitalize",
        "replace",
        "removeprefix",
        "removesuffix",
    }
)
_TEXT = _TEXT_SAME | frozenset(
    {
        "encode",
        "endswith",
        "find",
        "format",
        "isdigit",
        "isalpha",
        "isspace",
        "isupper",
        "startswith",
        "rfind",
    }
)
_IMAGE = frozenset(
    {
        "convert",
        "resize",
        "crop",
        "save",
        "thumbnail",
        "getpixel",
        "tobytes",
        "copy",
    }
)
_SAME_ROWS = frozenset(
    {
        "select",
        "shuffle",
        "sort",
        "remove_columns",
        "with_format",
        "flatten_indices",
        "rename_column",
        "cast",
        "cast_column",
        "to_list",
        "to_pandas",
        "iter",
        "skip",
        "take",
    }
)
_SAME = frozenset({"list", "tuple", "sorted", "reversed", "deepcopy", "copy", "set", "iter"})


def call_method(
    reader: Reader, method: Method, arguments: Sequence[Value], keywords: Mapping[str, Value]
) -> Value:
    """Return what a method of a value gives."""
    owner, name = method.owner, method.name
    if isinstance(owner, Rows):
        return _call_rows(reader, owner, name, arguments, keywords)
    if isinstance(owner, Row):
        return _call_row(owner, name, arguments)
    if isinstance(owner, Columns) and name == "startswith":
        _add_columns(owner.row, arguments)
    if isinstance(owner, Use):
        if name in ("startswith", "endswith") and reader.filtering:
            _keep(owner, arguments)
        return _call_use(owner, name, arguments)
    if isinstance(owner, Items) and name in ("append", "extend", "insert") and arguments:
        owner.items.append(arguments[-1])
        if isinstance(arguments[-1], Row):
            return Rows(arguments[-1])
    if isinstance(owner, Pieces) and name in ("index", "pop"):
        return None
    return Method(owner, name) if name == "items" else None


def _add_columns(row: Row, arguments: Sequence[Value]) -> None:
    """Add columns whose names begin as a loop over all of them wants it."""
    match arguments:
        case [Known(value=str() as start), *_]:
            for number in range(1, 5):
                row.column(f"{start}{number}")


def _keep(use: Use, arguments: Sequence[Value]) -> None:
    match arguments:
        case [Known(value=str() as text), *_]:
            use.only = text


def _call_rows(
    reader: Reader,
    rows: Rows,
    name: str,
    arguments: Sequence[Value],
    keywords: Mapping[str, Value],
) -> Value:
    if name in ("map", "filter"):
        function = arguments[0] if arguments else keywords.get("function")
        row = Row(rows.row.doc, dict(rows.row.written))
        extra: list[Value] = [None] if _is_true(keywords.get("with_indices")) else []
        given = keywords.get("fn_kwargs")
        named = _constants(given)
        if isinstance(function, Known | Local):
            called = function.value if isinstance(function, Known) else function
            made = reader.call(called, [row, *extra], named, filtering=name == "filter")
            if name == "map":
                row.written.update(_fields(made))
        return Rows(row)
    return rows if name in _SAME_ROWS else None


def _constants(given: Value) -> dict[str, Value]:
    if isinstance(given, Fields):
        return dict(given.fields)
    if isinstance(given, Known) and isinstance(given.value, dict):
        return {key: Known(value) for key, value in given.value.items()}
    return {}


def _fields(value: Value) -> dict[str, Value]:
    match value:
        case Row():
            return value.written
        case Fields():
            return value.fields
        case Known() if isinstance(value.value, dict):
            return {str(key): Known(item) for key, item in value.value.items()}
    return {}


def _is_true(value: Value) -> bool:
    return isinstance(value, Known) and value.value is True


def _call_row(row: Row, name: str, arguments: Sequence[Value]) -> Value:
    key = arguments[0].value if arguments and isinstance(arguments[0], Known) else None
    if name in ("get", "pop") and isinstance(key, str):
        return row.column(key)
    if name == "update" and arguments:
        row.written.update(_fields(arguments[0]))
    if name in ("keys", "items"):
        return Method(row, name)
    return row if name == "copy" else None


def _call_use(use: Use, name: str, arguments: Sequence[Value]) -> Value:
    constant = arguments[0].value if arguments and isinstance(arguments[0], Known) else None
    if name in ("split", "rsplit", "splitlines", "partition"):
        use.vote("text", 2)
        separator = constant if isinstance(constant, str) else "\n" if name == "splitlines" else " "
        return Pieces(use, separator)
    if name in _TEXT:
        use.vote("text", 2)
        if name in ("startswith", "endswith") and isinstance(constant, str):
            return None
        return use if name in _TEXT_SAME else None
    if name in _IMAGE:
        use.vote("image", 2)
        return use
    if name == "get" and isinstance(constant, str):
        return use.key(constant)
    if name in ("items", "keys", "values"):
        use.vote("mapping", 2)
        return Method(use, name)
    wanted = arguments[0] if arguments else None
    if name == "index" and isinstance(wanted, Use) and wanted is not use.item:
        wanted.member_of = use
    if name in ("index", "count", "append", "extend", "insert", "pop", "sort"):
        use.vote("list", 1)
    return None


def call_known(
    reader: Reader, function: Any, arguments: Sequence[Value], keywords: Mapping[str, Value]
) -> Value:
    """Return what a function of a library gives."""
    name = getattr(function, "__name__", "")
    first = arguments[0] if arguments else None
    owner = getattr(function, "__self__", None)
    if isinstance(owner, list | tuple | dict | str):
        return _call_constant(owner, name, first)
    if function is range and all(isinstance(argument, Known) for argument in arguments):
        return Known(range(*(a.value for a in arguments if isinstance(a, Known))))
    if name in _SAME:
        return first
    if name in ("enumerate", "zip", "map", "filter"):
        return _iterate(reader, name, arguments)
    if isinstance(first, Use):
        return _call_with_use(function, name, first)
    if name in ("from_list", "from_generator"):
        return _rows_of(first)
    if name == "from_dict" and isinstance(first, Fields):
        return Rows(Row(Use("doc"), dict(first.fields)))
    if name == "dict":
        return first if isinstance(first, Row) else Fields(dict(keywords))
    return None


def _call_with_use(function: Any, name: str, use: Use) -> Value:
    if name in ("int", "float", "ord", "chr"):
        return _number(use, name)
    if name in ("loads", "literal_eval", "eval"):
        return use.decoded("json" if function is json.loads else "python")
    if name in ("BytesIO", "b64decode"):
        use.vote("image_base64" if name == "b64decode" else "bytes", 2)
        # What is done with the picture says nothing about the column that holds its text.
        return None
    return use if name in ("dict", "str") else None


def _rows_of(value: Value) -> Value:
    if isinstance(value, Rows):
        return value
    if isinstance(value, Items):
        for item in value.items:
            if isinstance(item, Row):
                return Rows(item)
            if isinstance(item, Fields):
                return Rows(Row(Use("doc"), dict(item.fields)))
    return None


def _number(use: Use, name: str) -> Value:
    if name == "ord":
        use.vote("text", 2)
        for letter in "AB":
            use.sample(letter)
    elif name == "chr":
        use.vote("integer", 2)
    else:
        use.digits = True
        return Known(0)
    return None


def _iterate(reader: Reader, name: str, arguments: Sequence[Value]) -> Value:
    def element(value: Value) -> Value:
        match value:
            case Use():
                return value.element()
            case Rows():
                return value.row
            case Items():
                return next(iter(value.items), None)
            case Known() if isinstance(value.value, list | tuple | str) and value.value:
                return Known(value.value[0])
        return None

    if name == "enumerate" and arguments:
        return Items([Items([None, element(arguments[0])])])
    if name == "zip":
        return Items([Items([element(argument) for argument in arguments])])
    if len(arguments) < 2:
        return None
    made = reader.call_value(arguments[0], [element(arguments[1])], {})
    return Items([made]) if name == "map" else arguments[1]


def _call_constant(owner: Any, name: str, first: Value) -> Value:
    """Return what a method of a constant gives."""
    if isinstance(owner, dict) and name == "get" and isinstance(first, Known):
        return Known(owner.get(first.value))
    if not isinstance(first, Use):
        return None
    if name in ("index", "find", "get", "pop"):
        # It is looked up, so it is one of these.
        for value in owner[:4] if isinstance(owner, str) else owner:
            first.sample(value)
    elif name == "join":
        first.vote("list", 1)
    return None
