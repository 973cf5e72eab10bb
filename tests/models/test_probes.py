"""What an endpoint cannot do is found out before a task's data are opened, and never scored.

``recordings`` holds what real servers answered; further faults in numbers are put into the answers
of a small checkpoint that is otherwise served rightly (``EchoModel``).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from checkpoints import save_tiny_llama, save_tiny_llava
from echo_server import EchoModel
from likelihood_recordings import TOKENIZER, Exchanges, with_generated
from projects import Project, results_of
from servers import MODEL, Received, Reply, ScriptedServer

hf: Any = transformers  # its types are for its own use only

RECORDINGS = Path(__file__).with_name("recordings")
CHOICES = """
task: choices
custom_dataset: !function rows.load
dataset_kwargs: {name: docs}
test_split: test
output_type: multiple_choice
doc_to_text: "A fox is {{word}}"
doc_to_choice: [" quick", " brown"]
doc_to_target: 0
metric_list: [{metric: acc}]
parts: 2
"""
PICTURES = """
task: pictures
custom_dataset: !function rows.load
dataset_kwargs: {name: docs}
test_split: test
output_type: generate_until
doc_to_visual: !function rows.visual
doc_to_text: "{{word}}"
doc_to_target: "{{word}}"
generation_kwargs: {max_new_tokens: 8}
metric_list: [{metric: exact_match}]
parts: 2
"""
ROWS = """
from pathlib import Path
from PIL import Image

def load(name):
    Path(__file__).with_name("opened").touch()
    return {"test": [{"word": "red", "side": 8}, {"word": "blue", "side": 9}]}

def visual(doc):
    return [Image.new("RGB", (doc["side"], doc["side"]), doc["word"])]
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("probes") / "tiny")


@pytest.fixture
def tasks(project: Project) -> Project:
    folder = project.pytester.path
    (folder / "conftest.py").unlink()
    (folder / "choices.yaml").write_text(CHOICES)
    (folder / "pictures.yaml").write_text(PICTURES)
    (folder / "rows.py").write_text(ROWS)
    return project


def was_opened(project: Project) -> bool:
    return (project.pytester.path / "opened").exists()


def measure(
    project: Project, task: str, name: str, url: str, *options: str, **arguments: Any
) -> pytest.RunResult:
    given = {"model": MODEL, "base_url": url, **arguments}
    text = ",".join(f"{key}={value}" for key, value in given.items())
    return project.run(
        f"{task}.yaml", f"--lmm-model={name}", f"--lmm-model-args={text}", "-rs", *options
    )


def assert_skipped(project: Project, result: pytest.RunResult, *told: str) -> None:
    """Check that a task was skipped for a reason, unopened."""
    result.assert_outcomes(skipped=3)  # two parts and the gate
    for words in told:
        result.stdout.fnmatch_lines([f"*{words}*"])
    assert not was_opened(project)


class Replay:
    """Answers as a recorded server did."""

    def __init__(self, name: str) -> None:
        text = (RECORDINGS / f"{name}.json").read_text("utf-8")
        self.recorded = json.loads(text)

    def __call__(self, received: Received) -> Reply:
        return self.reply(self._name(received))

    def reply(self, name: str) -> Reply:
        found = self.recorded[name]
        body = found["body"]
        content = body.encode() if isinstance(body, str) else body
        return Reply(status=found["status"], body=content)

    @staticmethod
    def _name(received: Received) -> str:
        if received.path.endswith("/chat/completions"):
            longer = "longer chat" if "one word" in received.prompt else "chat"
            return "image" if received.images else longer
        if not received.json.get("echo"):
            return "generate"
        return "score as text" if isinstance(received.json["prompt"], str) else "score"


# What servers were seen to do.


def test_a_server_that_ignores_echo_gives_no_likelihoods(tasks: Project, checkpoint: Path) -> None:
    replay = Replay("llamacpp")
    with ScriptedServer(replay, models=replay.reply("models"), sees_probes=True) as server:
        result = measure(
            tasks, "choices", "local-completions", server.url, model="smollm2", tokenizer=checkpoint
        )
        assert_skipped(tasks, result, "returns no likelihoods of a prompt: *ignores echo*")
        assert len(server.requests) == 1  # once for all parts
        strict = measure(
            tasks,
            "choices",
            "local-completions",
            server.url,
            "--lmm-strict",
            model="smollm2",
            tokenizer=checkpoint,
        )
    strict.assert_outcomes(errors=1, skipped=2)
    strict.stdout.fnmatch_lines(["*returns no likelihoods of a prompt*"])
    assert not was_opened(tasks)


@pytest.mark.parametrize(
    ("tokenized", "told"),
    [(True, "HTTP 400: prompt must be a string"), (False, "ignores echo or logprobs")],
)
def test_a_server_whose_list_of_models_fails_is_asked_for_likelihoods_nevertheless(
    tokenized: bool, told: str, tasks: Project, checkpoint: Path
) -> None:
    replay = Replay("transformers_serve")
    assert replay.reply("models").status == 500
    with ScriptedServer(replay, models=replay.reply("models"), sees_probes=True) as server:
        result = measure(
            tasks,
            "choices",
            "local-completions",
            server.url,
            tokenizer=checkpoint,
            tokenized_requests=tokenized,
        )
    assert_skipped(tasks, result, f"returns no likelihoods of a prompt: *{told}*")


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The part of SmolLM2's tokenizer that the recorded texts need."""
    folder = tmp_path_factory.mktemp("smollm2")
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_file=str(TOKENIZER), eos_token="<|im_end|>")
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("tokenized", "completed", "told"),
    [
        (True, False, "returns no likelihoods of a prompt: HTTP 500: 2 validation errors"),
        (False, False, "returns no likelihoods of a prompt: the server scored 6 tokens where 6"),
        (False, True, "scores prompts wrongly: ' Paris', *of -0.26 there and is scored -8.45"),
    ],
)
def test_a_server_that_is_off_by_one_token_is_found(
    tokenized: bool, completed: bool, told: str, tasks: Project, smollm2: Path
) -> None:
    replay = Exchanges.read("llama_cpp_python")

    def script(received: Received) -> Reply:
        # It leaves out the generated token; with that, only the numbers tell what is wrong.
        return with_generated(replay(received)) if completed else replay(received)

    with ScriptedServer(script, models=replay.models, sees_probes=True) as server:
        given = {"model": "smollm2", "tokenizer": smollm2, "tokenized_requests": tokenized}
        result = measure(tasks, "choices", "local-completions", server.url, **given)
        strict = measure(tasks, "choices", "local-completions", server.url, "--lmm-strict", **given)
    assert_skipped(tasks, result, told)
    strict.assert_outcomes(errors=1, skipped=2)
    strict.stdout.fnmatch_lines([f"*{told}*"])


def test_a_server_that_drops_images_is_found(tasks: Project) -> None:
    replay = Replay("transformers_serve")
    assert replay.reply("image").status == 200
    with ScriptedServer(replay, models=replay.reply("models"), sees_probes=True) as server:
        result = measure(tasks, "pictures", "openai_compatible", server.url)
    assert_skipped(tasks, result, "drops images: *36 prompt tokens with an image*and 36 without")


def test_a_server_that_answers_500_to_an_image_is_not_asked_again(tasks: Project) -> None:
    replay = Replay("llamacpp")
    assert replay.reply("image").status == 500
    with ScriptedServer(replay, models=replay.reply("models"), sees_probes=True) as server:
        result = measure(tasks, "pictures", "openai_compatible", server.url, model="smollm2")
        assert len(server.requests) == 1
    assert_skipped(tasks, result, "refuses images: HTTP 500: image input is not supported*")


def test_a_server_that_is_loading_is_waited_for_if_asked(tasks: Project) -> None:
    replay = Replay("llamacpp")
    with ScriptedServer(replay, models=replay.reply("loading"), sees_probes=True) as server:
        away = measure(tasks, "pictures", "openai_compatible", server.url, model="smollm2")
        away.assert_outcomes(errors=1, skipped=2)
        away.stdout.fnmatch_lines(["*is not ready (HTTP 503: Loading model); startup_timeout=*"])
        timer = threading.Timer(3, setattr, (server, "models", replay.reply("models")))
        timer.start()
        waited = measure(
            tasks,
            "pictures",
            "openai_compatible",
            server.url,
            model="smollm2",
            startup_timeout=60,
            probe=False,
        )
        timer.join()
    # It was reached; without the probe its refusal is that of each doc.
    waited.stdout.fnmatch_lines(["*image input is not supported*"])
    assert waited.parseoutcomes()["failed"] == 2


# Faults in a server's numbers.


class OffByOne(EchoModel):
    """Each entry belongs to the token before. (llama-cpp-python looks a position too far.)"""

    def _echoed(self, tokens: Any) -> dict[str, Any]:
        right = super()._echoed(tokens)
        for name in ("token_logprobs", "top_logprobs"):
            right[name] = [*right[name][1:], right[name][-1]]
        return right


class SilentOffByOne(OffByOne):
    """As that, and it does not tell the log-probabilities of what it generates."""

    def _of_new(self, tokens: Any, new: Any) -> list[float]:
        return []


class AllZero(EchoModel):
    """All log-probabilities are 0, which makes every choice as likely as any other."""

    def _echoed(self, tokens: Any) -> dict[str, Any]:
        right = super()._echoed(tokens)
        zeros = [0.0] * len(tokens)
        return right | {"token_logprobs": zeros, "top_logprobs": [{"x": 0.0}] * len(tokens)}


class NeverGreedy(EchoModel):
    """The likeliest token is never told to be that."""

    def _echoed(self, tokens: Any) -> dict[str, Any]:
        right = super()._echoed(tokens)
        return right | {"top_logprobs": [{"x": 0.0} for _ in tokens]}


class Silent(EchoModel):
    """Log-probabilities come with echo only."""

    def _of_new(self, tokens: Any, new: Any) -> list[float]:
        return []


@pytest.mark.parametrize("served", [OffByOne, SilentOffByOne, AllZero, NeverGreedy])
def test_likelihoods_that_contradict_generation_are_found(
    served: Callable[[Path], EchoModel], tasks: Project, checkpoint: Path
) -> None:
    with ScriptedServer(served(checkpoint)) as server:
        result = measure(tasks, "choices", "local-completions", server.url, tokenizer=checkpoint)
    assert_skipped(tasks, result, "scores prompts wrongly: *")


@pytest.mark.parametrize("model", ["local-completions", "sglang-generate"])
@pytest.mark.parametrize("served", [EchoModel, Silent])
def test_a_server_that_does_it_right_passes_and_is_asked_once(
    model: str, served: Callable[[Path], EchoModel], tasks: Project, checkpoint: Path
) -> None:
    with ScriptedServer(served(checkpoint)) as server:
        result = measure(
            tasks, "choices", model, server.url, "--lmm-output-path=out", tokenizer=checkpoint
        )
        result.assert_outcomes(passed=2, skipped=1)
        of_docs = 4
        assert 6 < len(server.requests) - of_docs < 14
        server.requests.clear()
        unprobed = measure(tasks, "choices", model, server.url, tokenizer=checkpoint, probe=False)
        unprobed.assert_outcomes(passed=2, skipped=1)
        assert len(server.requests) == of_docs
    assert "acc,none" in results_of(tasks.pytester.path / "out")["results"]["choices"]


def test_texts_are_asked_for_without_a_probe(project: Project) -> None:
    (project.pytester.path / "conftest.py").unlink()
    project.add_task("numbers", docs=8)
    with ScriptedServer() as server:
        measure(project, "numbers", "openai_compatible", server.url).assert_outcomes(
            passed=4, skipped=1
        )
        assert len(server.requests) == 8


# Tokenizers.


def test_a_tokenizer_that_is_not_the_servers_is_found(
    tasks: Project, checkpoint: Path, tmp_path: Path
) -> None:
    other = save_tiny_llava(tmp_path / "other")  # one token for each character
    with ScriptedServer(EchoModel(checkpoint)) as server:
        result = measure(tasks, "choices", "local-completions", server.url, tokenizer=other)
    assert_skipped(tasks, result, "has another tokenizer than the one given*")


@pytest.mark.parametrize(("add", "warned"), [(False, True), (True, False)])
def test_prompts_without_the_servers_bos_are_told(
    add: bool, warned: bool, tasks: Project, tmp_path: Path
) -> None:
    folder = save_tiny_llama(tmp_path / "bos", adds_bos=True)
    with ScriptedServer(EchoModel(folder)) as server:
        result = measure(
            tasks, "choices", "local-completions", server.url, tokenizer=folder, add_bos_token=add
        )
    result.assert_outcomes(passed=2, skipped=1, warnings=int(warned))
    told = "add_bos_token=true adds it" in result.stdout.str()
    assert told == warned


# Images.


def counting(received: Received) -> Reply:
    """Answer with the text, and count a word as a token and an image as 64."""
    tokens = len(received.prompt.split()) + 64 * len(received.images)
    message = {"role": "assistant", "content": received.prompt}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return Reply(body={"choices": [choice], "usage": {"prompt_tokens": tokens}})


def test_a_server_that_reads_images_passes(tasks: Project) -> None:
    with ScriptedServer(counting, sees_probes=True) as server:
        result = measure(tasks, "pictures", "openai_compatible", server.url)
        assert len([r for r in server.requests if r.images]) == 1 + 2
    result.assert_outcomes(passed=2, skipped=1)


def test_counts_that_never_change_tell_nothing(tasks: Project) -> None:
    with ScriptedServer(sees_probes=True) as server:  # 7 tokens, whatever it is asked
        result = measure(tasks, "pictures", "openai_compatible", server.url)
    result.assert_outcomes(passed=2, skipped=1)


def test_a_text_task_of_lmms_eval_needs_no_images(tasks: Project) -> None:
    rows = tasks.pytester.path / "rows.py"
    rows.write_text(f"{ROWS}\ndef visual(doc):\n    return []\n")
    replay = Replay("llamacpp")
    with ScriptedServer(replay, models=replay.reply("models"), sees_probes=True) as server:
        result = measure(tasks, "pictures", "openai_compatible", server.url, model="smollm2")
        assert len(server.requests) == 2
    result.assert_outcomes(passed=2, skipped=1)


@pytest.mark.parametrize(
    "broken",
    [Reply(status=500), Reply(body={"error": {"message": "overloaded"}})],
    ids=["500", "an error in a 200"],
)
def test_a_server_that_is_out_of_order_for_a_moment_is_asked_again(
    tasks: Project, broken: Reply
) -> None:
    def script(received: Received) -> Reply:
        return broken if received.number == 0 else counting(received)

    with ScriptedServer(script, sees_probes=True) as server:
        result = measure(tasks, "pictures", "openai_compatible", server.url)
    result.assert_outcomes(passed=2, skipped=1)
