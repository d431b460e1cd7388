"""Hashes of words and of runs of words, for many texts at once: no loop over words in Python.

A word's hash is the polynomial ``sum value(byte_i) p**i`` modulo 2**64, read off one prefix sum over the whole buffer
and multiplied by the inverse power of its place; sequences of words are hashed in the same way. Arithmetic is that of
wrapping unsigned integers, so equal words have equal hashes exactly.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from longstep.curate.normalise import OPERATORS

U64 = NDArray[np.uint64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

_BASE = 0x2545F4914F6CDD1D  # odd, so that it has an inverse modulo 2**64
_MIX = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)


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
def _tables() -> tuple[bytes, U64]:
    """Class of each byte (0 separator, 1 letter, 2 digit, 3 and up operators), and its value in the polynomial."""
    kinds = np.zeros(256, np.uint8)
    kinds[ord("a") : ord("z") + 1] = 1
    kinds[ord("0") : ord("9") + 1] = 2
    kinds[1] = 2
    for number, operator in enumerate(OPERATORS):
        kinds[operator] = 3 + number
    values = mixed(np.arange(1, 257, dtype=np.uint64) * np.uint64(_BASE))
    return kinds.tobytes(), values


def word_hash(word: bytes) -> int:
    """Hash of one word."""
    values = _tables()[1]
    total = sum(int(values[byte]) * pow(_BASE, i, 1 << 64) for i, byte in enumerate(word))
    return int(mixed(np.array([total % (1 << 64)], np.uint64))[0])


def segments(buffer: bytes) -> tuple[Ints, Ints, Bytes, U64]:
    """Start and end of every word of a normal form, the class of its bytes, and the prefix sums of the polynomial."""
    kind_of, value_of = _tables()
    data = np.frombuffer(buffer, np.uint8)
    kinds = np.frombuffer(buffer.translate(kind_of), np.uint8)
    sums = np.zeros(len(data) + 1, np.uint64)
    terms = sums[1:]  # in place: fresh memory costs more than the arithmetic
    np.take(value_of, data, out=terms, mode="clip")
    terms *= powers(len(data) + 1)[0][: len(data)]
    np.cumsum(terms, out=terms)
    change = np.empty(len(data) + 1, bool)
    change[0] = change[-1] = True
    np.not_equal(kinds[1:], kinds[:-1], out=change[1:-1])
    change[1:-1] |= kinds[1:] > 2
    edges = np.flatnonzero(change)
    starts, ends = edges[:-1], edges[1:]
    kinds = kinds[starts]
    real = np.flatnonzero(kinds)
    return starts[real], ends[real], kinds[real], sums


def sequence_sums(hashes: U64) -> U64:
    """Prefix sums of the polynomial over words, one longer than the words; see ``window_hashes``."""
    sums = np.zeros(len(hashes) + 1, np.uint64)
    np.cumsum(hashes * powers(len(hashes) + 1)[0][: len(hashes)], out=sums[1:])
    return sums


def window_hashes(sums: U64, starts: Ints, ends: Ints) -> U64:
    """Hashes of the runs ``starts[i]:ends[i]``, the same wherever a run stands."""
    return mixed((sums[ends] - sums[starts]) * powers(len(sums))[1][starts])


def lookup(table: NDArray, values: NDArray) -> tuple[Ints, Ints]:
    """Find values in a sorted table: a place for each, and which of the values are really there."""
    if not len(table):
        return np.zeros(len(values), np.int64), np.zeros(0, np.int64)
    at = np.searchsorted(table, values)
    at[at == len(table)] = 0
    return at, np.flatnonzero(table[at] == values)
