"""Tasks that ask for likelihoods."""

from __future__ import annotations

from lm_eval_docs import DATA, SHOTS, TEST_SPLIT
from lm_eval_peer import Case

HELPERS = """
import numpy as np
from lm_eval.utils import weighted_f1_score


def gaps(doc):
    return [doc["gap"].replace("_", fruit)[: doc["gap"].index("_") + 9] for fruit in doc["options"]]


def array(doc):
    return np.array(doc["options"])


def first_of(doc):
    return np.array([doc["gold"] == 0, doc["gold"] == 1, doc["gold"] == 2]).argmax()


def letters(doc):
    return [f"({chr(97 + i)})" for i in range(2 + doc["number"] % 4)]


def pick(doc, results):
    pairs = [tuple(pair) for pair in results]
    best = max(range(len(pairs)), key=lambda i: pairs[i][0])
    return {"picked": best == doc["gold"], "sure": any(greedy for _, greedy in pairs)}


def mass(doc, results):
    chances = np.exp(np.array([pair[0] for pair in results]))
    return {"acc": chances[doc["gold"]] / chances.sum(), "f1": (doc["gold"], int(chances.argmax()))}


def bits(doc, results):
    return {"bits": (results[0], len(doc["question"])), "nats": results[0]}


def least(resps, docs):
    return [[(r[0] - doc["number"], r[1]) for r in rs] for rs, doc in zip(resps, docs)]


def total(items):
    return sum(sum(lls) for gold, lls in items)


def macro(items):
    from sklearn.metrics import f1_score

    golds, said = zip(*items)
    return f1_score(golds, said, average="macro")
"""

_CHOICE = f"""{TEST_SPLIT}
    output_type: multiple_choice
    doc_to_text: "{{{{question}}}}"
"""
_GOLD = f"{_CHOICE}    doc_to_choice: options\n    doc_to_target: gold\n"
_YES_NO = f"""{_CHOICE}
    doc_to_choice: ["no", "yes"]
    doc_to_target: flag
"""
_GAPS = f"""{TEST_SPLIT}
    output_type: multiple_choice
    doc_to_text: "{{{{gold}}}}"
    doc_to_choice: !function likelihoods.gaps
    doc_to_target: "fell, {{{{answer}}}}"
    fewshot_split: train
    metric_list:
      - {{metric: acc, aggregation: mean, higher_is_better: true}}
"""
_ROLLING = f'{DATA}    output_type: loglikelihood_rolling\n    doc_to_text: ""\n'
_DOCUMENT = f"{_ROLLING}    test_split: test\n"

TASKS = {
    "choices": _GOLD,
    "choices_shots": f"{_GOLD}    fewshot_split: train\n    num_fewshot: 3\n",
    "choices_first": f"""{_GOLD}
    fewshot_split: test
    num_fewshot: 4
    description: "Choose.\\n\\n"
    fewshot_config: {{sampler: first_n}}
    """,
    "choices_twins": _GOLD.replace("test_split: test", "test_split: twins"),
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
    "choices_bare": f"""{_GOLD}{SHOTS}
    target_delimiter: ":"
    metric_list: [{{metric: acc_mutual_info}}, {{metric: acc}}]
    """,
    "choices_macro": f"""{_GOLD}
    metric_list:
      - {{metric: f1, aggregation: !function likelihoods.macro, average: macro}}
      - {{metric: acc_norm, aggregation: nanmean}}
      - {{metric: brier_score, aggregation: brier_score, higher_is_better: false}}
    """,
    "choices_two": f"""{_YES_NO}
    target_delimiter: "\\n"
    metric_list: [{{metric: f1}}, {{metric: mcc}}, {{metric: acc, aggregation: median}}]
    """,
    "choices_one": f"{_CHOICE}    doc_to_choice: [fig]\n    doc_to_target: 0\n",
    "choices_wrong": f"""{_CHOICE}
    doc_to_choice: [fig, kiwi]
    doc_to_target: number
    metric_list: [{{metric: acc}}, {{metric: exact_match}}, {{metric: acc_bytes}}, {{metric: f1,
      aggregation: !function likelihoods.weighted_f1_score}}]
    """,
    "choices_named": f"""{_CHOICE}
    doc_to_choice: "{{{{[answer, answer ~ 's', 'fig']}}}}"
    doc_to_target: "{{{{answer if number % 3 else 'none'}}}}"
    target_delimiter: ""
    """,
    "choices_column": f"{_CHOICE}    doc_to_choice: options\n    doc_to_target: answer\n",
    "choices_mapped": f"""{_CHOICE}
    doc_to_choice: {{a: first, b: second}}
    doc_to_target: "{{{{number}}}}"
    fewshot_split: train
    num_fewshot: 1
    fewshot_config: {{doc_to_choice: [1st, 2nd, 3rd, 4, 5, 6, 7, 8, 9, 10], sampler: first_n}}
    """,
    "choices_of_own_number": f"""{_CHOICE}
    doc_to_choice: !function likelihoods.letters
    doc_to_target: "{{{{number % 2}}}}"
    """,
    "choices_of_numpy": f"""{_CHOICE}
    doc_to_choice: !function likelihoods.array
    doc_to_target: !function likelihoods.first_of
    metric_list: [{{metric: acc}}, {{metric: acc_norm}}, {{metric: exact_match}}]
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
    "choices_odd": f"""{DATA}{SHOTS}
    output_type: multiple_choice
    test_split: odd
    doc_to_text: "Q: {{{{question}}}}"
    doc_to_choice: ["oui é", "二"]
    doc_to_target: flag
    metric_list: [{{metric: acc}}, {{metric: acc_norm}}, {{metric: acc_bytes}}]
    """,
    "choices_prefixed": f"{_GOLD}    gen_prefix: start\n    fewshot_split: train\n",
    "choices_prefixed_tight": f"""{_GOLD}{SHOTS}
    gen_prefix: It is
    target_delimiter: "\\n"
    """,
    "choices_coded": f"""{_GOLD}
    process_results: !function likelihoods.pick
    metric_list: [{{metric: picked, aggregation: mean, higher_is_better: true}}]
    """,
    "choices_weighed": f"""{_GOLD}
    process_results: !function likelihoods.mass
    metric_list:
      - {{metric: acc, aggregation: mean, higher_is_better: true}}
      - {{metric: f1, aggregation: !function likelihoods.macro, higher_is_better: true}}
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
    "gaps_all": f"""{_GAPS.partition("    metric_list")[0]}
    metric_list: [{{metric: acc}}, {{metric: acc_norm}}, {{metric: acc_bytes}},
      {{metric: exact_match}}]
    """,
    "target": f"""{TEST_SPLIT}
    output_type: loglikelihood
    doc_to_text: question
    doc_to_target: " {{{{answer}}}}"
    fewshot_split: train
    num_fewshot: 1
    """,
    "target_only": f"""{TEST_SPLIT}
    output_type: loglikelihood
    doc_to_text: "{{{{question.split(' ')[:-1]|join(' ')}}}}"
    doc_to_target: "{{{{' ' + question.split(' ')[-1]}}}}"
    metric_list: [{{metric: acc, aggregation: mean}}, {{metric: perplexity, aggregation: median}}]
    """,
    "document": f"""{_DOCUMENT}
    doc_to_target: "{{{{question}}}}  {{{{topic}}}}é"
    """,
    "document_bits": f"""{_DOCUMENT}
    doc_to_target: "{{{{question}}}} {{{{answer}}}}"
    metric_list: [{{metric: bits_per_byte}}]
    """,
    "document_coded": f"""{_DOCUMENT}
    doc_to_target: question
    process_results: !function likelihoods.bits
    metric_list:
      - {{metric: bits, aggregation: bits_per_byte, higher_is_better: false}}
      - {{metric: nats, aggregation: perplexity, higher_is_better: false}}
    """,
    "document_odd": f"""{_ROLLING}
    test_split: odd
    doc_to_target: question
    metric_list:
      - {{metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}}
      - {{metric: byte_perplexity, aggregation: weighted_perplexity, higher_is_better: false}}
      - {{metric: bits_per_byte, aggregation: bits_per_byte, higher_is_better: false}}
    """,
}

CASES = [
    *(Case(name, name) for name in TASKS),
    Case("choices in a chat", "choices_shots", chat=True, system="Be brief."),
    Case("choices in one turn", "choices_shots", chat=True, multiturn=False),
    Case("choices after a prefix", "choices_prefixed", chat=True, num_fewshot=1),
    Case("choices tightly after one", "choices_prefixed_tight", chat=True),
    Case("bare choices in a chat", "choices_bare", chat=True),
    Case("some choices", "choices_first", samples=[0, 3, 8]),
    Case("drawn shots of some choices", "choices_shots", samples=[0, 3, 8]),
    Case("half of the choices", "choices_shots", limit=0.5, num_fewshot=1),
    Case("gaps in a chat", "gaps_shots", chat=True),
    Case("a target in a chat", "target", chat=True),
]
