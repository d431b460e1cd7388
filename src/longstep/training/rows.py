"""Training rows as token ids, and the order in which they are seen, decided once before training starts.

Trainers read rows in exactly this order, so a resumed run needs only a position, and a test can compare the order.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SftRow:
    """One supervised row: ids, and how many of the first ids are the prompt (no loss there)."""

    name: str
    ids: tuple[int, ...]
    prompt_length: int

    def columns(self) -> dict[str, list[int]]:
        """The row as TRL reads it; the position decides what is masked, never the id (EOS may equal padding)."""
        labels = [-100] * self.prompt_length + list(self.ids[self.prompt_length :])
        return {"input_ids": list(self.ids), "labels": labels}


@dataclass(frozen=True, slots=True)
class SoftRow:
    """One rollout, or one prefix of it, with soft targets at some of its places.

    Attributes:
        name: the problem and sample it comes from.
        ids: prompt and rollout.
        places: indices into ``ids``, each at least 1: the token there is predicted from those before it. A place may
            be ``len(ids)``, one past the end: the row is then a bare prefix.
        token_ids: for each place, the ids that carry weight.
        weights: their probabilities.
    """

    name: str
    ids: tuple[int, ...]
    places: tuple[int, ...]
    token_ids: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class PreferenceRow:
    """One pair as ids."""

    name: str
    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]

    def columns(self) -> dict[str, list[int]]:
        """The row as TRL's collator reads it."""
        return {
            "prompt_ids": list(self.prompt_ids),
            "chosen_ids": list(self.chosen_ids),
            "rejected_ids": list(self.rejected_ids),
        }


def training_order(
    lengths: Sequence[int], batch: int, count: int, seed: int, window: int = 1
) -> list[int]:
    """Indices of ``count`` rows: shuffled epochs, cut into batches of rows of similar length.

    Inside windows of ``window`` batches rows are sorted by length, which removes most padding; the order of the
    batches is shuffled again, so that length does not follow time. Rows left over at the end of an epoch open the
    next one; after the last they are a short batch.

    Args:
        lengths: tokens per row.
        batch: rows per optimiser step.
        count: rows in all, repetitions counted.
        seed: of the shuffles.
        window: batches sorted together; 1 leaves every batch a random draw.
    """
    if not lengths:
        raise ValueError("no rows to order")
    generator = random.Random(f"order:{seed}")
    order: list[int] = []
    left: list[int] = []
    while len(order) + len(left) < count:
        epoch = list(range(len(lengths)))
        generator.shuffle(epoch)
        rows = left + epoch
        whole = len(rows) - len(rows) % batch
        rows, left = rows[:whole], rows[whole:]
        for batch_rows in _batches(rows, lengths, batch, window, generator):
            order.extend(batch_rows)
    return [*order, *left][:count]


def _batches(
    rows: list[int], lengths: Sequence[int], batch: int, window: int, generator: random.Random
) -> list[list[int]]:
    batches: list[list[int]] = []
    for start in range(0, len(rows), batch * window):
        near = sorted(rows[start : start + batch * window], key=lambda row: (lengths[row], row))
        batches.extend(near[at : at + batch] for at in range(0, len(near), batch))
    generator.shuffle(batches)
    return batches
