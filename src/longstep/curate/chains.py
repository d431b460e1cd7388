"""LIMO's rule score of a reasoning chain: long, checking, tentative and connected."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

_WORD = re.compile(r"[a-z']+")
#: Weight and words of each trait; the first, elaboration, is the number of words itself.
_TRAITS: tuple[tuple[float, frozenset[str]], ...] = (
    (0.20, frozenset({"check", "verify"})),
    (0.25, frozenset({"perhaps", "might"})),
    (0.25, frozenset({"therefore", "since"})),
)
_ELABORATION = 0.30


def chain_scores(texts: Sequence[str]) -> list[float]:
    """Score chains against each other, in [0, 1].

    LIMO (arXiv 2502.03387, construction of reasoning chains): elaborated reasoning 30 % (length), self-verification
    20 % ("check", "verify"), exploration 25 % ("perhaps", "might"), adaptive granularity 25 % ("therefore", "since");
    word counts are divided by the length. How the four are brought to one scale is not published: here each is the
    share of the other chains that it exceeds, ties counted half, so that no trait's spread decides alone.
    """
    words = [_WORD.findall(text.lower()) for text in texts]
    scores = [_ELABORATION * rank for rank in _ranks([float(len(each)) for each in words])]
    for weight, wanted in _TRAITS:
        shares = [sum(word in wanted for word in each) / max(len(each), 1) for each in words]
        scores = [s + weight * rank for s, rank in zip(scores, _ranks(shares), strict=True)]
    return scores


def _ranks(values: Sequence[float]) -> list[float]:
    ordered = sorted(values)
    others = max(len(values) - 1, 1)
    return [
        (bisect_left(ordered, value) + bisect_right(ordered, value) - 1) / 2 / others
        for value in values
    ]
