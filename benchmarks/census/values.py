"""What an expression in a task's function can stand for, as far as its docs are concerned."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from census.uses import Use


@dataclass(eq=False)
class Row:
    """A doc.

    Attributes:
        doc: The doc of the data set that it came from.
        written: What the task's code put into it, by column.
    """

    doc: Use
    written: dict[str, Value] = field(default_factory=dict)

    def column(self, name: str) -> Value:
        """Return a column: what the task wrote there, else what the data set must hold."""
        return self.written[name] if name in self.written else self.doc.key(name)


@dataclass(eq=False)
class Rows:
    """A data set, or a list of docs."""

    row: Row


@dataclass(eq=False)
class Columns:
    """The name of any column of a doc, as a loop over them sees it."""

    row: Row


@dataclass(eq=False)
class Known:
    """An object that does not depend on the doc."""

    value: Any


@dataclass(eq=False)
class Pieces:
    """What splitting a text gives."""

    text: Use
    separator: str | None


@dataclass(eq=False)
class Items:
    """A list or tuple that the code writes out."""

    items: list[Value]


@dataclass(eq=False)
class Fields:
    """A mapping that the code writes out."""

    fields: dict[str, Value]


@dataclass(eq=False)
class Local:
    """A function that is defined within another one, with the names that it sees."""

    node: ast.FunctionDef | ast.Lambda
    names: dict[str, Value]
    file: str
    globals: dict[str, Any]


@dataclass(eq=False)
class Method:
    """A method that is about to be called."""

    owner: Value
    name: str


Value: TypeAlias = (
    "Use | Row | Rows | Columns | Known | Pieces | Items | Fields | Local | Method | None"
)
