"""An answer cut into steps, and which of them still stand at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from longstep.generate.ends import Ends

TextOfIds = Callable[[Sequence[int]], str]


@dataclass(frozen=True, slots=True)
class CutSteps:
    """Steps of an answer, or of its beginning.

    Attributes:
        ends: how many ids each reaches up to, ascending; what stands behind the last one is no step yet.
        texts: what each says.
        standing: whether nothing behind it took it back.
    """

    ends: tuple[int, ...]
    texts: tuple[str, ...]
    standing: tuple[bool, ...]


def cut_steps(
    ids: Sequence[int], over: bool, decode: TextOfIds, after: Sequence[str], undo: Sequence[str]
) -> CutSteps:
    """Cut where a search would: behind each text of ``after``, and at the end of an answer that is over.

    Args:
        ids: of the answer.
        over: whether nothing comes behind them.
        decode: ids to text.
        after: texts that end a step.
        undo: texts that take the step before them back when they stand right behind it.
    """
    known, begin = Ends(decode, after), 0
    ends: list[int] = []
    for at in range(1, len(ids) + 1):
        if known.reached(ids[begin:at]):
            ends.append(at)
            begin = at
    rest = decode(ids[begin:]) if begin < len(ids) else ""
    if over and rest:
        ends.append(len(ids))
    starts = [0, *ends][: len(ends)]
    texts = [decode(ids[a:b]) for a, b in zip(starts, ends, strict=True)]
    behind = [*texts[1:], "" if over else rest]
    standing = tuple(not text.lstrip().startswith(tuple(undo)) for text in behind)
    return CutSteps(tuple(ends), tuple(texts), standing[: len(ends)])
