"""JSON of whatever tasks and models come up with, and argument strings without their secrets."""

from __future__ import annotations

import json
import math
from pathlib import Path

import orjson
import pytest

from pytest_lmmeval.config.recorded_config import public_arguments
from pytest_lmmeval.reports.json_text import json_document, json_line

HALF = "half a face: \ud83d"
SPELLED = "half a face: \\ud83d"


@pytest.mark.parametrize("write", [json_line, json_document])
def test_anything_can_be_written_and_read_by_strict_readers(write: object) -> None:
    value = {
        "text": [HALF, "日本 é \U0001f600"],
        HALF: (1, 2.5),
        "numbers": [math.nan, -math.inf, 2**70, True, None],
        3: {"path": Path("a/b"), ("x", 1): {1}},
    }
    assert callable(write)
    written = write(value)
    assert orjson.loads(written) == json.loads(written)
    found = orjson.loads(written)
    assert found["text"] == [SPELLED, "日本 é \U0001f600"]
    assert found[SPELLED] == [1, 2.5]
    assert found["numbers"][:2] == [None, None]
    assert found["numbers"][2] == pytest.approx(2**70)
    assert found["numbers"][3:] == [True, None]
    assert found["3"] == {"path": "a/b", "('x', 1)": "{1}"}


def test_a_plain_value_is_one_line() -> None:
    assert json_line({"a": math.nan, "b": "ü\n"}) == '{"a":null,"b":"ü\\n"}\n'.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("model=m,timeout=3,api_key=sk-abc123", "model=m,timeout=3,api_key=***"),
        ('api_key="sk-abc,123",model=m', "api_key=***,model=m"),
        ('{"api_key": "sk-abc123", "model": "m"}', "api_key=***,model=m"),
        ("base_url=http://me:sk-abc123@host/v1", "base_url=http://***@host/v1"),
        ('extra={"api_key":"sk-abc123","n":[1]}', "extra={'api_key': '***', 'n': [1]}"),
        ('header={"Authorization": "Bearer sk-abc123, x"}', "header=***"),
        ("sk-abc123", "***"),
    ],
)
def test_arguments_are_shown_without_credentials(text: str, shown: str) -> None:
    assert public_arguments(text) == shown
