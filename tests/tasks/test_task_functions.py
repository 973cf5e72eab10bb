"""A task's functions are imported when used, afresh, and leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from task_builders import MINIMAL, QUESTIONS, TaskFolder, answer, ask, values

from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.tasks.functions.compat.names import (
    general_detokenize,
    metric_max_over_ground_truths,
)


@pytest.fixture
def folder(tmp_path: Path) -> TaskFolder:
    folder = TaskFolder(tmp_path)
    folder.docs(QUESTIONS[:3])
    return folder


# MMMU of lmms-eval in small: one function changes what another one says.
SWITCHING = """
state = {"mode": "plain"}


def text(doc, kwargs=None):
    return state["mode"]


def target(doc):
    state["mode"] = "changed"
    return "x"


def total(items, seen=[]):
    seen.extend(items)
    return float(len(seen))
"""
SWITCHED = """
    task: switched
    custom_dataset: !function docs.splits
    test_split: test
    doc_to_text: !function switching.text
    doc_to_target: !function switching.target
    metric_list:
      - {metric: exact_match, aggregation: !function switching.total}
"""


def test_functions_of_one_task_share_their_module_in_lm_eval(folder: TaskFolder) -> None:
    folder.write("switching.py", SWITCHING)
    folder.write("task.yaml", SWITCHED)
    task = folder.task()
    assert ask(task) == ["plain"] * 3
    answer(task, ["x"] * 3)
    assert ask(task) == ["changed"] * 3


def test_functions_of_two_tasks_share_nothing(folder: TaskFolder) -> None:
    folder.write("switching.py", SWITCHING)
    folder.write("task.yaml", SWITCHED)
    one, other = folder.task(), folder.task()
    answer(one, ["x"] * 3)
    assert ask(other)[0] == "plain"


def test_functions_of_different_roles_share_nothing_in_lmms_eval(folder: TaskFolder) -> None:
    folder.write("switching.py", SWITCHING)
    folder.write("task.yaml", SWITCHED + "    score_key: score\n")
    task = folder.task()
    answer(task, ["x"] * 3)
    assert ask(task) == ["plain"] * 3


@pytest.mark.parametrize("more", ["", "    score_key: score\n"])
def test_an_aggregation_that_accumulates_gives_the_same_value_each_time(
    folder: TaskFolder, more: str
) -> None:
    folder.write("switching.py", SWITCHING)
    folder.write("task.yaml", SWITCHED + more)
    task = folder.task()
    scores = values(answer(task, ["x"] * 3), "exact_match,none")
    assert [task.aggregate("exact_match", "none", scores)[0] for _ in range(3)] == [3.0] * 3


def test_no_function_is_imported_before_it_is_used(folder: TaskFolder) -> None:
    folder.write("explosive.py", "raise RuntimeError('imported')\n")
    yaml = MINIMAL.replace('"{{question}}"', "!function explosive.text")
    folder.write("task.yaml", yaml + "    process_results: !function explosive.judge\n")
    task = folder.task()
    assert len(task.doc_ids()) == 3
    with pytest.raises(
        TaskError, match=r"explosive\.py cannot be imported: RuntimeError: imported"
    ):
        task.instances(0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("docs.splitz", "docs has no 'splitz'. Did you mean 'splits'?"),
        ("dogs.splits", "no dogs.py beside the file with the tag; functions come from there"),
        ("splits", "expected 'module.name'"),
        ("os.getcwd", "not from other installed modules"),
        ("..docs.splits", "expected 'module.name'"),
        ("/tmp/docs.splits", "expected 'module.name'"),
        ("docs.number", "expected a function, found int"),
        ("broken.splits", "broken.py cannot be imported: SyntaxError"),
        ("leaving.splits", "leaving.py cannot be imported: SystemExit: 3"),
        (
            "needy.splits",
            "needy.py cannot run: no_such_package is not installed; pip install",
        ),
    ],
)
def test_a_function_that_cannot_be_had_is_named_with_its_line(
    folder: TaskFolder, spec: str, message: str
) -> None:
    folder.write("docs.py", "number = 3\ndef splits(): ...\n")
    folder.write("broken.py", "def splits(:\n")
    folder.write("leaving.py", "import sys\nsys.exit(3)\n")
    folder.write("needy.py", "import no_such_package\nno_such_package.go()\n")
    path = folder.write("task.yaml", MINIMAL.replace("docs.splits", spec))
    with pytest.raises(TaskError) as caught:
        folder.task().doc_ids()
    assert message in str(caught.value)
    assert (caught.value.path, caught.value.line) == (path, 2)


def test_a_dotted_module_is_a_file_in_a_folder(folder: TaskFolder) -> None:
    folder.write("parts/text.py", "def upper(doc):\n    return doc['question'].upper()\n")
    folder.write("task.yaml", MINIMAL.replace('"{{question}}"', "!function parts.text.upper"))
    assert ask(folder.task())[0] == "WHAT IS 0 + 0?"


def test_a_tag_in_an_included_file_is_looked_for_beside_that_file(folder: TaskFolder) -> None:
    folder.write("shared/text.py", "def text(doc):\n    return 'shared'\n")
    folder.write("shared/base", "doc_to_text: !function text.text\n")
    folder.write("text.py", "def text(doc):\n    return 'own'\n")
    lines = [line for line in MINIMAL.splitlines() if "doc_to_text" not in line]
    folder.write("task.yaml", "\n".join(lines) + "\n    include: shared/base\n")
    assert ask(folder.task())[0] == "shared"


def test_task_modules_stay_out_of_sys_modules(folder: TaskFolder) -> None:
    before = set(sys.modules)
    folder.write("helper_of_a_task.py", "import colorsys\ndef text(doc):\n    return 'x'\n")
    folder.write("task.yaml", MINIMAL.replace('"{{question}}"', "!function helper_of_a_task.text"))
    ask(folder.task())
    assert not {name for name in set(sys.modules) - before if "task" in name}


PEER_HELPERS = """
from lm_eval.api.filter import Filter
from lm_eval.api.registry import register_filter
from lm_eval.filters.extraction import Filter as SameFilter, RegexFilter
from lm_eval.utils import general_detokenize, weighted_f1_score
from lmms_eval.api.filter import Filter as LmmsFilter
from lmms_eval.filters.extraction import ExtendedRegexFilter, MultiChoiceRegexFilter
import lmms_eval.filters.extraction as extraction

assert Filter is SameFilter and extraction.ExtendedRegexFilter is ExtendedRegexFilter


@register_filter("detokenized")
class Detokenized(Filter):
    def apply(self, resps, docs):
        return [[general_detokenize(r) for r in rs] for rs in resps]


class Letter(ExtendedRegexFilter):
    def apply(self, resps, docs):
        regex = __import__("re").compile(r"\\(([A-Z])\\)")
        found = [[self.find_match(regex, self.filter_ignores(r)) for r in rs] for rs in resps]
        return [f[0] or "" for f in found]


def text(doc):
    return doc["question"]
"""


def test_modules_written_for_the_peers_run_without_them(folder: TaskFolder) -> None:
    folder.write("helpers.py", PEER_HELPERS)
    yaml = MINIMAL.replace('"{{question}}"', "!function helpers.text")
    folder.write(
        "task.yaml",
        f"""{yaml}
    filter_list:
      - name: joined
        filter: [{{function: detokenized}}, {{function: take_first}}]
      - name: letter
        filter:
          - {{function: !function helpers.Letter, regexes_to_ignore: [x+], fallback: none}}
    """,
    )
    filtered = answer(folder.task(), ['do n\'t ( yes ) , " no "', "xx(xxBx)", "C"])
    assert filtered[0].filtered["joined"][0] == 'don\'t (yes),"no"'
    assert [sample.filtered["letter"][0] for sample in filtered] == ["", "B", ""]


def test_stand_ins_neither_need_nor_hide_an_installed_peer(folder: TaskFolder) -> None:
    folder.write("helpers.py", PEER_HELPERS)
    folder.write("task.yaml", MINIMAL.replace('"{{question}}"', "!function helpers.text"))
    script = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(folder.path / "site")!r})
import lm_eval
assert lm_eval.mark == "installed"
from pytest_lmmeval.tasks.catalog.manager import TaskManager
from pytest_lmmeval.tasks.task import Task
task = Task(TaskManager().select([{str(folder.path / "task.yaml")!r}])[0])
print(task.instances(0)[0].context)
assert sys.modules["lm_eval"] is lm_eval
assert not [name for name in sys.modules if name.startswith("lm")and "." in name]
import lm_eval.utils
assert lm_eval.utils.mark == "installed too"
"""
    folder.write("site/lm_eval/__init__.py", "mark = 'installed'\n")
    folder.write("site/lm_eval/utils.py", "mark = 'installed too'\n")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "What is 0 + 0?\n"


def test_a_peers_module_without_a_stand_in_comes_from_the_installed_peer(
    folder: TaskFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("site/lm_eval/__init__.py", "raise RuntimeError('not needed')\n")
    folder.write("site/lm_eval/tasks/__init__.py", "raise RuntimeError('not needed')\n")
    folder.write("site/lm_eval/tasks/some/helpers.py", "def text(doc):\n    return 'theirs'\n")
    monkeypatch.syspath_prepend(folder.path / "site")
    folder.write("mine.py", "from lm_eval.tasks.some.helpers import text\n")
    folder.write("task.yaml", MINIMAL.replace('"{{question}}"', "!function mine.text"))
    assert ask(folder.task())[0] == "theirs"


def test_a_name_that_no_peer_has_is_told(
    folder: TaskFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder.path / "site")
    folder.write("site/lm_eval/__init__.py", "")
    folder.write("site/lm_eval/utils.py", "import no_such_package\ndef real(): return 'theirs'\n")
    folder.write("mine.py", "from lm_eval.utils import no_such_name\n")
    folder.write("task.yaml", MINIMAL.replace('"{{question}}"', "!function mine.text"))
    with pytest.raises(TaskError, match=r"ImportError: cannot import name 'no_such_name'"):
        ask(folder.task())


def test_a_name_that_has_no_stand_in_comes_from_the_installed_peer(
    folder: TaskFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("site/lm_eval/__init__.py", "raise RuntimeError('not needed')\n")
    # As there: torch, for one, is imported at the top and used by few.
    folder.write("site/lm_eval/utils.py", "import no_such_package\ndef real(d): return 'theirs'\n")
    monkeypatch.syspath_prepend(folder.path / "site")
    lines = "from lm_eval.utils import general_detokenize, real\n"
    folder.write("mine.py", f"{lines}def text(doc): return real(doc) + general_detokenize(' )')\n")
    folder.write("task.yaml", MINIMAL.replace('"{{question}}"', "!function mine.text"))
    assert ask(folder.task())[0] == "theirs)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What lm_eval.utils.general_detokenize of lm-eval 0.4.13 returns.
        ("I do n't know .", "I don't know."),
        ('He said , " no " ( twice ) .', 'He said,"no"(twice).'),
        ("it 's", "it's"),
    ],
)
def test_the_stand_ins_helpers_do_what_the_peers_do(text: str, expected: str) -> None:
    assert general_detokenize(text) == expected


def test_the_stand_ins_take_the_best_of_several_right_answers() -> None:
    assert metric_max_over_ground_truths(lambda a, b: float(a == b), "x", ["y", "x"]) == 1.0
