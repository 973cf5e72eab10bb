"""Questions and answers as plain text or as chat messages, joined as lm-eval joins them.

Source: ``build_qa_turn`` and ``multiturn_to_singleturn`` of lm-eval 0.4.13, by behaviour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pytest_lmmeval.records import Message, TextPart


@dataclass(frozen=True, slots=True)
class Turn:
    """A piece of a prompt.

    Attributes:
        role: Who says it in a chat.
        text: What is said.
        after: What follows it in plain text, and only there.
    """

    role: Literal["system", "user", "assistant"]
    text: str
    after: str = ""


def joined(first: str | None, second: str | None, delimiter: str) -> str:
    """Join two texts, with the delimiter only if neither has white space at the joint."""
    if not first or not second:
        return first or second or ""
    return first + (delimiter if needs_delimiter(first, second) else "") + second


def needs_delimiter(first: str, second: str) -> bool:
    """Whether there is no white space where two texts meet."""
    return first != "" and not (first[-1].isspace() or second[:1].isspace())


def question_turns(
    question: str,
    answer: str | None = None,
    *,
    prefix: str | None = None,
    target_delimiter: str = " ",
    fewshot_delimiter: str = "",
) -> list[Turn]:
    """Return a question, and its answer or the beginning of one.

    Args:
        question: What the user says.
        answer: The answer of a shot; None for the doc that is asked about.
        prefix: The beginning of each answer (``gen_prefix``).
        target_delimiter: Between question and answer in plain text.
        fewshot_delimiter: After the answer in plain text.
    """
    if answer is not None:
        after = target_delimiter if not prefix or needs_delimiter(question, prefix) else ""
        said = joined(prefix, answer, " ")
        return [Turn("user", question, after), Turn("assistant", said, fewshot_delimiter)]
    if prefix:
        after = target_delimiter if needs_delimiter(question, prefix) else ""
        return [Turn("user", question, after), Turn("assistant", prefix)]
    return [Turn("user", question)]


def answer_text(answer: Any, choices: Sequence[str] | None) -> Any:
    """Return the text of a shot's answer: the choice it points at, or the first of several."""
    if choices and isinstance(answer, int):
        return choices[answer]
    return answer[0] if isinstance(answer, list) and answer else answer


def plain_text(turns: Sequence[Turn]) -> str:
    """Return all turns as one text."""
    return "".join(turn.text + turn.after for turn in turns)


def chat(turns: Sequence[Turn], multiturn: bool) -> list[Message]:
    """Return the turns as messages.

    Args:
        turns: A system turn, if any, then the others.
        multiturn: Whether shots stay turns; otherwise all but the system turn and the beginning of
            an answer become one user message.
    """
    if multiturn:
        return [message(turn.role, turn.text) for turn in turns]
    system = [turn for turn in turns[:1] if turn.role == "system"]
    rest = list(turns[len(system) :])
    prefix = [rest.pop()] if rest[-1].role == "assistant" else []
    rest[-1] = replace(rest[-1], after="")
    folded = [*system, Turn("user", plain_text(rest)), *prefix]
    return [message(turn.role, turn.text) for turn in folded]


def message(role: Literal["system", "user", "assistant"], text: str) -> Message:
    """Return a message of text alone."""
    return Message(role, (TextPart(text),))
