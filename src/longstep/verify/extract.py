r"""The one answer extractor: the last ``\boxed{}`` of a finished answer, or a plain prose form.

Nothing is ever read from a thought: only the text after the last ``</think>`` counts, and a thought
that was opened and not closed leaves no answer at all. Every function is linear in its input.
"""

from __future__ import annotations

import re
from collections import deque
from itertools import islice

from longstep.verify.commitment import (
    REACH,
    alternative_before,
    alternative_behind,
    denied_before,
    denied_behind,
)

MAX_DEPTH = 200  # an answer nested deeper than this is an attack, not an answer
MAX_BRACES = 20_000  # so is one with more of them
MAX_MENTIONS = 8  # boxes that are denied one after the other; with more there is no answer
MAX_BOXES = 50  # joined boxes that are read as one answer with several parts
_TAIL = 600  # prose answers are looked for in the last characters only
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped brace is a printed one and does not count
_PROSE = re.compile(
    r"(?i)\banswer\**(?: is|:)[*]*[ \t]*:?|\bfinal answer\**:?\**[ \t]*\n|(?m:^####)(?! *final answer| *answer)"
)
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*\.?")
_WORD = r"(?:\b(?:or|and|oder|ou|и|или)\b|\\text\{ ?(?:or|and) ?\}|或者?|和)[\s$,;]*+"
_PERHAPS = r"(?i:\b(?:maybe|perhaps|possibly|alternatively)\b)[\s$,;]*+"
_NAME = r"[A-Za-z](?:_\{?[0-9]\}?)?\s?=\s?"
#: What may stand between two boxes that are parts of one answer, or alternatives in one sentence.
_JOINT = re.compile(
    rf"[\s$.,;&(/|]*+(?:(?:{_WORD}(?:{_NAME})?|\\quad|\\\\|<br>|(?<=\n)(?:[-*]|[0-9][.)])\s)[\s$,;]*+)?(?:{_PERHAPS})?"
    rf"|[\s$]*+,[\s$]*+{_NAME}"
    r"|[^.\n]{0,80}\b(?:or|maybe|perhaps|possibly|otherwise|(?:could|might|may) (?:also )?be)[\s$]*+"
    rf"(?:{_NAME})?"
)
#: A minus sign that was left outside of the box.
_MINUS = re.compile(r"(?:[=$]|\\[(\[])\s?-$")
_SUM = frozenset("+-,;=")
_UNBRACED = re.compile(r"\\boxed ?([0-9A-Za-z])(?![0-9A-Za-z.,/^_])")
_TAGGED = re.compile(r"<answer>([^<]*)</answer>\s*$")
#: A value taken back after "the answer is".
_TAKEN_BACK = re.compile(
    r"(?i)\b(?:wait|actually|correction|scratch that|mistake|i was wrong|let me re\w*)\b"
)
_REASON = re.compile(
    r",? (?:since|because)\b| \((?:since|because|as|where)\b|(?:, | \()(?:not|rather than) (?=[-$\\0-9])"
)
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
    are ``\boxed{5} or 6``, ``5 or \boxed{6}`` and ``\boxed{5} or something else``. A box that is denied before
    (``not \boxed{5}``) is a mention and is passed over; one that is denied behind (``\boxed{5} is wrong``,
    ``\boxed{5}? No``) leaves no answer, and neither does a value that was denied after it was boxed. The rules are in
    ``longstep.verify.commitment``. The forms ``\boxed 5``, ``<answer>X</answer>``, "the answer is X", "Answer: X",
    "#### X", a heading "Final answer" and a last line in bold are read only in the absence of any box.
    """
    answer = finished_part(text)
    if answer is None:
        return None
    starts = list(deque((box.span() for box in _BOX.finditer(answer)), MAX_BOXES))
    if starts:
        return _boxed(answer, starts)
    return _unboxed(answer[-_TAIL:])


def _boxed(text: str, boxes: list[tuple[int, int]]) -> str | None:
    """Give the last box that is no mention, with what is joined to it; a box is where its command starts and ends."""
    denied = set[str]()
    while boxes and len(denied) < MAX_MENTIONS:
        start, inside = boxes[-1]
        end = _closing(text, inside)
        content = "" if end is None else text[inside:end].strip()
        if end is None or not content or content in denied or denied_behind(_behind(text, end)):
            return None
        if not denied_before(_before(text, start)):
            return _joined(text, boxes)
        denied.add(content)
        boxes = boxes[:-1]
    return None


def _joined(text: str, boxes: list[tuple[int, int]]) -> str:
    """Give the last box with the boxes and values that stand beside it as parts of one answer."""
    following = len(text)
    parts: list[str] = []  # backwards
    for start, inside in reversed(boxes):
        end = _closing(text, inside)
        joint = end is not None and bool(_JOINT.fullmatch(text, end + 1, following))
        if end is None or end > following or (parts and not joint):
            break
        if not parts and (other := alternative_behind(_behind(text, end))):
            parts.append(_sentence(other).replace("$", "").rstrip(" )"))
        parts.append(_signed(text[inside:end].strip(), text[max(0, start - 4) : start]))
        following = start
    parts.append(alternative_before(_before(text, following)))
    distinct = list(dict.fromkeys(part for part in reversed(parts) if part))
    return r" \text{ or } ".join(distinct)


def _signed(content: str, before: str) -> str:
    """Put a minus sign that stands before the box on a single term in it."""
    return f"-{content}" if _MINUS.search(before) and _SUM.isdisjoint(content) else content


def _before(text: str, start: int) -> str:
    return text[max(0, start - REACH) : start]


def _behind(text: str, end: int) -> str:
    return text[end + 1 : end + 1 + 2 * REACH]


def _closing(text: str, start: int) -> int | None:
    """Give where the brace that was opened before ``start`` closes."""
    depth = 1
    for brace in islice(_BRACE.finditer(text, start), MAX_BRACES):
        if brace[0] == "{":
            depth += 1
        elif brace[0] == "}":
            depth -= 1
        if depth == 0:
            return brace.start()
        if depth > MAX_DEPTH:
            return None
    return None


def _unboxed(tail: str) -> str | None:
    """Give the answer of a text without a box, if the words around it commit to it."""
    forms = (list(pattern.finditer(tail))[-1:] for pattern in (_UNBRACED, _TAGGED, _PROSE))
    found = next((matches[0] for matches in forms if matches), None)
    if found is None:
        bold = _BOLD.fullmatch(tail.strip().rsplit("\n", 1)[-1].strip())
        return bold[1].strip() or None if bold else None
    start, end, value = found.start(), found.end(), found[found.lastindex or 0].strip()
    if found.re is _PROSE:
        value = _prose(tail[found.end() :])
        start, end = end, tail.find(value, end) + len(value)
    return None if denied_before(tail[:start]) or denied_behind(tail[end:]) else value or None


def _prose(text: str) -> str:
    """Give the value at the start of what follows "the answer is"; empty when it is taken back."""
    rest = text.lstrip(" \t\n")
    if _TAKEN_BACK.search(rest):
        return ""
    line, _, following = rest.partition("\n")
    if line.strip() in (r"\[", "$$"):  # a formula on lines of its own
        line = following.partition("\n")[0]
    sentence = _REASON.split(_sentence(line), maxsplit=1)[0].strip(" *")
    return sentence[:-1] if _EXCLAIMED.fullmatch(sentence[-2:]) else sentence


def _sentence(line: str) -> str:
    return line.split(". ", 1)[0].strip().removesuffix(".").strip(" *")
