"""Tasks that differ in where their docs, shots and prompts come from."""

from __future__ import annotations

from lm_eval_docs import DATA, ODD, ONCE, PLAIN, QUESTION, SHOTS, TEST_SPLIT
from lm_eval_peer import Case

HELPERS = """
import datasets
from PIL import Image


def text(doc):
    return f"Q{doc['number']}: {doc['question']}\\nA:"


def target(doc):
    return doc["answer"].lower()


def odd_first(dataset):
    def mark(doc):
        return {"question": doc["question"].upper()}

    return dataset.map(mark).filter(lambda doc: doc["number"] != 4)


def backwards(dataset):
    return dataset.select(range(len(dataset) - 1, -1, -1)).map(
        lambda doc: {"question": "Again: " + doc["question"]}
    )


def shots():
    return [{"question": f"Shot {i}?", "answer": f"yes {i}", "number": i} for i in range(4)]


def own_data(size=2, label="x", **kwargs):
    rows = [{"question": f"{label}{i}?", "answer": f"{label}{i % 2}"} for i in range(size)]
    return {"test": datasets.Dataset.from_list(rows), "train": datasets.Dataset.from_list(rows[:3])}


def pictures(doc):
    return [Image.new("RGB", (2, 2), (doc["number"], i, 0)) for i in range(1 + doc["number"] % 2)]
"""

TASKS = {
    "defaults": PLAIN,
    "shots_from_train": f"{PLAIN}    fewshot_split: train\n    num_fewshot: 3\n",
    "shots_from_test": f"{PLAIN}    fewshot_split: test\n    num_fewshot: 3\n",
    "shots_unnamed": f"{PLAIN}    num_fewshot: 2\n",
    "shots_validation": f"""{DATA}{QUESTION}
    validation_split: test
    training_split: train
    num_fewshot: 2
    """,
    "shots_only_validation": f"""{DATA}{QUESTION}
    validation_split: test
    fewshot_split: test
    num_fewshot: 2
    """,
    "shots_twins": f"""{DATA}{QUESTION}
    test_split: twins
    fewshot_split: twins
    num_fewshot: 3
    """,
    "shots_first": f"""{PLAIN}
    fewshot_split: test
    num_fewshot: 3
    fewshot_config: {{sampler: first_n}}
    """,
    "shots_first_twins": f"""{DATA}{QUESTION}
    test_split: twins
    fewshot_split: twins
    num_fewshot: 2
    fewshot_config: {{sampler: first_n}}
    """,
    "shots_named_default": f"""{PLAIN}
    training_split: train
    num_fewshot: 1
    fewshot_config: {{sampler: default}}
    """,
    "shots_given": f"""{PLAIN}
    num_fewshot: 2
    fewshot_config:
      sampler: first_n
      samples: !function prompts.shots
      doc_to_text: "Example: {{{{question}}}}"
      target_delimiter: " => "
      fewshot_delimiter: "\\n---\\n"
    """,
    "shots_written": f"""{PLAIN}
    num_fewshot: 3
    gen_prefix: "So"
    fewshot_config:
      sampler: first_n
      gen_prefix: "Then:"
      samples:
        - {{question: "One é?", answer: "1"}}
        - {{question: "Two?\\n", answer: " 2"}}
        - {{question: "", answer: "3"}}
    """,
    "shots_drawn_from_written": f"""{PLAIN}
    num_fewshot: 2
    fewshot_config:
      samples: [{{question: A, answer: a}}, {{question: B, answer: b}}, {{question: C, answer: c}}]
    """,
    "shots_processed": f"""{PLAIN}
    num_fewshot: 2
    process_docs: !function prompts.odd_first
    fewshot_config:
      split: train
      process_docs: !function prompts.backwards
      doc_to_text: !function prompts.text
      doc_to_target: !function prompts.target
    """,
    "shots_without_answer": f"""{PLAIN}
    fewshot_split: train
    num_fewshot: 2
    fewshot_config: {{doc_to_text: "{{{{question}}}} So {{{{answer}}}}.", doc_to_target: ""}}
    """,
    "shots_never": f"{PLAIN}    fewshot_split: train\n    num_fewshot: 0\n",
    "dressed": f"""{TEST_SPLIT}{SHOTS}
    doc_to_text: "{{{{question}}}} {{{{options[0]}}}}/{{{{options[1]}}}}"
    doc_to_target: "{{{{answer|lower}}}}"
    description: topic
    gen_prefix: start
    target_delimiter: "\\n"
    fewshot_delimiter: "\\n\\n\\n"
    """,
    "described": f"""{PLAIN}
    description: "Answer number {{{{number}}}}."
    gen_prefix: "So: {{{{number}}}}"
    fewshot_split: train
    """,
    "spaced": f"""{PLAIN}{SHOTS}
    description: "Answer. "
    target_delimiter: " "
    gen_prefix: "It is "
    """,
    "colons": f"""{PLAIN}{SHOTS}
    target_delimiter: ":"
    fewshot_delimiter: "\\n"
    """,
    "undelimited": f"""{TEST_SPLIT}{SHOTS}
    doc_to_text: question
    doc_to_target: "{{{{answer}}}}"
    target_delimiter: ""
    fewshot_delimiter: " "
    """,
    "literal": f"""{TEST_SPLIT}{SHOTS}
    doc_to_text: "Name a fruit:"
    doc_to_target: "the apple"
    """,
    "chosen": f"""{TEST_SPLIT}{SHOTS}
    doc_to_text: "{{{{question}}}} {{{{choices|join(', ')}}}}"
    doc_to_target: 0
    doc_to_choice: choices
    """,
    "chosen_digits": f"""{TEST_SPLIT}{SHOTS}
    doc_to_text: "{{{{question}}}}"
    doc_to_target: "{{{{gold}}}}"
    doc_to_choice: "{{{{options}}}}"
    """,
    "logic": f"""{TEST_SPLIT}{SHOTS}
    doc_to_text: >-
      {{% if number is defined and extra is not defined %}}{{{{number + 1}}}}. {{% endif %}}
      {{{{ question.strip().replace('fruit', 'thing').split(' ')[1:] | map('upper') | join(' ') }}}}
      {{% for o in options[:2] -%}} ({{{{ 'AB'[loop.index0] }}}}) {{{{ o.capitalize() }}}}
      {{%- endfor %}}{{% set n = choices|length %}} {{{{n}}}}{{{{ 'x' if flag else 'y' }}}}
      {{{{ question | regex_replace('[0-9]+', '#') }}}} {{{{ '%d' | replace('%', number|string) }}}}
      {{{{ range(3) | list }}}} {{{{ options.index(options[1]) }}}} {{{{ number|int is none }}}}
    doc_to_target: "{{{{answer}}}}"
    """,
    "odd": f"""{DATA}{QUESTION}
    test_split: odd
    num_fewshot: 3
    fewshot_config: {{sampler: first_n}}
    description: "Réponds à « {{{{question}}}} ».\\n"
    """,
    "odd_drawn": f"{DATA}{QUESTION}    test_split: odd\n    num_fewshot: 5\n",
    "coded": f"""{TEST_SPLIT}{SHOTS}
    process_docs: !function prompts.odd_first
    doc_to_text: !function prompts.text
    doc_to_target: !function prompts.target
    """,
    "own_data": f"""{QUESTION}
    custom_dataset: !function prompts.own_data
    dataset_kwargs: {{label: y}}
    metadata: {{version: 1.0, size: 6}}
    test_split: test
    training_split: train
    num_fewshot: 1
    """,
    "table": f"""{QUESTION}
    dataset_path: csv
    dataset_name: default
    dataset_kwargs: {{data_files: {{test: test.csv, validation: train.csv}}}}
    test_split: test
    validation_split: validation
    num_fewshot: 1
    task_alias: A table
    tag: [tables, tested]
    should_decontaminate: true
    doc_to_decontamination_query: question
    """,
    "pictures": f"""{TEST_SPLIT}
    doc_to_text: "{{{{question}}}}"
    doc_to_target: answer
    doc_to_image: !function prompts.pictures
    description: "Look.\\n"
    """,
    "unsafe": f"{PLAIN}    unsafe_code: true\n",
    "sampling": f"""{PLAIN}
    generation_kwargs: {{until: "\\n", do_sample: true, temperature: 1, top_p: 0.9, num_beams: 1}}
    """,
    "no_stops": f"""{PLAIN}
    generation_kwargs: {{until: [], do_sample: false, temperature: 0.7, max_new_tokens: 9}}
    """,
    "many_stops": f"""{PLAIN}
    fewshot_delimiter: "###"
    generation_kwargs: {{until: [a, b, "\\n\\n", "Q:", "</s>", "é"], max_gen_toks: 2048}}
    """,
    "no_stops_named": f"{PLAIN}    generation_kwargs: {{do_sample: false}}\n",
    "included": """
    include: [base_a.yaml, base_b]
    doc_to_target: answer
    """,
}

CASES = [
    *(Case(name, name, ONCE) for name in TASKS),
    Case("first five", "shots_from_test", ONCE, limit=5, num_fewshot=5),
    Case("first third", "shots_from_train", ONCE, limit=0.33),
    Case("some docs", "defaults", ONCE, samples=[1, 4, 7]),
    Case("drawn shots of some docs", "shots_from_test", ONCE, samples=[2, 5, 6]),
    Case("eight shots", "shots_from_train", ONCE, num_fewshot=8),
    Case("zero stays zero", "shots_never", ONCE, num_fewshot=4),
    Case("system", "dressed", ONCE, system="Be brief."),
    Case("system with its own space", "dressed", ONCE, system="Be brief.\n"),
    Case("system and shots", "described", ONCE, system="Be brief.", num_fewshot=1),
    Case("turns", "shots_from_train", ONCE, chat=True, system="Be brief."),
    Case("one turn", "shots_from_train", ONCE, chat=True, multiturn=False),
    Case("turns with prefix", "dressed", ONCE, chat=True, num_fewshot=1),
    Case("one turn with prefix", "described", ONCE, chat=True, multiturn=False, num_fewshot=2),
    Case("one turn with spaces", "spaced", ONCE, chat=True, multiturn=False, system="S"),
    Case("turns with spaces", "spaced", ONCE, chat=True),
    Case("turns of written shots", "shots_written", ONCE, chat=True),
    Case("one turn of written shots", "shots_written", ONCE, chat=True, multiturn=False),
    Case("one turn of given shots", "shots_given", ONCE, chat=True, multiturn=False),
    Case("odd turns", "odd", [[row["answer"]] for row in ODD], chat=True),
    Case("odd turn", "odd", [[row["answer"]] for row in ODD], chat=True, multiturn=False),
    Case("arguments", "sampling", ONCE, gen_kwargs={"temperature": 0.25, "until": ["x", "y"]}),
    Case("gsm8k", "gsm8k", ONCE, num_fewshot=3),
]
