"""What a Jinja template uses of a doc."""

from __future__ import annotations

from typing import Any

import jinja2
from jinja2 import nodes

from census.uses import Use

_TEXT = frozenset(
    {
        "strip",
        "lstrip",
        "rstrip",
        "split",
        "replace",
        "lower",
        "upper",
        "capitalize",
        "title",
        "startswith",
        "endswith",
        "find",
        "format",
        "isdigit",
        "isupper",
        "islower",
        "trim",
    }
)
_ENVIRONMENT = jinja2.Environment(autoescape=False)  # it parses and never renders
_ENVIRONMENT.filters["regex_replace"] = str


def read_template(text: str, doc: Use) -> Use | None:
    """Note what a template uses; return what it is, if it is nothing but a part of the doc."""
    try:
        tree = _ENVIRONMENT.parse(text)
    except jinja2.TemplateSyntaxError:
        return None
    template = _Template(doc)
    match tree.body:
        case [nodes.Output(nodes=[only])]:
            return template.visit(only)
    template.visit_all(tree.body)
    return None


class _Template:
    """Walks over a template.

    Args:
        doc: What is known of the doc; receives what is found.
    """

    def __init__(self, doc: Use) -> None:
        self._doc = doc
        self._names: dict[str, Use | None] = {"range": None, "dict": None, "loop": None}

    def visit_all(self, body: list[Any]) -> None:
        for node in body:
            self.visit(node)

    def visit(self, node: Any) -> Use | None:
        """Note what a node uses, and return what it stands for, if that is a part of the doc."""
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is not None:
            found: Use | None = method(node)
            return found
        for child in node.iter_child_nodes():
            self.visit(child)
        return None

    def _name(self, node: nodes.Name) -> Use | None:
        return self._names[node.name] if node.name in self._names else self._doc.key(node.name)

    def _output(self, node: nodes.Output) -> None:
        self.visit_all(node.nodes)

    def _getitem(self, node: nodes.Getitem) -> Use | None:
        base = self.visit(node.node)
        if base is None:
            index = self.visit(node.arg)
            if index is not None and isinstance(node.node, nodes.List):
                index.vote("integer", 3)
            return None
        if isinstance(node.arg, nodes.Const):
            index = node.arg.value
            return base.key(index) if isinstance(index, str) else base.element(index)
        if isinstance(node.arg, nodes.Slice):
            base.vote("list" if base.item is not None else "text")
            return base
        index = self.visit(node.arg)
        if index is not None:
            index.vote("integer", 2)
        return base.element()

    def _getattr(self, node: nodes.Getattr) -> Use | None:
        base = self.visit(node.node)
        return None if base is None else base.key(node.attr)

    def _call(self, node: nodes.Call) -> Use | None:
        arguments = [self.visit(argument) for argument in node.args]
        if not isinstance(node.node, nodes.Getattr):
            return None
        name, owner = node.node.attr, node.node.node
        if name == "index" and isinstance(owner, nodes.List) and node.args:
            self._sample(node.args[0], owner)
        base = self.visit(owner)
        if base is None:
            return None
        constant = (
            node.args[0].value if node.args and isinstance(node.args[0], nodes.Const) else None
        )
        wanted = arguments[0] if arguments else None
        if name == "index" and wanted is not None and wanted is not base.item:
            base.vote("list")
            wanted.member_of = base
        elif name == "get" and isinstance(constant, str):
            return base.key(constant)
        elif name == "split":
            base.vote("text", 2)
            base.separators += [constant] if isinstance(constant, str) else []
        elif name in ("items", "keys", "values"):
            base.vote("mapping", 2)
        elif name in _TEXT:
            base.vote("text", 2)
            return base
        return None

    def _sample(self, wanted: nodes.Node, among: nodes.List) -> None:
        use = self.visit(wanted)
        for item in among.items:
            if use is not None and isinstance(item, nodes.Const):
                use.sample(item.value)

    def _filter(self, node: nodes.Filter) -> Use | None:
        base = self.visit(node.node) if node.node is not None else None
        for argument in node.args:
            self.visit(argument)
        if base is not None:
            if node.name in ("join", "first", "last", "map", "list"):
                base.vote("list")
                return base.element() if node.name in ("first", "last") else base
            if node.name in ("trim", "lower", "upper", "replace", "capitalize", "regex_replace"):
                base.vote("text", 2)
                return base
            if node.name in ("int", "float"):
                base.digits = True
        return None

    def _for(self, node: nodes.For) -> None:
        base = self.visit(node.iter)
        element = None if base is None else base.element()
        if isinstance(node.target, nodes.Name):
            self._names[node.target.name] = element
        else:
            for name in node.target.find_all(nodes.Name):
                self._names[name.name] = None
        self.visit_all(node.body)
        self.visit_all(node.else_)

    def _assign(self, node: nodes.Assign) -> None:
        value = self.visit(node.node)
        for name in node.find_all(nodes.Name):
            if name.ctx == "store":
                self._names[name.name] = value

    def _compare(self, node: nodes.Compare) -> None:
        left = self.visit(node.expr)
        for operand in node.ops:
            right = self.visit(operand.expr)
            for use, other in ((left, operand.expr), (right, node.expr)):
                if use is None:
                    continue
                if isinstance(other, nodes.Const) and operand.op in ("eq", "ne"):
                    use.sample(other.value)
                elif isinstance(other, nodes.List | nodes.Tuple) and operand.op == "in":
                    for item in other.items:
                        if isinstance(item, nodes.Const):
                            use.sample(item.value)

    def _condexpr(self, node: nodes.CondExpr) -> Use | None:
        self.visit(node.test)
        found = [self.visit(n) for n in (node.expr1, node.expr2) if n is not None]
        return next((use for use in found if use is not None), None)

    def _add(self, node: nodes.Add) -> None:
        sides = [(self.visit(node.left), node.right), (self.visit(node.right), node.left)]
        for use, other in sides:
            if use is not None and isinstance(other, nodes.Const):
                use.vote("text" if isinstance(other.value, str) else "integer", 2)
            elif use is not None and isinstance(other, nodes.List):
                use.vote("list", 2)

    def _concat(self, node: nodes.Concat) -> None:
        self.visit_all(node.nodes)

    def _sub(self, node: nodes.Sub) -> None:
        for use in (self.visit(node.left), self.visit(node.right)):
            if use is not None:
                use.vote("integer", 2)

    def _dict(self, node: nodes.Dict) -> None:
        for pair in node.items:
            self.visit(pair.value)
