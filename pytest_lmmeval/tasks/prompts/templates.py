"""Jinja templates in task YAMLs, compiled once.

The environments have the peers' semantics: an undefined name is an error, there is the filter
``regex_replace(pattern, repl, count=0)``, and a final newline stays in the lm-eval dialect but not
in lmms-eval's. They are sandboxed on top of that, so that a task without functions of its own
cannot run code, and bounded, so that one that loops or grows without end is an error and no hang.
"""

from __future__ import annotations

import functools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import SandboxedEnvironment

from pytest_lmmeval.tasks.files.schema import Dialect


def _regex_replace(string: str, pattern: str, repl: str, count: int = 0) -> str:
    return re.sub(pattern, repl, string, count=count)


# What one rendering may do: steps of all its loops together, and characters or elements that one
# operation makes. A prompt needs a thousandth of it.
_STEPS = 1_000_000
_LENGTH = 10_000_000
_COUNTED = "lmm counted"
_GROWING = frozenset({"center", "expandtabs", "ljust", "rjust", "zfill"})
_taken = threading.local()


class _Environment(SandboxedEnvironment):
    """Jinja's sandbox, in which loops and what grows have limits too."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None)
        return tree

    def call_binop(
        self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any
    ) -> Any:
        if operator == "*":
            _check_length(max(_made_by(left, right), _made_by(right, left)))
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            _check_length(left.bit_length() * abs(right))
        elif operator == "%" and isinstance(left, str):
            widths = right if isinstance(right, tuple) else (right,)
            _check_format(left, widths if "*" in left else ())
        return super().call_binop(context, operator, left, right)

    def call(self, context: jinja2.runtime.Context, function: Any, /, *args: Any, **kw: Any) -> Any:
        owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
        if isinstance(owner, str | bytes) and name in _GROWING:
            _check_widths(args)
        return super().call(context, function, *args, **kw)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        function = super().wrap_str_format(value)
        if function is None:
            return None

        def checked(*args: Any, **kwargs: Any) -> str:
            pattern = str(value.__self__)
            nested = re.search(r"\{[^{}]*\{", pattern)
            _check_format(pattern, (*args, *kwargs.values()) if nested else ())
            return function(*args, **kwargs)

        return checked


def _made_by(repeated: Any, times: Any) -> int:
    if isinstance(repeated, str | bytes | list | tuple) and isinstance(times, int):
        return len(repeated) * times
    return 0


def _check_format(pattern: str, widths: Iterable[Any]) -> None:
    """Refuse a format that asks for an endless field, itself or through its arguments."""
    fields = re.findall(r"(?:%|\{[^{}]*:)[^\s{}%a-zA-Z]*?(\d{8,18})", pattern)
    _check_length(max(map(int, fields), default=0))
    _check_widths(widths)


def _check_widths(args: Iterable[Any]) -> None:
    _check_length(max((arg for arg in args if isinstance(arg, int)), default=0))


def _check_length(length: int) -> None:
    if length > _LENGTH:
        raise SecurityError(f"it makes something longer than {_LENGTH:,}")


@jinja2.pass_context  # Without a context Jinja would take it for a constant.
def _counted(context: jinja2.runtime.Context, items: Iterable[Any]) -> Iterator[Any]:
    """Yield what a loop goes over, and count its steps."""
    for item in items:
        _taken.steps += 1
        if _taken.steps > _STEPS:
            raise SecurityError(f"its loops take more than {_STEPS:,} steps")
        yield item


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that refuses to make something endless."""

    @functools.wraps(function)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        _check_widths((*args[1:], *kwargs.values()))
        return function(*args, **kwargs)

    return bounded


def _environment(keep_trailing_newline: bool) -> SandboxedEnvironment:
    environment = _Environment(
        undefined=jinja2.StrictUndefined, keep_trailing_newline=keep_trailing_newline
    )
    filters = environment.filters
    filters |= {name: _bounded(filters[name]) for name in ("batch", "center", "indent", "slice")}
    filters["regex_replace"] = _regex_replace
    filters[_COUNTED] = _counted
    # Random words are of no use in a prompt, and any number of them can be asked for.
    del environment.globals["lipsum"]
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
        try:
            tree = self._environment.parse(text)
            self._simple = _simple(tree)
            self._compiled = self._environment.from_string(tree)
        # What Python cannot compile: thousands of brackets, for example.
        except (RecursionError, SyntaxError, MemoryError, OverflowError, ValueError) as error:
            raise jinja2.TemplateSyntaxError(f"it cannot be compiled: {error}", 1) from error
        # Jinja would put them together anew for each doc, which costs more than most templates.
        self._globals = dict(self._compiled.globals)

    def render(self, doc: Mapping[str, Any]) -> str:
        """Fill the template with the doc's columns.

        Raises:
            UnknownColumn: It uses a column that the doc does not have.
            jinja2.UndefinedError: It uses something else that is not there.
        """
        if self._simple is not None:
            pattern, names = self._simple
            try:
                return pattern % tuple([doc[name] for name in names])
            except KeyError:
                pass  # a name of Jinja's own, or none at all
        try:
            return self._rendered(doc)
        except jinja2.UndefinedError as error:
            used = meta.find_undeclared_variables(self._environment.parse(self.text))
            # A template may ask whether a column is there, so only the one complained about counts.
            for column in sorted(used - set(doc) - set(self._environment.globals)):
                if repr(column) in str(error):
                    raise UnknownColumn(column) from error
            raise

    def _rendered(self, doc: Mapping[str, Any]) -> str:
        _taken.steps = 0
        context = self._compiled.new_context({**self._globals, **doc}, shared=True)
        try:
            return "".join(self._compiled.root_render_func(context))
        except Exception:  # a template may raise anything: Jinja's own way finds its line
            _taken.steps = 0
            return self._compiled.render(doc)


def _simple(tree: nodes.Template) -> tuple[str, list[str]] | None:
    """Return a template of texts and columns alone as a format and its columns; None for others.

    Most are of this kind, and Jinja takes six times as long to fill one.
    """
    pattern, names = "", []
    for output in tree.body:
        for piece in output.nodes if isinstance(output, nodes.Output) else [output]:
            if isinstance(piece, nodes.TemplateData):
                pattern += piece.data.replace("%", "%%")
            elif isinstance(piece, nodes.Name) and piece.name != "self":
                pattern += "%s"
                names.append(piece.name)
            else:
                return None
    return pattern, names


@functools.lru_cache(maxsize=4096)
def compile_template(text: str, dialect: Dialect) -> Template:
    """Return the compiled template of a source, the same one each time.

    Raises:
        jinja2.TemplateSyntaxError: The source is not Jinja.
    """
    return Template(text, dialect)
