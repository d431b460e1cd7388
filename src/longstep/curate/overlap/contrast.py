"""Questions that differ in one word, letter or sign and ask for something else: maximum and minimum, radius and center.

Alone such a difference proves nothing, since a copy may be misspelt or use another word. Beside an answer that differs
it does: then the two are two problems in one wording. A copy with a wrong key, or with an answer in another form, keeps
the words that say what it is about, or is told anew with many others.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from longstep.curate.normalise import fold
from longstep.curate.overlap.content import words_as_features
from longstep.curate.overlap.features import Features, Hashes, pair_features
from longstep.curate.overlap.hashing import Ints, lookup
from longstep.curate.overlap.pairs import Flags, Overlaps
from longstep.curate.overlap.tokens import tokenise

#: Opposites, each pair on a side of the slash.
_OPPOSITES = """
maximum/minimum max/min maximal/minimal maximize/minimize largest/smallest greatest/least greatest/smallest
largest/least biggest/smallest highest/lowest most/least longest/shortest even/odd positive/negative
increasing/decreasing first/last inside/outside interior/exterior with/without more/less more/fewer
greater/less before/after above/below left/right sum/product sum/difference sine/cosine sin/cos
inscribed/circumscribed convex/concave rational/irrational prime/composite clockwise/counterclockwise
true/false open/closed always/never all/none and/or
"""
#: Signs likewise.
_SIGNS = "+/- +/* */- </>"
#: Words that narrow or turn what they stand beside, and so change a question that gains or loses one of them.
_NARROWING = """
not no non neither nor never without unless except consecutive distinct distinguishable different identical
indistinguishable same least most fewer more less only nonzero nonnegative half twice double triple
"""
#: A minus in front of a number, a letter or a fraction, which no hyphen is.
_MINUS = ("- 3", "- x", r"- \frac{1}{3}")
#: So many words may differ on either side of two problems in one wording; a copy in other words differs in more.
_FEW = 4
#: So many words may come or go with a narrowing one.
_ADDED = 2
_HIGH = np.uint64(32)
#: "find m + n": an answer asked for in another form.
_RE_POSED = re.compile(
    r"\b(?:find|compute|determine|evaluate|calculate|enter|what is)\b[^.?!]{0,40}?(?<![a-z\\])[a-z]\s*"
    r"(?:[-+*]|\\cdot|\\times)\s*[a-z](?![a-z])",
    re.IGNORECASE,
)
#: What names the letters of such an answer. Without it they are the question's own, and their sum is a plain question.
_ANSWER_FORM = re.compile(
    r"\b(?:written|express|expressed|represented|the form|prime|coprime)\b", re.IGNORECASE
)


def re_posed(text: str | None) -> bool:
    """Tell whether a question asks for a combination of the numbers in its answer, such as ``m + n``."""
    if text is None:
        return False
    plain = fold(text).replace("$", "")
    named = _ANSWER_FORM.search(plain)
    return named is not None and _RE_POSED.search(plain, named.end()) is not None


@cache
def _pairs() -> tuple[Hashes, Hashes]:
    """Features of the words and signs on both sides."""
    sides = [[each.split("/") for each in text.split()] for text in (_OPPOSITES, _SIGNS)]
    left, right = zip(*(pair for side in sides for pair in side), strict=True)
    return words_as_features(" ".join(left)), words_as_features(" ".join(right))


@cache
def _minus() -> Hashes:
    """Features of a minus with what follows it."""
    return np.array([pair_features(tokenise([text]))[0] for text in _MINUS], np.uint32)


def turned(rows: Features, row: Ints, items: Features, item: Ints, o: Overlaps) -> Flags:
    """Say of each pair whether the texts differ in little and ask for different things.

    Either one has more of a word and less of its opposite than the other; or some of the words that say what it is
    about are others, on both sides; or there is one narrowing word more, one minus, or one letter in place of another.
    """

    def more(features: Hashes) -> np.ndarray:
        return _counts(rows, row, features) - _counts(items, item, features)

    one, two = map(more, _pairs())
    opposed = (one * two < 0).any(axis=1)
    few = (o.gone <= _FEW) & (o.new <= _FEW)
    replaced = few & (o.gone > 0) & (o.new > 0)
    narrower = (more(words_as_features(_NARROWING)) != 0).any(axis=1)
    narrowed = (o.gone + o.new <= _ADDED) & narrower
    unworded = (o.gone + o.new == 0) & (o.same_numbers == 1)
    negated = unworded & (more(_minus()) != 0).any(axis=1)
    return opposed | replaced | narrowed | negated | (unworded & o.letter_changed)


def _counts(features: Features, docs: Ints, words: Hashes) -> np.ndarray:
    """How often each of the documents has each of the words."""
    keys = features.keys()
    wanted = (docs.astype(np.uint64)[:, None] << _HIGH) | words.astype(np.uint64)
    order = np.unique(wanted)
    counts = np.zeros(len(order), np.int16)
    at, hit = lookup(keys, order)
    counts[hit] = features.counts[at[hit]]
    return counts[np.searchsorted(order, wanted)]
