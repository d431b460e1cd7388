"""How rare a feature is in questions at large: a shipped table of document frequencies, by hash.

Made by ``scripts/build_fingerprints.py`` from training sets of mathematics; what is not in the table is rare.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longstep.curate.overlap.features import Floats, Hashes, features
from longstep.curate.overlap.tokens import tokenise

#: Where the shipped hashes are.
FOLDER = Path(__file__).parents[2] / "data" / "fingerprints"
BACKGROUND = "background.table"
#: Features in fewer texts than this are left out of the table, and count as in half as many.
LEAST = 8


@dataclass(frozen=True, slots=True)
class Background:
    """Weights of features.

    Attributes:
        hashes: of features that are not rare, ascending.
        bits: weight of each, ``log2(texts / texts with it)``.
        rare: weight of all others.
    """

    hashes: Hashes
    bits: Floats
    rare: float

    def weights(self, hashes: Hashes) -> Floats:
        """Weight of each feature, in bits."""
        at = np.searchsorted(self.hashes, hashes)
        at[at == len(self.hashes)] = 0
        return np.where(self.hashes[at] == hashes, self.bits[at], np.float32(self.rare))


def count(batches: Iterable[Sequence[str]]) -> tuple[Hashes, NDArray[np.uint32], int]:
    """Count texts by feature: hashes ascending, number of texts with each, number of texts."""
    found: list[Hashes] = []
    texts = 0
    for batch in batches:
        found.append(features(tokenise(batch)).hashes)
        texts += len(batch)
    hashes, counts = np.unique(np.concatenate(found), return_counts=True)
    kept = counts >= LEAST
    return hashes[kept], counts[kept].astype(np.uint32), texts


@cache
def shipped() -> Background:
    """Read the shipped table."""
    with np.load(FOLDER / BACKGROUND) as table:
        texts = float(table["texts"])
        bits = table["sixteenths"].astype(np.float32) / np.float32(16)
        return Background(
            np.cumsum(table["gaps"], dtype=np.uint32), bits, float(np.log2(texts / (LEAST / 2)))
        )


def write(path: Path, hashes: Hashes, counts: NDArray[np.uint32], texts: int) -> None:
    """Write a table: gaps between the sorted hashes, and weights in sixteenths of a bit, which pack well."""
    sixteenths = np.round(np.log2(texts / counts) * 16).astype(np.uint8)
    gaps = np.diff(hashes, prepend=np.uint32(0))
    with path.open("wb") as file:
        np.savez_compressed(file, gaps=gaps, sixteenths=sixteenths, texts=np.int64(texts))
