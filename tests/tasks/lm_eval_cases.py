"""Tasks that lm-eval and ours evaluate alike: one YAML each, all on the same few docs."""

from __future__ import annotations

from typing import Any

import lm_eval_likelihood_cases
from lm_eval_peer import Case
from task_builders import TaskFolder

FRUITS = ["apple", "Pear", "fig", "kiwi", "plum", "Lime", "date", "melon", "quince", "grape"]

TEST: list[dict[str, Any]] = [
    {
        "question": f"Which fruit has number {i}?",
        "answer": fruit,
        "number": i,
        "options": [fruit, FRUITS[(i + 3) % 10], FRUITS[(i + 7) % 10]],
        "choices": [fruit, FRUITS[(i + 3) % 10], FRUITS[(i + 7) % 10]],
        "aliases": [fruit, fruit.upper()] if i % 2 else [fruit],
        "topic": f"Topic {i % 3}.\n\n",
        "start": "The answer is" if i % 2 else "It is ",
        **lm_eval_likelihood_cases.EXTRA[i],
    }
    for i, fruit in enumerate(FRUITS)
]
TRAIN: list[dict[str, Any]] = [
    {**row, "question": row["question"].replace("fruit", "berry"), "answer": f"{row['answer']}s"}
    for row in TEST
]
# Several docs are there more than once, so that a draw can hold two copies of the doc itself.
TWINS: list[dict[str, Any]] = [TEST[i % 3] for i in range(8)]

# One answer per doc: right, wrong, padded, in a sentence, unparsable.
SAID = [
    "apple",
    "pear",
    " fig. ",
    "The answer is (A).",
    "no idea",
    "LIME",
    "I say: B",
    "melon and 12 more, #### 1,234.",
    "",
    "grape\n",
]
ONCE = [[text] for text in SAID]

# Parts of speech and named entities, in and out of shape.
TAGGED = [
    "[('a', 'DET'), ('dog', 'NOUN')]",
    "('a', 'DET') and ('b','NOUN')",
    "no tags",
    "PERSON: Ann, Bob $$ location: none",
    "per : Ann\nDate:today$$",
    "people: $ company:ACME, Umbrella $$ time: 3 pm",
    "superperson: x",
    "country: chad\ncontinent: africa $$$",
    "",
    "org: none, None $ loc: a: b",
]

HELPERS = """
import math
import re


def text(doc):
    return f"Q{doc['number']}: {doc['question']}\\nA:"


def target(doc):
    return doc["answer"].lower()


def odd_first(dataset):
    def mark(doc):
        return {"question": doc["question"].upper()}

    return dataset.map(mark).filter(lambda doc: doc["number"] != 4)


def shots():
    return [{"question": f"Shot {i}?", "answer": f"yes {i}"} for i in range(4)]


def judge(doc, results):
    said = results[0].strip().lower()
    return {
        "right": said == doc["answer"].lower(),
        "length": float(len(said)),
        "spread": -float(doc["number"]),
        "pair": (float(len(said)), 2.0),
        "extra": doc["number"] % 2,
    }


def mean_square(items):
    return sum(x * x for x in items) / len(items)


def overlap(references, predictions, weight=1.0):
    shared = set(references[0].lower()) & set(predictions[0].lower())
    return weight * len(shared) / max(1, len(set(references[0])))


def two_scores(references, predictions):
    return {"starts": float(predictions[0][:1] == references[0][:1]), "size": len(predictions[0])}


def pairwise(items):
    reference, prediction = items
    return float(reference == prediction)


def size(references, predictions):
    return float(len(predictions[0]))


class Shout:
    def __init__(self, mark="!"):
        self.mark = mark

    def apply(self, resps, docs):
        ends = [self.mark + str(doc["number"]) for doc in docs]
        return [[r.upper() + end for r in rs] for rs, end in zip(resps, ends)]


def last_word(resps, docs):
    return [[(r.split() or [""])[-1] for r in rs] for rs in resps]
"""

_DATA = """
    dataset_path: json
    dataset_kwargs:
      data_files: {train: train.jsonl, test: test.jsonl, twins: twins.jsonl}
"""
_TEST = f"{_DATA}    test_split: test\n"
_QUESTION = """
    doc_to_text: "{{question}}"
    doc_to_target: answer
"""
_PLAIN = f"{_TEST}{_QUESTION}"

TASKS = {
    "defaults": _PLAIN,
    "shots_from_train": f"{_PLAIN}    fewshot_split: train\n    num_fewshot: 3\n",
    "shots_from_test": f"{_PLAIN}    fewshot_split: test\n    num_fewshot: 3\n",
    "shots_unnamed": f"{_PLAIN}    num_fewshot: 2\n",
    "shots_validation": f"""{_DATA}{_QUESTION}
    validation_split: test
    training_split: train
    num_fewshot: 2
    """,
    "shots_twins": f"""{_DATA}{_QUESTION}
    test_split: twins
    fewshot_split: twins
    num_fewshot: 3
    """,
    "shots_first": f"""{_PLAIN}
    fewshot_split: test
    num_fewshot: 3
    fewshot_config: {{sampler: first_n}}
    """,
    "shots_given": f"""{_PLAIN}
    num_fewshot: 2
    fewshot_config:
      sampler: first_n
      samples: !function helpers.shots
      doc_to_text: "Example: {{{{question}}}}"
      target_delimiter: " => "
      fewshot_delimiter: "\\n---\\n"
    """,
    "shots_never": f"{_PLAIN}    fewshot_split: train\n    num_fewshot: 0\n",
    "dressed": f"""{_TEST}
    doc_to_text: "{{{{question}}}} {{{{options[0]}}}}/{{{{options[1]}}}}"
    doc_to_target: "{{{{answer|lower}}}}"
    fewshot_split: train
    num_fewshot: 2
    description: topic
    gen_prefix: start
    target_delimiter: "\\n"
    fewshot_delimiter: "\\n\\n\\n"
    """,
    "described": f"""{_PLAIN}
    description: "Answer number {{{{number}}}}."
    gen_prefix: "So: {{{{number}}}}"
    fewshot_split: train
    """,
    "chosen": f"""{_TEST}
    doc_to_text: "{{{{question}}}} {{{{choices|join(', ')}}}}"
    doc_to_target: 0
    doc_to_choice: choices
    fewshot_split: train
    num_fewshot: 2
    """,
    "aliased": f"""{_TEST}
    doc_to_text: question
    doc_to_target: "{{{{aliases}}}}"
    metric_list:
      - metric: !function helpers.overlap
        aggregation: mean
        higher_is_better: true
      - metric: exact_match
        ignore_case: true
        ignore_punctuation: true
        aggregation: mean
        higher_is_better: true
    """,
    "filtered": f"""{_PLAIN}
    metric_list:
      - metric: exact_match
        ignore_case: true
        ignore_punctuation: true
        ignore_numbers: true
        regexes_to_ignore: [" and.*", "(?i)the answer is"]
    filter_list:
      - name: stripped
        filter: [{{function: remove_whitespace}}, {{function: take_first}}]
      - name: number
        filter:
          - {{function: regex}}
          - {{function: take_first}}
      - name: letter
        filter:
          - function: multi_choice_regex
            regex_pattern: '\\(([A-C])\\)'
            group_select: -1
            ignore_case: true
            ignore_punctuation: true
          - {{function: map, mapping_dict: {{"(A)": apple, "B": kiwi}}, default_value: none}}
          - {{function: take_first}}
      - name: groups
        filter:
          - {{function: lowercase}}
          - {{function: regex, regex_pattern: "(ap)|(ple)|()x*", group_select: 0, fallback: "-"}}
          - {{function: uppercase}}
          - {{function: take_first}}
      - name: own
        filter:
          - {{function: !function helpers.Shout, mark: "?"}}
          - {{function: custom, filter_fn: !function helpers.last_word}}
          - {{function: take_first}}
    """,
    "voted": f"""{_PLAIN}
    repeats: 3
    generation_kwargs: {{temperature: 0.5, do_sample: true}}
    metric_list:
      - {{metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true}}
    filter_list:
      - name: vote
        filter: [{{function: majority_vote}}, {{function: take_first}}]
      - name: first
        filter: [{{function: take_first}}]
      - name: both
        filter: [{{function: take_first_k, k: 2}}]
    """,
    "coded": f"""{_TEST}
    process_docs: !function helpers.odd_first
    doc_to_text: !function helpers.text
    doc_to_target: !function helpers.target
    fewshot_split: train
    num_fewshot: 2
    process_results: !function helpers.judge
    metric_list:
      - {{metric: right, aggregation: mean, higher_is_better: true}}
      - {{metric: length, aggregation: median, higher_is_better: false}}
      - {{metric: spread, aggregation: perplexity, higher_is_better: false}}
      - {{metric: pair, aggregation: weighted_perplexity, higher_is_better: false}}
    """,
    "own_metrics": f"""{_PLAIN}
    metric_list:
      - metric: !function helpers.overlap
        weight: 2.0
        aggregation: nanmean
        higher_is_better: true
      - metric: !function helpers.pairwise
        aggregation: mean
        higher_is_better: true
      - metric: !function helpers.two_scores
        aggregation: !function helpers.mean_square
        higher_is_better: true
    """,
    "tagged": f"""{_PLAIN}
    filter_list:
      - name: tags
        filter: [{{function: regex_pos}}, {{function: take_first}}]
      - name: spans
        filter: [{{function: format_span}}, {{function: take_first}}]
    metric_list: [{{metric: !function helpers.size, aggregation: mean, higher_is_better: true}}]
    """,
    "translated": f"""{_PLAIN}
    metric_list: [{{metric: bleu}}, {{metric: chrf}}, {{metric: chrf++}}, {{metric: ter}}]
    filter_list:
      - name: lower
        filter: [{{function: lowercase}}, {{function: take_first}}]
    """,
    "included": """
    include: [base_a.yaml, base_b]
    doc_to_target: answer
    """,
}


def write_cases(folder: TaskFolder) -> list[Case]:
    """Write the tasks and their data; return what is evaluated of them."""
    folder.rows("test.jsonl", TEST)
    folder.rows("train.jsonl", TRAIN)
    folder.rows("twins.jsonl", TWINS)
    folder.write("helpers.py", HELPERS)
    folder.write("base_a.yaml", f'{_TEST}    doc_to_text: "A {{{{question}}}}"\n    repeats: 1\n')
    folder.write("base_b", 'doc_to_text: "B {{question}}"\ngeneration_kwargs: {until: ["B"]}\n')
    folder.write("likelihoods.py", lm_eval_likelihood_cases.HELPERS)
    folder.write("all_choices.yaml", lm_eval_likelihood_cases.GROUP)
    for name, body in (TASKS | lm_eval_likelihood_cases.TASKS).items():
        folder.write(f"{name}.yaml", f"    task: {name}\n{body}")
    said = {"tagged": [[text] for text in TAGGED]}
    cases = [Case(name, name, said.get(name, ONCE)) for name in TASKS if name != "voted"]
    votes = [[a[0], SAID[(i + 1) % 10], a[0]] for i, a in enumerate(ONCE)]
    return [
        *cases,
        Case("voted", "voted", votes, gen_kwargs={"temperature": 0.25, "top_p": 0.9}),
        Case("first five", "shots_from_test", ONCE, limit=5, num_fewshot=5),
        Case("zero stays zero", "shots_never", ONCE, num_fewshot=4),
        Case("system", "dressed", ONCE, system="Be brief."),
        Case("system and shots", "described", ONCE, system="Be brief.", num_fewshot=1),
        Case("turns", "shots_from_train", ONCE, chat=True, system="Be brief."),
        Case("one turn", "shots_from_train", ONCE, chat=True, multiturn=False),
        Case("turns with prefix", "dressed", ONCE, chat=True, num_fewshot=1),
        Case("one turn with prefix", "described", ONCE, chat=True, multiturn=False, num_fewshot=2),
        Case("more replicates", "coded", ONCE, bootstrap_iters=2500),
        Case("no standard errors", "coded", ONCE, bootstrap_iters=0),
        Case("gsm8k", "gsm8k", ONCE, num_fewshot=3),
        *lm_eval_likelihood_cases.CASES,
        lm_eval_likelihood_cases.GROUP_CASE,
    ]
