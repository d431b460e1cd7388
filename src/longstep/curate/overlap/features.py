"""What two texts are compared by: their words as a bag, and pairs of neighbouring words; as 32-bit hashes.

Numbers and letters count in the bag as they are, and in the pairs as *any number* and *any letter*: so the pairs of a
question are those of its copy with other numbers or names. A name of several capitals, such as that of a triangle, is
its letters. 32 bits are enough: of the 200,000 features of all benchmarks a wrong word meets one with probability
5e-5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longstep.curate.overlap.hashing import Ints, mixed
from longstep.curate.overlap.tokens import Tokens
from longstep.curate.overlap.wording import FIGURE, LETTER, NUMBER, OPERATOR, WORD

Hashes = NDArray[np.uint32]
Floats = NDArray[np.float32]

#: Tag of a feature: the class of the word (see ``tokens``), or a pair of words.
PAIR = 4
_HIGH = np.uint64(32)
_MANY = 255
_NAME = np.uint64(0x8000000000000000)
_IN_BAG = np.isin(np.arange(8), (WORD, NUMBER, OPERATOR, FIGURE))


@dataclass(frozen=True, slots=True)
class Features:
    """Different features of D texts, sorted by text and hash; F in all.

    Attributes:
        hashes: length F.
        counts: how often the text has it, at most 255.
        tags: WORD, LETTER, NUMBER, OPERATOR, FIGURE or PAIR.
        bounds: features of text d are ``bounds[d]:bounds[d + 1]``, length D + 1.
    """

    hashes: Hashes
    counts: NDArray[np.uint8]
    tags: NDArray[np.uint8]
    bounds: Ints

    def docs(self) -> Ints:
        """Text of each feature."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))

    def keys(self) -> NDArray[np.uint64]:
        """Text and hash in one number, ascending."""
        return (self.docs().astype(np.uint64) << _HIGH) | self.hashes


def word_features(tokens: Tokens) -> Hashes:
    """Feature of each word, for the bag."""
    return (tokens.stems >> _HIGH).astype(np.uint32)


def pair_features(tokens: Tokens) -> Hashes:
    """Feature of each word with the next one, length T; those across two texts and the last one mean nothing."""
    masked = tokens.masked()
    return (mixed(masked * np.uint64(3) + np.roll(masked, -1)) >> _HIGH).astype(np.uint32)


def features(tokens: Tokens) -> Features:
    """Collect the features of texts."""
    count = len(tokens.bounds) - 1
    words = np.flatnonzero(_IN_BAG[tokens.classes])
    inside = np.flatnonzero(tokens.docs[:-1] == tokens.docs[1:])
    parts = (
        (tokens.docs[words], word_features(tokens)[words], tokens.classes[words]),
        (tokens.docs[inside], pair_features(tokens)[inside], PAIR),
        # as a name, the letter "a" is not the word
        (tokens.letter_docs, (tokens.letters ^ _NAME) >> _HIGH, LETTER),
    )
    # the tag rides in the lowest bits through one sort: text (29 bits), hash (32), tag (3)
    keys = np.concatenate([_keys(*part) for part in parts])
    keys.sort()
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else keys
    first = first.astype(np.int64)
    counts = np.minimum(np.diff(np.append(first, len(keys))), _MANY).astype(np.uint8)
    keys = keys[first]
    bounds = np.searchsorted(keys, np.arange(count + 1, dtype=np.uint64) << np.uint64(35))
    return Features(
        (keys >> np.uint64(3)).astype(np.uint32),
        counts,
        (keys & np.uint64(7)).astype(np.uint8),
        bounds,
    )


def _keys(docs: Ints, hashes: NDArray, tags: NDArray | int) -> NDArray[np.uint64]:
    packed = (docs.astype(np.uint64) << _HIGH) | hashes
    return (packed << np.uint64(3)) | np.asarray(tags, np.uint64)
