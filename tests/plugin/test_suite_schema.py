"""The published JSON Schema accepts what the reader of suites accepts, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from projects import Project

import pytest_lmmeval
from pytest_lmmeval.config.run_config import RunConfig
from pytest_lmmeval.errors import TaskError
from pytest_lmmeval.gates.policy import POLICY_KEYS
from pytest_lmmeval.gates.rules import RULE_KEYS
from pytest_lmmeval.gates.side import SIDE_KEYS, SIDE_UNITS
from pytest_lmmeval.suites.keys import KEYS, POOL_KEYS, SETTINGS, TASK_KEYS
from pytest_lmmeval.suites.schema import schema_text
from pytest_lmmeval.suites.suite import read_suite

FILE = Path(pytest_lmmeval.__file__).parent / "suites" / "suite.schema.json"
EXAMPLES = Path(__file__).parents[2] / "examples"
SCHEMA = json.loads(FILE.read_text(encoding="utf-8"))


class AsJson(yaml.SafeLoader):
    """Reads dates as texts, as YAML's language servers do."""


AsJson.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def is_valid(text: str) -> bool:
    value = yaml.load(text, Loader=AsJson)
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(value))


@pytest.fixture
def project_with_task(project: Project) -> Project:
    project.add_task("good", docs=4)
    (project.pytester.path / "vllm.yaml").write_text(
        "model_name: m\naccuracy_threshold: 0.5\nnum_questions: 4\nnum_fewshot: 0\n"
    )
    return project


def is_read(project: Project, text: str) -> bool:
    path = project.pytester.path / "some.lmm.yaml"
    path.write_text(text)
    try:
        read_suite(path, RunConfig(root=project.pytester.path), "some.lmm.yaml")
    except TaskError:
        return False
    return True


def test_the_file_is_in_step_with_the_code() -> None:
    assert FILE.read_text(encoding="utf-8") == schema_text()
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.lmm.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_valid(path: Path) -> None:
    value = yaml.load(path.read_text(encoding="utf-8"), Loader=AsJson)
    jsonschema.Draft202012Validator(SCHEMA).validate(value)


def suite(**keys: Any) -> str:
    whole = {"lmmeval": 1, "tasks": [{"task": "./good.yaml", **keys.pop("of_task", {})}], **keys}
    return json.dumps(whole)


def gate(name: str = "exact_match", **keys: Any) -> str:
    return suite(of_task={"gates": {name: keys}})


def pool(**keys: Any) -> str:
    return suite(suite_gates={"pooled": keys})


XFAIL = {"reason": "https://example.org/1", "until": "2027-01-31"}
# A value that is right for every key that a suite may hold.
RIGHT: dict[str, dict[str, Any]] = {
    "suite": {
        "lmmeval": 1,
        "profile": "nightly",
        "models": {"local-completions": {"model": "m", "base_url": "http://127.0.0.1:1/v1"}},
        "defaults": {"max_drop": "2pp"},
        "settings": {"limit": 3},
        "tasks": ["./good.yaml"],
        "suite_gates": {"pooled": {"max_drop": "0.3pp", "must_detect": "1pp"}},
        "configs": ["./vllm.yaml"],
        "judge": {
            "model": "openai_compatible",
            "model_args": {"model": "m", "base_url": "http://127.0.0.1:1/v1"},
        },
        "baselines": "accepted",
        "variant": "fp8@h200",
        "prices": {"prompt": 0.15, "completion": 0.6},
    },
    "task": {
        "task": "./good.yaml",
        "name": "other",
        "gates": {"exact_match": {}},
        "model": None,
        "tags": ["slow"],
        "xfail": XFAIL,
    },
    "settings": {
        "num_fewshot": 0,
        "gen_kwargs": {"temperature": 0},
        "limit": 0.5,
        "limit_from": "first",
        "system_instruction": "Be brief.",
        "apply_chat_template": True,
        "fewshot_as_multiturn": False,
        "message_format": "chat",
        "data_map": {"name": "folder"},
        "metadata": {"a": 1},
        "max_failed": "1%",
        "parity": "lm_eval",
        "dialect": "lm_eval",
    },
    "rule": {
        "max_drop": "1pp",
        "must_detect": "5%rel",
        "floor": 0.5,
        "ceiling": "9e-1",
        "on_undecided": "fail",
        "underpowered": "error",
        "max_failed": 0.01,
        "alpha": 0.1,
        "baseline": True,
        "test": "mcnemar",
        "extend": {"repeats": 3, "first_alpha": 0.02, "then": "fail"},
        "early_stop": "sequential",
        "tier": "critical",
        "until": "2027-01-31",
        "xfail": XFAIL,
    },
    "pool": {"tasks": ["good"], "metrics": "exact_match"},
    "side": {
        "max": 5,
        "min": 1,
        "max_increase": "10%rel",
        "max_drop": "10%rel",
        "max_failed": "1%",
        "baseline": True,
    },
}


# What else a rule must say where it has a key.
NEEDS: dict[str, dict[str, Any]] = {
    "until": {"tier": "advisory"},
    "must_detect": {"max_drop": "1%rel"},
    "test": {"max_drop": 0},
    "extend": {"on_undecided": "extend"},
}


def right_suites() -> Iterator[tuple[str, str]]:
    """Return a suite for every key, with what else that key needs."""
    for key in KEYS:
        yield f"suite.{key}", suite(**{key: RIGHT["suite"][key]})
    for key in (key for key in TASK_KEYS if key != "model"):
        yield f"task.{key}", suite(of_task={key: RIGHT["task"][key]})
    models = RIGHT["suite"]["models"]
    yield "task.model", suite(models=models, of_task={"model": "local-completions"})
    for key in SETTINGS:
        yield f"settings.{key}", suite(settings={key: RIGHT["settings"][key]})
        yield f"task.{key}", suite(of_task={key: RIGHT["settings"][key]})
    for key in (*RULE_KEYS, *POLICY_KEYS):
        also = NEEDS.get(key, {})
        yield f"rule.{key}", gate(**{key: RIGHT["rule"][key], **also})
        yield f"defaults.{key}", suite(defaults={key: RIGHT["rule"][key], **also})
        if key not in ("extend", "early_stop"):
            yield f"pool.{key}", pool(**{key: RIGHT["rule"][key], **also})
    for key in POOL_KEYS:
        yield f"pool.{key}", pool(**{key: RIGHT["pool"][key]})
    for key in SIDE_KEYS:
        yield f"side.{key}", gate("tokens_out", **{"max": 9, key: RIGHT["side"][key]})
    for name in SIDE_UNITS:
        priced = {"prices": RIGHT["suite"]["prices"]}
        yield f"side {name}", suite(of_task={"gates": {name: {"max": 1}}}, **priced)


@pytest.mark.parametrize(("key", "text"), list(right_suites()), ids=lambda v: v.split("{")[0])
def test_every_key_of_the_reader_is_in_the_schema(
    project_with_task: Project, key: str, text: str
) -> None:
    assert is_read(project_with_task, text)
    assert is_valid(text)


def test_the_schema_has_no_key_that_the_reader_lacks() -> None:
    defs = SCHEMA["$defs"]
    assert set(SCHEMA["properties"]) == set(KEYS)
    assert set(defs["settings"]["properties"]) == set(SETTINGS)
    assert set(defs["task"]["properties"]) == {*TASK_KEYS, *SETTINGS}
    assert set(defs["rule"]["properties"]) == {*RULE_KEYS, *POLICY_KEYS}
    assert set(defs["pool"]["properties"]) == {*POOL_KEYS, *RULE_KEYS, *POLICY_KEYS}
    assert set(defs["gates"]["properties"]) == set(SIDE_UNITS)
    assert set(defs["side"]["properties"]) == {*SIDE_KEYS, *RULE_KEYS, *POLICY_KEYS}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(suite(lmmeval=2), id="version"),
        pytest.param(suite(task=[]), id="suite key"),
        pytest.param(suite(profile="relase"), id="profile"),
        pytest.param(suite(of_task={"limits": 3}), id="task key"),
        pytest.param(suite(of_task={"limit": "many"}), id="limit"),
        pytest.param(suite(settings={"max_fail": 1}), id="setting"),
        pytest.param(suite(prices={"prompts": 1}), id="price"),
        pytest.param(suite(prices={"prompt": -1}), id="negative price"),
        pytest.param(gate(max_dropp="1pp"), id="rule key"),
        pytest.param(gate(max_drop="1%"), id="ambiguous margin"),
        pytest.param(gate(max_drop="1 points"), id="unit"),
        pytest.param(gate(on_undecided="pass"), id="on_undecided"),
        pytest.param(gate(on_undecided="extend", extend={"repeat": 2}), id="extend key"),
        pytest.param(gate(on_undecided="extend", extend={"repeats": 0}), id="no repeats"),
        pytest.param(
            gate(on_undecided="extend", extend={"repeats": 2, "docs": 9}), id="docs and repeats"
        ),
        pytest.param(pool(on_undecided="extend"), id="pool that is extended"),
        pytest.param(gate(early_stop="never"), id="early stop"),
        pytest.param(pool(early_stop="sequential"), id="pool that is stopped early"),
        pytest.param(gate(underpowered="fail"), id="underpowered"),
        pytest.param(gate(alpha=0.7), id="alpha"),
        pytest.param(gate(baseline="no"), id="baseline"),
        pytest.param(gate(tier="optional"), id="tier"),
        pytest.param(gate(xfail="https://example.org/1"), id="xfail"),
        pytest.param(gate(xfail={"reason": "because"}), id="xfail without a day"),
        pytest.param(gate("tokens_out", maxi=3), id="side key"),
        pytest.param(pool(max_dropp="1pp"), id="pool key"),
        pytest.param(pool(baseline=False), id="pool without baseline"),
        pytest.param(pool(tasks=[]), id="pool of no tasks"),
        pytest.param('{"lmmeval": 1, "tasks": []}', id="no tasks"),
        pytest.param('{"lmmeval": 1}', id="nothing"),
    ],
)
def test_what_the_reader_refuses_the_schema_refuses(project_with_task: Project, text: str) -> None:
    assert not is_read(project_with_task, text)
    assert not is_valid(text)
