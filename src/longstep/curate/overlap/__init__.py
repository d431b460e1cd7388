"""Overlap of training rows with benchmark questions: an index, classes of matches, and published rules beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from longstep.config import Field, Strict
from longstep.curate.overlap.config import Thresholds
from longstep.curate.overlap.index import Index
from longstep.curate.overlap.legacy import S1, LightR1, OpenR1
from longstep.curate.overlap.match import Item, Kind, Match
from longstep.curate.overlap.table import table

__all__ = [
    "S1",
    "AnyContamination",
    "Index",
    "Item",
    "LightR1",
    "Match",
    "OpenR1",
    "Overlap",
    "Thresholds",
]


class Overlap(Strict):
    """Matches with a class each; see ``Index``.

    Attributes:
        remove: classes whose rows go; the others are reported.
        thresholds: where the classes begin.
        answers: whether equal and different answers count as evidence; ``ignore`` compares the texts alone.
    """

    fingerprints: ClassVar[bool] = True  # hashes of the questions are enough
    kind: Literal["overlap"] = "overlap"
    remove: tuple[Kind, ...] = ("identical", "reworded")
    thresholds: Thresholds = Thresholds()
    answers: Literal["use", "ignore"] = "use"

    def build(self, items: Iterable[Item]) -> Index:
        """Index questions by their text.

        Raises:
            ValueError: an item has no text; load its fingerprint with ``Index.load`` instead.
        """
        kept = tuple(items)
        texts = [item.text for item in kept if item.text is not None]
        if len(texts) < len(kept):
            raise ValueError(
                "an item without text can only come from a fingerprint: use Index.load"
            )
        index = Index(kept, table(texts, [item.answer for item in kept]), self.thresholds)
        index.answers = self.answers
        return index

    def merged(self, parts: Sequence[Index]) -> Index:
        """Put indexes into one under these thresholds."""
        merged = self.build(()).merged(*parts)
        merged.answers = self.answers
        return merged

    def indexed(self, items: Sequence[Item], prints: Sequence[Path]) -> Index:
        """Index questions known by their text, and those of fingerprint files."""
        loaded = [Index.load(path) for path in prints]
        return self.merged([*loaded, *([self.build(items)] if items else [])])


AnyContamination = Annotated[Overlap | LightR1 | OpenR1 | S1, Field(discriminator="kind")]
