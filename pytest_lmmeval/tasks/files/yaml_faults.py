"""What makes a YAML file unusable, told with its line: broken syntax, endless or deep values."""

from __future__ import annotations

import itertools
from pathlib import Path

import yaml

from pytest_lmmeval.errors import TaskError

# Values that a file may stand for once its aliases are written out. The largest of the peers' has
# thousands; a few lines of aliases to aliases can make billions.
_MOST_VALUES = 1_000_000
# How deep includes and values may lie within each other, far below what Python can follow.
DEEPEST = 100


def check_size(node: yaml.Node, path: Path, *, aliases: bool) -> None:
    """Refuse what is too deep to walk, and what aliases make endless or huge.

    Args:
        node: The file's content.
        path: The file.
        aliases: Whether it may hold any.

    Raises:
        TaskError: It is.
    """
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, depth: int) -> int:
        if isinstance(node, yaml.ScalarNode):
            return 1
        line = node.start_mark.line + 1
        if depth > DEEPEST:
            raise TaskError(f"is nested more than {DEEPEST} levels deep", path, line)
        known = sizes.get(id(node))
        if known == 0:
            raise TaskError("holds an anchor whose value contains itself", path, line)
        if known is None:
            sizes[id(node)] = 0
            pairs = isinstance(node, yaml.MappingNode)
            inner = itertools.chain(*node.value) if pairs else node.value
            known = sizes[id(node)] = 1 + sum(size(child, depth + 1) for child in inner)
        if aliases and known > _MOST_VALUES:
            message = f"stands for {known:,} values once its aliases are written out, expected at "
            raise TaskError(f"{message}most {_MOST_VALUES:,}", path, line)
        return known

    size(node, 0)


def unreadable(error: yaml.reader.ReaderError, text: str, path: Path) -> TaskError:
    """Return the error for a character that YAML does not allow."""
    line = text.count("\n", 0, error.position) + 1
    return TaskError(f"is not YAML: it holds the character {error.character!r}", path, line)


def invalid(error: yaml.MarkedYAMLError, text: str, path: Path) -> TaskError:
    """Return the error for broken syntax, with a hint at the usual cause."""
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    lines = text.splitlines()
    found = lines[line - 1] if line <= len(lines) else ""
    if "\t" in found[: len(found) - len(found.lstrip())]:
        hint = ": YAML is indented with spaces, and this line starts with a tab"
    elif ": {{" in found:
        hint = ": a template that starts with '{' needs quotes around it"
    else:
        hint = f" near {found.strip()[:60]!r}" if found.strip() else ""
    problem = " ".join(part for part in (error.context, error.problem) if part)
    return TaskError(f"is not valid YAML: {problem}{hint}", path, line)
