"""Templates, columns, constants and functions say what a doc becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import pytest
from task_builders import MINIMAL, TaskFolder, answer, ask

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.tasks.prompts.templates import compile_template

GOLDEN = json.loads(Path(__file__).with_name("lm_eval_0.4.13.json").read_text())

DOC: dict[str, Any] = {
    "question": "Why?",
    "answer": "Because",
    "number": 3,
    "list": ["a", "b"],
    "text_of_list": "['a', 'b']",
    "not_a_list": "[see above]",
    "odd name": "odd",
    "nested": {"x": 1},
}


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    folder = TaskFolder(tmp_path)
    folder.docs([DOC])
    folder.write("functions.py", "def text(doc):\n    return doc['question'] * 2\n")
    return folder


@pytest.mark.parametrize(("template", "doc", "expected"), GOLDEN["template"])
def test_a_template_renders_as_lm_eval_renders_it(
    template: str, doc: dict[str, Any], expected: str
) -> None:
    assert compile_template(template, "lm_eval").render(doc) == expected


@pytest.mark.parametrize(
    "template",
    [
        "",
        "100 % of %s, %(question)s, {question}\n",
        "{{question}}",
        "{{ question }}{{number}}\n\n{{ list }} {{nested}}: {{nothing}} {{share}}",
        "{{range}} {{dict}}",
        "{# a note #}{{- question -}} {% raw %}{{number}}{% endraw %}",
    ],
)
def test_texts_and_columns_are_put_together_as_jinja_does_it(template: str) -> None:
    doc = DOC | {"nothing": None, "share": 0.1, "range": "2-3"}
    jinja = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    expected = jinja.from_string(template).render(doc)
    assert compile_template(template, "lm_eval").render(doc) == expected


def test_a_column_named_self_is_hidden_as_in_jinja() -> None:
    assert "TemplateReference" in compile_template("{{self}}", "lm_eval").render({"self": "x"})


def test_a_final_newline_stays_in_lm_eval_and_goes_in_lmms_eval() -> None:
    assert compile_template("{{a}}\n\n", "lm_eval").render({"a": "x"}) == "x\n\n"
    assert compile_template("{{a}}\n\n", "lmms_eval").render({"a": "x"}) == "x\n"


def test_a_template_is_compiled_once() -> None:
    assert compile_template("{{a}}", "lm_eval") is compile_template("{{a}}", "lm_eval")


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("question", "Why?"),
        ("odd name", "odd"),
        ("'{{question}} {{nested.x}} {{list[1]}}'", "Why? 1 b"),
        ("'{% if missing is defined %}1{% else %}0{% endif %}'", "0"),
        ('\'{{question|regex_replace("W", "Z")}}\'', "Zhy?"),
        ("!function functions.text", "Why?Why?"),
        ("plain words", "plain words"),
        ("''", ""),
        ('"{{question}}\\n"', "Why?\n"),
    ],
)
def test_a_prompt_is_a_column_a_template_a_function_or_plain_words(
    folder: TaskFolder, field: str, expected: str
) -> None:
    folder.write("task.yaml", MINIMAL.replace('"{{question}}"', field))
    assert ask(folder.task()) == [expected]


@pytest.mark.parametrize(
    ("field", "choices", "expected"),
    [
        ("answer", "", "Because"),
        ("number", "", "3"),
        ("'{{list}}'", "", "['a', 'b']"),
        ("text_of_list", "", "['a', 'b']"),
        ("not_a_list", "", "[see above]"),
        ("'{{not_a_list}}'", "", "[see above]"),
        ("[x, y]", "", "['x', 'y']"),
        ("1", "list", "b"),
        ("'{{1}}'", "list", "b"),
        ("1", "['no', 'yes']", "yes"),
        ("1", "{a: Nope, b: Yep}", "Yep"),
        ("'{{1}}'", "'{{text_of_list}}'", "b"),
        ("1", "!function functions.choices", "q"),
    ],
)
def test_a_target_is_read_in_all_its_forms(
    folder: TaskFolder, field: str, choices: str, expected: str
) -> None:
    folder.write("functions.py", "def choices(doc):\n    return ['p', 'q']\n")
    yaml = MINIMAL.replace("doc_to_target: answer", f"doc_to_target: {field}")
    folder.write("task.yaml", yaml + (f"    doc_to_choice: {choices}\n" if choices else ""))
    assert answer(folder.task(), ["x"])[0].target == expected


def test_digits_are_an_index_only_where_there_are_choices(folder: TaskFolder) -> None:
    yaml = MINIMAL.replace("doc_to_target: answer", "doc_to_target: '{{number}}'")
    folder.write("task.yaml", yaml)
    (sample,) = answer(folder.task(), ["3"])
    assert (sample.target, sample.scores["exact_match,none"]) == ("3", 1.0)
    folder.write("task.yaml", yaml + "    doc_to_choice: [a, b, c, d]\n")
    (sample,) = answer(folder.task(), ["d"])
    assert (sample.target, sample.scores["exact_match,none"]) == ("d", 1.0)


def test_the_first_doc_decides_whether_there_are_several_targets(folder: TaskFolder) -> None:
    rows = [{"question": "Q", "aliases": a} for a in (["x", "y"], ["z"], "w")]
    folder.docs(rows)
    folder.write("task.yaml", MINIMAL.replace("answer", "aliases"))
    samples = answer(folder.task(), ["y", "x", "w"])
    assert [sample.scores["exact_match,none"] for sample in samples] == [1.0, 0.0, 1.0]
    folder.docs(rows[::-1])
    samples = answer(folder.task(), ["w", "['z']", "x"])
    assert [sample.scores["exact_match,none"] for sample in samples] == [1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('"{{question}}"', "'{{question'"), r"doc_to_text is not a template: .*'\{\{question'"),
        (('"{{question}}"', "'{% if %}'"), "doc_to_text is not a template: Expected an expression"),
        (("answer", "'{{answer|upcase}}'"), "doc_to_target is not a template: No filter named"),
    ],
)
def test_a_template_that_is_none_is_found_before_any_data(
    folder: TaskFolder, change: tuple[str, str], message: str
) -> None:
    folder.write("docs.py", "raise AssertionError('opened')\n")
    path = folder.write("task.yaml", MINIMAL.replace(*change))
    with pytest.raises(TaskError, match=message) as caught:
        folder.task()
    assert caught.value.path == path
    assert caught.value.line in (4, 5)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("'{{nested.y}}'", "doc 0: doc_to_text failed: UndefinedError: .*has no attribute 'y'"),
        ("'{{list[5]}}'", "doc_to_text failed: UndefinedError"),
        ("'{{question + 1}}'", "doc_to_text failed: TypeError"),
        ("'{{question.__class__.__mro__}}'", "doc_to_text failed: SecurityError"),
        ("number", r"doc_to_text gave 3 \(int\), expected text"),
        ("!function functions.broken", r"doc_to_text \(functions.broken\) raised KeyError: 'zzz'"),
        ("!function functions.leaving", "raised SystemExit"),
        (
            "!function functions.nothing",
            r"doc_to_text \(functions.nothing\) gave None \(NoneType\), expected text",
        ),
    ],
)
def test_a_prompt_that_fails_names_task_doc_and_key(
    folder: TaskFolder, template: str, message: str
) -> None:
    folder.write(
        "functions.py",
        """
        import sys

        def broken(doc):
            return doc["zzz"]

        def leaving(doc):
            sys.exit()

        def nothing(doc):
            return None
        """,
    )
    path = folder.write("task.yaml", MINIMAL.replace('"{{question}}"', template))
    with pytest.raises(TaskError, match=message) as caught:
        ask(folder.task())
    assert "task 'minimal'" in str(caught.value)
    assert "doc 0" in str(caught.value)
    assert (caught.value.path, caught.value.line) == (path, 4)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ("'{{question}}'", r"doc_to_choice gave 'Why\?', expected a list"),
        ("number", "doc_to_choice gave 3, expected a list"),
        ("[no, yes]", "YAML takes yes and no for true and false; quote them"),
    ],
)
def test_choices_that_are_no_list_are_told(folder: TaskFolder, choices: str, message: str) -> None:
    yaml = MINIMAL.replace("doc_to_target: answer", "doc_to_target: 1")
    folder.write("task.yaml", yaml + f"    doc_to_choice: {choices}\n")
    with pytest.raises(TaskError, match=message):
        answer(folder.task(), ["x"])


def test_an_index_that_is_out_of_range_is_told(folder: TaskFolder) -> None:
    yaml = MINIMAL.replace("doc_to_target: answer", "doc_to_target: 7")
    folder.write("task.yaml", yaml + "    doc_to_choice: [a, b]\n")
    with pytest.raises(TaskError, match="gave 7, expected an index into 2 choices"):
        answer(folder.task(), ["x"])


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ '%d' % 123456789 }}", "123456789"),
        ("{{ 'id:12345678 {}'.format(99999999) }}", "id:12345678 99999999"),
        ("{{ '{:>5}'.format(7) }}", "    7"),
        ("{{ '%5d' % 7 }}", "    7"),
        ("{{ 'ab' * 3 }}{{ 2 ** 10 }}", "ababab1024"),
        ("{{ 'a' | center(5) }}{{ 'a'.rjust(3) }}", "  a    a"),
        (
            "{% for i in [1, 2] %}{{ loop.last }}{{ loop.length }}{{ i }}{% endfor %}",
            "False21True22",
        ),
        (
            "{% for a in 'xy' %}{% for b in 'xy' if a != b %}{{ a ~ b }}{% endfor %}{% endfor %}",
            "xyyx",
        ),
        ("{% for i in [] %}{% else %}none{% endfor %}", "none"),
        (
            "{% for i in [1, [2]] recursive %}{{ loop(i) if i is iterable else i }}{% endfor %}",
            "12",
        ),
    ],
)
def test_limits_leave_ordinary_templates_alone(template: str, text: str) -> None:
    plain = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template).render()
    assert compile_template(template, "lm_eval").render({}) == plain == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for i in x %}{% for j in x %}{% endfor %}{% endfor %}", "more than 1,000,000 steps"),
        ("{{ 'x' * 10 ** 8 }}", "longer than 10,000,000"),
        ("{{ [0] * 10 ** 8 }}", "longer than 10,000,000"),
        ("{{ 10 ** (10 ** 8) }}", "longer than 10,000,000"),
        ("{{ '%999999999d' % 1 }}", "longer than 10,000,000"),
        ("{{ '%*d' % (999999999, 1) }}", "longer than 10,000,000"),
        ("{{ '{:999999999d}'.format(1) }}", "longer than 10,000,000"),
        ("{{ '{:{w}d}'.format(1, w=999999999) }}", "longer than 10,000,000"),
        ("{{ 'x'.center(999999999) }}", "longer than 10,000,000"),
        ("{{ 'x' | indent(999999999, first=true) }}", "longer than 10,000,000"),
    ],
)
def test_a_template_that_would_grow_without_end_is_stopped(template: str, message: str) -> None:
    with pytest.raises(jinja2.exceptions.SecurityError, match=message):
        compile_template(template, "lm_eval").render({"x": "y" * 5000})
