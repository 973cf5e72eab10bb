"""Tasks that differ in what becomes of the responses: filters, metrics, aggregations."""

from __future__ import annotations

from lm_eval_docs import ONCE, PLAIN, SAID, TAGGED, TEST_SPLIT
from lm_eval_peer import Case

HELPERS = """
import math

import numpy as np
from lm_eval.api.filter import Filter
from lm_eval.api.metrics import mean, metric_max_over_ground_truths
from lm_eval.api.registry import register_filter
from lm_eval.filters.extraction import RegexFilter
from lm_eval.utils import general_detokenize, weighted_f1_score


def judge(doc, results):
    said = results[0].strip().lower()
    return {
        "right": said == doc["answer"].lower(),
        "length": float(len(said)),
        "spread": -float(doc["number"]),
        "pair": (float(len(said)), 2.0),
        "extra": doc["number"] % 2,
    }


def labels(doc, results):
    said = int(len(results[0]) > 5)
    chances = [0.25, 0.75] if said else [0.9, 0.1]
    part = {"idx": {"question": doc["number"] // 2}, "label": doc["flag"]}
    return {
        "f1": (doc["flag"], said),
        "mcc": (doc["flag"], said),
        "acc": np.float64(said == doc["flag"]),
        "acc_all": (said, part),
        "score": None if doc["number"] == 3 else said / 2,
        "chances": (doc["flag"], chances),
        "rate": float("nan") if doc["number"] % 4 == 1 else float(doc["number"]),
        "bits": (-float(len(results[0])), 3),
        "text": [doc["answer"], results[0]],
    }


def passed(doc, results):
    tries = results[0]
    return {"pass_at_1": np.mean([t == doc["answer"] for t in tries]), "tries": len(tries)}


def known(items):
    return mean([item for item in items if item is not None])


def share_of_questions(items):
    parts = {}
    for said, part in items:
        parts.setdefault(part["idx"]["question"], []).append(said == part["label"])
    return mean([all(rights) for rights in parts.values()])


def same_letters(items):
    return sum(len(set(a) & set(b)) for a, b in items) / len(items)


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


def best(references, predictions):
    words = general_detokenize(predictions[0]).split() or [""]
    return metric_max_over_ground_truths(
        lambda said, gold: float(said.lower() == gold), words[-1], [r.lower() for r in references]
    )


def size(references, predictions):
    return float(len(predictions[0]))


class Shout:
    def __init__(self, mark="!"):
        self.mark = mark

    def apply(self, resps, docs):
        ends = [self.mark + str(doc["number"]) for doc in docs]
        return [[r.upper() + end for r in rs] for rs, end in zip(resps, ends)]


class Vowels(RegexFilter):
    def __init__(self, regex_pattern=r"[aeiou]", fallback="-"):
        super().__init__(regex_pattern=regex_pattern, group_select=-1, fallback=fallback)

    def apply(self, resps, docs):
        return [[r.lower() for r in rs] for rs in super().apply(resps, docs)]


@register_filter("first_letter")
class FirstLetter(Filter):
    def apply(self, resps, docs):
        return [[r.strip()[:1] for r in rs] for rs in resps]


def last_word(resps, docs):
    return [[(r.split() or [""])[-1] for r in rs] for rs in resps]


def whole(resps, docs):
    return [r[0] + str(doc["number"]) for r, doc in zip(resps, docs)]
"""

_JUDGED = f"{PLAIN}    process_results: !function scoring.judge\n"
_SIZE = "    metric_list: [{metric: !function scoring.size, aggregation: mean}]\n"

TASKS = {
    "aliased": f"""{TEST_SPLIT}
    doc_to_text: question
    doc_to_target: "{{{{aliases}}}}"
    metric_list:
      - metric: !function scoring.overlap
        aggregation: mean
        higher_is_better: true
      - metric: exact_match
        ignore_case: true
        ignore_punctuation: true
        aggregation: mean
        higher_is_better: true
    """,
    "aliased_column": f"{TEST_SPLIT}    doc_to_text: question\n    doc_to_target: aliases\n",
    "aliased_list": f"""{TEST_SPLIT}
    doc_to_text: question
    doc_to_target: [apple, "LIME", "12"]
    metric_list: [{{metric: exact_match, ignore_case: true}}]
    """,
    "counted": f"""{TEST_SPLIT}
    doc_to_text: question
    doc_to_target: number
    metric_list: [{{metric: exact_match, regexes_to_ignore: ["[^0-9]"]}}]
    """,
    "filtered": f"""{PLAIN}
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
          - {{function: !function scoring.Shout, mark: "?"}}
          - {{function: custom, filter_fn: !function scoring.last_word}}
          - {{function: take_first}}
    """,
    "filtered_by_subclass": f"""{PLAIN}
    filter_list:
      - name: vowels
        filter: [{{function: !function scoring.Vowels, fallback: "?"}}, {{function: take_first}}]
      - name: registered
        filter: [{{function: first_letter}}, {{function: take_first}}]
    metric_list: [{{metric: exact_match}}, {{metric: !function scoring.best, aggregation: mean}}]
    """,
    "filtered_long": f"""{PLAIN}
    filter_list:
      - name: twice
        filter:
          - {{function: regex, regex_pattern: "(.*)"}}
          - {{function: remove_whitespace}}
          - {{function: regex, regex_pattern: "[A-Za-z]+", group_select: -1}}
          - {{function: take_first}}
      - name: letters
        filter:
          - {{function: regex, regex_pattern: "[A-Za-z]"}}
          - {{function: take_first}}
          - {{function: map, mapping_dict: {{a: apple, p: Pear, f: fig}}, default_value: "?"}}
          - {{function: take_first}}
      - name: second
        filter: [{{function: regex, regex_pattern: "(z)|(p+)"}}, {{function: take_first}}]
      - name: blank
        filter: [{{function: regex, regex_pattern: "^( )|(I s)"}}, {{function: take_first}}]
      - name: padded
        filter:
          - {{function: regex, regex_pattern: "(z)|(q)|(?<=p)", fallback: " pad "}}
          - {{function: take_first}}
      - name: whole
        filter: [{{function: custom, filter_fn: !function scoring.whole}}]
      - name: choice
        filter:
          - {{function: multi_choice_regex, regexes_to_ignore: ["[.]", " is"]}}
          - {{function: take_first}}
    """,
    "voted": f"""{PLAIN}
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
      - name: words
        filter: [{{function: regex, regex_pattern: "[a-zA-Z]+"}}, {{function: majority_vote}},
          {{function: take_first}}]
      - name: few
        filter:
          - {{function: take_first_k, k: 2}}
          - {{function: regex, regex_pattern: "[a-z]+"}}
          - {{function: majority_vote}}
          - {{function: take_first}}
      - name: found
        filter:
          - {{function: lowercase}}
          - {{function: regex, regex_pattern: "[a-z]+", group_select: -1}}
          - {{function: take_first_k, k: 1}}
    """,
    "tried": f"""{PLAIN}
    repeats: 3
    process_results: !function scoring.passed
    metric_list:
      - {{metric: pass_at_1, aggregation: mean, higher_is_better: true}}
      - {{metric: tries, aggregation: mean}}
    filter_list: [{{name: all, filter: [{{function: take_first_k, k: 3}}]}}]
    """,
    "judged": f"""{_JUDGED}
    metric_list:
      - {{metric: right, aggregation: mean, higher_is_better: true}}
      - {{metric: length, aggregation: median, higher_is_better: false}}
      - {{metric: spread, aggregation: perplexity, higher_is_better: false}}
      - {{metric: pair, aggregation: weighted_perplexity, higher_is_better: false}}
    """,
    "labelled": f"""{PLAIN}
    process_results: !function scoring.labels
    metric_list:
      - {{metric: f1}}
      - {{metric: mcc}}
      - {{metric: acc}}
      - {{metric: acc_all, aggregation: !function scoring.share_of_questions}}
      - {{metric: score, aggregation: !function scoring.known}}
      - {{metric: chances, aggregation: brier_score, higher_is_better: false}}
      - {{metric: rate, aggregation: nanmean}}
      - {{metric: bits, aggregation: bits_per_byte, higher_is_better: false}}
      - {{metric: text, aggregation: chrf++}}
    """,
    "own_metrics": f"""{PLAIN}
    metric_list:
      - metric: !function scoring.overlap
        weight: 2.0
        aggregation: nanmean
        higher_is_better: true
      - metric: !function scoring.pairwise
        aggregation: mean
        higher_is_better: true
      - metric: !function scoring.two_scores
        aggregation: !function scoring.mean_square
        higher_is_better: true
    """,
    "passed_on": f"""{PLAIN}
    metric_list:
      - {{metric: acc, aggregation: !function scoring.same_letters, higher_is_better: true}}
      - {{metric: f1, aggregation: !function scoring.weighted_f1_score, average: micro}}
      - {{metric: acc_norm, aggregation: !function scoring.same_letters}}
    """,
    "bypassed": f"{PLAIN}    metric_list: [{{metric: bypass}}]\n",
    "squared": f"""{PLAIN}
    metric_list:
      - {{metric: exact_match, aggregation: !function scoring.mean_square, ignore_case: true}}
    """,
    "middle": f"{PLAIN}    metric_list: [{{metric: exact_match, aggregation: median}}]\n",
    "tagged": f"""{PLAIN}{_SIZE}
    filter_list:
      - name: tags
        filter: [{{function: regex_pos}}]
      - name: spans
        filter: [{{function: format_span}}]
      - name: first_tag
        filter: [{{function: regex_pos}}, {{function: take_first}}]
      - name: first_span
        filter: [{{function: format_span}}, {{function: take_first}}]
    """,
    "translated": f"""{PLAIN}
    metric_list: [{{metric: bleu}}, {{metric: chrf}}, {{metric: chrf++}}, {{metric: ter}}]
    filter_list:
      - name: lower
        filter: [{{function: lowercase}}, {{function: take_first}}]
    """,
}

_VOTES = [[a[0], SAID[(i + 1) % 10], a[0]] for i, a in enumerate(ONCE)]
_ANSWERS = {"tagged": [[text] for text in TAGGED], "voted": _VOTES, "tried": _VOTES}

CASES = [
    *(Case(name, name, _ANSWERS.get(name, ONCE)) for name in TASKS),
    Case("votes by other arguments", "voted", _VOTES, gen_kwargs={"temperature": 0.2, "top_p": 1}),
    Case("more replicates", "judged", ONCE, bootstrap_iters=2500),
    Case("no standard errors", "judged", ONCE, bootstrap_iters=0),
    Case("one doc has no standard error", "judged", ONCE, limit=1),
    Case("filters in a chat", "filtered", ONCE, chat=True),
]
