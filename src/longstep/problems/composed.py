"""Questions that a table holds in pieces: a text before the question, and choices behind it."""

from __future__ import annotations

import string
from collections.abc import Sequence

from longstep.formats.faults import RowError, describe
from longstep.formats.record import as_text


def after_context(context: object, question: str) -> str:
    """The text that a question belongs to, and the question.

    The text ends with a point where it ends with a letter or a number, as Qwen2.5-Math's evaluation shows SVAMP.
    """
    text = (as_text(context) or "").strip()
    if not text:
        return question
    return f"{text}{'.' if text[-1].isalnum() else ''} {question.strip()}"


def with_choices(question: str, choices: object) -> str:
    """A question and its choices with letters, as Qwen2.5-Math's evaluation shows MMLU.

    Raises:
        RowError: there are no choices, or more than letters.
    """
    texts = _texts(choices)
    shown = " ".join(
        f"({letter}) {text.strip()}"
        for letter, text in zip(string.ascii_uppercase, texts, strict=False)
    )
    return f"{question.strip()}\nAnswer Choices: {shown}"


def letter_of(answer: str, choices: object) -> str:
    """The letter of the right choice, from its place counted from 0, its letter or its text.

    Raises:
        RowError: it is none of these.
    """
    texts = _texts(choices)
    letters = string.ascii_uppercase[: len(texts)]
    said = answer.strip()
    if said.isdecimal() and int(said) < len(texts):
        return letters[int(said)]
    if len(said) == 1 and said in letters:
        return said
    same = [letter for letter, text in zip(letters, texts, strict=True) if text.strip() == said]
    if len(same) == 1:
        return same[0]
    raise RowError(
        f"got {describe(answer)}, expected the place, letter or text of one of {len(texts)} choices"
    )


def _texts(choices: object) -> Sequence[str]:
    texts = [as_text(each) for each in choices] if isinstance(choices, list) else []
    kept = [each for each in texts if each is not None]
    if not 2 <= len(kept) == len(texts) <= len(string.ascii_uppercase):
        raise RowError(f"got {describe(choices)}, expected a list of 2 to 26 choices")
    return kept
