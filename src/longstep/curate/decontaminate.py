"""Contamination of training prompts with benchmark prompts: exact and n-gram matches.

After Light-R1 (arXiv 2503.10460, section 3.1), with these differences: digits are kept (see
``normalise``); a benchmark prompt shorter than n words is matched as a whole instead of not at
all; LaTeX dressing is removed first; and hits are dropped with the benchmark row's id, where the
released scripts only print them. Paraphrases and renumbered copies are not found.
"""

from __future__ import annotations

from collections.abc import Iterable

from longstep.config import Field, Strict
from longstep.curate.funnel import Filter
from longstep.curate.normalise import words
from longstep.types import Problem

_Gram = tuple[str, ...]


class Decontaminate(Strict):
    """How long a shared run of words makes a prompt contaminated.

    Attributes:
        ngram: words in a row that must agree (Light-R1: 32; GPT-3's and most later tools: 13).
        min_words: benchmark prompts with fewer words than this match only as the whole prompt;
            from here to ``ngram`` they also match inside a longer prompt.
    """

    ngram: int = Field(default=13, ge=2)
    min_words: int = Field(default=6, ge=1)

    def build(self, benchmarks: Iterable[Problem]) -> Filter:
        """Index the benchmark problems and give the filter; linear in words on both sides."""
        index = _Index(self.ngram, self.min_words)
        for problem in benchmarks:
            index.add(problem)
        return index.keep


class _Index:
    def __init__(self, ngram: int, min_words: int) -> None:
        self.ngram, self.min_words = ngram, min_words
        self.whole: dict[_Gram, str] = {}
        self.grams: dict[int, dict[_Gram, str]] = {}  # by length: short prompts use all their words

    def add(self, problem: Problem) -> None:
        key = words(problem.prompt)
        if not key:
            return  # nothing but symbols: an empty key would match every other empty one
        self.whole.setdefault(key, problem.id)
        if len(key) >= self.min_words:
            size = min(self.ngram, len(key))
            grams = self.grams.setdefault(size, {})
            for start in range(len(key) - size + 1):
                grams.setdefault(key[start : start + size], problem.id)

    def keep(self, problem: Problem) -> tuple[bool, str]:
        key = words(problem.prompt)
        if key in self.whole:
            return False, f"contaminated, same prompt: {self.whole[key]}"
        for size, grams in self.grams.items():
            for start in range(len(key) - size + 1):
                hit = grams.get(key[start : start + size])
                if hit is not None:
                    return False, f"contaminated, {size} words in a row: {hit}"
        return True, ""
