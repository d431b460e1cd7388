"""A rule score of reasoning chains by declared traits: how long they are, and how often they use words of a kind."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from longstep.config import Field, Strict

_WORD = re.compile(r"[a-z']+")


class Trait(Strict):
    """Something that chains are scored by.

    Attributes:
        weight: of this trait among the others.
        words: what share of a chain's words these are, in small letters; none means how many words it has.
    """

    weight: float = Field(gt=0)
    words: tuple[str, ...] = ()


#: LIMO (arXiv 2502.03387, construction of reasoning chains): elaborated reasoning, self-verification, exploration and
#: adaptive granularity.
LIMO = (
    Trait(weight=0.30),
    Trait(weight=0.20, words=("check", "verify")),
    Trait(weight=0.25, words=("perhaps", "might")),
    Trait(weight=0.25, words=("therefore", "since")),
)


def chain_scores(texts: Sequence[str], traits: Sequence[Trait] = LIMO) -> list[float]:
    """Score chains against each other, from 0 to the sum of the weights.

    How LIMO brings its four traits to one scale is not published: here a trait's value is the share of the other chains
    that a chain exceeds in it, ties counted half, so that no trait's spread decides alone.
    """
    words = [_WORD.findall(text.lower()) for text in texts]
    scores = [0.0] * len(texts)
    for trait in traits:
        values = [
            sum(word in trait.words for word in each) / max(len(each), 1)
            if trait.words
            else float(len(each))
            for each in words
        ]
        ranks = _ranks(values)
        scores = [s + trait.weight * rank for s, rank in zip(scores, ranks, strict=True)]
    return scores


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    others = max(len(values) - 1, 1)
    return [
        (bisect_left(ordered, value) + bisect_right(ordered, value) - 1) / 2 / others
        for value in values
    ]
