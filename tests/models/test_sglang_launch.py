"""The command line that starts an SGLang server, checked against the options that SGLang has.

``sglang_0.5.23_flags.json`` holds the options of SGLang 0.5.23's ``launch_server``: their names,
how many values they take (argparse's ``nargs``), and which.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_lmmeval.errors import ModelUnavailable, UsageError
from pytest_lmmeval.models.servers.server_spec import ServerSpec
from pytest_lmmeval.models.servers.sglang_launch import SGLangLaunch

FLAGS = json.loads((Path(__file__).parent / "sglang_0.5.23_flags.json").read_text("utf-8"))


def sglang_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    for flag in FLAGS:
        if flag["flags"] == ["--help"] or "-h" in flag["flags"]:
            continue
        if flag["nargs"] == 0:
            parser.add_argument(*flag["flags"], action="store_true")
        else:
            parser.add_argument(*flag["flags"], nargs=flag["nargs"], choices=flag["choices"])
    return parser


def parsed(launch: SGLangLaunch) -> dict[str, Any]:
    """Return what SGLang would read, as far as it was given."""
    spec = ServerSpec.from_mapping(launch.section()).at(launch.port or 4242)
    assert spec.cmd[1:3] == ("-m", "sglang.launch_server")
    found = vars(sglang_options().parse_args(list(spec.cmd[3:])))
    return {name: value for name, value in found.items() if value not in (None, False)}


ALWAYS = {"model_path": "m", "host": "127.0.0.1", "port": "4242"}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({}, {}),
        ({"port": 31000}, {"port": "31000"}),
        ({"tp": 8}, {"tp_size": "8"}),
        ({"tp": 2, "dp": 4}, {"tp_size": "2", "dp_size": "4"}),
        ({"mem_fraction_static": 0.83}, {"mem_fraction_static": "0.83"}),
        ({"chunked_prefill_size": 16384}, {"chunked_prefill_size": "16384"}),
        ({"chat_template": "chatml-llava"}, {"chat_template": "chatml-llava"}),
        (
            {"context_length": 8192, "dtype": "bfloat16"},
            {"context_length": "8192", "dtype": "bfloat16"},
        ),
        ({"quantization": "fp8"}, {"quantization": "fp8"}),
        (
            {
                "device": "cpu",
                "server_args": {
                    "attention_backend": "torch_native",
                    "--sampling-backend": "pytorch",
                    "disable-cuda-graph": True,
                    "skip_server_warmup": True,
                    "trust_remote_code": False,
                    "max-total-tokens": 8192,
                },
            },
            {
                "device": "cpu",
                "attention_backend": "torch_native",
                "sampling_backend": "pytorch",
                "disable_cuda_graph": True,
                "skip_server_warmup": True,
                "max_total_tokens": "8192",
            },
        ),
        (
            {"server_args": {"limit-mm-data-per-request": {"image": 4}}},
            {"limit_mm_data_per_request": '{"image": 4}'},
        ),
        (
            {"server_args": {"cuda-graph-bs-decode": [1, 2, 4], "served-model-name": "short"}},
            {"cuda_graph_bs_decode": ["1", "2", "4"], "served_model_name": "short"},
        ),
    ],
)
def test_sglang_reads_what_was_given_and_keeps_its_own_defaults(
    given: dict[str, Any], read: dict[str, Any]
) -> None:
    assert parsed(SGLangLaunch(model_path="m", **given)) == ALWAYS | read


def test_a_server_is_started_where_none_listens_at_the_asked_or_the_usual_port() -> None:
    anywhere = ServerSpec.from_mapping(SGLangLaunch(model_path="m").section())
    assert (anywhere.port, anywhere.reuse) == (None, 30000)
    there = ServerSpec.from_mapping(SGLangLaunch(model_path="m", port=31000).section())
    assert (there.port, there.reuse) == (31000, 31000)


@pytest.mark.parametrize("name", ["port", "--api-key", "model_path", "tp-size"])
def test_a_flag_that_has_an_argument_of_its_own_is_refused(name: str) -> None:
    launch = SGLangLaunch(model_path="m", tp=2, server_args={name: 1})
    with pytest.raises(UsageError, match=name):
        launch.section()


def test_the_command_can_be_another_interpreters() -> None:
    launch = SGLangLaunch(
        model_path="m", command="env A=1 '/my env/python' -m sglang.launch_server"
    )
    assert launch.section()["cmd"][:5] == [
        "env",
        "A=1",
        "/my env/python",
        "-m",
        "sglang.launch_server",
    ]
    launch.require()


def test_without_sglang_the_error_says_what_to_install() -> None:
    with pytest.raises(ModelUnavailable, match="pip install sglang"):
        SGLangLaunch(model_path="m").require()
