"""What counts as the same question: thresholds, and the class of a pair from what it has in common."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from longstep.config import Field, Strict
from longstep.curate.overlap.answers import Signs
from longstep.curate.overlap.match import Kind
from longstep.curate.overlap.pairs import Flags, Overlaps

#: Classes by code, from the surest; ``len(KINDS)`` is no match.
KINDS: tuple[Kind, ...] = ("identical", "reworded", "numbers_changed", "shared_template")
IDENTICAL, REWORDED, NUMBERS_CHANGED, SHARED_TEMPLATE, NOTHING = range(5)


class Thresholds(Strict):
    """Where the classes begin.

    The defaults are tuned on the rows with split ``dev`` of ``tests/labels/same_problem.jsonl``.

    Attributes:
        same: score of ``sameness`` from which a pair is the same problem, when an answer is unknown.
        same_answer: the same, when both answers are known and equal.
        other_answer: the same, when they differ: near-identical wording passes, since a wrong key does not make a copy
            clean and a re-posed question may ask for another form of the answer.
        agreed: share of the question's words that a row has to hold for equal answers to count.
        told: share of the words that say what the question is about (``content``) that a row has to hold: numbers in
            common are no evidence without one of them.
        content: share of its numbers and of these words, without those of stock phrases, that a row has to hold for
            equal answers to make up for other wording, unless all numbers are equal: many problems say "positive
            integers" and have a small answer.
        numbers: share of the numbers of either that both have, from which numbers on one side only may be an omission.
        short: a question of fewer bits than this is compared as a whole and never looked for inside of a text.
        contained: a question of so many bits is found inside of a text where all its words stand in one piece.
        embedded: share of the question's words and pairs of words that a longer text has to hold.
        renumbered: pairs of words in common over those of either, from which a question with other numbers is the
            same one.
        template: share of the question's pairs of words from which a stock phrase is reported.
    """

    same: float = -1.1
    same_answer: float = -4.3
    other_answer: float = -0.2
    agreed: float = Field(default=0.55, ge=0, le=1)
    told: float = Field(default=0.25, ge=0, le=1)
    content: float = Field(default=0.6, ge=0, le=1)
    numbers: float = Field(default=0.5, ge=0, le=1)
    short: float = Field(default=35.0, ge=0)
    contained: float = Field(default=30.0, ge=0)
    embedded: float = Field(default=0.96, gt=0, le=1)
    renumbered: float = Field(default=0.4, gt=0, le=1)
    template: float = Field(default=0.5, gt=0, le=1)


class Evidence(NamedTuple):
    """What is known of pairs beside their words.

    Attributes:
        agree: 1 where the answers are equal, -1 where they differ, 0 where that cannot be told.
        turned: whether they differ in little that turns the question round (``contrast``).
    """

    agree: Signs
    turned: Flags


def sameness(o: Overlaps) -> NDArray[np.float32]:
    """Evidence that two texts state the same problem, whatever their answers: about the logarithm of the odds.

    A linear score, fitted by logistic regression to labelled pairs and to pairs of training rows with different
    answers. More words and rarer ones in common are evidence; so are equal numbers, and letters that are equal up to a
    renaming. At equal words, *fewer* pairs of neighbours in common speak for a rewording: what two different questions
    share is a stock phrase in one piece.
    """
    missing, extra = o.missing > 0, o.extra > 0
    return (
        2.3 * o.words + 4.59 * o.row_held - 4.87 * o.pairs + 0.81 * np.log2(1 + o.shared) + 1.34 * o.letters
        + 0.41 * np.log2(1 + o.numbers) + 5.16 * o.same_numbers + 1.67 * (~missing & ~extra) - 1.97 * (missing & extra)
        - 17.0
    ).astype(np.float32)  # fmt: skip


def classify(
    o: Overlaps,
    whole: Flags,
    skeleton: Flags,
    contained: Flags,
    evidence: Evidence,
    limits: Thresholds,
) -> NDArray[np.uint8]:
    """Class of each pair.

    Args:
        o: what they have in common.
        whole: all words are equal, in order.
        skeleton: all words are equal when every number counts as the same.
        contained: all words of the question stand in the row, in order and in one piece.
        evidence: what the answers and the words that turn a question round say.
        limits: thresholds.
    """
    agree = evidence.agree
    bits = np.where(o.held > 0, o.shared / np.maximum(o.held, 1e-6), 0)
    enough = bits >= limits.short
    renumbered = (o.missing > 0) & (o.extra > 0)
    held = (o.held >= limits.embedded) & (o.held_pairs >= limits.embedded) & (o.missing == 0)
    agree = np.where((agree > 0) & (o.held < limits.agreed), 0, agree)
    omitted = (agree > 0) | (o.same_numbers >= limits.numbers) | ((o.missing == 0) & (o.extra == 0))
    needed = np.choose(agree + 1, (limits.other_answer, limits.same, limits.same_answer))
    score = sameness(o)
    all_numbers = (o.same_numbers == 1) & (o.numbers > 0)
    about = (o.told >= limits.told) & (
        (score >= limits.same) | (o.content >= limits.content) | all_numbers
    )
    alike = ((score >= needed) & omitted & about) | (held & enough)
    turned = evidence.turned & (agree < 0)
    same = ~turned & (~renumbered | (agree > 0)) & ~skeleton & alike
    rules = (
        whole | (contained & (bits >= limits.contained)),
        same,
        skeleton
        | (
            enough & (renumbered | (o.extra > 0) | (o.missing > 0)) & (o.pairs >= limits.renumbered)
        ),
        enough & (o.held_pairs >= limits.template),
    )
    return np.select(rules, range(4), NOTHING).astype(np.uint8)
