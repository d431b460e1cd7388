"""Whether a text shares n words in a row with any question: the cheap first look, for volumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from longstep.curate.overlap.hashing import U64, Ints, lookup, segments, window_hashes
from longstep.curate.overlap.tokens import join

_BITS = 22
_SHIFT = np.uint64(64 - _BITS)
_STEP = 0x9FB21C651E98DF25  # odd
#: Texts that are looked at together, by number and characters.
BATCH, BATCH_CHARS = 1024, 150_000


class Ngrams:
    """All runs of n words of some texts; equal hashes are taken for equal words (64 bits).

    Of a text only every (n - a + 1)-th run of a = (n + 1) // 2 words is looked up: each run of n words holds exactly
    one of those, so only the runs around a known one need a look.
    """

    def __init__(self, texts: Sequence[str], n: int) -> None:
        self._n, self._anchor = n, (n + 1) // 2
        self._stride = n - self._anchor + 1
        cut = [_words(batch) for batch in batches(texts)]
        self._grams = _inside(cut, n)
        self._anchors = _inside(cut, self._anchor)
        self._filter = np.zeros(1 << _BITS, bool)
        self._filter[self._anchors >> _SHIFT] = True

    def shared(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Say of each text whether it has one of them."""
        found = [self._shared(batch) for batch in batches(texts)]
        return np.concatenate(found) if found else np.zeros(0, bool)

    def _shared(self, batch: Sequence[str]) -> NDArray[np.bool_]:
        words, bounds = _words(batch)
        flags = np.zeros(len(batch), bool)
        anchors = runs(words, self._anchor)[self._stride - 1 :: self._stride]
        maybe = np.flatnonzero(self._filter[anchors >> _SHIFT])
        hit = maybe[lookup(self._anchors, anchors[maybe])[1]]
        first = ((hit + 1) * self._stride - 1)[:, None] - np.arange(self._stride)
        first = first[first + self._n <= len(words)]
        doc = np.searchsorted(bounds, first, side="right") - 1
        within = first + self._n <= bounds[doc + 1]
        grams = runs(words, self._n)[first[within]]
        flags[doc[within][lookup(self._grams, grams)[1]]] = True
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


def _words(batch: Sequence[str]) -> tuple[U64, Ints]:
    """Hashes of the words, and where those of each text begin, and the end."""
    folded, begins = join(batch)
    starts, ends, _, sums = segments(folded.lower())
    return window_hashes(sums, starts, ends), np.searchsorted(starts, begins)


def _inside(cut: Sequence[tuple[U64, Ints]], n: int) -> U64:
    """Hashes of all runs of n words within a text, ascending, each once."""
    found = [np.zeros(0, np.uint64)]
    for words, bounds in cut:
        last = np.repeat(bounds[1:], np.diff(bounds))  # end of the text of each word
        found.append(runs(words, n)[np.flatnonzero(np.arange(len(words)) + n <= last)])
    return np.unique(np.concatenate(found))


def runs(words: U64, n: int) -> U64:
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
