r"""The one answer extractor: the last ``\boxed{}`` of a finished answer, or a plain prose form.

Nothing is ever read from a thought: only the text after the last ``</think>`` counts, and a thought
that was opened and not closed leaves no answer at all. Every function is linear in its input.
"""

from __future__ import annotations

import re

MAX_DEPTH = 200  # an answer nested deeper than this is an attack, not an answer
_TAIL = 600  # prose answers are looked for in the last characters only
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped brace is a printed one and does not count
_PROSE = re.compile(r"(?im)\banswer(?: is|:)[ \t]*:?|^####")


def finished_part(text: str) -> str | None:
    """Give the text after the last ``</think>``, or ``None`` when a thought is still open there.

    A text without think tags is an answer from its first character on.
    """
    answer = text[text.rfind("</think>") + len("</think>") :] if "</think>" in text else text
    return None if "<think>" in answer else answer


def extract(text: str) -> str | None:
    r"""Give the final answer of a completion as written, or ``None`` when there is none.

    The last ``\boxed{...}`` (or ``\fbox``) wins; when it never closes, is empty or is nested deeper
    than ``MAX_DEPTH`` there is no answer. The forms "the answer is X" and "#### X" are read only
    in the absence of any box.
    """
    answer = finished_part(text)
    if answer is None:
        return None
    start = None
    for box in _BOX.finditer(answer):
        start = box.end()
    return _prose(answer[-_TAIL:]) if start is None else _balanced(answer, start)


def _balanced(text: str, start: int) -> str | None:
    depth = 1
    for brace in _BRACE.finditer(text, start):
        if brace[0] == "{":
            depth += 1
        elif brace[0] == "}":
            depth -= 1
        if depth == 0:
            return text[start : brace.start()].strip() or None
        if depth > MAX_DEPTH:
            return None
    return None


def _prose(tail: str) -> str | None:
    found = None
    for match in _PROSE.finditer(tail):
        found = match
    if found is None:
        return None
    line = tail[found.end() :].split("\n", 1)[0]
    sentence = line.split(". ", 1)[0]
    return sentence.strip().removesuffix(".").strip(" *") or None
