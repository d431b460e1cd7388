"""An assistant's turn as one thought and one answer, however its publisher marked them.

Published traces mark thoughts with ``<think>`` (in any case, with blanks around it, with the opening tag left to the
chat template), with ``<|begin_of_thought|>``, or keep them in a field beside the answer. What comes out has exactly one
pair of tags, because a model that saw two learns to write two. A tag that a text only *talks about*, in quotes or in
code, would be encoded as the tag itself, so it is spelt ``&lt;think>``.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from longstep.formats.faults import RowError

OPEN, CLOSE = "<think>", "</think>"
_TAG = re.compile(
    r"<[ \t]*(?P<slash>/?)[ \t]*(?:think(?:ing)?|thought|reasoning)[ \t]*>|<\|(?P<mark>begin|end)_of_thought\|>",
    re.IGNORECASE,
)
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_SOLUTION = re.compile(r"\s*<\|begin_of_solution\|>(.*?)(<\|end_of_solution\|>\s*|\Z)", re.DOTALL)
_ANSWER = re.compile(r"\s*<answer>(.*)</answer>\s*", re.DOTALL | re.IGNORECASE)
_QUOTES = {
    '"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u201e": "\u201d", "\u00ab": "\u00bb",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reasoned:
    """What an assistant's turn says.

    Attributes:
        thought: without tags; empty when there is none.
        answer: what follows it.
        respelt: how many tags it only talked about.
    """

    thought: str
    answer: str
    respelt: int = 0

    @property
    def text(self) -> str:
        """The whole turn, with one thought, an empty one if need be."""
        return f"{OPEN}{self.thought}{CLOSE}{self.answer}"


@dataclass(frozen=True, slots=True)
class _Tag:
    start: int
    end: int
    opens: bool
    mark: bool


def marked(text: str) -> Reasoned:
    """The reply that a text with marks in it is.

    White space beside ``<think>`` stays as published; where other marks stood, line ends are put.

    Raises:
        RowError: a thought never closes, there are two, or something stands before the first.
    """
    tags = _joined(text, _unquoted(text))
    first = next(iter(tags), None)
    if first is None:
        return _reply("", text)
    if first.opens and text[: first.start].strip():
        raise RowError("words stand in front of the thought")
    begin = first.end if first.opens else 0
    rest = tags[1:] if first.opens else tags
    if not rest:
        raise RowError("the thought never closes")
    if len(rest) > 1 or rest[0].opens:
        raise RowError("two thoughts in one turn")
    thought, answer = text[begin : rest[0].start], text[rest[0].end :]
    if first.mark:
        return _reply(_padded(thought), f"\n\n{answer.strip()}")
    return _reply(thought, answer)


def parted(thought: str | None, answer: str | None) -> Reasoned:
    """The reply of a thought and an answer that stood in two fields; tags around the thought may come with it.

    Raises:
        RowError: as :func:`marked`.
    """
    bare = (thought or "").strip()
    if not bare:
        return marked(answer or "")
    opened = _TAG.match(bare)
    bare = bare[opened.end() :] if opened else bare
    closed = [tag for tag in _TAG.finditer(bare) if tag.end() == len(bare.rstrip())]
    bare = bare[: closed[0].start()] if closed else bare
    if _unquoted(bare):
        raise RowError("two thoughts in one turn")
    said = marked(answer or "")
    if said.thought and said.thought.strip() != bare.strip():
        raise RowError("two thoughts in one turn, one in a field of its own and one in the text")
    return _reply(_padded(bare), f"\n\n{said.answer.strip()}")


def whole(reply: Reasoned, thoughtless: bool) -> Reasoned:
    """A reply that can be learnt from.

    Args:
        reply: as it was read.
        thoughtless: an answer without a thought is one, too.

    Raises:
        RowError: it has no answer, or no thought.
    """
    if not reply.answer.strip():
        raise RowError("no answer after the thought" if reply.thought else "no answer")
    if not reply.thought and not thoughtless:
        raise RowError("no thought")
    return reply


def describes_marks(text: str) -> bool:
    """Whether a system message explains marks that a reply no longer has."""
    return "begin_of_thought" in text


def _reply(thought: str, answer: str) -> Reasoned:
    answer = _unwrapped(answer).rstrip()
    (thought, first), (answer, second) = map(_respelt, (thought, answer))
    return Reasoned(thought if thought.strip() else "", answer, first + second)


def _padded(thought: str) -> str:
    return f"\n{thought.strip()}\n" if thought.strip() else ""


def _unwrapped(answer: str) -> str:
    """An answer without the marks of its own that some publishers put around it."""
    if found := _SOLUTION.match(answer):
        if not found[2]:
            raise RowError("the solution never ends")
        answer = f"\n\n{found[1].strip()}"
    if found := _ANSWER.fullmatch(answer):
        answer = found[1] if "<answer>" not in found[1].lower() else answer
    return answer


def _respelt(text: str) -> tuple[str, int]:
    return _TAG.subn(lambda found: f"&lt;{found[0][1:]}", text)


def _unquoted(text: str) -> list[_Tag]:
    """Tags that are meant: not in code, not in quotes."""
    found = [
        _Tag(
            each.start(),
            each.end(),
            not each["slash"] and each["mark"] != "end",
            bool(each["mark"]),
        )
        for each in _TAG.finditer(text)
    ]
    plain = [tag for tag in found if not _in_quotes(text, tag)]
    if [tag.opens for tag in plain] in ([True, False], [False]):
        return plain  # nothing to doubt, whatever a code fence that was never closed seems to hold
    code = [span.span() for span in _CODE.finditer(text)] if plain else []
    return [tag for tag in plain if not _inside(tag, code)]


def _inside(tag: _Tag, spans: Sequence[tuple[int, int]]) -> bool:
    place = bisect_right(spans, (tag.start, tag.end)) - 1
    return place >= 0 and tag.end <= spans[place][1]


def _in_quotes(text: str, tag: _Tag) -> bool:
    before, after = text[tag.start - 1 : tag.start], text[tag.end : tag.end + 1]
    return bool(before) and _QUOTES.get(before) == after


def _joined(text: str, tags: list[_Tag]) -> list[_Tag]:
    """Tags of one kind with nothing but blanks between them are one: a template opened the thought, too."""
    if not tags:
        return []
    joined = [tags[0]]
    for last, tag in pairwise(tags):
        if last.opens == tag.opens and not text[last.end : tag.start].strip():
            joined[-1] = replace(joined[-1], end=tag.end)
        else:
            joined.append(tag)
    return joined
