"""How sure the model was of its answer, of nothing else: the margin over the answer's tokens."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

from longstep.scaling.scorers.base import Scorer
from longstep.scaling.tree import Trail

MARGIN = "margin"


class MarginScorer(Scorer):
    """The margin that ``cot-decoding`` stored with an answer; where none of a problem's answers has one, all get 1.

    So answers of other strategies are votes of equal weight. An answer whose text could not be found gets 0.
    """

    ranked: ClassVar[bool] = True
    kind: Literal["margin"] = "margin"

    def score(self, trails: Sequence[Trail]) -> list[float]:
        """What is stored."""
        known = [trail.last.scores.get(MARGIN) for trail in trails]
        if all(each is None for each in known):
            return [1.0] * len(known)
        return [each or 0.0 for each in known]


def answer_margin(
    margins_T: Sequence[float],
    ids_T: Sequence[int],
    answer: str | None,
    decode: Callable[[Sequence[int]], str],
) -> float:
    """Mean margin over the tokens that hold a part of the answer (arXiv 2402.10200, equation 1).

    The answer is looked for where it stands in braces last, else where it stands last; a token that also holds
    something else counts. The paper asks for the margin between the two best tokens of each place; here it is that of
    the token that stands there to the best other one, which differs only for a first token that is not the likeliest
    and is part of the answer itself: its margin is negative.

    Args:
        margins_T: of each token, the probability of it less that of the best other one.
        ids_T: of the whole answer, thought and all.
        answer: as it was read from the text.
        decode: text of a prefix of the ids.

    Returns:
        A number in [-1, 1]; 0 where the answer is not in the text as it was read.
    """
    text = decode(ids_T)
    if not answer:
        return 0.0
    found = text.rfind(f"{{{answer}}}")
    begin = found + 1 if found >= 0 else text.rfind(answer)
    if begin < 0:
        return 0.0

    def length(count: int) -> int:
        return len(decode(ids_T[:count]))

    # A token is part of it when the text up to its end reaches into it, and that up to its beginning not beyond.
    counts = range(len(ids_T) + 1)
    first = bisect_right(counts, begin, key=length) - 1
    last = bisect_right(counts, begin + len(answer) - 1, key=length)
    part = margins_T[first:last]
    return sum(part) / len(part) if part else 0.0
