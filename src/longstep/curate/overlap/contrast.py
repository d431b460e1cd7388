"""Questions that differ in one word or sign and ask for something else: maximum and minimum, even and odd, + and -.

Alone such a difference proves nothing, since a copy may be misspelt. Beside an answer that differs it does: then the
two are two problems in one wording.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from longstep.curate.normalise import fold
from longstep.curate.overlap.features import Features, Hashes
from longstep.curate.overlap.hashing import Ints, lookup
from longstep.curate.overlap.pairs import Flags
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
    """Features of the words on both sides."""
    left, right = zip(*(each.split("/") for each in _OPPOSITES.split()), strict=True)

    def side(words: tuple[str, ...]) -> Hashes:
        stems = tokenise(list(words)).stems
        return (stems >> _HIGH).astype(np.uint32)

    return side((*left, "+")), side((*right, "-"))


def turned(rows: Features, row: Ints, items: Features, item: Ints) -> Flags:
    """Say of each pair whether one text has more of a word and less of its opposite than the other."""
    one, two = _pairs()
    first = _counts(rows, row, one) - _counts(items, item, one)
    second = _counts(rows, row, two) - _counts(items, item, two)
    return np.asarray((first * second < 0).any(axis=1), bool)


def _counts(features: Features, docs: Ints, words: Hashes) -> np.ndarray:
    """How often each of the documents has each of the words."""
    keys = features.keys()
    wanted = (docs.astype(np.uint64)[:, None] << _HIGH) | words.astype(np.uint64)
    order = np.unique(wanted)
    counts = np.zeros(len(order), np.int16)
    at, hit = lookup(keys, order)
    counts[hit] = features.counts[at[hit]]
    return counts[np.searchsorted(order, wanted)]
