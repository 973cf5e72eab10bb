"""Task files with one fault each, made from working ones.

The faults are drawn up by rule, not listed by hand: every key of every base task gets every wrong
type, is misspelt, doubled and dropped; texts, includes, modules and data have families of their
own.
"""

from __future__ import annotations

import copy
import datetime
import gzip
import json
import os
import pickle
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


class Fn(str):
    """A ``!function`` tag."""


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # as there is
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(Fn, lambda dumper, value: dumper.represent_scalar("!function", str(value)))


def dump(values: Any) -> str:
    """Return YAML, keys in their order."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


@dataclass(frozen=True)
class Mutation:
    """A folder with a task that has a fault.

    Attributes:
        family: What kind of fault it is.
        name: Which one.
        files: Contents by path.
        entry: The file to run.
        mentions: What an error must name.
        must: Whether it must be refused, must run, or (None) may do either.
        prepare: Makes what is no file.
    """

    family: str
    name: str
    files: Mapping[str, bytes]
    entry: str = "task.yaml"
    mentions: tuple[str, ...] = ()
    must: bool | None = None
    prepare: Callable[[Path], None] | None = field(default=None, compare=False)

    def write(self, folder: Path) -> Path:
        """Write the folder and return the file to run."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if self.prepare is not None:
            self.prepare(folder)
        return folder / self.entry


ROWS = [
    {
        "question": f"What is {n} + {n}?",
        "answer": str(2 * n),
        "options": [str(2 * n), str(2 * n + 1), "none"],
        "gold": 0,
        "topic": f"t{n % 2}",
        "image": "dot.png",
    }
    for n in range(6)
]
MODULE = f"""
import json

ROWS = {json.dumps(ROWS)}

def splits(**_):
    return {{"test": list(ROWS), "train": list(ROWS)}}

def keep(rows):
    return rows

def text(doc, *_):
    return doc["question"]

def images(doc, *_):
    return []

def messages(doc, lmms_eval_specific_kwargs=None):
    return [{{"role": "user", "content": [{{"type": "text", "text": doc["question"]}}]}}]

def results(doc, results):
    return {{"hit": float(results[0] == doc["answer"])}}

def score(references, predictions, **kwargs):
    return float(references[0] == predictions[0])

def average(items):
    return sum(items) / len(items)

def fails(*args, **kwargs):
    raise ValueError("of no use")

def leaves(*args, **kwargs):
    import sys
    sys.exit(3)

def endless(*args, **kwargs):
    return endless(*args, **kwargs)

def nothing(*args, **kwargs):
    return None

def thing(*args, **kwargs):
    return object()

NUMBER = 7
"""
_DATA: dict[str, Any] = {"custom_dataset": Fn("mod.splits"), "test_split": "test"}
BASES: dict[str, dict[str, Any]] = {
    "generate": {
        "task": "generate",
        "task_alias": "g",
        "tag": ["sums"],
        **_DATA,
        "training_split": "train",
        "fewshot_split": "train",
        "process_docs": Fn("mod.keep"),
        "doc_to_text": "{{question}}",
        "doc_to_target": "answer",
        "description": "Sums of {{topic}}.\n\n",
        "target_delimiter": " ",
        "fewshot_delimiter": "\n\n",
        "gen_prefix": "It is",
        "num_fewshot": 2,
        "fewshot_config": {"sampler": "first_n", "split": "train", "doc_to_target": "answer"},
        "output_type": "generate_until",
        "generation_kwargs": {
            "until": ["\n"],
            "max_gen_toks": 8,
            "temperature": 0.0,
            "do_sample": False,
        },
        "repeats": 1,
        "filter_list": [
            {
                "name": "number",
                "filter": [
                    {"function": "regex", "regex_pattern": "(\\d+)", "group_select": 0},
                    {"function": "take_first"},
                ],
            }
        ],
        "metric_list": [
            {
                "metric": "exact_match",
                "aggregation": "mean",
                "higher_is_better": True,
                "ignore_case": True,
                "regexes_to_ignore": [","],
            }
        ],
        "should_decontaminate": False,
        "unsafe_code": False,
        "parts": 2,
        "scale": 1,
        "gates": {"exact_match,number": {"floor": 0.1}},
        "metadata": {"version": 1.0},
        "dataset_kwargs": {"note": "x"},
    },
    "choice": {
        "task": "choice",
        **_DATA,
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_target": "gold",
        "doc_to_choice": "options",
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm", "aggregation": "mean"}],
        "metadata": {"version": 1.0},
    },
    "likelihood": {
        "task": "likelihood",
        **_DATA,
        "output_type": "loglikelihood",
        "doc_to_text": "{{question}}",
        "doc_to_target": " {{answer}}",
        "metric_list": [{"metric": "perplexity", "aggregation": "perplexity"}, {"metric": "acc"}],
    },
    "rolling": {
        "task": "rolling",
        **_DATA,
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "question",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "bits_per_byte"}],
    },
    "images": {
        "task": "images",
        **_DATA,
        "output_type": "generate_until",
        "doc_to_visual": Fn("mod.images"),
        "doc_to_text": Fn("mod.text"),
        "doc_to_messages": Fn("mod.messages"),
        "doc_to_target": "answer",
        "process_results": Fn("mod.results"),
        "process_results_use_image": False,
        "lmms_eval_specific_kwargs": {"default": {"pre_prompt": "", "post_prompt": ""}},
        "model_specific_generation_kwargs": {"default": {"max_new_tokens": 9}},
        "model_specific_target_kwargs": {"default": {"x": 1}},
        "generation_kwargs": {"max_new_tokens": 8, "temperature": 0},
        "metric_list": [{"metric": "hit", "aggregation": Fn("mod.average")}],
        "reasoning_tags": [["<think>", "</think>"]],
        "auto_strip_thinking": False,
        "score_key": "score",
        "cluster_key": "topic",
        "full_docs": False,
    },
    "own_metric": {
        "task": "own_metric",
        **_DATA,
        "doc_to_text": "question",
        "doc_to_target": "answer",
        "fewshot_config": {"samples": [{"question": "1 + 1?", "answer": "2", "topic": "t"}]},
        "num_fewshot": 1,
        "metric_list": [{"metric": Fn("mod.score"), "aggregation": "mean", "strict": True}],
        "filter_list": [{"name": "f", "filter": [{"function": "take_first_k", "k": 1}]}],
    },
}
GROUP = {
    "group": "all_sums",
    "group_alias": "sums",
    "task": ["generate", {"task": "choice", "num_fewshot": 0}],
    "aggregate_metric_list": [
        {
            "metric": "exact_match",
            "aggregation": "mean",
            "weight_by_size": True,
            "filter_list": ["number"],
        }
    ],
    "metadata": {"version": 1},
}
SUITE = {
    "lmmeval": 1,
    "profile": "pr",
    "models": {"openai": {"model": "m", "base_url": "http://127.0.0.1:9/v1"}},
    "defaults": {"max_drop": "1pp"},
    "settings": {"limit": 4, "num_fewshot": 1},
    "variant": "v",
    "baselines": "bases",
    "tasks": [
        {
            "task": "./generate.yaml",
            "name": "sums",
            "limit": 3,
            "tags": ["quick"],
            "gates": {"exact_match,number": {"floor": 0.1}},
        }
    ],
}

WRONG: dict[str, Any] = {
    "int": 7,
    "negative": -3,
    "huge": 10**30,
    "float": 2.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "true": True,
    "null": None,
    "empty text": "",
    "text": "no such thing",
    "braces": "{{ nowhere }}",
    "number as text": "3",
    "empty list": [],
    "list of numbers": [1, 2.5],
    "list of nulls": [None],
    "nested list": [[["x"]]],
    "empty mapping": {},
    "mapping": {"alpha": 1},
    "mapping of numbers": {1: {2: 3}},
    "function": Fn("mod.thing"),
    "number object": Fn("mod.NUMBER"),
    "missing function": Fn("mod.nowhere"),
    "date": datetime.date(2026, 1, 1),
    "bytes": b"\x00\x01",
}


def _folder(
    main: Any, entry: str = "task.yaml", others: Mapping[str, str | bytes] | None = None
) -> dict[str, bytes]:
    text = main if isinstance(main, str | bytes) else dump(main)
    files: dict[str, str | bytes] = {"mod.py": MODULE, entry: text, **(others or {})}
    return {n: c if isinstance(c, bytes) else c.encode("utf-8") for n, c in files.items()}


def _paths(values: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = (
        values.items()
        if isinstance(values, dict)
        else enumerate(values)
        if isinstance(values, list)
        else ()
    )
    for key, value in pairs:
        yield (*above, key)
        yield from _paths(value, (*above, key))


def _at(values: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        values = values[key]
    return values


def _with(values: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(values)
    _at(made, path[:-1])[path[-1]] = value
    return made


def _without(values: Any, path: tuple[Any, ...]) -> Any:
    made = copy.deepcopy(values)
    del _at(made, path[:-1])[path[-1]]
    return made


def _label(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


def _members() -> dict[str, bytes]:
    return {f"{n}.yaml": dump(BASES[n]).encode() for n in ("generate", "choice")}


def _bases() -> Iterator[tuple[str, Any, str, dict[str, bytes]]]:
    for name, base in BASES.items():
        yield name, base, "task.yaml", {}
    yield "group", GROUP, "task.yaml", _members()
    yield "suite", SUITE, "nightly.lmm.yaml", _members()


def wrong_types() -> Iterator[Mutation]:
    """Put each wrong value behind each key, at every depth."""
    for name, base, entry, others in _bases():
        for path in _paths(base):
            for kind, value in WRONG.items():
                if type(value) is type(_at(base, path)) and value == _at(base, path):
                    continue
                files = {**_folder(_with(base, path, value), entry), **others}
                yield Mutation("wrong type", f"{name}: {_label(path)} = {kind}", files, entry)


def dropped_and_misspelt() -> Iterator[Mutation]:
    """Drop each key; misspell each; say it twice with two values."""
    for name, base, entry, others in _bases():
        for path in _paths(base):
            files = {**_folder(_without(base, path), entry), **others}
            yield Mutation("dropped", f"{name}: {_label(path)}", files, entry)
            key = path[-1]
            if not isinstance(key, str) or len(key) < 3:
                continue
            wrong = key[:-2] + key[-1] + key[-2] if key[-1] != key[-2] else key + "x"
            made = _without(base, path)
            _at(made, path[:-1])[wrong] = _at(base, path)
            files = {**_folder(made, entry), **others}
            free = {"note", "strict", "version", "openai", "default", "alpha"} | {"x"}
            free |= {"pre_prompt", "post_prompt", "temperature", "until", "do_sample", "base_url"}
            free |= {"max_gen_toks", "max_new_tokens", "question", "answer", "topic", "model"}
            must = None if set(path) & free or key in ("group", "task") else False
            mentions = (wrong,) if must is False else ()
            label = f"{name}: {_label(path)} as {wrong}"
            yield Mutation("misspelt", label, files, entry, mentions=mentions, must=must)


_TEMPLATES = {
    "unclosed": "{{ question",
    "unclosed block": "{% if question %}x",
    "unknown tag": "{% frobnicate %}",
    "unknown filter": "{{ question | frobnicate }}",
    "unknown test": "{{ question is frobnicated }}",
    "undefined": "{{ nowhere }}",
    "undefined attribute": "{{ question.nowhere.deeper }}",
    "undefined call": "{{ nowhere() }}",
    "not callable": "{{ question() }}",
    "bad operator": "{{ question + 1 }}",
    "division": "{{ 1 / 0 }}",
    "huge loop": "{% for i in range(10**9) %}x{% endfor %}",
    "nested loops": (
        "{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}"
    ),
    "loops over text": (
        "{% set t = 'x' * 99999 %}{% for i in t %}{% for j in t %}{% endfor %}{% endfor %}"
    ),
    "huge power": "{{ 10 ** (10 ** 10) }}",
    "huge product": "{{ 'x' * 10 ** 11 }}",
    "huge list": "{{ [0] * 10 ** 11 }}",
    "huge format": "{{ '%99999999999d' % 1 }}",
    "huge center": "{{ question.center(10 ** 11) }}",
    "huge center filter": "{{ question | center(10 ** 11) }}",
    "huge format method": "{{ '{:99999999999d}'.format(1) }}",
    "lipsum": "{{ lipsum(10 ** 9) }}",
    "endless macro": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "include": "{% include 'other' %}",
    "extends": "{% extends 'other' %}",
    "import": "{% import 'other' as o %}",
    "class walk": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ cycler.__init__.__globals__.os.system('touch escaped') }}",
    "format escape": "{{ '{0.__class__.__mro__}'.format(question) }}",
    "regex": "{{ question | regex_replace('(', '') }}",
    "bad index": "{{ options[99] }}",
    "bad key": "{{ question['x'] }}",
    "no list": "{{ question | list | first | int | list }}",
    "deep": "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
}


def templates() -> Iterator[Mutation]:
    """Break the template of each key that holds one."""
    places = {
        "generate": ("doc_to_text", "doc_to_target", "description", "gen_prefix"),
        "choice": ("doc_to_choice", "doc_to_target"),
    }
    for base, keys in places.items():
        for key in keys:
            for name, text in _TEMPLATES.items():
                files = _folder({**BASES[base], key: text})
                label = f"{base}: {key}: {name}"
                yield Mutation("template", label, files, mentions=("task.yaml",), must=False)


def yaml_syntax() -> Iterator[Mutation]:
    """Break the YAML itself."""
    good = dump(BASES["choice"])
    lines = good.splitlines()
    laughs = "\n".join(
        ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
        + [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]" for i in range(1, 10)]
    )
    texts = {
        "tab": good.replace("metric_list:\n", "metric_list:\n\t- metric: acc\n"),
        "tab before a key": "\t" + good,
        "unclosed list": good + "description: [a, b\n",
        "unclosed mapping": good + "description: {a: b\n",
        "unclosed quote": good + 'description: "abc\n',
        "bare template": good.replace("'{{question}}'", "{{question}}"),
        "unknown alias": good + "description: *nowhere\n",
        "two documents": good + "---\n" + good,
        "end marker": good + "...\nmore: 1\n",
        "list at the top": "- task: x\n- task: y\n",
        "text at the top": "just words\n",
        "number at the top": "42\n",
        "empty": "",
        "only comments": "# nothing\n# here\n",
        "only a marker": "---\n",
        "null": "null\n",
        "colon in a value": good + "description: a: b: c\n",
        "no space after the colon": good.replace("task: choice", "task:choice"),
        "wrong indentation": "\n".join([lines[0], "   " + lines[1], *lines[2:]]),
        "percent": "%YAML 9.9\n---\n" + good,
        "directive": "%FOO\n" + good,
        "at sign": good + "description: @x\n",
        "backtick": good + "description: `x`\n",
        "complex key": "? [a, b]\n: 1\n" + good,
        "mapping as key": "? {a: b}\n: 1\n" + good,
        "null key": "~: 1\n" + good,
        "number key": "7: 1\n" + good,
        "true key": "yes: 1\n" + good,
        "date key": "2026-01-01: 1\n" + good,
        "billion laughs": laughs + "\n" + good,
        "laughs in metadata": laughs.replace("\n", "\n  ").replace("a0:", "metadata:\n  a0:", 1)
        + "\n"
        + good,
        "laughs in choices": good.replace("doc_to_choice: options", "doc_to_choice: *a9").replace(
            "task: choice", "metadata:\n  " + laughs.replace("\n", "\n  ") + "\ntask: choice"
        ),
        "anchor in itself": "metadata: &m\n  inner: *m\n" + good.partition("metadata")[0],
        "list in itself": good + "description: &d [*d]\n",
        "choices in themselves": good.replace("doc_to_choice: options", "doc_to_choice: &d [*d]"),
        "metrics in themselves": good.partition("metric_list")[0] + "metric_list: &d [*d]\n",
        "merge of text": "<<: words\n" + good,
        "merge of itself": "metadata: &m\n  <<: *m\n" + good.partition("metadata")[0],
        "merge of a list": "<<: [1, 2]\n" + good,
        "deep nesting": good + "description: " + "[" * 3000 + "]" * 3000 + "\n",
        "deep mapping": good + "description: " + "{a: " * 3000 + "}" * 3000 + "\n",
        "bad escape": good + 'description: "\\q"\n',
        "bad date": good + "description: 2026-99-99\n",
        "bad integer": good + "description: !!int abc\n",
        "bad float": good + "description: !!float abc\n",
        "bad bool": good + "description: !!bool abc\n",
        "bad binary": good + "description: !!binary '*'\n",
        "bad timestamp": good + "description: !!timestamp abc\n",
        "set": good + "description: !!set {a, b}\n",
        "ordered": good + "description: !!omap [a: 1]\n",
        "pairs": good + "description: !!pairs [a: 1]\n",
        "sexagesimal": good + "num_fewshot: 1:30\n",
        "octal": good + "num_fewshot: 0o9\n",
        "huge integer": good + "num_fewshot: 1" + "0" * 5000 + "\n",
        "long line": good + "descriptio: " + "x" * 100_000 + "\n",
        "long key": good + "x" * 5000 + ": 1\n",
        "long name": good.replace("task: choice", "task: " + "x" * 5000),
        "separators in the name": good.replace("task: choice", "task: a::b[c]/../d"),
        "line break in the name": good.replace("task: choice", 'task: "a\\nb"'),
        "control in the name": good.replace("task: choice", 'task: "a\\0b"'),
        "surrogate": good.replace("task: choice", 'task: "a\\ud800b"'),
    }
    for name, text in texts.items():
        yield Mutation("yaml", name, _folder(text.encode("utf-8", "surrogatepass")))
    tags = {
        "python call": "!!python/object/apply:os.system ['touch escaped']",
        "python new": "!!python/object/new:os.system ['touch escaped']",
        "python name": "!!python/name:os.system",
        "python module": "!!python/module:os",
        "python tuple": "!!python/tuple [1]",
        "own tag": "!include other.yaml",
        "env tag": "!env HOME",
        "function of a list": "!function [a, b]",
        "function of a mapping": "!function {a: b}",
        "function of nothing": "!function",
        "function of a text": "!function ''",
    }
    for name, text in tags.items():
        files = _folder(f"{good}description: {text}\n")
        yield Mutation("tag", name, files, mentions=("task.yaml",), must=False)


def encodings() -> Iterator[Mutation]:
    """Write the file in ways that are no UTF-8 text."""
    good = dump(BASES["choice"])
    accented = good + "description: Été\n"
    kinds: dict[str, tuple[bytes, bool | None]] = {
        "bom": (b"\xef\xbb\xbf" + good.encode(), True),
        "utf-16": (good.encode("utf-16"), False),
        "utf-16-le": (good.encode("utf-16-le"), False),
        "utf-32": (good.encode("utf-32"), False),
        "latin-1": (accented.encode("latin-1"), False),
        "nul": (good.encode() + b"\x00", False),
        "nul inside": (good.encode().replace(b"choice", b"cho\x00ice", 1), False),
        "control": (good.encode() + b"description: \x07\n", False),
        "png": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), False),
        "zip": (b"PK\x03\x04" + bytes(1000), False),
        "gzip": (gzip.compress(good.encode()), False),
        "pickle": (pickle.dumps(BASES["choice"]["task"]), False),
        "random": (random.Random(1).randbytes(5000), False),
        "cut": (accented.encode()[:-3], None),
        "crlf": (good.replace("\n", "\r\n").encode(), True),
        "cr": (good.replace("\n", "\r").encode(), None),
        "elf": (b"\x7fELF" + bytes(500), False),
    }
    for name, (content, must) in kinds.items():
        mentions = () if must else ("task.yaml",)
        yield Mutation("encoding", name, _folder(content), mentions=mentions, must=must)


def includes() -> Iterator[Mutation]:
    """Include what cannot be included."""
    good = dump(BASES["choice"])

    def make(
        name: str,
        include: Any,
        must: bool | None = False,
        prepare: Callable[[Path], None] | None = None,
        **others: str | bytes,
    ) -> Mutation:
        text = dump({"include": include}) + good
        named = {key.replace("__", "/").replace("_y", ".y"): c for key, c in others.items()}
        mentions = ("task.yaml",) if must is False else ()
        files = _folder(text, others=named)
        return Mutation("include", name, files, mentions=mentions, must=must, prepare=prepare)

    yield make("missing", "nowhere.yaml")
    yield make("missing folder", "nowhere/base.yaml")
    yield make("itself", "task.yaml")
    yield make("itself the long way", "./sub/../task.yaml")
    yield make("a folder", ".")
    yield make("absolute", "/nonexistent/base.yaml")
    yield make("home", "~/base.yaml")
    yield make("url", "https://example.org/base.yaml")
    yield make("empty text", "")
    yield make("number", 7)
    yield make("mapping", {"a": 1})
    yield make("list of numbers", [1])
    yield make("nested list", [["base.yaml"]])
    yield make("null in a list", [None])
    yield make("nul in the name", "a\0b")
    yield make("long name", "x" * 5000)
    yield make("glob", "*.yaml")
    yield make("function", Fn("mod.text"))
    yield make("null", None, must=True)
    yield make("empty list", [], must=True)
    cyclic = dump({"include": "task.yaml"})
    yield Mutation(
        "include",
        "cycle of two",
        _folder(dump({"include": "b.yaml"}) + good, others={"b.yaml": cyclic}),
        mentions=("task.yaml", "b.yaml"),
        must=False,
    )
    for kind, content in {
        "binary": b"\x89PNG\r\n\x1a\n\xff",
        "empty": b"",
        "a list": b"- a\n",
        "unclosed": b"a: [\n",
        "tabs": b"metadata:\n\ta: 1\n",
        "unknown key": b"doc_to_txt: x\n",
        "wrong type": b"num_fewshot: many\n",
        "bad template": b"description: '{{ x'\n",
        "python tag": b"description: !!python/object/apply:os.system ['touch escaped']\n",
    }.items():
        text = dump({"include": "base.yaml"}) + good
        files = _folder(text, others={"base.yaml": content})
        mentions = ("base.yaml",)
        yield Mutation("include", f"of {kind}", files, mentions=mentions, must=False)
    chain = {f"c{i}.yaml": dump({"include": f"c{i + 1}.yaml"}) for i in range(2000)}
    chain["c2000.yaml"] = "description: x\n"
    text = dump({"include": "c0.yaml"}) + good
    yield Mutation("include", "chain of 2000", _folder(text, others=chain))


def modules() -> Iterator[Mutation]:
    """Break the Python module beside the task, or the tag that names it."""
    good = BASES["choice"]
    sources: dict[str, str | bytes] = {
        "syntax error": "def text(doc:\n",
        "tabs": "def text(doc):\n\tx = 1\n        return x\n",
        "raises": "raise ValueError('no luck')\n",
        "leaves": "import sys\nsys.exit(4)\n",
        "raises badly": (
            "class E(Exception):\n    def __str__(self):\n        raise TypeError\nraise E\n"
        ),
        "missing package": "import no_such_package_here\n",
        "missing name": "from json import no_such_name\n",
        "recursion": "def f():\n    return f()\nf()\n",
        "generator exit": "raise GeneratorExit\n",
        "system exit text": "raise SystemExit('bye')\n",
        "empty": "",
        "binary": b"\x00\x01\x02",
        "latin-1": "text = 'é'\n".encode("latin-1"),
        "no function": "text = 7\n",
        "a class": "class text:\n    pass\n",
        "a module": "import os as text\n",
        "none": "text = None\n",
        "generator": "def text(doc):\n    yield doc['question']\n",
        "async": "async def text(doc):\n    return doc['question']\n",
        "no arguments": "def text():\n    return 'x'\n",
        "too many arguments": "def text(a, b, c):\n    return 'x'\n",
        "returns none": "def text(doc):\n    return None\n",
        "returns object": "def text(doc):\n    return object()\n",
        "returns list": "def text(doc):\n    return [1]\n",
        "returns float": "def text(doc):\n    return 1.5\n",
        "fails": "def text(doc):\n    raise RuntimeError('no luck')\n",
        "fails at length": "def text(doc):\n    raise RuntimeError('no luck ' * 10000)\n",
        "fails with lines": "def text(doc):\n    raise RuntimeError('no\\nluck\\n' * 100)\n",
        "key error": "def text(doc):\n    return doc['nowhere']\n",
        "exits": "def text(doc):\n    raise SystemExit(5)\n",
        "stops": "def text(doc):\n    raise StopIteration\n",
        "recurses": "def text(doc):\n    return text(doc)\n",
        "cancels": "import asyncio\ndef text(doc):\n    raise asyncio.CancelledError\n",
        "memory": "def text(doc):\n    raise MemoryError\n",
        "bad exception": "class E(Exception):\n    def __str__(self):\n        raise TypeError\n"
        "def text(doc):\n    raise E\n",
        "changes the doc": "def text(doc):\n    doc.clear()\n    return 'x'\n",
    }
    for name, source in sources.items():
        files = _folder({**good, "doc_to_text": Fn("own.text")}, others={"own.py": source})
        must = None if name == "changes the doc" else False
        mentions = () if must is None else ("own", "task.yaml")
        yield Mutation("module", name, files, mentions=mentions, must=must)
    for spec in (
        "nowhere.text",
        "mod",
        "mod.",
        ".text",
        "mod.text.deeper",
        "mod..text",
        "..mod.text",
        "../mod.text",
        "/tmp/mod.text",
        "mod.tex",
        "mod.text()",
        "mod text",
        "mod:text",
        "mod.py",
        "os.system",
        "os.path.join",
        "builtins.print",
        "subprocess.getoutput",
        "a\0b.text",
        "x" * 5000,
    ):
        files = _folder({**good, "doc_to_text": Fn(spec)})
        yield Mutation("module", f"spec {spec[:20]!r}", files, mentions=("task.yaml",), must=False)
    roles = {
        "generate": ("custom_dataset", "process_docs", "doc_to_text", "doc_to_target"),
        "choice": ("doc_to_choice", "doc_to_target"),
        "images": ("doc_to_visual", "doc_to_messages", "process_results", "cluster_key"),
    }
    for base, keys in roles.items():
        for key in keys:
            for function in ("fails", "leaves", "endless", "nothing", "thing", "NUMBER", "nowhere"):
                files = _folder({**BASES[base], key: Fn(f"mod.{function}")})
                # A chat asks for messages and never for what they were made from.
                either = function in ("nothing", "thing") or key == "doc_to_visual"
                must = None if either else False
                mentions = () if must is None else (f"mod.{function}", "task.yaml")
                label = f"{base}: {key}: {function}"
                yield Mutation("role", label, files, mentions=mentions, must=must)
    for function in ("fails", "leaves", "endless", "nothing", "thing", "NUMBER", "nowhere"):
        for key in ("metric", "aggregation"):
            entry = {**BASES["own_metric"]["metric_list"][0], key: Fn(f"mod.{function}")}
            files = _folder({**BASES["own_metric"], "metric_list": [entry]})
            if key == "aggregation" and function == "nothing":
                continue  # It says that there is no number, as those do that only write a file.
            must = None if function in ("nothing", "thing") else False
            yield Mutation("role", f"{key}: {function}", files, must=must)
        steps: dict[str, Any] = {
            "filter": {"function": Fn(f"mod.{function}")},
            "filter_fn": {"function": "custom", "filter_fn": Fn(f"mod.{function}")},
        }
        for name, step in steps.items():
            listed = [{"name": "f", "filter": [step]}]
            files = _folder({**BASES["own_metric"], "filter_list": listed})
            yield Mutation("role", f"{name}: {function}", files, must=False)


def data() -> Iterator[Mutation]:
    """Spoil the rows that the tasks read, through a module and through files."""

    def rows(change: Callable[[dict[str, Any]], Any]) -> str:
        return repr([change(copy.deepcopy(row)) for row in ROWS])

    def put(key: str, value: Any) -> Callable[[dict[str, Any]], Any]:
        return lambda row: {**row, key: value}

    kinds: dict[str, Any] = {
        "null": None,
        "number": 7,
        "float": 0.5,
        "nan": "__nan__",
        "list": [1, 2],
        "empty list": [],
        "text": "words",
        "empty text": "",
        "mapping": {"a": 1},
        "true": True,
        "negative": -1,
        "too big": 99,
        "bytes": b"\xff",
        "mixed list": ["a", 1, None],
    }
    for base, columns in {
        "generate": ("question", "answer", "topic"),
        "choice": ("question", "options", "gold"),
        "likelihood": ("question", "answer"),
        "rolling": ("question",),
        "images": ("question", "answer"),
    }.items():
        for column in columns:
            for kind, value in kinds.items():
                made = rows(put(column, value)).replace("'__nan__'", "float('nan')")
                module = MODULE.replace(f"ROWS = {json.dumps(ROWS)}", f"ROWS = {made}")
                files = {**_folder(BASES[base]), "mod.py": module.encode()}
                yield Mutation("column", f"{base}: {column} = {kind}", files)
            made = repr([{k: v for k, v in row.items() if k != column} for row in ROWS])
            module = MODULE.replace(f"ROWS = {json.dumps(ROWS)}", f"ROWS = {made}")
            files = {**_folder(BASES[base]), "mod.py": module.encode()}
            mentions = (column,)
            label = f"{base}: {column} is missing"
            must = None if base == "images" else False
            yield Mutation("column", label, files, mentions=mentions, must=must)
            # In one doc alone, behind others that are as they should be.
            made = repr([*ROWS[:3], {k: v for k, v in ROWS[3].items() if k != column}])
            module = MODULE.replace(f"ROWS = {json.dumps(ROWS)}", f"ROWS = {made}")
            files = {**_folder(BASES[base]), "mod.py": module.encode()}
            label = f"{base}: {column} is missing in one doc"
            yield Mutation("column", label, files, mentions=mentions, must=must)
    for kind, text in {
        "no docs": "{'test': [], 'train': []}",
        "no splits": "{}",
        "a list": "[{'question': 'x'}]",
        "nothing": "None",
        "numbers": "{'test': [1, 2]}",
        "texts": "{'test': 'abc'}",
        "none": "{'test': None}",
        "lists": "{'test': [[1], [2]]}",
        "second is no mapping": "{'test': [ROWS[0], 7]}",
        "second is null": "{'test': [ROWS[0], None]}",
        "generator": "{'test': (row for row in ROWS)}",
        "mapping of columns": "{'test': {'question': ['a']}}",
        "empty rows": "{'test': [{}, {}]}",
        "numbers for keys": "{'test': [{1: 2}]}",
        "number for a split": "{1: ROWS}",
    }.items():
        module = MODULE + f"\ndef bad(**_):\n    return {text}\n"
        values = {**BASES["choice"], "custom_dataset": Fn("mod.bad")}
        files = {**_folder(values), "mod.py": module.encode()}
        yield Mutation("docs", kind, files, mentions=("choice",), must=False)
    yield from _files()


def _files() -> Iterator[Mutation]:
    base = {k: v for k, v in BASES["choice"].items() if k != "custom_dataset"}
    good = "".join(json.dumps(row) + "\n" for row in ROWS).encode()

    def make(
        name: str, content: bytes | None, file: str = "d.jsonl", builder: str = "json", **keys: Any
    ) -> Mutation:
        kwargs = {"data_files": {"test": file}}
        values = {**base, "dataset_path": builder, "dataset_kwargs": kwargs, **keys}
        files = _folder(values, others=({} if content is None else {file: content}))
        return Mutation("files", name, files, mentions=("task.yaml",), must=False)

    yield make("missing", None)
    yield make("empty", b"")
    yield make("white space", b"\n\n\n")
    yield make("cut", good[: len(good) // 2 + 7])
    yield make("no json", b"words, words\n")
    yield make("binary", bytes(range(256)))
    yield make("numbers", b"1\n2\n")
    yield make("no parquet", good, "d.parquet", "parquet")
    yield make("no arrow", good, "d.arrow", "arrow")
    yield make("pickle", b"cos\nsystem\n(S'touch escaped'\ntR.", "d.pkl", "pandas")
    yield make("wrong split", good, test_split="tset")
    yield make("unknown builder", good, builder="no_such_builder_or_folder")
    yield make("unknown argument", good, dataset_kwargs={"data_files": "d.jsonl", "no_such": 1})
    yield make("number for files", good, dataset_kwargs={"data_files": 7})
    yield make("mapping of numbers", good, dataset_kwargs={"data_files": {"test": 7}})
    yield make("empty mapping", good, dataset_kwargs={"data_files": {}})
    yield make("path is a number", good, dataset_path=7)
    yield make("path is empty", good, dataset_path="")
    yield make("nul in the path", good, dataset_path="a\0b")
    yield make("script", b"import os\nos.system('touch escaped')\n", "x/x.py", dataset_path="x")


def file_system() -> Iterator[Mutation]:
    """Put something in the task's place that is no regular file."""

    def of(name: str, prepare: Callable[[Path], None]) -> Mutation:
        files = {"mod.py": MODULE.encode()}
        mentions = ("task.yaml",)
        return Mutation("file system", name, files, mentions=mentions, must=False, prepare=prepare)

    yield of("nothing", lambda folder: None)
    yield of("folder", lambda folder: (folder / "task.yaml").mkdir())
    yield of("pipe", lambda folder: os.mkfifo(folder / "task.yaml"))
    yield of("link to nothing", lambda folder: (folder / "task.yaml").symlink_to("nowhere"))
    yield of("link to itself", lambda folder: (folder / "task.yaml").symlink_to("task.yaml"))
    yield of("device", lambda folder: (folder / "task.yaml").symlink_to("/dev/zero"))
    included = dump({"include": "base.yaml"}) + dump(BASES["choice"])
    for name, make in {
        "pipe": lambda folder: os.mkfifo(folder / "base.yaml"),
        "device": lambda folder: (folder / "base.yaml").symlink_to("/dev/zero"),
        "link to itself": lambda folder: (folder / "base.yaml").symlink_to("base.yaml"),
    }.items():
        yield Mutation(
            "file system",
            f"include of a {name}",
            _folder(included),
            mentions=("base.yaml",),
            must=False,
            prepare=make,
        )
    beside: Callable[[Path], None] = lambda folder: os.mkfifo(folder / "own.py")  # noqa: E731
    yield Mutation(
        "file system",
        "module is a pipe",
        _folder({**BASES["choice"], "doc_to_text": Fn("own.text")}),
        mentions=("own",),
        must=False,
        prepare=beside,
    )


FAMILIES: dict[str, Callable[[], Iterator[Mutation]]] = {
    "wrong types": wrong_types,
    "dropped and misspelt": dropped_and_misspelt,
    "templates": templates,
    "yaml": yaml_syntax,
    "encodings": encodings,
    "includes": includes,
    "modules": modules,
    "data": data,
    "file system": file_system,
}
