"""Words of many texts at once: as they are, and as what counts of them when a text is no copy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from longstep.curate.normalise import fold, rewrite
from longstep.curate.overlap.hashing import (
    U64,
    Bytes,
    Ints,
    segments,
    window_hashes,
)
from longstep.curate.overlap.wording import (
    FIGURE,
    LETTER,
    NAME,
    NUMBER,
    Segments,
    classes_of,
    letters_of,
    meanings_of,
)

#: What stands for any number, letter, name or drawing where these do not count.
ANY_NUMBER = np.uint64(0x9E3779B97F4A7C15)
_ANY = {
    NUMBER: ANY_NUMBER,
    LETTER: np.uint64(0xC2B2AE3D27D4EB4F),
    NAME: np.uint64(0xD1B54A32D192ED03),
    FIGURE: np.uint64(0x165667B19E3779F9),
}


@dataclass(frozen=True, slots=True)
class Tokens:
    """Words of D texts, one after the other.

    Attributes:
        hashes: of the full word, length T.
        stems: what words are compared by where order and spelling do not count, length T.
        classes: see ``wording``, length T.
        starts: first byte of each word in the folded text it belongs to.
        ends: byte after the last one.
        docs: text of each word, length T.
        bounds: words of text d are ``bounds[d]:bounds[d + 1]``, length D + 1.
        letters: hashes of the letters that are names, or parts of names, length L.
        letter_docs: text of each, length L.
    """

    hashes: U64
    stems: U64
    classes: Bytes
    starts: Ints
    ends: Ints
    docs: Ints
    bounds: Ints
    letters: U64
    letter_docs: Ints

    def masked(self) -> U64:
        """Hashes of the stems, every number the same, every letter, and every drawing."""
        return np.where(_any()[self.classes] > 0, _any()[self.classes], self.stems)


@cache
def _any() -> U64:
    table = np.zeros(8, np.uint64)
    for kind, value in _ANY.items():
        table[kind] = value
    return table


#: Instructions that published training sets write around every problem, before it or behind it: DAPO, the GSM8K and
#: MATH rows of verl, Skywork and DeepMath, lighteval, Qwen's and DeepSeek's prompts.
_WRAPPERS = re.compile(
    r"solve the following math problem[^.]{0,60}step by step\.(?:\s*the last line of your response should be of the"
    r" form answer: \$?answer \(without quotes\) where \$?answer is the answer to the problem\.)?"
    r"|remember to put your answer on its own line after \"?answer:\"?\.?"
    r"|(?:let's think|please reason|think) step by step,? and (?:output|put|write) (?:the|your) final answer"
    r" (?:after \"?####\"?|(?:with)?in \\boxed\s*\{\s*\})\.?"
    r"|(?:please )?(?:put|present|write|return|enclose|provide) (?:the|your) (?:final )?answer (?:with)?in"
    r"(?: latex format:?)? \\boxed\s*\{[a-z ]{0,20}\}\.?"
    r"|solve the following math problem efficiently and clearly[.:]?",
    re.IGNORECASE,
)
_WRAPPED = re.compile(r"step by step|on its own line|answer (?:with)?in|efficiently and clearly")


def unwrapped(text: str) -> str:
    """Blank the instruction that a published data set writes around each of its problems; the length stays."""
    if not _WRAPPED.search(text):
        return text
    return _WRAPPERS.sub(lambda found: " " * len(found[0]), text)


_FORMULA = re.compile(r"\$[^$]{1,2000}\$")
_APART = re.compile(r"(?<![A-Za-z\\])[a-z](?: [a-z])+(?![A-Za-z])")


def tightened(text: str) -> str:
    """Close the gaps between letters that are multiplied in a formula: ``x y`` is ``xy``; the length stays."""
    if "$" not in text or not _APART.search(text):
        return text
    return _FORMULA.sub(lambda formula: _APART.sub(_closed, formula[0]), text)


def _closed(letters: re.Match[str]) -> str:
    joint = letters[0].replace(" ", "")
    return joint.ljust(len(letters[0]))


def join(texts: Sequence[str]) -> tuple[bytes, Ints]:
    """Fold texts and join them by NUL; with the place where each begins, and the end."""
    folded = [fold(text) for text in texts]
    lengths = np.fromiter((len(text) + 1 for text in folded), np.int64, len(folded))
    begins = np.zeros(len(folded) + 1, np.int64)
    np.cumsum(lengths, out=begins[1:])
    return "\x00".join(folded).encode("ascii"), begins


def tokenise(texts: Sequence[str]) -> Tokens:
    """Give the words of texts in the normal form."""
    folded, begins = join([tightened(unwrapped(fold(text))) for text in texts])
    normal = rewrite(folded)
    starts, ends, kinds, sums = segments(normal)
    bounds = np.searchsorted(starts, begins)
    plain = window_hashes(sums, starts, ends)
    data, letters = np.frombuffer(normal, np.uint8), np.frombuffer(folded, np.uint8)
    of = Segments(data, letters, starts, ends, sums, plain, bounds)
    classes = classes_of(of, kinds)
    hashes, stems = meanings_of(of, classes)
    docs = np.repeat(np.arange(len(texts)), np.diff(bounds))
    words, names = letters_of(of, classes)
    return Tokens(
        hashes,
        stems,
        classes,
        starts - begins[docs],
        ends - begins[docs],
        docs,
        bounds,
        names,
        docs[words],
    )
