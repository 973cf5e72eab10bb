"""``doc_to_text`` and its kin: from a doc to a text, a target, choices.

Such a key holds a constant, the name of a column, a Jinja template or a function. A string that is
exactly the name of a column of the evaluated docs is that column; any other string is a template.
"""

from __future__ import annotations

import ast
import functools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import jinja2

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.tasks.data.task_data import TaskData, missing_column
from pytest_lmmeval.tasks.files.config import TaskConfig
from pytest_lmmeval.tasks.files.schema import shown
from pytest_lmmeval.tasks.functions.calls import UserFunction, user_function
from pytest_lmmeval.tasks.functions.user_functions import FunctionRef, Functions, describe
from pytest_lmmeval.tasks.prompts.model_arguments import Arguments, Extra, no_extra
from pytest_lmmeval.tasks.prompts.templates import Template, UnknownColumn, compile_template
from pytest_lmmeval.warnings import LmmWarning

Rule: TypeAlias = Literal["text", "target", "choice", "plain", "media"]
Doc: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Field:
    """One of the keys, ready to be read.

    Attributes:
        role: The key, as in ``doc_to_text`` or ``fewshot_config.doc_to_text``.
        value: What the YAML holds.
        rule: How a rendered template is understood.
        config: The task.
        data: Its data, whose columns decide what is a column name.
        functions: Its modules.
        extra: What a function gets beside the doc.
    """

    role: str
    value: Any
    rule: Rule
    config: TaskConfig
    data: TaskData
    functions: Functions
    extra: Extra = no_extra

    def __post_init__(self) -> None:
        _ = self.template  # A template that is none shall be found before any data are opened.

    def read(self, doc: Doc, doc_id: int | None = None) -> Any:
        """Return the field of a doc.

        Raises:
            TaskError: Its template or function failed.
            DataError: It uses a column that is not there.
        """
        return self._reader(doc, doc_id)

    def read_text(self, doc: Doc, doc_id: int | None = None) -> str:
        """Return the field of a doc, which must be text.

        Raises:
            TaskError: It is not, or could not be read.
            DataError: It uses a column that is not there.
        """
        value = self.read(doc, doc_id)
        if not isinstance(value, str):
            raise self.error(f"gave {shown(value)} ({type(value).__name__}), expected text", doc_id)
        return value

    def read_column(self, doc: Doc) -> Any:
        """Return the column that the value names.

        Raises:
            DataError: There is none.
        """
        if self.value not in doc:
            note = f", which {self.role} names"
            raise missing_column(self.config, self.role, str(self.value), doc, note)
        return doc[self.value]

    @functools.cached_property
    def _reader(self) -> Callable[[Doc, int | None], Any]:
        """How the field of a doc is read, which is the same for all docs."""
        if self.is_function:
            return self._called
        if isinstance(self.value, Mapping):
            return lambda doc, doc_id: list(self.value.values())
        if not isinstance(self.value, str):
            return lambda doc, doc_id: self.value
        return self._named if self._is_column else self._filled

    def _called(self, doc: Doc, doc_id: int | None) -> Any:
        args, kwargs = self._extra
        return self.function.call(doc, *args, doc_id=doc_id, **kwargs)

    def _named(self, doc: Doc, doc_id: int | None) -> Any:
        if self.value not in doc:
            raise missing_column(self.config, self.role, self.value, doc)
        return doc[self.value]

    def _filled(self, doc: Doc, doc_id: int | None) -> Any:
        return self._interpreted(self.render(doc, doc_id), doc_id)

    @property
    def is_function(self) -> bool:
        """Whether the YAML names a function."""
        return isinstance(self.value, FunctionRef) or callable(self.value)

    @functools.cached_property
    def function(self) -> UserFunction:
        """The function that the YAML names."""
        return user_function(self.value, self.role, self.config.task, self.functions)

    @functools.cached_property
    def _extra(self) -> Arguments:
        return self.extra(self.function.function)

    @functools.cached_property
    def template(self) -> Template | None:
        """The template, if the value is text."""
        if not isinstance(self.value, str):
            return None
        try:
            return compile_template(self.value, self.config.dialect)
        except jinja2.TemplateSyntaxError as error:
            raise self.error(f"is not a template: {error.message} ({self._quoted()})") from error

    @functools.cached_property
    def _is_column(self) -> bool:
        """Whether the value is a column's name. One that only looks like it is told once."""
        columns = self.data.docs.columns
        if self.value in columns:
            return True
        if self.rule == "target" and self._is_fixed_choice:
            return False
        if self.value.isidentifier() and self.rule != "plain":
            note = f", which {self.role} names"
            missing = missing_column(self.config, self.role, self.value, columns, note)
            if not self._may_be_constant:
                raise missing
            # To the peers it is a constant text, which nothing looks at here.
            message = f"{missing} It is taken as a text, the same for every doc."
            at = self.config.origins.get(self.role.partition(".")[0])
            path, line = (at.path, at.line) if at else (self.config.source, 1)
            warnings.warn_explicit(message, LmmWarning, str(path), line)
        return False

    @property
    def _may_be_constant(self) -> bool:
        """Whether a text that looks like a column's name may be meant as it is.

        It is so for a target that only the task's own scoring might look at, and for a prompt that
        ``doc_to_messages`` stands in for.
        """
        if self.rule == "text":
            return self.config.doc_to_messages is not None
        return self.rule == "target" and self.config.scores_itself

    @property
    def _is_fixed_choice(self) -> bool:
        fixed = self.config.doc_to_choice
        return isinstance(fixed, list | tuple) and self.value in fixed

    def error(self, message: str, doc_id: int | None = None) -> TaskError:
        """Return an error that points at the key."""
        where = "" if doc_id is None else f"doc {doc_id}: "
        tag = f" ({self.value.spec})" if isinstance(self.value, FunctionRef) else ""
        return self.config.error(self.role.partition(".")[0], f"{where}{self.role}{tag} {message}")

    def _quoted(self) -> str:
        text = str(self.value)
        return repr(text if len(text) <= 80 else f"{text[:77]}...")

    def render(self, doc: Doc, doc_id: int | None) -> str:
        """Return the value as a template, filled with the doc's columns.

        Raises:
            TaskError: The template failed.
            DataError: It uses a column that is not there.
        """
        assert self.template is not None, "only text is rendered"
        try:
            return self.template.render(doc)
        except UnknownColumn as error:
            raise missing_column(self.config, self.role, error.column, doc) from error
        except Exception as error:  # it calls methods of whatever the columns hold
            raise self.error(f"failed: {describe(error)} ({self._quoted()})", doc_id) from error

    def _interpreted(self, text: str, doc_id: int | None) -> Any:
        if self.rule in ("text", "target") and text.isdigit() and self.config.has_choices:
            return _literal(text, text)
        if self.rule == "target" and len(text) >= 2 and text[0] == "[" and text[-1] == "]":
            return _literal(text, text)
        if self.rule in ("choice", "media"):
            value = _literal(text, None)
            if not isinstance(value, list):
                raise self.error(f"gave {shown(text)}, expected a list as Python writes it", doc_id)
            return value
        return text


def _literal(text: str, otherwise: Any) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return otherwise
