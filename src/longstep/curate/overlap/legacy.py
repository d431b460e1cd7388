r"""Published decontamination rules, reproduced with their defects, so that published counts can be checked.

``light-r1`` is Light-R1's two released scripts (arXiv 2503.10460, ``decontaminate/``), ``open-r1`` is open-r1's
``scripts/decontaminate.py`` and ``s1`` the rule of arXiv 2501.19393, section 2, that open-r1 took over. None of them
tells kinds of overlap apart: every hit is given as ``identical`` here, so that it is removed as there.

What they miss and what they take by mistake, all kept:

* A text of fewer than n words has no window of n words and is never found by windows: 312 of the 500 questions of
  MATH-500 have fewer than 32 words.
* Without its digits "What is 12+7?" is "What is 5-88?"; a text of digits and symbols is empty and equals every other.
* A different spelling of LaTeX, or a space in a formula, hides a question.
* Eight words are a stock phrase: "Express your answer as a common fraction. What" is one hit.

Different from the originals: hits are returned with item and place, where the scripts print or count them; each item
that shares a window is returned, and not one of them; and windows are looked up through anchors (see ``_Windows``),
which changes the speed and not the result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from longstep.config import Field, Strict, UserError
from longstep.curate.overlap.match import Item, Kind, Match

__all__ = ["S1", "AnyLegacy", "LegacyIndex", "LightR1", "OpenR1", "digit_free"]

_OUTSIDE = re.compile(r"[^\w]|\d")
_NON_SPACE = re.compile(r"\S+")
#: ASCII at the speed of a table: what ``_OUTSIDE`` removes, and lower case.
_DELETED = bytes(b for b in range(128) if _OUTSIDE.match(chr(b)))
_LOWER = bytes(b + 32 if 65 <= b <= 90 else b for b in range(256))


def digit_free(text: str) -> str:
    r"""Give Light-R1's key: ``lower(remove \d+ (remove [^\w] text))``; empty when there is nothing else.

    Both removals are of single characters, so one pass over the text gives the same.
    """
    if text.isascii():
        return text.encode("ascii").translate(_LOWER, _DELETED).decode("ascii")
    return _OUTSIDE.sub("", text).lower()


class _Published(Strict):
    """What the published rules share: every hit goes, and they compare words, for which hashes are not enough."""

    remove: ClassVar[tuple[Kind, ...]] = ("identical",)
    fingerprints: ClassVar[bool] = False

    def build(self, items: Iterable[Item]) -> LegacyIndex:
        """Index the benchmark questions."""
        raise NotImplementedError

    def indexed(self, items: Sequence[Item], prints: Sequence[Path]) -> LegacyIndex:
        """Index the questions; a fingerprint among them is refused as a question without text."""
        return self.build([*items, *(Item(path.stem, "", None) for path in prints)])


class LightR1(_Published):
    """Light-R1: equal texts, equal texts without digits and punctuation, or a shared window of words.

    Attributes:
        rules: which of the two scripts; published counts are of each alone and of both together.
        words: length of the window (released: 32).
    """

    kind: Literal["light-r1"] = "light-r1"
    rules: Literal["both", "characters", "windows"] = "both"
    words: int = Field(default=32, ge=1)

    def build(self, items: Iterable[Item]) -> LegacyIndex:
        """Index the benchmark questions."""
        return LegacyIndex(
            self.kind,
            _with_texts(items),
            keys=self.rules != "windows",
            words=self.words if self.rules != "characters" else None,
        )


class OpenR1(_Published):
    """open-r1: any shared window of words after lower-casing and folding white space (released: 8 words).

    Attributes:
        words: length of the window.
    """

    kind: Literal["open-r1"] = "open-r1"
    words: int = Field(default=8, ge=1)

    def build(self, items: Iterable[Item]) -> LegacyIndex:
        """Index the benchmark questions."""
        return LegacyIndex(self.kind, _with_texts(items), keys=False, words=self.words)


class S1(_Published):
    """s1: the same windows as open-r1's, which names s1 as its source.

    The original indexes the training rows and looks the benchmark up, which takes more memory and flags the same rows.

    Attributes:
        words: length of the window.
    """

    kind: Literal["s1"] = "s1"
    words: int = Field(default=8, ge=1)

    def build(self, items: Iterable[Item]) -> LegacyIndex:
        """Index the benchmark questions."""
        return LegacyIndex(self.kind, _with_texts(items), keys=False, words=self.words)


AnyLegacy = Annotated[LightR1 | OpenR1 | S1, Field(discriminator="kind")]


class LegacyIndex:
    """Benchmark questions under one published rule; ``scan`` as the main index has it.

    A hit by a key spans the whole row and scores 1; one by a window spans the first shared window, and its score is the
    share of the question's windows that the row holds.
    """

    def __init__(self, kind: str, items: Sequence[Item], *, keys: bool, words: int | None) -> None:
        self._kind, self._items = kind, tuple(items)
        self._keys: dict[str, int] | None = _key_table(self._items) if keys else None
        self._windows = _Windows(self._items, words) if words is not None else None

    def scan(
        self, texts: Sequence[str], answers: Sequence[str | None] | None = None
    ) -> list[tuple[Match, ...]]:
        """Give each text's hits, best first; an empty tuple where there is none. Answers count for nothing here."""
        return [self._scan_one(text) for text in texts]

    def flags(self, texts: Sequence[str]) -> list[bool]:
        """Say of each text whether there is any hit: the published counts, and faster than ``scan``."""
        return [
            self._by_key(text) is not None
            or (self._windows is not None and next(self._windows.shared(text), None) is not None)
            for text in texts
        ]

    def ledger(self) -> dict[str, object]:
        """Say what was indexed, for manifests: the rule, the window, and the number of questions per benchmark."""
        counts: dict[str, int] = {}
        for item in self._items:
            counts[item.benchmark] = counts.get(item.benchmark, 0) + 1
        return {
            "kind": self._kind,
            "characters": self._keys is not None,
            "words": self._windows.length if self._windows is not None else None,
            "benchmarks": counts,
        }

    def _by_key(self, text: str) -> int | None:
        if self._keys is None:
            return None
        found = self._keys.get(text)
        return self._keys.get(digit_free(text)) if found is None else found

    def _scan_one(self, text: str) -> tuple[Match, ...]:
        hits: dict[int, Match] = {}
        by_key = self._by_key(text)
        if by_key is not None:
            hits[by_key] = self._match(by_key, 1.0, (0, len(text)))
        for item, score, span in self._windows.hits(text) if self._windows is not None else ():
            hits.setdefault(item, self._match(item, score, span))
        return tuple(sorted(hits.values(), key=lambda hit: -hit.score))

    def _match(self, item: int, score: float, span: tuple[int, int]) -> Match:
        one = self._items[item]
        return Match(one.benchmark, one.item, "identical", score, span, one.text)


def _with_texts(items: Iterable[Item]) -> tuple[Item, ...]:
    """Refuse questions that are only known by their hashes: these rules need the words."""
    kept = tuple(items)
    for item in kept:
        if item.text is None:
            raise UserError(
                f"{item.benchmark} is known by its fingerprint only, and the published rules need the questions' "
                "text: give a file of the benchmark instead"
            )
    return kept


def _key_table(items: Sequence[Item]) -> dict[str, int]:
    """Raw and digit-free text of every question; the last question with a key keeps it, as released."""
    table: dict[str, int] = {}
    for number, item in enumerate(items):
        table[item.text or ""] = number
        table[digit_free(item.text or "")] = number
    return table


class _Windows:
    """Every run of ``length`` lower-case white-space words of the questions.

    Of a row only every (length - a + 1)-th run of a = (length + 1) // 2 words is looked up first: each window contains
    exactly one such run, so only the windows around a known run can be shared, and those are looked up in full.
    """

    def __init__(self, items: Sequence[Item], length: int) -> None:
        self.length = length
        self._anchor = (length + 1) // 2
        self._stride = length - self._anchor + 1
        self._owners: dict[tuple[str, ...], set[int]] = {}
        self._sizes: list[int] = []
        anchors: set[tuple[str, ...]] = set()
        for number, item in enumerate(items):
            words = (item.text or "").lower().split()
            windows = {tuple(words[k : k + length]) for k in range(len(words) - length + 1)}
            self._sizes.append(len(windows))
            for window in windows:
                self._owners.setdefault(window, set()).add(number)
            if windows:
                last = len(words) - self._anchor
                anchors.update(tuple(words[k : k + self._anchor]) for k in range(last + 1))
        self._anchors = frozenset(anchors)

    def shared(self, text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield (number of the first word, window) of every shared window, in order."""
        words = text.lower().split()
        last = len(words) - self.length
        for at in range(self._stride - 1, len(words) - self._anchor + 1, self._stride):
            if tuple(words[at : at + self._anchor]) not in self._anchors:
                continue
            for k in range(at - self._stride + 1, min(at, last) + 1):
                window = tuple(words[k : k + self.length])
                if window in self._owners:
                    yield k, window

    def hits(self, text: str) -> Iterator[tuple[int, float, tuple[int, int]]]:
        """Yield (item, score, span in characters) for every item that shares a window."""
        first: dict[int, int] = {}
        held: dict[int, set[tuple[str, ...]]] = {}
        for k, window in self.shared(text):
            for item in self._owners[window]:
                first.setdefault(item, k)
                held.setdefault(item, set()).add(window)
        if not first:
            return
        places = [found.span() for found in _NON_SPACE.finditer(text)]
        for item, k in first.items():
            span = places[k][0], places[k + self.length - 1][1]
            yield item, len(held[item]) / self._sizes[item], span
