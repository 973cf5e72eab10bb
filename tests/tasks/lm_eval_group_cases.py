"""Groups of the other modules' tasks."""

from __future__ import annotations

from lm_eval_docs import ONCE
from lm_eval_peer import Case

GROUPS = {
    "all_choices": """
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
    """,
    "alike": """
    task: [choices_shots, choices_several]
    aggregate_metric_list: [{metric: acc, weight_by_size: false}, {metric: acc_norm}]
    metadata: {version: 2}
    """,
    "nested": """
    task:
      - alike
      - choices_twins
      - task: choices_named
        task_alias: By name
        num_fewshot: 0
    aggregate_metric_list: [{metric: acc}, {metric: acc_norm, weight_by_size: false}]
    """,
    "of_filters": """
    task: [filtered, filtered_long, defaults]
    aggregate_metric_list:
      - {metric: exact_match, filter_list: [stripped, whole]}
      - {metric: exact_match, filter_list: [none], weight_by_size: false}
    """,
    "of_all_filters": """
    task: [voted, tried]
    aggregate_metric_list: [{metric: exact_match, aggregation: mean}]
    """,
    "of_tables": """
    task: [tables]
    aggregate_metric_list: {metric: exact_match}
    """,
    "with_settings": """
    task: [shots_from_train, shots_from_test]
    num_fewshot: 1
    metric_list:
      - {metric: exact_match, ignore_case: true, aggregation: mean}
    aggregate_metric_list: [{metric: exact_match, weight_by_size: false}]
    """,
    "of_corpora": """
    task: [translated, judged, labelled]
    aggregate_metric_list:
      - {metric: bleu, filter_list: lower}
      - {metric: length}
      - {metric: score}
    """,
    "of_documents": """
    task: [document, document_bits]
    aggregate_metric_list: [{metric: bits_per_byte}, {metric: word_perplexity}]
    """,
    "not_aggregated": """
    task: [choices, target]
    """,
}

_THREE = [row * 3 for row in ONCE]
CASES = [Case(f"group {name}", name, _THREE) for name in GROUPS]
