"""Tasks that lmms-eval and ours evaluate alike.

``record_lmms_eval_tasks.py`` runs them through lmms-eval once; the tests compare ours with that.
Needs nothing that lmms-eval does not, so that it can be imported where that runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lmms_eval_docs import write_rows
from lmms_eval_functions import HELPERS


@dataclass(frozen=True)
class Case:
    """One task in one message format for one model name; ``scored`` if answers are recorded too.

    ``system`` is the system instruction.
    """

    name: str
    task: str
    format: Literal["simple", "chat"]
    model: str = "openai"
    num_fewshot: int | None = None
    scored: bool = False
    system: str | None = None


_DATA = """
    dataset_path: parquet
    dataset_kwargs: {data_files: {test: test.parquet, train: train.parquet}}
"""
_TEXT = f"""{_DATA}
    test_split: test
    doc_to_text: "{{{{question}}}} {{{{options|join('/')}}}}"
    doc_to_target: letter
    score_key: score
"""
_SAME = f"{_TEXT}    fewshot_split: test\n"
_SPECIFIC = """
    lmms_eval_specific_kwargs:
      default: {pre: "P ", post: " Q", grey: false}
      gpt4v: {pre: "V ", post: " W", grey: true}
"""

TASKS = {
    "text_shots": f"""{_TEXT}
    fewshot_split: train
    fewshot_config: {{sampler: default}}
    description: "Answer {{{{answer}}}}.\\n\\n"
    target_delimiter: " = "
    num_fewshot: 2
    """,
    "text_shots_same": f"{_SAME}    fewshot_config: {{sampler: default}}\n",
    "text_shots_first": f"{_SAME}    fewshot_config: {{sampler: first_n}}\n",
    "visual": f"""{_DATA}{_SPECIFIC}
    test_split: test
    doc_to_visual: !function lmms_helpers.image
    doc_to_text: !function lmms_helpers.text
    doc_to_target: !function lmms_helpers.target
    description: "Not shown in a chat. "
    generation_kwargs: {{max_new_tokens: 8, temperature: 1}}
    model_specific_target_kwargs: {{default: plain, gpt4v: special}}
    model_specific_generation_kwargs: {{gpt4v: {{max_new_tokens: 99}}}}
    """,
    "column": f"""{_DATA}
    test_split: test
    doc_to_visual: image
    doc_to_text: question
    doc_to_target: "{{{{letter}}}}"
    """,
    "messages": f"""{_DATA}{_SPECIFIC}
    test_split: test
    doc_to_visual: !function lmms_helpers.images
    doc_to_messages: !function lmms_helpers.messages
    doc_to_text: !function lmms_helpers.text
    doc_to_target: letter
    """,
    "filters": f"""{_TEXT}
    metric_list:
      - {{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}}
    filter_list:
      - name: space
        filter: [{{function: remove_whitespace}}, {{function: take_first}}]
      - name: letter
        filter: [{{function: regex, regex_pattern: "([A-C])"}}, {{function: take_first}}]
      - name: choice
        filter:
          - {{function: multi_choice_regex, ignore_case: true, ignore_punctuation: true}}
          - {{function: take_first}}
      - name: mapped
        filter:
          - {{function: map, mapping_dict: {{A: B}}, default_value: C}}
          - {{function: take_first}}
      - name: own
        filter: [{{function: !function lmms_helpers.Reverse}}, {{function: take_first}}]
    """,
    "aliases": f"""{_DATA}
    test_split: test
    doc_to_text: question
    doc_to_target: options
    reasoning_tags: none
    metric_list:
      - {{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}}
    """,
    "choices": f"""{_DATA}
    test_split: test
    doc_to_text: question
    doc_to_choice: options
    doc_to_target: "{{{{answer}}}}"
    score_key: score
    """,
    "judged": f"""{_DATA}
    test_split: test
    doc_to_visual: image
    doc_to_text: question
    doc_to_target: letter
    process_results: !function lmms_helpers.judge
    cluster_key: clip
    metric_list:
      - {{metric: quality, aggregation: !function lmms_helpers.average, higher_is_better: true}}
      - {{metric: size, aggregation: mean, higher_is_better: false}}
    """,
    "guessed": f"""{_TEXT}
    process_results: !function lmms_helpers.guess
    metric_list:
      - {{metric: sure, aggregation: mean, higher_is_better: true}}
      - {{metric: lucky, aggregation: median, higher_is_better: true}}
    """,
    "several": f"""{_DATA}
    test_split: test
    doc_to_text: question
    doc_to_target: !function lmms_helpers.answers
    score_key: score
    metric_list:
      - {{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}}
      - {{metric: anls, aggregation: mean, higher_is_better: true}}
      - {{metric: !function lmms_helpers.shared, aggregation: mean, higher_is_better: true}}
    """,
    "unequal": f"""{_TEXT}
    process_results: !function lmms_helpers.translated
    metric_list: [{{metric: chrf, aggregation: chrf, higher_is_better: true}}]
    """,
    "album": f"""{_DATA}
    test_split: test
    doc_to_visual: !function lmms_helpers.images
    doc_to_text: "{{{{question}}}} ?"
    doc_to_target: letter
    """,
    "conversation": f"""{_DATA}
    test_split: test
    doc_to_visual: !function lmms_helpers.images
    doc_to_messages: !function lmms_helpers.album
    doc_to_text: question
    doc_to_target: letter
    generation_kwargs: {{max_new_tokens: 4, until: ["x"], top_p: 0.5}}
    """,
    "processed": f"""{_DATA}
    validation_split: test
    process_docs: !function lmms_helpers.no_first
    doc_to_visual: image
    doc_to_text: question
    doc_to_target: letter
    generation_kwargs: {{until: ["\n", "."], temperature: 0, do_sample: false, num_beams: 1}}
    """,
    "looked_at": f"""{_DATA}
    test_split: test
    doc_to_visual: image
    doc_to_text: question
    doc_to_target: letter
    process_results: !function lmms_helpers.look
    process_results_use_image: true
    metric_list:
      - {{metric: bright, aggregation: mean, higher_is_better: true}}
      - {{metric: size, aggregation: median, higher_is_better: true}}
    """,
    "thinking": f"""{_TEXT}
    reasoning_tags: [["<analysis>", "</analysis>"], ["(", ")"]]
    filter_list:
      - name: none
        filter: [{{function: take_first}}]
      - name: two
        filter: [{{function: take_first_k, k: 1}}]
      - name: upper
        filter: [{{function: uppercase}}, {{function: strip_thinking}}, {{function: take_first}}]
    """,
    "measured": f"""{_TEXT}
    process_results: !function lmms_helpers.measure
    cluster_key: letter
    metric_list:
      - {{metric: labels, aggregation: f1, higher_is_better: true}}
      - {{metric: kinds, aggregation: matthews_corrcoef, higher_is_better: true}}
      - {{metric: surprise, aggregation: perplexity, higher_is_better: false}}
      - {{metric: weights, aggregation: weighted_perplexity, higher_is_better: false}}
      - {{metric: rows, aggregation: !function lmms_helpers.share_of_rows, higher_is_better: true}}
      - {{metric: seen, aggregation: !function lmms_helpers.by_letter, higher_is_better: true}}
    """,
    "ignoring": f"""{_TEXT}
    metric_list:
      - metric: exact_match
        aggregation: mean
        higher_is_better: true
        ignore_case: true
        ignore_punctuation: true
        ignore_numbers: true
        regexes_to_ignore: [" root", "answer: "]
      - {{metric: anls, aggregation: mean, higher_is_better: true, thresh_hold: 0.2}}
    """,
    "picked": f"""{_DATA}
    output_type: multiple_choice
    test_split: test
    doc_to_visual: image
    doc_to_text: question
    doc_to_choice: options
    doc_to_target: "{{{{answer}}}}"
    target_delimiter: ": "
    metric_list:
      - {{metric: acc, aggregation: mean, higher_is_better: true}}
      - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
      - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
    """,
    "picked_text": f"""{_TEXT}
    output_type: multiple_choice
    doc_to_choice: ["A", "B B", "C C C"]
    metric_list:
      - {{metric: acc, aggregation: mean, higher_is_better: true}}
      - {{metric: mcc, aggregation: matthews_corrcoef, higher_is_better: true}}
    """,
    "repeated": f"""{_TEXT}
    repeats: 2
    process_results: !function lmms_helpers.both
    metric_list: [{{metric: count, aggregation: mean, higher_is_better: true}}]
    filter_list: [{{name: two, filter: [{{function: take_first_k, k: 2}}]}}]
    """,
}

CASES = [
    Case("shots", "text_shots", "simple"),
    Case("shots of the same split", "text_shots_same", "simple", num_fewshot=2),
    Case("first shots", "text_shots_first", "simple", num_fewshot=2),
    Case("no shots in a chat", "text_shots_same", "chat"),
    Case("visual", "visual", "simple"),
    Case("visual in a chat", "visual", "chat"),
    Case("visual for a known model", "visual", "chat", model="gpt4v"),
    Case("column", "column", "chat"),
    Case("messages", "messages", "chat"),
    Case("messages left aside", "messages", "simple"),
    Case("filters", "filters", "simple", scored=True),
    Case("aliases", "aliases", "simple", scored=True),
    Case("choices", "choices", "simple", scored=True),
    Case("judged", "judged", "chat", scored=True),
    Case("guessed", "guessed", "simple", scored=True),
    Case("several", "several", "simple", scored=True),
    Case("unequal", "unequal", "simple", scored=True),
    Case("system", "text_shots", "simple", system="Be brief."),
    Case("system without description", "column", "simple", system="Be brief."),
    Case("system in a chat", "column", "chat", system="Be brief."),
    Case("system in a chat of text", "aliases", "chat", system="Be brief."),
    Case("system beside messages", "messages", "chat", system="Be brief."),
    Case("repeated", "repeated", "simple", scored=True),
    Case("album", "album", "simple"),
    Case("album in a chat", "album", "chat"),
    Case("conversation", "conversation", "chat"),
    Case("processed", "processed", "chat", scored=True),
    Case("looked at", "looked_at", "chat", scored=True),
    Case("thinking", "thinking", "simple", scored=True),
    Case("measured", "measured", "simple", scored=True),
    Case("ignoring", "ignoring", "simple", scored=True),
    Case("ai2d", "ai2d", "chat", scored=True),
    Case("ai2d with images first", "ai2d", "simple"),
]

# Tasks that ask for likelihoods.
CHOICE_CASES = [
    Case("picked", "picked", "simple"),
    Case("picked text", "picked_text", "simple"),
]


def write_tasks(folder: Path) -> None:
    """Write tasks, helpers and data."""
    (folder / "lmms_helpers.py").write_text(HELPERS)
    for name, body in TASKS.items():
        (folder / f"{name}.yaml").write_text(f"    task: {name}\n{body}")
    write_rows(folder / "test.parquet", range(4))
    write_rows(folder / "train.parquet", [3, 2, 1, 0, 2])
