"""``hf`` does what its arguments say, or says in one line why it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import peft
import pytest
import safetensors.torch
import torch
import transformers
from checkpoints import save_tiny_llama
from hf_peer import Peer, documents, prompts, running, scoring

from pytest_lmmeval.errors import ModelUnavailable, UsageError
from pytest_lmmeval.models.local.huggingface import HFText
from pytest_lmmeval.models.registry import create_model
from pytest_lmmeval.warnings import LmmWarning

PAIR = ("The quick brown", " fox")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny")


def score(model: HFText) -> float:
    (response,) = model.loglikelihood(scoring(PAIR))
    assert response.logprob is not None
    return response.logprob


@pytest.mark.parametrize("name", ["hf", "huggingface", "hf-auto"])
def test_the_names_of_the_peers_give_the_model(name: str) -> None:
    assert type(create_model(name, "pretrained=p")) is HFText


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("pretraned=p", "Did you mean 'pretrained'?"),
        ("pretrained=7", "pretrained must be a folder, a name on the hub or a model, not 7"),
        ("pretrained=p,batch_sizes=3", "Did you mean 'batch_size'?"),
        ("pretrained=p,batch_size=0", "batch_size must be a number above 0, auto or auto:N"),
        ("pretrained=p,batch_size=auto:x", "auto or auto:N, not 'auto:x'"),
        ("pretrained=p,batch_size=auto,max_batch_size=0", "max_batch_size must be at least 1"),
        ("pretrained=p,dtype=float23", "Did you mean 'float32'?"),
        ("pretrained=p,softmax_dtype=auto", "softmax_dtype must be one of float16"),
        ("pretrained=p,truncation=lft", "Did you mean 'left'?"),
        ("pretrained=p,max_length=1", "max_length must be at least 2, not 1"),
        ("pretrained=p,prefix_token_id=1,custom_prefix_token_id=2", "contradict each other"),
        ("pretrained=p,peft=a,delta=b", "give peft or delta, not both"),
        ("pretrained=p,backend=seq2seq", "encoder-decoder models do not run here"),
        ("pretrained=p,max_cpu_memory=1GiB", "need parallelize=true"),
        ("pretrained=p,gguf_file=f.gguf", "takes no gguf_file: serve the file with llama.cpp"),
        ("pretrained=p,autogptq=true", "takes no autogptq: transformers reads a GPTQ checkpoint"),
        ("pretrained=p,tp_plan=auto", "takes no tp_plan: it needs torchrun"),
        ("pretrained=p,torch_dtype=float16", "takes no torch_dtype: it is called dtype"),
    ],
)
def test_an_argument_that_cannot_hold_is_refused_before_anything_loads(
    arguments: str, message: str
) -> None:
    with pytest.raises(UsageError) as error:
        create_model("hf", arguments)
    assert message in str(error.value)


def test_an_argument_without_effect_is_dropped_with_a_warning() -> None:
    with pytest.warns(LmmWarning, match="low_cpu_mem_usage has no effect"):
        create_model("hf", "pretrained=p,low_cpu_mem_usage=true")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pretrained": "/no/such/folder"}, "there is no checkpoint at /no/such/folder"),
        ({"device": "cuda:7"}, "the device 'cuda:7' cannot be used: torch sees cpu"),
        ({"device": "gpu"}, "the device 'gpu' cannot be used: torch sees cpu"),
        ({"subfolder": "inner"}, "inner is no checkpoint: it has no config.json"),
        ({"peft": "/no/adapter"}, "there is no checkpoint at /no/adapter"),
        ({"tokenizer": "/no/tokenizer"}, "there is no checkpoint at /no/tokenizer"),
        ({"attn_implementation": "flsh"}, "cannot be loaded: "),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_line(
    checkpoint: Path, arguments: dict[str, str], message: str
) -> None:
    given = {"pretrained": str(checkpoint), "device": "cpu", **arguments}
    with pytest.raises(ModelUnavailable) as error:
        create_model("hf", given).start()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_checkpoint_without_a_tokenizer_is_told(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(checkpoint / name, tmp_path)
    with pytest.raises(ModelUnavailable, match=r"the tokenizer of .* cannot be loaded"):
        create_model("hf", {"pretrained": str(tmp_path)}).start()
    with running(tmp_path, tokenizer=str(checkpoint)) as model:
        apart = score(model)
    with running(checkpoint) as model:
        assert score(model) == apart


def test_a_checkpoint_that_lacks_weights_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "broken")
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnavailable, match=r"random numbers: model\.layers\.1\.mlp\.up_proj"):
        create_model("hf", {"pretrained": str(folder)}).start()


def test_an_encoder_decoder_is_refused(tmp_path: Path) -> None:
    hf: Any = transformers
    hf.T5Config().save_pretrained(tmp_path)
    with pytest.raises(ModelUnavailable, match=r"an encoder-decoder model \(t5\)"):
        create_model("hf", {"pretrained": str(tmp_path)}).start()


def test_the_identity_tells_checkpoints_apart_and_no_path(checkpoint: Path, tmp_path: Path) -> None:
    with running(checkpoint) as model:
        identity = model.identity()
    assert identity["model"] == "tiny"
    assert identity["dtype"] == "float32"
    assert identity["engine"].startswith("transformers ")
    assert str(checkpoint.parent) not in repr(identity)
    moved = shutil.copytree(checkpoint, tmp_path / "tiny")
    with running(moved) as model:
        assert model.identity() == identity
    with running(save_tiny_llama(tmp_path / "other" / "tiny", seed=1)) as model:
        assert model.identity()["weights"] != identity["weights"]
    for argument in ({"add_bos_token": True}, {"softmax_dtype": "float64"}, {"max_length": 50}):
        with running(checkpoint, **argument) as model:
            assert model.identity() != identity


def test_a_checkpoint_lies_in_a_subfolder(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copytree(checkpoint, tmp_path / "inner")
    with running(tmp_path, subfolder="inner") as inner, running(checkpoint) as outer:
        assert score(inner) == score(outer)
        assert inner.identity()["weights"] == outer.identity()["weights"]


def test_a_loaded_model_is_taken_as_it_is(checkpoint: Path) -> None:
    hf: Any = transformers
    loaded = hf.LlamaForCausalLM.from_pretrained(checkpoint)
    with running(loaded, tokenizer=str(checkpoint)) as ours, running(checkpoint) as named:
        assert score(ours) == score(named)
        assert str(checkpoint.parent) not in repr(ours.identity())


# peft 0.21 reads what transformers 5.23 deprecates.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_is_laid_over_the_checkpoint_as_in_lm_eval(
    checkpoint: Path, tmp_path: Path
) -> None:
    hf: Any = transformers
    base = hf.LlamaForCausalLM.from_pretrained(checkpoint)
    config: Any = peft.LoraConfig(task_type="CAUSAL_LM", r=2)
    adapted = peft.get_peft_model(base, config)
    torch.manual_seed(1)
    for name, weight in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(weight)
    adapted.save_pretrained(tmp_path)
    with running(checkpoint) as plain, running(checkpoint, peft=str(tmp_path)) as model:
        assert score(model) != score(plain)
        assert score(model) == pytest.approx(
            Peer(checkpoint, peft=str(tmp_path)).loglikelihood([PAIR])[0][0], abs=1e-6
        )
        assert model.generate_until(prompts("The", max_gen_toks=4))[0].is_answered
        assert model.identity().keys() - plain.identity().keys() == {
            "peft_weights",
            "peft_settings",
        }


def test_delta_weights_are_added_as_in_lm_eval(checkpoint: Path, tmp_path: Path) -> None:
    delta = save_tiny_llama(tmp_path / "delta", seed=1)
    with running(checkpoint, delta=str(delta)) as model:
        ours = model.loglikelihood_rolling(documents("The quick brown fox"))[0].logprob
    theirs = Peer(checkpoint, delta=str(delta)).rolling(["The quick brown fox"])
    assert ours == pytest.approx(theirs[0], rel=1e-7)


@pytest.mark.parametrize("arguments", [{"device_map": "cpu"}, {"parallelize": True}])
def test_weights_are_placed_by_a_device_map(checkpoint: Path, arguments: dict[str, Any]) -> None:
    with running(checkpoint, **arguments) as placed, running(checkpoint) as plain:
        assert score(placed) == score(plain)


def test_threads_are_given_back(checkpoint: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with running(checkpoint):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_a_name_that_is_not_on_the_hub_is_told_offline() -> None:
    told = told_by("create_model('hf', 'pretrained=nobody/no-such-model').start()")
    assert told.startswith("ModelUnavailable: nobody/no-such-model cannot be loaded: OSError: ")


def test_a_missing_package_is_told_with_what_to_install() -> None:
    told = told_by("sys.modules['torch'] = None; create_model('hf', 'pretrained=p').start()")
    assert told == "ModelUnavailable: hf needs torch: pip install 'pytest-lmmeval[hf]'"


def test_making_the_model_loads_no_torch() -> None:
    assert told_by(
        "create_model('hf', 'pretrained=p'); raise KeyError('torch' in sys.modules)"
    ) == ("KeyError: False")


def told_by(code: str) -> str:
    """Run ``code`` in a process without the hub, and return how it ended."""
    head = "import sys; from pytest_lmmeval.models.registry import create_model; "
    done = subprocess.run(
        [sys.executable, "-c", head + code],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr.strip().splitlines()[-1].removeprefix("pytest_lmmeval.errors.")
