"""What counts as the same question: thresholds, and the class of a pair from what it has in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longstep.config import Field, Strict
from longstep.curate.overlap.match import Kind
from longstep.curate.overlap.pairs import Flags, Overlaps

#: Classes by code, from the surest; ``len(KINDS)`` is no match.
KINDS: tuple[Kind, ...] = ("identical", "reworded", "numbers_changed", "shared_template")
IDENTICAL, REWORDED, NUMBERS_CHANGED, SHARED_TEMPLATE, NOTHING = range(5)


class Thresholds(Strict):
    """Where the classes begin.

    The defaults are tuned on the rows with split ``dev`` of ``tests/labels/same_problem.jsonl``.

    Attributes:
        same: score of ``sameness`` from which a pair is the same problem.
        short: a question of fewer bits than this is compared as a whole and never looked for inside of a text.
        embedded: share of the question's words and pairs of words that a longer text has to hold.
        renumbered: pairs of words in common over those of either, from which a question with other numbers is the
            same one.
        template: share of the question's pairs of words from which a stock phrase is reported.
    """

    same: float = 3.35
    short: float = Field(default=35.0, ge=0)
    embedded: float = Field(default=0.96, gt=0, le=1)
    renumbered: float = Field(default=0.4, gt=0, le=1)
    template: float = Field(default=0.5, gt=0, le=1)


def sameness(o: Overlaps) -> NDArray[np.float32]:
    """Evidence that two texts state the same problem.

    A linear score, fitted by logistic regression to labelled pairs and scaled so that the words' similarity counts
    once. More words and rarer ones in common are evidence; so are equal numbers. At equal words, *fewer* pairs of
    neighbours in common speak for a rewording: what two different questions share is a stock phrase in one piece.
    """
    one_sided = (o.missing > 0) ^ (o.extra > 0)
    return (
        o.words - 0.43 * o.pairs + 0.28 * np.log2(1 + o.shared) + 0.08 * np.log2(1 + o.numbers)
        + 1.44 * o.same_numbers - 0.44 * one_sided
    ).astype(np.float32)  # fmt: skip


def classify(
    o: Overlaps, whole: Flags, skeleton: Flags, contained: Flags, limits: Thresholds
) -> NDArray[np.uint8]:
    """Class of each pair.

    Args:
        o: what they have in common.
        whole: all words are equal, in order.
        skeleton: all words are equal when every number counts as the same.
        contained: all words of the question stand in the row, in order and in one piece.
        limits: thresholds.
    """
    bits = np.where(o.held > 0, o.shared / np.maximum(o.held, 1e-6), 0)
    enough = bits >= limits.short
    renumbered = (o.missing > 0) & (o.extra > 0)
    held = (o.held >= limits.embedded) & (o.held_pairs >= limits.embedded) & (o.missing == 0)
    same = ~renumbered & ~skeleton & ((sameness(o) >= limits.same) | (held & enough))
    rules = (
        whole | (contained & enough),
        same,
        skeleton
        | (
            enough & (renumbered | (o.extra > 0) | (o.missing > 0)) & (o.pairs >= limits.renumbered)
        ),
        enough & (o.held_pairs >= limits.template),
    )
    return np.select(rules, range(4), NOTHING).astype(np.uint8)
