"""Task YAML files as mappings that know the line of every key.

A file is parsed once, with the semantics of PyYAML's safe loader and one tag of its own,
``!function module.name``, which becomes a ``FunctionRef`` and imports nothing. Includes are merged
as the peers merge them: shallowly, local keys first, and among several includes the last one wins
(lm-eval) or the first one (lmms-eval).
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from pytest_lmmeval.errors import TaskError, describe, nearest
from pytest_lmmeval.tasks.files.yaml_faults import DEEPEST, check_size, invalid, unreadable
from pytest_lmmeval.tasks.functions.user_functions import FunctionRef
from pytest_lmmeval.warnings import LmmWarning

if TYPE_CHECKING:
    from yaml import SafeLoader as _SafeLoader
else:
    # libyaml parses the same language about ten times faster, but not every platform has it.
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Block(dict[str, Any]):
    """A YAML mapping that remembers where it stands.

    Attributes:
        path: The file that holds it.
        line: The 1-based line where it starts.
        lines: The 1-based line of each of its keys.
    """

    def __init__(self, path: Path, line: int) -> None:
        super().__init__()
        self.path = path
        self.line = line
        self.lines: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Origin:
    """The place where a key was written."""

    path: Path
    line: int


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file after its includes were merged into it.

    Attributes:
        path: The file that was asked for.
        values: The merged top-level keys, without ``include``.
        origins: Where each key was written; an included key stands in the included file.
        include_line: 1-based line of the file's own ``include``, 1 if it has none.
    """

    path: Path
    values: Mapping[str, Any]
    origins: Mapping[str, Origin]
    include_line: int = 1


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One parsed file and the files that it includes, in the order written."""

    own: Block
    includes: tuple[SourceFile, ...]

    def keys(self) -> set[str]:
        """Return every top-level key of this file and of all that it includes."""
        return set(self.own).union(*(included.keys() for included in self.includes)) - {"include"}

    def merged(self, first_include_wins: bool) -> Document:
        """Merge the includes.

        Args:
            first_include_wins: lmms-eval's rule; otherwise the last include wins, as in lm-eval.
        """
        values: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        for included in self.includes[::-1] if first_include_wins else self.includes:
            document = included.merged(first_include_wins)
            # lm-eval keeps this key, which nothing reads, from travelling through includes.
            values.update({k: v for k, v in document.values.items() if k != "task_list"})
            origins.update(document.origins)
        own = {key: value for key, value in self.own.items() if key != "include"}
        values.update(own)
        origins.update({key: Origin(self.own.path, self.own.lines[key]) for key in own})
        line = self.own.lines.get("include", 1)
        return Document(self.own.path, values, {key: origins[key] for key in values}, line)


class _BlockLoader(_SafeLoader):
    """The safe loader, with ``!function``, line numbers and a list of keys that stand twice."""

    file: Path
    twice: list[tuple[str, int, int]]

    def construct_block(self, node: yaml.MappingNode) -> Iterator[Block]:
        block = Block(self.file, node.start_mark.line + 1)
        # An alias may refer to a mapping inside itself, so PyYAML wants it before it is filled.
        yield block
        self._note_duplicates(node)
        block.update(cast("dict[str, Any]", self.construct_mapping(node)))
        for key, _ in node.value:
            name = key.value if key.tag == _TEXT else self.construct_object(key)
            block.lines[name] = key.start_mark.line + 1

    def construct_function(self, node: yaml.Node) -> FunctionRef:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            raise TaskError("!function takes 'module.name'", self.file, line)
        return FunctionRef(str(self.construct_scalar(node)), self.file, line)

    def _note_duplicates(self, node: yaml.MappingNode) -> None:
        seen: dict[str, tuple[yaml.Node, int]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            line = key.start_mark.line + 1
            first, first_line = seen.setdefault(key.value, (value, line))
            # A few of the peers' own files say the same thing twice, which does no harm.
            if first is not value and not _same_scalar(first, value):
                self.twice.append((key.value, first_line, line))


def _same_scalar(first: yaml.Node, second: yaml.Node) -> bool:
    scalars = isinstance(first, yaml.ScalarNode) and isinstance(second, yaml.ScalarNode)
    return scalars and (first.tag, first.value) == (second.tag, second.value)


_BlockLoader.add_constructor("tag:yaml.org,2002:map", _BlockLoader.construct_block)
_BlockLoader.add_constructor("!function", _BlockLoader.construct_function)


_TEXT = "tag:yaml.org,2002:str"


def load_source(path: Path) -> SourceFile:
    """Parse a task file and everything that it includes.

    Raises:
        TaskError: A file is missing, is not YAML, is not a mapping, or includes itself.
    """
    return _load(path.resolve(), ())


def _load(path: Path, above: tuple[Path, ...]) -> SourceFile:
    own = parse_file(path, strict=False)
    line = own.lines.get("include")
    chain = (*above, path)
    includes = []
    for name in _included_names(own):
        target = _target(path, name, line)
        if len(chain) > DEEPEST:
            raise TaskError(f"'include' goes through more than {DEEPEST} files", path, line)
        if target in chain:
            cycle = " → ".join(p.name for p in (*chain[chain.index(target) :], target))
            raise TaskError(f"'include' goes in a circle: {cycle}", path, line)
        if not target.is_file():
            raise TaskError(f"'include' names {name!r}: {_not_there(target)}", path, line)
        includes.append(_load(target, chain))
    return SourceFile(own, tuple(includes))


def _target(path: Path, name: str, line: int | None) -> Path:
    try:
        target = (path.parent / name).resolve()
        target.is_file()
    # A zero byte, a name that is too long, links that go in a circle.
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        shown = name if len(name) <= 80 else f"{name[:77]}..."
        raise TaskError(f"'include' names {shown!r}: {reason}", path, line) from error
    return target


def _included_names(own: Block) -> list[str]:
    value = own.get("include")
    names = [] if value is None else value if isinstance(value, list) else [value]
    for name in names:
        if not isinstance(name, str):
            raise TaskError(
                f"'include' is {value!r}, expected a path or a list of paths",
                own.path,
                own.lines["include"],
            )
    return names


def _not_there(target: Path) -> str:
    if not target.parent.is_dir():
        return f"there is no folder {target.parent}."
    files = [entry.name for entry in target.parent.iterdir() if entry.is_file()]
    return f"there is no such file in {target.parent}.{nearest(target.name, files)}"


def parse_file(path: Path, *, strict: bool = True) -> Block:
    """Parse one YAML file, without its includes.

    Args:
        path: The file.
        strict: Whether a key that stands twice, with different values, is an error. If not, it is
            a warning and the last value counts, as in both peers, which ship dozens of such tasks.

    Raises:
        TaskError: The file cannot be read, is not YAML, or holds no mapping.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise TaskError(f"cannot be read: {error.strerror}", path) from error
    # Templates are included by dozens of tasks; the time stamp keeps an edited file from being
    # served from the cache.
    block, twice = _parse(path, status.st_mtime_ns, status.st_size)
    for key, first, line in twice:
        message = f"key {key!r} stands here and, with another value, in line {first}"
        if strict:
            raise TaskError(message, path, line)
        text = f"{message}; the last one counts"
        warnings.warn_explicit(text, LmmWarning, str(path), line)
    return block


@functools.lru_cache(maxsize=1024)
def _parse(path: Path, _mtime: int, _size: int) -> tuple[Block, list[tuple[str, int, int]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise TaskError("is not a text file in UTF-8, so it cannot be a task", path) from error
    except OSError as error:
        raise TaskError(f"cannot be read: {error.strerror}", path) from error
    twice: list[tuple[str, int, int]] = []
    return parse_text(text, path, twice), twice


def parse_text(text: str, path: Path, twice: list[tuple[str, int, int]] | None = None) -> Block:
    """Parse YAML text as if it stood in ``path``; of a key that stands twice the last one counts.

    Args:
        text: The text.
        path: The file that holds it.
        twice: Receives each key that stands twice with different values, and both lines.

    Raises:
        TaskError: It is not YAML, or not a mapping at the top.
    """
    try:
        loader = _BlockLoader(text)
    except yaml.reader.ReaderError as error:
        raise unreadable(error, text, path) from error
    loader.file = path
    loader.twice = [] if twice is None else twice
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise TaskError(f"expected 'key: value' lines, found {_kind(node)}", path, 1)
        check_size(node, path, aliases="*" in text)
        block = cast("Block", loader.construct_document(node))
        _check_names(block, path)
        return block
    except yaml.reader.ReaderError as error:
        raise unreadable(error, text, path) from error
    except yaml.MarkedYAMLError as error:
        raise invalid(error, text, path) from error
    except RecursionError as error:
        raise TaskError(f"is nested more than {DEEPEST} levels deep", path) from error
    # What looks like a date or a number and is none: 2026-99-99, !!int abc.
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise TaskError(f"holds a value that YAML cannot read: {describe(error)}", path) from error
    finally:
        loader.dispose()


def _check_names(block: Block, path: Path) -> None:
    for name in cast("dict[object, Any]", block):
        if not isinstance(name, str):
            message = f"key {name!r} is not text; YAML takes yes, no, null and numbers for values"
            raise TaskError(
                message, path, cast("dict[object, int]", block.lines).get(name, block.line)
            )


def _kind(node: yaml.Node | None) -> str:
    if node is None:
        return "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
