"""What counts of the words of a text that is no copy: stems, number words, names of points and variables.

The words themselves (``tokens``) decide whether a question stands in a row as it is. Everything looser is here: words
are compared by their first letters; ``twenty-five`` and ``twelfth`` are numbers and ``percent`` is a sign; a letter or
a short run of capitals is a name, which another author may choose differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from longstep.curate.normalise import SPELT
from longstep.curate.overlap.hashing import U64, Bytes, Ints, lookup, window_hashes, word_hash

#: Classes of words. LETTER: a word of one letter; NAME: a short run of capitals; FIGURE: a drawing, or printed choices;
#: REST: nothing, since the word before says it too.
WORD, LETTER, NUMBER, OPERATOR, NAME, FIGURE, REST = 0, 1, 2, 3, 5, 6, 7
#: A word is compared by so many first letters: ``integer`` and ``integers`` are one.
STEM = 6
#: Capitals of the longest name.
LONGEST_NAME = 4

_VALUES = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70,
    "eighty": 80, "ninety": 90, "hundred": 100, "thousand": 1000, "million": 10**6,
    "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "eleventh": 11,
    "twelfth": 12,
}  # fmt: skip
_SIGNS = {"percent": "%", "plus": "+", "minus": "-"}
_FILTER = 12
_FILTER_SHIFT = np.uint64(64 - _FILTER)
_SIGN = -1
#: Value of the words that are no number.
_NONE = -2


@dataclass(frozen=True, slots=True)
class _Lexicon:
    """Words with a meaning.

    Attributes:
        hashes: of the words, ascending.
        stems: what each is compared by.
        values: of numbers; _SIGN for signs.
        spelt: whether the word counts as its digits even in copies.
        filter: by the highest bits of a hash: whether some word has them; most lookups end here.
    """

    hashes: U64
    stems: U64
    values: Ints
    spelt: NDArray[np.bool_]
    filter: NDArray[np.bool_]

    def find(self, hashes: U64) -> tuple[Ints, Ints]:
        """Words that are here: place in the lexicon, and which of ``hashes`` each is."""
        maybe = np.flatnonzero(self.filter[hashes >> _FILTER_SHIFT])
        at, hit = lookup(self.hashes, hashes[maybe])
        return at[hit], maybe[hit]


@cache
def _lexicon() -> _Lexicon:
    # ``one`` is rather a pronoun in most questions: a number only as part of another
    meant = {word: (str(value) if value > 1 else word, value) for word, value in _VALUES.items()}
    meant |= {word: (sign, _SIGN) for word, sign in _SIGNS.items()}
    rows = sorted(
        (word_hash(word.encode()), word_hash(stem.encode()), value, word.encode() in SPELT)
        for word, (stem, value) in meant.items()
    )
    hashes, stems, found, spelt = zip(*rows, strict=True)
    table = np.array(hashes, np.uint64)
    mask = np.zeros(1 << _FILTER, bool)
    mask[table >> _FILTER_SHIFT] = True
    return _Lexicon(table, np.array(stems, np.uint64), np.array(found), np.array(spelt), mask)


@dataclass(frozen=True, slots=True)
class Segments:
    """T words of texts that are joined by NUL, in the normal form.

    Attributes:
        data: the normal form.
        folded: the texts before it, letter by letter, in their own case.
        starts: first byte of each word.
        ends: byte after the last one.
        sums: prefix sums of the polynomial over ``data``.
        hashes: of each word.
        bounds: words of text d are ``bounds[d]:bounds[d + 1]``.
    """

    data: Bytes
    folded: Bytes
    starts: Ints
    ends: Ints
    sums: U64
    hashes: U64
    bounds: Ints


def classes_of(of: Segments, kinds: Bytes) -> Bytes:
    """Class of each word, from the kind of its bytes."""
    classes = np.where(kinds == 2, NUMBER, np.where(kinds == 1, WORD, OPERATOR)).astype(np.uint8)
    lengths = of.ends - of.starts
    single = np.flatnonzero((kinds == 1) & (lengths == 1))
    classes[single[~_article(of, of.starts[single])]] = LETTER
    short = np.flatnonzero((kinds == 1) & (lengths > 1) & (lengths <= LONGEST_NAME))
    first, last = of.starts[short], of.ends[short] - 1
    capital = [_capital(of.folded[at]) for at in (first, first + 1, last)]
    classes[short[capital[0] & capital[1] & capital[2]]] = NAME
    eight = np.flatnonzero((kinds == 1) & (lengths == 8))
    last = of.ends[eight] - 1
    classes[eight[(of.data[last] == ord("q")) & (of.data[last - 1] == ord("z"))]] = FIGURE
    return classes


def _capital(letters: Bytes) -> NDArray[np.bool_]:
    return (letters >= ord("A")) & (letters <= ord("Z"))


def _small(letters: Bytes) -> NDArray[np.bool_]:
    return (letters >= ord("a")) & (letters <= ord("z"))


def _byte(source: Bytes, at: Ints) -> Bytes:
    """Bytes at places, NUL outside."""
    inside = (at >= 0) & (at < len(source))
    return np.where(inside, source[np.where(inside, at, 0)], 0)


def _article(of: Segments, at: Ints) -> NDArray[np.bool_]:
    """Whether the letter at a place is the word "a": a blank, and then a word of two or more small letters."""
    before, after = _byte(of.folded, at - 1), _byte(of.folded, at + 1)
    blank = (before <= 32) & (after == 32)
    word = _small(_byte(of.folded, at + 2)) & _small(_byte(of.folded, at + 3))
    return blank & word & (of.data[at] == ord("a"))


def meanings_of(of: Segments, classes: Bytes) -> tuple[U64, U64]:
    """Hashes of the words, small numbers as digits, and what words are compared by where copies are not looked for.

    Number words become NUMBER in ``classes``, and the words that belong to the number before them REST.
    """
    hashes, stems = of.hashes.copy(), of.hashes.copy()
    long = np.flatnonzero((classes == WORD) & (of.ends - of.starts > STEM))
    stems[long] = window_hashes(of.sums, of.starts[long], of.starts[long] + STEM)
    words = _lexicon()
    at, hit = words.find(of.hashes)
    stems[hit], values = words.stems[at], words.values[at]
    spelt = words.spelt[at]
    hashes[hit[spelt]] = words.stems[at[spelt]]
    classes[hit[values == _SIGN]] = OPERATOR
    classes[hit[values > 1]] = NUMBER
    _join_numbers(of, hit, values, stems, classes)
    return hashes, stems


def _join_numbers(of: Segments, hit: Ints, values: Ints, stems: U64, classes: Bytes) -> None:
    """Make one number of ``twenty-five``, ``twenty five`` and ``twenty-five thousand``, in place."""
    count = len(stems)
    value = np.full(count + 3, _NONE)
    value[hit] = values
    begins = np.zeros(count + 3, bool)
    begins[of.bounds] = True
    tens = hit[(values >= 20) & (values < 100)]
    dash = of.hashes[np.minimum(tens + 1, count - 1)] == _dash()
    for gap, fits in ((1, True), (2, dash & ~begins[tens + 2])):
        units = (value[tens + gap] > 0) & (value[tens + gap] < 10) & ~begins[tens + 1]
        _join(tens[units & fits], gap, np.add, value, stems, classes)
    small = hit[(value[hit] > 0) & (value[hit] < 100)]
    for gap in (1, 2, 3):  # the words in between are of the small number
        large = (value[small + gap] >= 100) & ~begins[small + gap]
        for step in range(1, gap):
            large &= classes[np.minimum(small + step, count - 1)] == REST
        _join(small[large], gap, np.multiply, value, stems, classes)


def _join(at: Ints, gap: int, join: np.ufunc, value: Ints, stems: U64, classes: Bytes) -> None:
    value[at] = join(value[at], value[at + gap])
    stems[at] = [word_hash(b"%d" % each) for each in value[at].tolist()]
    classes[at] = NUMBER
    for step in range(1, gap + 1):
        classes[at + step], value[at + step] = REST, _NONE


@cache
def _dash() -> np.uint64:
    return np.uint64(word_hash(b"-"))


def letters_of(of: Segments, classes: Bytes) -> tuple[Ints, U64]:
    """Word that each letter is of, and its hash: letters alone, and those of names."""
    found = [np.flatnonzero(classes == LETTER)]
    places = [of.starts[found[0]]]
    names = np.flatnonzero(classes == NAME)
    for letter in range(LONGEST_NAME):
        here = names[of.ends[names] - of.starts[names] > letter]
        found.append(here)
        places.append(of.starts[here] + letter)
    place = np.concatenate(places)
    return np.concatenate(found), window_hashes(of.sums, place, place + 1)
