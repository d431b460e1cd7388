"""Candidates, and what a row and a question have in common: everything by array, no loop over rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from longstep.curate.overlap.background import Background
from longstep.curate.overlap.content import is_content, is_telling
from longstep.curate.overlap.features import PAIR, Features, Floats, Hashes
from longstep.curate.overlap.hashing import Ints, lookup
from longstep.curate.overlap.wording import LETTER, NUMBER, OPERATOR, WORD

Flags = NDArray[np.bool_]

_HIGH = np.uint64(32)
_CLASSES = 8
_WORDS = (WORD, NUMBER, OPERATOR)
_RANKS = 8  # bits of a letter's rank: there are 26
_FILTER = 21
_FILTER_SHIFT = np.uint32(32 - _FILTER)
#: A feature finds candidates only when at most so many questions have it,
POSTINGS = 24
#: and when it is at least this rare, in bits.
RARE = 6.0
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
    # the weight, in sixteenths of a bit, rides in the lowest byte: sorting is faster than sorting by index, and that of
    # short integers twice as fast
    small = (len(rows.bounds) * len(index.totals)) >> 24 == 0
    packed = np.repeat(
        (row * len(index.totals)) << 8 | np.minimum(index.bits[at] * 16, 255).astype(np.int64),
        sizes,
    )
    packed = (packed + (item << 8)).astype(np.uint32 if small else np.int64)
    packed.sort()
    key = packed >> 8
    first = _firsts(key)
    if not len(first):
        return first, first, np.zeros(0, bool)
    shared = np.add.reduceat(packed & 255, first) / 16
    row, item = np.divmod(key[first].astype(np.int64), len(index.totals))
    share = shared / index.totals[item]
    some = share >= LEAST
    return row[some], item[some], share[some] >= ENOUGH


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
        words: shared words over the words of either (Jaccard of weighted bags), letters and drawings left out.
        row_held: share of the row's words that the question has, likewise.
        held_pairs: like ``held``, of pairs of neighbouring words.
        pairs: like ``words``, of pairs of neighbouring words.
        letters: like ``words``, of letters, unweighted, under the best renaming of them.
        numbers: weight of the question's different numbers.
        missing: of these, weight of those that the row has not.
        extra: weight of the numbers that the row has and the question has not.
        same_numbers: shared numbers over the numbers of either, repeated ones counted, unweighted; 1 without numbers.
        content: share of the question's numbers and telling words (``content``), by weight, that the row has.
        told: the same of all words that say what it is about; 1 where it has none.
        gone: of the latter, how many the question has and the row has not.
        new: how many the row has and the question has not.
        letter_changed: whether one letter of the question is another letter of the question in the row, and no more.
    """

    shared: Floats
    held: Floats
    words: Floats
    row_held: Floats
    held_pairs: Floats
    pairs: Floats
    letters: Floats
    numbers: Floats
    missing: Floats
    extra: Floats
    same_numbers: Floats
    content: Floats
    told: Floats
    gone: Floats
    new: Floats
    letter_changed: Flags

    def take(self, at: Ints) -> Overlaps:
        """Those of some of the pairs."""
        return Overlaps(*(getattr(self, each.name)[at] for each in fields(self)))


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
    # weight by class: shared, of the question, of the row
    ours, item_bits = right.sums(both * right.bits), right.sums(right.counts * right.bits)
    row_bits = left.sums(left.counts * left.bits)[place]
    shared, of_item = ours.sum(1) - ours[:, PAIR], item_bits.sum(1) - item_bits[:, PAIR]
    words, item_words, row_words = (each[:, _WORDS].sum(1) for each in (ours, item_bits, row_bits))
    pairs, item_pairs, row_pairs = (each[:, PAIR] for each in (ours, item_bits, row_bits))
    number = right.sums((both > 0) * right.bits)[:, NUMBER]
    item_number, row_number = (each.sums(each.bits)[:, NUMBER] for each in (right, left))
    count, item_count, row_count = (
        right.sums(both),
        right.sums(right.counts),
        left.sums(left.counts)[place],
    )
    either = item_count + row_count
    letter = _renamed(left, right, place)
    return Overlaps(
        shared.astype(np.float32), _share(shared, of_item),
        _share(words, item_words + row_words - words), _share(words, row_words),
        _share(pairs, item_pairs), _share(pairs, item_pairs + row_pairs - pairs),
        _share(letter, either[:, LETTER] - letter),
        _rest(item_number, 0), _rest(item_number, number), _rest(row_number[place], number),
        _share(count[:, NUMBER], either[:, NUMBER] - count[:, NUMBER]),
        *_contents(left, right, place, both),
        _letter_changed(left, right, place, both, (count, item_count, row_count)),
    )  # fmt: skip


def _contents(
    left: _Side, right: _Side, place: Ints, both: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Shares and numbers of the words that say what a text is about: ``content``, ``told``, ``gone`` and ``new``."""
    theirs = is_content(right.hashes, right.tags)
    ours = is_content(left.hashes, left.tags)
    shared, words = (right.total(values * theirs) for values in (both, right.counts))
    weights = [
        right.total(values * right.bits * kept)
        for kept in (is_telling(right.hashes, right.tags), theirs)
        for values in (both, right.counts)
    ]
    return (
        _share(weights[0], weights[1]), _share(weights[2], weights[3]),
        _rest(words, shared), _rest(left.total(left.counts * ours)[place], shared),
    )  # fmt: skip


def _letter_changed(
    left: _Side, right: _Side, place: Ints, both: Floats, counts: tuple[NDArray, NDArray, NDArray]
) -> Flags:
    """Say whether both texts have the same letters, one of them once more and another once less.

    ``counts`` are of the shared words, of the question's and of the row's, by class.
    """
    shared, theirs, ours = (each[:, LETTER] for each in counts)
    letters = right.tags == LETTER
    common, different = right.total(letters * (both > 0)), right.total(letters)
    same = (common == different) & (common == left.total(left.tags == LETTER)[place])
    return same & (theirs - shared == 1) & (ours - shared == 1)


def _renamed(left: _Side, right: _Side, place: Ints) -> Floats:
    """Letters in common when each is renamed to the other's letter of its rank by frequency: no renaming has more."""
    owner, rank, counts = left.ranked_letters()
    of, rank_of, counts_of = right.ranked_letters()
    at, hit = lookup(owner << _RANKS | rank, place[of] << _RANKS | rank_of)
    both = np.zeros(len(of), np.float32)
    both[hit] = np.minimum(counts[at[hit]], counts_of[hit])
    return np.bincount(of, both, right.size).astype(np.float32)


class _Side:
    """Features of some texts, copied behind each other."""

    def __init__(self, features: Features, docs: Ints, weigh: Callable[[Ints], Floats]) -> None:
        sizes = features.bounds[docs + 1] - features.bounds[docs]
        pick = spread(features.bounds[docs], sizes)
        self.owner = np.repeat(np.arange(len(docs)), sizes)
        self.hashes, self.tags = features.hashes[pick], features.tags[pick]
        self.counts = features.counts[pick].astype(np.float32)
        self.bits: Floats = weigh(pick)
        self.size = len(docs)
        self._cells = self.owner * _CLASSES + self.tags

    def sums(self, values: Floats) -> NDArray[np.float64]:
        """Sum values by text and class of word."""
        total = np.bincount(self._cells, values, self.size * _CLASSES)
        return np.asarray(total, np.float64).reshape(-1, _CLASSES)

    def total(self, values: Floats) -> NDArray[np.float64]:
        """Sum values by text."""
        return np.asarray(np.bincount(self.owner, values, self.size), np.float64)

    def ranked_letters(self) -> tuple[Ints, Ints, Floats]:
        """Text, rank by frequency, from 0, and count of each letter."""
        at = np.flatnonzero(self.tags == LETTER)
        at = at[np.lexsort((-self.counts[at], self.owner[at]))]
        owner = self.owner[at]
        return owner, np.arange(len(at)) - np.searchsorted(owner, owner), self.counts[at]


def _share(part: NDArray, whole: NDArray) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1e-6), 1).astype(np.float32)


def _rest(whole: NDArray, part: NDArray | float) -> Floats:
    """A difference of sums of the same weights in another order: rounded, so that nothing is nothing."""
    return np.round(whole - part, 3).astype(np.float32)
