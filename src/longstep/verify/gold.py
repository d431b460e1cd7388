r"""What a gold key says, before anything is compared with it.

Keys come as they are published: as an answer, as a whole solution whose last line holds the answer (``#### 72``,
``\boxed{}``, ``<answer>``, "the answer is"), as a list of answers in the spelling of JSON or Python, as an empty cell
written as a word (``N/A``), or broken. A solution is read with the extractor that reads completions. A key that says
nothing has a ``trouble``, and no answer is ever wrong because of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from longstep.verify.extract import extract, has_box
from longstep.verify.ladder import marks
from longstep.verify.ladder.reading import MAX_CHARS, read
from longstep.verify.ladder.spelling import spell
from longstep.verify.rule import Kind

#: Kinds of trouble, in the words that a count prints.
Trouble = Literal[
    "", "empty", "a placeholder", "a solution without an answer", "prose", "broken", "too long"
]
#: Cells that were empty in a table and were written as text. ``none`` is the empty set and stays an answer.
_PLACEHOLDERS = frozenset(
    each.strip()
    for line in (
        "n/a, na, nan, <na>, #n/a, null, nil, undefined, unknown, missing, tbd, todo, ?, ??, ???, -, --, ---, proof",
        "not-found, notfound, not found, not available, not applicable, no answer, no answer provided, not provided",
        "answer not provided, not given, see solution, see explanation, omitted, error",
    )
    for each in line.split(",")
)
#: What only a text with words around an answer has.
_SOLUTION = re.compile(
    r"""</?answer>|</think>|(?m:^[ \t]{0,8}\#\#)|\#\#\#\#
    |\n[ \t]{0,8}\n""",
    re.IGNORECASE | re.VERBOSE,
)
#: What may be a phrase before an answer, which the ladder reads, or the end of a solution.
_CLAIM = re.compile(
    r"\banswers?\*{0,2}\s?(?:is|are|:|=)|\b(?:respuesta|r[ée]ponse|antwort|risposta|resposta|ответ)\b|答案|答え|정답",
    re.IGNORECASE,
)
_MEMBER = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?[0-9]+(?:\.[0-9]+)?)"""
_LIST = re.compile(rf"[\[(]\s*({_MEMBER}(?:\s*,\s*{_MEMBER})*)\s*,?\s*[\])]", re.DOTALL)
_ONE_MEMBER = re.compile(_MEMBER, re.DOTALL)
_ODD = re.compile(r"(?<!\\)(?:\\\\)*\\(?![\\\"'])")
_SPOKEN = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
MAX_SPOKEN = 6  # words of a key that is no mathematics
#: More words in a row are a sentence, which a model says in its own words.
MAX_WORDS = 12


@dataclass(frozen=True, slots=True)
class Key:
    """What a gold key says.

    Attributes:
        answers: its answer; several when the key is a list of them.
        trouble: why nothing can be compared with it, as a kind that can be counted; empty when it can.
        reason: the same in a sentence.
    """

    answers: tuple[str, ...]
    trouble: Trouble = ""
    reason: str = ""


@lru_cache(maxsize=4096)
def key_of(gold: str, kind: Kind | None = None) -> Key:
    """Read a gold key."""
    text = gold.strip()
    if members := listed(text):
        keys = [key_of(member, kind) for member in members]
        answers = tuple(answer for key in keys for answer in key.answers)
        bad = next((key for key in keys if key.trouble), None)
        return Key(answers, bad.trouble, bad.reason) if bad else Key(answers)
    if has_box(text) or _SOLUTION.search(text) or (_CLAIM.search(text) and not _is_value(text)):
        found = extract(text)
        if found is None:
            reason = "the gold answer is a text in which no final answer is found"
            return Key((text,), "a solution without an answer", reason)
        text = found.strip()
    trouble, reason = _trouble(text, kind)
    return Key((text,), trouble, reason)


def listed(text: str) -> list[str]:
    r"""Give the members of a list in the spelling of JSON or Python; empty for anything else.

    Only a list with quotes is one: ``[2, 5]`` is an interval. Escapes are undone where all backslashes are doubled,
    and kept in the hand-made ``['\frac{1}{2}']``, which is neither JSON nor Python.
    """
    found = _LIST.fullmatch(text) if text[:1] in ("[", "(") else None
    if found is None or ('"' not in text and "'" not in text):
        return []
    members = _ONE_MEMBER.findall(found[1])
    if not any(member[0] in "\"'" for member in members):
        return []
    bare = [member[1:-1] if member[0] in "\"'" else member for member in members]
    if not any(map(_ODD.search, bare)):
        bare = [re.sub(r"\\(.)", r"\1", member) for member in bare]
    return [member.strip() for member in bare]


def _trouble(text: str, kind: Kind | None) -> tuple[Trouble, str]:
    if not text:
        return "empty", "the gold answer is empty"
    if text.lower().strip(" .") in _PLACEHOLDERS or text in ("...", "\u2026"):
        return "a placeholder", f"the gold answer is {text[:40]!r}, which stands for no answer"
    if kind == "text":
        return "", ""
    if len(text) > MAX_CHARS:  # digits of any length are compared all the same
        return "", ""
    reading = read(text)
    if reading.large:
        return "too long", f"the gold answer: {reading.problem}"
    if reading.tree is None and not reading.foreign and not _marked(text):
        if len(_SPOKEN.findall(text)) > MAX_SPOKEN:
            return (
                "prose",
                "the gold answer is a text with formulas, which can be said in other words",
            )
        return "broken", f"the gold answer cannot be read ({reading.problem})"
    if len(reading.words.split()) > MAX_WORDS:
        return "prose", "the gold answer is a sentence, which can be said in other words"
    return "", ""


def _is_value(text: str) -> bool:
    """Tell whether the whole is read as one answer, "the answer is" included."""
    tree = read(text).tree
    return tree is not None and tree.op != "text"


def _marked(text: str) -> bool:
    """Tell whether it is a choice with its text, a time or a date: no formula is needed to read these."""
    spelt = spell(text)
    return any(read(spelt) is not None for read in (marks.choice, marks.clock, marks.date))
