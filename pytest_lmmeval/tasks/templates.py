"""Jinja templates in task YAMLs, compiled once.

The environments have the peers' semantics: an undefined name is an error, there is the filter
``regex_replace(pattern, repl, count=0)``, and a final newline stays in the lm-eval dialect but not
in lmms-eval's. They are sandboxed on top of that, so that a task without functions of its own
cannot run code.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

import jinja2
from jinja2 import meta
from jinja2.sandbox import SandboxedEnvironment

from pytest_lmmeval.tasks.schema import Dialect


def _regex_replace(string: str, pattern: str, repl: str, count: int = 0) -> str:
    return re.sub(pattern, repl, string, count=count)


def _environment(keep_trailing_newline: bool) -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=keep_trailing_newline
    )
    environment.filters["regex_replace"] = _regex_replace
    return environment


_ENVIRONMENTS = {
    "lm_eval": _environment(keep_trailing_newline=True),
    "lmms_eval": _environment(keep_trailing_newline=False),
}


class UnknownColumn(Exception):
    """A template uses a column that the doc does not have.

    Args:
        column: Its name.
    """

    def __init__(self, column: str) -> None:
        self.column = column
        super().__init__(column)


class Template:
    """A compiled template.

    Args:
        text: Its source.
        dialect: Whose rules apply.

    Raises:
        jinja2.TemplateSyntaxError: The source is not Jinja.
    """

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text = text
        self._environment = _ENVIRONMENTS[dialect]
        self._compiled = self._environment.from_string(text)

    def render(self, doc: Mapping[str, Any]) -> str:
        """Fill the template with the doc's columns.

        Raises:
            UnknownColumn: It uses a column that the doc does not have.
            jinja2.UndefinedError: It uses something else that is not there.
        """
        try:
            return self._compiled.render(doc)
        except jinja2.UndefinedError as error:
            used = meta.find_undeclared_variables(self._environment.parse(self.text))
            # A template may ask whether a column is there, so only the one complained about counts.
            for column in sorted(used - set(doc) - set(self._environment.globals)):
                if repr(column) in str(error):
                    raise UnknownColumn(column) from error
            raise


@functools.lru_cache(maxsize=4096)
def compile_template(text: str, dialect: Dialect) -> Template:
    """Return the compiled template of a source, the same one each time.

    Raises:
        jinja2.TemplateSyntaxError: The source is not Jinja.
    """
    return Template(text, dialect)
