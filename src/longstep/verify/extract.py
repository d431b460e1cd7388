r"""The one answer extractor: the last ``\boxed{}`` of a finished answer, or a plain prose form.

Nothing is ever read from a thought: only the text after the last ``</think>`` counts, and a thought
that was opened and not closed leaves no answer at all. Every function is linear in its input.
"""

from __future__ import annotations

import re
from collections import deque

MAX_DEPTH = 200  # an answer nested deeper than this is an attack, not an answer
MAX_BOXES = 50  # joined boxes that are read as one answer with several parts
_TAIL = 600  # prose answers are looked for in the last characters only
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped brace is a printed one and does not count
_PROSE = re.compile(
    r"(?i)\banswer\**(?: is|:)[*]*[ \t]*:?|\bfinal answer\**:?\**[ \t]*\n|(?m:^####)(?! *final answer| *answer)"
)
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*\.?")
#: What may stand between two boxes that are parts of one answer.
_JOINT = re.compile(
    r"[\s$.,;&(]*+(?:(?:\b(?:or|and)\b|\\text\{ ?(?:or|and) ?\}|\\quad)[\s$,;]*+)?"
    r"(?:\b(?:maybe|perhaps|possibly|alternatively)\b[\s$,;]*+)?"
)
#: A second value behind the last box takes the first one back.
_HEDGE = re.compile(
    r"[\s$]*+\(?or\b\s*+(?:(?:maybe|perhaps|possibly)\s++)?(\$?[-\\0-9][^\n]{0,200})"
)
_UNBRACED = re.compile(r"\\boxed ?([0-9A-Za-z])(?![0-9A-Za-z.,/^_])")
_TAGGED = re.compile(r"<answer>([^<]*)</answer>\s*$")
#: A value taken back after "the answer is".
_TAKEN_BACK = re.compile(
    r"(?i)\b(?:wait|actually|correction|scratch that|mistake|i was wrong|let me re\w*)\b"
)
_REASON = re.compile(r",? (?:since|because)\b| \((?:since|because|as|where)\b")
_EXCLAIMED = re.compile(r"[0-9A-Za-z)]!")
#: How a thought opens and closes; the first pair is ours, the others are foreign models'.
_THOUGHTS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)


def finished_part(text: str) -> str | None:
    """Give the text after the last ``</think>``, or ``None`` when a thought is still open there.

    A text without think tags is an answer from its first character on. Foreign tags of thoughts count too.
    """
    for opened, closed in _THOUGHTS:
        if closed in text:
            text = text[text.rfind(closed) + len(closed) :]
        if opened in text:
            return None
    return text


def unfinished_part(text: str) -> str | None:
    """Give the thought that was opened last and never closed, or ``None`` when there is none."""
    for opened, closed in _THOUGHTS:
        start = text.rfind(opened)
        if start > text.rfind(closed):
            return text[start + len(opened) :]
    return None


def extract(text: str) -> str | None:
    r"""Give the final answer of a completion as written, or ``None`` when there is none.

    The last ``\boxed{...}`` (or ``\fbox``) wins; when it never closes, is empty or is nested deeper
    than ``MAX_DEPTH`` there is no answer. Boxes with nothing but ``or``, ``and``, ``maybe`` or a
    comma between them are one answer with several parts, so that ``\boxed{5} or \boxed{6}`` is both, and so
    is ``\boxed{5} or 6``. The forms ``\boxed 5``, ``<answer>X</answer>``, "the answer is X", "Answer: X",
    "#### X", a heading "Final answer" and a last line in bold are read only in the absence of any box.
    """
    answer = finished_part(text)
    if answer is None:
        return None
    starts = list(deque((box.span() for box in _BOX.finditer(answer)), MAX_BOXES))
    if starts:
        return _joined(answer, starts)
    tail = answer[-_TAIL:]
    if unbraced := _UNBRACED.findall(tail):
        return unbraced[-1]
    tagged = _TAGGED.search(tail)
    return tagged[1].strip() or None if tagged else _prose(tail)


def _joined(text: str, boxes: list[tuple[int, int]]) -> str | None:
    """Give the last box with the boxes that are joined to it; a box is where its command starts and ends."""
    following, inside = boxes[-1]
    end = _closing(text, inside)
    if end is None or not text[inside:end].strip():
        return None
    parts = [text[inside:end].strip()]
    if hedge := _HEDGE.match(text, end + 1):
        parts.append(_sentence(hedge[1]).replace("$", "").rstrip(" )"))
        parts.reverse()  # the loop below goes backwards
    for start, inside in reversed(boxes[:-1]):
        end = _closing(text, inside)
        if end is None or end > following or not _JOINT.fullmatch(text, end + 1, following):
            break
        parts.append(text[inside:end].strip())
        following = start
    distinct = list(dict.fromkeys(part for part in reversed(parts) if part))
    return r" \text{ or } ".join(distinct)


def _closing(text: str, start: int) -> int | None:
    """Give where the brace that was opened before ``start`` closes."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        if brace[0] == "{":
            depth += 1
        elif brace[0] == "}":
            depth -= 1
        if depth == 0:
            return brace.start()
        if depth > MAX_DEPTH:
            return None
    return None


def _prose(tail: str) -> str | None:
    found = None
    for match in _PROSE.finditer(tail):
        found = match
    if found is None:
        lines = tail.strip().rsplit("\n", 1)
        bold = _BOLD.fullmatch(lines[-1].strip())
        return bold[1].strip() or None if bold else None
    rest = tail[found.end() :].lstrip("\n")
    if _TAKEN_BACK.search(rest):
        return None
    line, _, following = rest.partition("\n")
    if line.strip() in (r"\[", "$$"):  # a formula on lines of its own
        line = following.partition("\n")[0]
    sentence = _REASON.split(_sentence(line), maxsplit=1)[0].strip(" *")
    return (sentence[:-1] if _EXCLAIMED.fullmatch(sentence[-2:]) else sentence) or None


def _sentence(line: str) -> str:
    return line.split(". ", 1)[0].strip().removesuffix(".").strip(" *")
