"""Candidates, and what a row and a question have in common: everything by array, no loop over rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longstep.curate.overlap.background import Background
from longstep.curate.overlap.features import PAIR, Features, Floats, Hashes
from longstep.curate.overlap.tokens import NUMBER, Ints

Flags = NDArray[np.bool_]

_HIGH = np.uint64(32)
_FILTER = 21
_FILTER_SHIFT = np.uint32(32 - _FILTER)
#: A feature finds candidates only when at most so many questions have it,
POSTINGS = 24
#: and when it is at least this rare, in bits.
RARE = 7.0
#: Candidates share at least this part, by weight, of the question's features that find candidates,
ENOUGH = 0.25
#: or this part when their answers are equal too.
LEAST = 0.12


@dataclass(frozen=True, slots=True)
class Postings:
    """From rare features to the questions that have them.

    Attributes:
        filter: by the highest bits of a hash: whether some feature has them; most lookups end here.
        hashes: features, ascending, length H.
        bounds: questions of feature h are ``items[bounds[h]:bounds[h + 1]]``.
        items: questions.
        bits: weight of each feature, length H.
        totals: weight of all these features of each question.
    """

    filter: Flags
    hashes: Hashes
    bounds: Ints
    items: Ints
    bits: Floats
    totals: Floats


def postings(features: Features, bits: Floats) -> Postings:
    """Invert the questions' rare features; ``bits`` is the weight of each."""
    order = np.argsort(features.hashes, kind="stable")
    hashes = features.hashes[order]
    first = _firsts(hashes)
    sizes = np.diff(np.append(first, len(hashes)))
    keep = (sizes <= POSTINGS) & (bits[order][first] >= RARE)
    items = features.docs()[order][np.repeat(keep, sizes)]
    kept, weight = hashes[first[keep]], bits[order][first[keep]]
    sizes = sizes[keep]
    totals = np.bincount(items, np.repeat(weight, sizes), len(features.bounds) - 1)
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    return Postings(filter_of(kept), kept, bounds, items, weight, totals.astype(np.float32))


def filter_of(hashes: Hashes) -> Flags:
    """Mark the highest bits of hashes."""
    mask = np.zeros(1 << _FILTER, bool)
    mask[hashes >> _FILTER_SHIFT] = True
    return mask


def candidates(rows: Features, index: Postings) -> tuple[Ints, Ints, Flags]:
    """Pairs (row, question) with some rare features in common, and which of them have enough without more evidence."""
    maybe = np.flatnonzero(index.filter[rows.hashes >> _FILTER_SHIFT])
    hashes = rows.hashes[maybe]
    at, hit = lookup(index.hashes, hashes)
    at, row = at[hit], rows.docs()[maybe[hit]]
    sizes = index.bounds[at + 1] - index.bounds[at]
    item = index.items[spread(index.bounds[at], sizes)]
    # the weight, in sixteenths of a bit, rides in the lowest byte: sorting is faster than sorting by index
    key = np.repeat(row, sizes) * len(index.totals) + item
    packed = (key << 8) | np.repeat(np.minimum(index.bits[at] * 16, 255).astype(np.int64), sizes)
    packed.sort()
    key = packed >> 8
    first = _firsts(key)
    if not len(first):
        return first, first, np.zeros(0, bool)
    shared = np.add.reduceat((packed & 255) / 16, first)
    row, item = np.divmod(key[first], len(index.totals))
    share = shared / index.totals[item]
    some = share >= LEAST
    return row[some], item[some], share[some] >= ENOUGH


def lookup(table: NDArray, values: NDArray) -> tuple[Ints, Ints]:
    """Find values in a sorted table: a place for each, and which of the values are really there."""
    if not len(table):
        return np.zeros(len(values), np.int64), np.zeros(0, np.int64)
    at = np.searchsorted(table, values)
    at[at == len(table)] = 0
    return at, np.flatnonzero(table[at] == values)


def spread(starts: Ints, sizes: Ints) -> Ints:
    """Numbers ``starts[i], ..., starts[i] + sizes[i] - 1`` of every range i, behind each other."""
    begin = np.cumsum(sizes) - sizes
    return np.arange(int(sizes.sum())) + np.repeat(starts - begin, sizes)


def _firsts(values: NDArray) -> Ints:
    """Where each run of equal values begins."""
    if not len(values):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))


@dataclass(frozen=True, slots=True)
class Overlaps:
    """What C pairs (row, question) have in common; each has length C, weights are in bits.

    Attributes:
        shared: weight of the shared words, repeated words counted.
        held: share of the question's words that the row has, by weight.
        words: shared words over the words of either (Jaccard of weighted bags).
        held_pairs: like ``held``, of pairs of neighbouring words.
        pairs: like ``words``, of pairs of neighbouring words.
        numbers: weight of the question's different numbers.
        missing: of these, weight of those that the row has not.
        extra: weight of the numbers that the row has and the question has not.
        same_numbers: shared numbers over the numbers of either, repeated ones counted, unweighted; 1 without numbers.
    """

    shared: Floats
    held: Floats
    words: Floats
    held_pairs: Floats
    pairs: Floats
    numbers: Floats
    missing: Floats
    extra: Floats
    same_numbers: Floats


def overlaps(
    rows: Features, row: Ints, items: Features, item: Ints, bits: Floats, background: Background
) -> Overlaps:
    """Compare row ``row[c]`` with question ``item[c]``, for every c; ``bits`` weighs each feature of ``items``."""
    used, place = np.unique(row, return_inverse=True)
    left = _Side(rows, used, lambda pick: background.weights(rows.hashes[pick]))
    right = _Side(items, item, lambda pick: bits[pick])
    row_keys = (left.owner.astype(np.uint64) << _HIGH) | left.hashes
    keys = (place[right.owner].astype(np.uint64) << _HIGH) | right.hashes
    at, hit = lookup(row_keys, keys)
    both = np.zeros(len(keys), np.float32)
    both[hit] = np.minimum(left.counts[at[hit]], right.counts[hit])

    def three(
        mask: Flags, mask_row: Flags, *, once: bool, flat: bool
    ) -> tuple[Floats, Floats, Floats]:
        def total(side: _Side, counts: Floats, mask: Flags) -> Floats:
            counts = np.minimum(counts, 1) if once else counts
            return side.sums(counts * mask * (1 if flat else side.bits))

        row_total = total(left, left.counts, mask_row)[place]
        return total(right, both, mask), total(right, right.counts, mask), row_total

    is_pair, is_pair_row = right.tags == PAIR, left.tags == PAIR
    is_number, is_number_row = right.tags == NUMBER, left.tags == NUMBER
    shared, of_item, of_row = three(~is_pair, ~is_pair_row, once=False, flat=False)
    pairs, pairs_item, pairs_row = three(is_pair, is_pair_row, once=False, flat=False)
    number, number_item, number_row = three(is_number, is_number_row, once=True, flat=False)
    count, count_item, count_row = three(is_number, is_number_row, once=False, flat=True)
    return Overlaps(
        shared, _share(shared, of_item), _share(shared, of_item + of_row - shared),
        _share(pairs, pairs_item), _share(pairs, pairs_item + pairs_row - pairs),
        number_item, number_item - number, number_row - number,
        _share(count, count_item + count_row - count),
    )  # fmt: skip


class _Side:
    """Features of some texts, copied behind each other."""

    def __init__(self, features: Features, docs: Ints, weigh: Callable[[Ints], Floats]) -> None:
        sizes = features.bounds[docs + 1] - features.bounds[docs]
        pick = spread(features.bounds[docs], sizes)
        self.owner = np.repeat(np.arange(len(docs)), sizes)
        self.hashes, self.tags = features.hashes[pick], features.tags[pick]
        self.counts = features.counts[pick].astype(np.float32)
        self.bits: Floats = weigh(pick)
        self.bounds = np.concatenate([[0], np.cumsum(sizes)])

    def sums(self, values: Floats) -> Floats:
        """Sum values by text."""
        total = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        return np.round(total[self.bounds[1:]] - total[self.bounds[:-1]], 3).astype(np.float32)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1e-6), 1).astype(np.float32)
