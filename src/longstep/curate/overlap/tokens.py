"""Words of many texts at once, as hashes: no loop over words in Python.

A word's hash is the polynomial ``sum value(byte_i) p**i`` modulo 2**64, read off one prefix sum over the whole buffer
and multiplied by the inverse power of its place; sequences of words are hashed in the same way. Arithmetic is that of
wrapping unsigned integers, so equal words have equal hashes exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from longstep.curate.normalise import OPERATORS, SPELT, fold, rewrite

U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]

#: Classes of tokens.
WORD, LETTER, NUMBER, OPERATOR = 0, 1, 2, 3
#: A word is compared by so many first letters: ``integer`` and ``integers`` are one.
STEM = 6
#: What stands for any number where numbers do not count.
ANY_NUMBER = np.uint64(0x9E3779B97F4A7C15)

_BASE = 0x2545F4914F6CDD1D  # odd, so that it has an inverse modulo 2**64
_MIX = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Words of D texts, one after the other.

    Attributes:
        hashes: of the full word, length T.
        stems: of its first letters, length T; a number's stem is the number.
        classes: WORD, LETTER (a word of one letter), NUMBER or OPERATOR.
        starts: first byte of each word in the folded text it belongs to.
        ends: byte after the last one.
        docs: text of each word, length T.
        bounds: words of text d are ``bounds[d]:bounds[d + 1]``, length D + 1.
    """

    hashes: U64
    stems: U64
    classes: NDArray[np.uint8]
    starts: Ints
    ends: Ints
    docs: Ints
    bounds: Ints

    def part(self, first: int, last: int) -> Tokens:
        """Words ``first:last``, as one text."""
        cut = slice(first, last)
        places = np.zeros(last - first, np.int64), np.array([0, last - first])
        return Tokens(
            self.hashes[cut],
            self.stems[cut],
            self.classes[cut],
            self.starts[cut],
            self.ends[cut],
            *places,
        )

    def masked(self) -> U64:
        """Hashes of the stems, every number the same."""
        return np.where(self.classes == NUMBER, ANY_NUMBER, self.stems)


def mixed(hashes: U64) -> U64:
    """Spread a polynomial hash over all bits; its low bits alone know only the low bits of the bytes."""
    high = (hashes ^ (hashes >> _SHIFT)) * _MIX
    return high ^ (high >> _SHIFT)


@cache
def _powers(size: int) -> tuple[U64, U64]:
    """``p**i`` and ``p**-i`` for i below ``size``, by doubling."""
    tables = []
    for base in (_BASE, pow(_BASE, -1, 1 << 64)):
        table = np.ones(size, np.uint64)
        done = 1
        while done < size:
            more = min(done, size - done)
            table[done : done + more] = table[:more] * np.uint64(pow(base, done, 1 << 64))
            done += more
        tables.append(table)
    return tables[0], tables[1]


def powers(size: int) -> tuple[U64, U64]:
    """Powers of the base and of its inverse, at least ``size`` of them."""
    return _powers(1 << max(16, (size - 1).bit_length()))


@cache
def _tables() -> tuple[NDArray[np.uint8], U64]:
    """Class of each byte (0 separator, 1 letter, 2 digit, 3 and up operators), and its value in the polynomial."""
    kinds = np.zeros(256, np.uint8)
    kinds[ord("a") : ord("z") + 1] = 1
    kinds[ord("0") : ord("9") + 1] = 2
    kinds[1] = 2
    for number, operator in enumerate(OPERATORS):
        kinds[operator] = 3 + number
    values = mixed(np.arange(1, 257, dtype=np.uint64) * np.uint64(_BASE))
    return kinds, values


@cache
def _spelt() -> tuple[U64, U64]:
    """Hashes of number words, sorted, and those of their digits."""
    pairs = sorted((_plain(word), _plain(digits)) for word, digits in SPELT.items())
    return np.array([a for a, _ in pairs], np.uint64), np.array([b for _, b in pairs], np.uint64)


def _plain(word: bytes) -> int:
    values = _tables()[1]
    total = sum(int(values[byte]) * pow(_BASE, i, 1 << 64) for i, byte in enumerate(word))
    return int(mixed(np.array([total % (1 << 64)], np.uint64))[0])


def join(texts: Sequence[str], form: Callable[[bytes], bytes] = rewrite) -> tuple[bytes, Ints]:
    """Fold texts and join them by NUL, in the normal form; with the place where each begins, and the end."""
    folded = [fold(text) for text in texts]
    lengths = np.fromiter((len(text) + 1 for text in folded), np.int64, len(folded))
    begins = np.zeros(len(folded) + 1, np.int64)
    np.cumsum(lengths, out=begins[1:])
    return form("\x00".join(folded).encode("ascii")), begins


def segments(buffer: bytes) -> tuple[Ints, Ints, NDArray[np.uint8], U64]:
    """Start and end of every word of a normal form, the class of its bytes, and the prefix sums of the polynomial."""
    kind_of, value_of = _tables()
    data = np.frombuffer(buffer, np.uint8)
    kinds = kind_of[data]
    sums = np.zeros(len(data) + 1, np.uint64)
    terms = value_of[data]
    terms *= powers(len(data) + 1)[0][: len(data)]
    np.cumsum(terms, out=sums[1:])
    change = np.empty(len(data) + 1, bool)
    change[0] = change[-1] = True
    np.not_equal(kinds[1:], kinds[:-1], out=change[1:-1])
    change[1:-1] |= kinds[1:] > 2
    edges = np.flatnonzero(change)
    starts, ends = edges[:-1], edges[1:]
    kinds = kinds[starts]
    real = np.flatnonzero(kinds)
    return starts[real], ends[real], kinds[real], sums


def tokenise(texts: Sequence[str]) -> Tokens:
    """Give the words of texts in the normal form."""
    if not texts:
        nothing = np.zeros(0, np.int64)
        empty = np.zeros(0, np.uint64)
        none = np.zeros(0, np.uint8)
        return Tokens(empty, empty, none, nothing, nothing, nothing, np.zeros(1, np.int64))
    buffer, begins = join(texts)
    starts, ends, kinds, sums = segments(buffer)
    inverse = powers(len(buffer) + 1)[1]
    hashes = mixed((sums[ends] - sums[starts]) * inverse[starts])
    classes = np.where(kinds == 2, NUMBER, np.where(kinds == 1, WORD, OPERATOR)).astype(np.uint8)
    classes[(kinds == 1) & (ends == starts + 1)] = LETTER
    stems = hashes.copy()
    long = np.flatnonzero((classes == WORD) & (ends - starts > STEM))
    cut = starts[long]
    stems[long] = mixed((sums[cut + STEM] - sums[cut]) * inverse[cut])
    known, digits = _spelt()
    at = np.searchsorted(known, hashes)
    at[at == len(known)] = 0
    spelt = np.flatnonzero(known[at] == hashes)
    hashes[spelt] = stems[spelt] = digits[at[spelt]]
    classes[spelt] = NUMBER
    bounds = np.searchsorted(starts, begins)
    docs = np.repeat(np.arange(len(texts)), np.diff(bounds))
    return Tokens(hashes, stems, classes, starts - begins[docs], ends - begins[docs], docs, bounds)


def sequence_sums(hashes: U64) -> U64:
    """Prefix sums of the polynomial over words, one longer than the words; see ``window_hashes``."""
    sums = np.zeros(len(hashes) + 1, np.uint64)
    np.cumsum(hashes * powers(len(hashes) + 1)[0][: len(hashes)], out=sums[1:])
    return sums


def window_hashes(sums: U64, starts: Ints, ends: Ints) -> U64:
    """Hashes of the runs of words ``starts[i]:ends[i]``, the same wherever a run stands."""
    return mixed((sums[ends] - sums[starts]) * powers(len(sums))[1][starts])
