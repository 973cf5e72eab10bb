"""Tasks that ask for likelihoods, on the docs of ``lm_eval_cases``."""

from __future__ import annotations

from typing import Any

from lm_eval_peer import Case

# Columns that only these tasks use.
EXTRA: list[dict[str, Any]] = [
    {
        "gold": i % 3,
        "golds": [i % 3, (i + 1) % 3],
        "flag": i % 2,
        "gap": f"The _ number {i} fell.",
        "words": ["é", "", "zwölf", "二つの"][:: 1 if i % 2 else -1]
        if i
        else ["a", "bb", "c", "d"],
    }
    for i in range(10)
]

HELPERS = """
from lm_eval.utils import weighted_f1_score


def gaps(doc):
    return [doc["gap"].replace("_", fruit)[: doc["gap"].index("_") + 9] for fruit in doc["options"]]


def pick(doc, results):
    pairs = [tuple(pair) for pair in results]
    best = max(range(len(pairs)), key=lambda i: pairs[i][0])
    return {"picked": best == doc["gold"], "sure": any(greedy for _, greedy in pairs)}


def bits(doc, results):
    return {"bits": (results[0], len(doc["question"]))}


def least(resps, docs):
    return [[(r[0] - doc["number"], r[1]) for r in rs] for rs, doc in zip(resps, docs)]


def total(items):
    return sum(sum(lls) for gold, lls in items)
"""

_DATA = """
    dataset_path: json
    dataset_kwargs:
      data_files: {train: train.jsonl, test: test.jsonl}
    test_split: test
"""
_CHOICE = f"""{_DATA}
    output_type: multiple_choice
    doc_to_text: "{{{{question}}}}"
"""
_GOLD = f"{_CHOICE}    doc_to_choice: options\n    doc_to_target: gold\n"
_YES_NO = f"""{_CHOICE}
    doc_to_choice: ["no", "yes"]
    doc_to_target: flag
"""
_GAPS = f"""{_DATA}
    output_type: multiple_choice
    doc_to_text: "{{{{gold}}}}"
    doc_to_choice: !function likelihoods.gaps
    doc_to_target: "fell, {{{{answer}}}}"
    fewshot_split: train
    metric_list:
      - {{metric: acc, aggregation: mean, higher_is_better: true}}
"""

TASKS = {
    "choices": _GOLD,
    "choices_shots": f"{_GOLD}    fewshot_split: train\n    num_fewshot: 3\n",
    "choices_all": f"""{_GOLD}
    metric_list:
      - {{metric: acc}}
      - {{metric: acc_norm}}
      - {{metric: acc_bytes}}
      - {{metric: exact_match}}
      - {{metric: brier_score}}
      - {{metric: acc_mutual_info}}
      - {{metric: mcc}}
      - {{metric: f1, hf_evaluate: true, aggregation: !function likelihoods.weighted_f1_score}}
      - {{metric: likelihood, aggregation: !function likelihoods.total}}
    """,
    "choices_two": f"""{_YES_NO}
    target_delimiter: "\\n"
    metric_list: [{{metric: f1}}, {{metric: mcc}}, {{metric: acc, aggregation: median}}]
    """,
    "choices_named": f"""{_CHOICE}
    doc_to_choice: "{{{{[answer, answer ~ 's', 'fig']}}}}"
    doc_to_target: "{{{{answer if number % 3 else 'none'}}}}"
    target_delimiter: ""
    """,
    "choices_mapped": f"""{_CHOICE}
    doc_to_choice: {{a: first, b: second}}
    doc_to_target: "{{{{number}}}}"
    fewshot_split: train
    num_fewshot: 1
    fewshot_config: {{doc_to_choice: [1st, 2nd, 3rd, 4, 5, 6, 7, 8, 9, 10], sampler: first_n}}
    """,
    "choices_several": f"""{_CHOICE}
    doc_to_choice: options
    doc_to_target: golds
    metric_list:
      - {{metric: acc}}
      - {{metric: acc_norm}}
      - {{metric: acc_bytes}}
      - {{metric: exact_match}}
    """,
    "choices_uneven": f"""{_CHOICE}
    doc_to_choice: words
    doc_to_target: 1
    metric_list: [{{metric: acc}}, {{metric: acc_norm}}, {{metric: acc_bytes}}]
    """,
    "choices_prefixed": f"{_GOLD}    gen_prefix: start\n    fewshot_split: train\n",
    "choices_coded": f"""{_GOLD}
    process_results: !function likelihoods.pick
    metric_list: [{{metric: picked, aggregation: mean, higher_is_better: true}}]
    """,
    "choices_filtered": f"""{_GOLD}
    repeats: 2
    filter_list:
      - name: least
        filter:
          - {{function: custom, filter_fn: !function likelihoods.least}}
          - {{function: take_first}}
      - name: first
        filter: [{{function: take_first}}]
    """,
    "gaps": _GAPS,
    "gaps_shots": f"{_GAPS}    num_fewshot: 2\n    gen_prefix: so\n    description: topic\n",
    "target": f"""{_DATA}
    output_type: loglikelihood
    doc_to_text: question
    doc_to_target: " {{{{answer}}}}"
    fewshot_split: train
    num_fewshot: 1
    """,
    "document": f"""{_DATA}
    output_type: loglikelihood_rolling
    doc_to_text: ""
    doc_to_target: "{{{{question}}}}  {{{{topic}}}}é"
    """,
    "document_coded": f"""{_DATA}
    output_type: loglikelihood_rolling
    doc_to_text: ""
    doc_to_target: question
    process_results: !function likelihoods.bits
    metric_list: [{{metric: bits, aggregation: bits_per_byte, higher_is_better: false}}]
    """,
}

# Tasks with different numbers of docs and different metrics.
TASKS["choices_twins"] = (
    TASKS["choices"]
    .replace("test_split: test", "test_split: twins")
    .replace("test: test.jsonl", "test: test.jsonl, twins: twins.jsonl")
)
GROUP = """
    group: all_choices
    group_alias: All choices
    task:
      - choices
      - choices_twins
      - group: inner
        task: [choices_two, choices_all]
        aggregate_metric_list: {metric: mcc, aggregation: mean, weight_by_size: false}
    aggregate_metric_list:
      - {metric: acc_norm, weight_by_size: true}
      - {metric: acc, weight_by_size: truez, filter_list: none}
      - {metric: mcc, filter_list: [none, other]}
      - {metric: brier_score}
"""
GROUP_CASE = Case("group", "all_choices")

CASES = [
    *(Case(name, name) for name in TASKS),
    Case("choices in a chat", "choices_shots", chat=True, system="Be brief."),
    Case("choices in one turn", "choices_shots", chat=True, multiturn=False),
    Case("choices after a prefix", "choices_prefixed", chat=True, num_fewshot=1),
    Case("gaps in a chat", "gaps_shots", chat=True),
    Case("a target in a chat", "target", chat=True),
]
