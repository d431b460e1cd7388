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
from longstep.verify.prose import declared

MAX_DEPTH = 200  # an answer nested deeper than this is an attack, not an answer
MAX_BRACES = 20_000  # so is one with more of them
MAX_MENTIONS = 8  # boxes that are denied one after the other; with more there is no answer
MAX_BOXES = 50  # joined boxes that are read as one answer with several parts
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BOX_ALONE = re.compile(r"\s*\$*\\(?:boxed|fbox)\s*\{.*\}\$*\s*", re.DOTALL)
_UNBRACED = re.compile(r"\\boxed ?([0-9A-Za-z])(?![0-9A-Za-z.,/^_])")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)  # an escaped brace is a printed one and does not count
#: Delimiters of formulas, which count as dollar signs here; ``\\[2pt]`` ends a row.
_DELIMITER = re.compile(r"(?<!\\)\\[()\[\]]")
#: What changes the looks between two boxes only.
_LOOKS = re.compile(
    r"\\(?:q?quad|[,;!: ]|displaystyle|textstyle|left|right)(?![A-Za-z])|\*\*|__|[$&]|(?<!~)~(?!~)|<[a-z/ ]{1,8}>|\\\\"
)
_WRAPPED = re.compile(r"\\(?:text(?:bf|it|rm|normal)?|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_SEP = r"[\s.,;:(/|)\u3001\uff0c]*+"
_WORD = (
    r"(?i:(?:\b(?:or|and|oder|ou|und|et|y|e|o|i|as well as|along with|together with|alternatively|otherwise"
    r"|sowie|oppure|\u0438|\u0438\u043b\u0438)\b|\u6216\u8005?|\u548c|\u53ca|\u4e0e|\ub610\ub294)"
    rf"{_SEP})"
)
_PERHAPS = rf"(?i:\b(?:maybe|perhaps|possibly|alternatively|else)\b{_SEP})"
_NAME = r"[A-Za-z](?:_\{?[0-9A-Za-z]\}?)?'?\s?=\s?"
_TUPLE = r"\(?[A-Za-z](?:, ?[A-Za-z])+\)\s?=\s?"
_LETTERED = r"(?i:(?:part\s*)?\(?(?:[a-f]|i{1,3}|iv|v)[).:]+|part\s*\(?(?:[a-f]|[1-6])\)?)"
_ROW = r"\s*\|\s*\n\s*\|(?:[^|\n]{0,60}\|){1,3}\s*"
_POINT = r"[-*\u2022](?=\s)|[0-9][.)](?=\s)|\([0-9]\)"
#: What may stand between two boxes that are parts of one answer, or alternatives in one sentence.
_JOINT = re.compile(
    rf"{_SEP}{_WORD}?{_PERHAPS}?(?:(?<=\n)\s*(?:{_POINT}|{_LETTERED}){_SEP})?"
    rf"(?:{_LETTERED}\s+)?(?:{_NAME}|{_TUPLE})?\s*"
    rf"|[^.\n]{{0,80}}\b(?:or|and|maybe|perhaps|possibly|otherwise|(?:could|might|may) (?:also )?be)\b{_SEP}"
    rf"(?:{_NAME}|{_TUPLE})?\s*"
    rf"|{_ROW}"
)
#: The next point of a list or the next lettered part, with words of its own before the box.
_NEXT = re.compile(
    rf"[^\n]{{0,60}}\n\s*(?:[-*\u2022](?=\s)|\|?\s*{_LETTERED})(?P<words>[^\n]{{0,80}})", re.DOTALL
)
_CONCLUDES = re.compile(
    r"(?i)\b(?:answer|final(?:ly)?|therefore|thus|so|hence|total|then|result|conclu\w+|altogether)\b"
)
#: A minus sign that was left outside of the box.
_MINUS = re.compile(r"[=$]\s?-$")
_SUM = frozenset("+-,;=")
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
    answer = _DELIMITER.sub("$", answer)
    starts = list(deque((box.span() for box in _BOX.finditer(answer)), MAX_BOXES))
    if starts:
        return _boxed(answer, starts)
    return declared(answer, _UNBRACED)


def has_box(text: str) -> bool:
    """Tell whether there is a box in a text."""
    return _BOX.search(text) is not None


def is_box(text: str) -> bool:
    """Tell whether a text is a single box, its delimiters included, or boxes in one another."""
    first = _BOX.search(_DELIMITER.sub("$", text))
    if first is None or _BOX_ALONE.fullmatch(_DELIMITER.sub("$", text)) is None:
        return False
    end = _closing(first.string, first.end())
    return end is not None and not first.string[end + 1 :].strip(" $\n.")


def last_box(text: str) -> str | None:
    """Give what the last box holds, as it is: nothing around it is looked at."""
    boxes = list(_BOX.finditer(text))
    end = _closing(text, boxes[-1].end()) if boxes else None
    return text[boxes[-1].end() : end].strip() if boxes else None


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
        joint = end is not None and _is_joint(text[end + 1 : following])
        if end is None or end > following or (parts and not joint):
            break
        if not parts and (other := alternative_behind(_plainly(_behind(text, end)))):
            value = other.split(". ", 1)[0].strip().removesuffix(".")
            parts.append(value.replace("$", "").rstrip(" )*"))
        parts.append(_signed(text[inside:end].strip(), text[max(0, start - 4) : start]))
        following = start
    parts.append(alternative_before(_plainly(_before(text, following))))
    distinct = list(dict.fromkeys(part for part in reversed(parts) if part))
    return r" \text{ or } ".join(distinct)


def _plainly(text: str) -> str:
    """Give the text without bold face, spacing commands and wrappers of words."""
    return _WRAPPED.sub(r"\1", text).replace("**", "").replace(r"\quad", " ")


def _is_joint(between: str) -> bool:
    """Tell whether what stands between two boxes makes them parts of one answer."""
    if len(between) > 400:
        return False
    plain = _LOOKS.sub(lambda m: "\n" if m[0] == r"\\" else " ", _WRAPPED.sub(r"\1", between))
    if _JOINT.fullmatch(plain):
        return True
    point = _NEXT.fullmatch(plain)
    return point is not None and not _CONCLUDES.search(point["words"])


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
