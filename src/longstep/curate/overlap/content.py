"""Which words of a question say what it is about: all but those that any question may have.

Stock phrases ("what is the value of", "find all ... such that") are in thousands of questions and prove nothing, alone
or beside an equal answer; a word that is none of them names what is asked, and another one in its place asks for
something else.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from longstep.curate.overlap.hashing import Bytes, lookup
from longstep.curate.overlap.tokens import tokenise
from longstep.curate.overlap.wording import NUMBER, WORD

#: Words between the others, those that ask, and those that name what is asked for in general. Compared by stems, so
#: ``number`` is ``numbers`` too.
_STOCK = """
an the of is are was were be been being am and to or for if that let lets it its they them their he his him her she
you your we our us in into on onto at by with from as this these those such which who whose what when where there here
how many much do does did done can could will would shall should must may might has have had having each every any some
one another other also then than thus so but given suppose assume consider find compute determine evaluate calculate
give list state write express enter report answer what value number quantity amount problem question please following
follow satisfy satisfies satisfied where denote call get obtain exactly just only both show using use all point form
simplest simplified terms cdot mathrm case expression given possible make take need
"""
#: Words of the phrases that competitions write around different problems. In place of each other they matter.
_PHRASES = "positive integer real relatively prime coprime written equation system"
_HIGH = np.uint64(32)


@cache
def words_as_features(words: str) -> np.ndarray:
    """Give the feature of each word, as ``features.word_features`` has it."""
    return (tokenise(words.split()).stems >> _HIGH).astype(np.uint32)


@cache
def _sorted(words: str) -> np.ndarray:
    return np.unique(words_as_features(words))


def is_content(hashes: np.ndarray, tags: Bytes) -> np.ndarray:
    """Say of each feature whether it is a word that says what a question is about."""
    return _but(tags == WORD, hashes, _STOCK)


def is_telling(hashes: np.ndarray, tags: Bytes) -> np.ndarray:
    """Say of each feature whether it is such a word, and none of a stock phrase, or a number."""
    return _but(is_content(hashes, tags), hashes, _PHRASES) | (tags == NUMBER)


def _but(found: np.ndarray, hashes: np.ndarray, words: str) -> np.ndarray:
    at = np.flatnonzero(found)
    found[at[lookup(_sorted(words), hashes[at])[1]]] = False
    return found
