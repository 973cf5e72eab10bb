"""The few docs that all tasks of the comparison with lm-eval share, and what is said to them."""

from __future__ import annotations

from typing import Any

FRUITS = ["apple", "Pear", "fig", "kiwi", "plum", "Lime", "date", "melon", "quince", "grape"]

# Columns for tasks that ask for likelihoods.
_EXTRA: list[dict[str, Any]] = [
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
        **_EXTRA[i],
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

# Texts that are hard to carry: scripts, marks, quotes, braces, white space, nothing at all.
ODD: list[dict[str, Any]] = [
    {"question": question, "answer": answer, "number": i, "flag": i % 2}
    for i, (question, answer) in enumerate(
        [
            ("Ça va, où ?", "naïve"),
            ("二つの果物は？", "りんご"),
            ("שלום \u200f(right to left)", "كلمة"),
            ("e\u0301 or \u00e9", "\U0001f34e\U0001f3fd"),
            ("{{question}} {% if %} {# no #}", "{{answer}}"),
            ("\"quoted\" and 'so'\n\nand on", "a\nb"),
            ("  padded\t", " padded "),
            ("", ""),
            ("42", "7"),
            ("[1, 2]", "[invalid]"),
        ]
    )
]

DATA = """
    dataset_path: json
    dataset_kwargs:
      data_files: {train: train.jsonl, test: test.jsonl, twins: twins.jsonl, odd: odd.jsonl}
"""
TEST_SPLIT = f"{DATA}    test_split: test\n"
QUESTION = """
    doc_to_text: "{{question}}"
    doc_to_target: answer
"""
PLAIN = f"{TEST_SPLIT}{QUESTION}"
SHOTS = "    fewshot_split: train\n    num_fewshot: 2\n"
