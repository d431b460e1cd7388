"""Whether a text shares n words in a row with any question: the cheap first look, for volumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from longstep.curate.overlap.pairs import lookup
from longstep.curate.overlap.tokens import U64, Ints, join, mixed, powers, segments

_BITS = 22
_SHIFT = np.uint64(64 - _BITS)
_STEP = 0x9FB21C651E98DF25  # odd
#: Texts that are looked at together, by number and characters.
BATCH, BATCH_CHARS = 1024, 150_000


class Ngrams:
    """All runs of n words of some texts; equal hashes are taken for equal words (64 bits)."""

    def __init__(self, texts: Sequence[str], n: int) -> None:
        self._n = n
        grams = [_grams(batch, n)[0] for batch in batches(texts)]
        self._grams = np.unique(np.concatenate(grams)) if grams else np.zeros(0, np.uint64)
        self._filter = np.zeros(1 << _BITS, bool)
        self._filter[self._grams >> _SHIFT] = True

    def shared(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Say of each text whether it has one of them."""
        found = [self._shared(batch) for batch in batches(texts)]
        return np.concatenate(found) if found else np.zeros(0, bool)

    def _shared(self, batch: Sequence[str]) -> NDArray[np.bool_]:
        grams, places, begins = _grams(batch, self._n)
        maybe = np.flatnonzero(self._filter[grams >> _SHIFT])
        hit = maybe[lookup(self._grams, grams[maybe])[1]]
        flags = np.zeros(len(batch), bool)
        flags[np.searchsorted(begins, places[hit], side="right") - 1] = True
        return flags


def batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut texts into batches of bounded length."""
    first = size = 0
    for at, text in enumerate(texts):
        if at - first == BATCH or (size and size + len(text) > BATCH_CHARS):
            yield texts[first:at]
            first, size = at, 0
        size += len(text)
    if first < len(texts):
        yield texts[first:]


def _grams(batch: Sequence[str], n: int) -> tuple[U64, Ints, Ints]:
    """Hashes of all runs of n words within a text, the byte where each begins, and where each text begins."""
    buffer, begins = join(batch, bytes.lower)
    starts, ends, _, sums = segments(buffer)
    words = mixed((sums[ends] - sums[starts]) * powers(len(buffer) + 1)[1][starts])
    grams = _runs(words, n)
    if not len(grams):
        return grams, starts[:0], begins
    bounds = np.searchsorted(starts, begins[1:-1])  # first word of each later text
    inside = np.ones(len(grams), bool)
    for back in range(1, n):
        at = bounds - back
        inside[at[(at >= 0) & (at < len(grams))]] = False
    return grams[inside], starts[: len(grams)][inside], begins


def _runs(words: U64, n: int) -> U64:
    """Polynomial hash of every run of n words, by doubling: log2(n) passes."""
    if len(words) < n:
        return words[:0]
    runs, size = words, 1  # hashes of all runs of ``size`` words
    for bit in bin(n)[3:]:  # the binary digits of n after the first: double, then perhaps one more
        runs = runs[:-size] * _step(size) + runs[size:]
        size *= 2
        if bit == "1":
            runs = runs[:-1] * _step(1) + words[size:]
            size += 1
    return runs


def _step(size: int) -> np.uint64:
    return np.uint64(pow(_STEP, size, 1 << 64))
