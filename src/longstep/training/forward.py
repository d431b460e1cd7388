"""The trainer's forward pass over a batch of answers without the places that only fill rows up.

A batch is as wide as its longest answer, so with answers of 20 to 80 tokens half of its places are nobody's. Here rows
of like length go through the model together, each part as wide as its own longest answer; places beyond the end of an
answer are seen by no loss, and no token of a causal model sees what comes after it. Prompts keep their padding: it is
before them, and where a model counts positions from the left they would move.

A row that can move nothing goes through without a gradient, which is a third of the work and keeps nothing in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

#: Rows of a part: enough for the matrices to be large, few enough to be of like length.
TOGETHER = 64


class Scored(NamedTuple):
    """What a forward pass says of completions: ``[B, T]`` each, and a loss of the whole batch; see TRL's."""

    logps_BT: Tensor
    entropy_BT: Tensor | None
    aux: Tensor | None


Forward = Callable[[Tensor, Tensor, int], Scored]
"""``(ids, attention mask, places of the completions) -> what it says``."""


def in_parts(
    forward: Forward, ids_BS: Tensor, attended_BS: Tensor, places: int, live_B: Tensor | None = None
) -> Scored:
    """What ``forward`` says of all rows, asked part by part; 0 beyond the end of an answer.

    Args:
        forward: asks the model.
        ids_BS: prompts, filled up on the left, and completions, filled up on the right.
        attended_BS: 1 for what is there.
        places: columns that the completions take.
        live_B: rows that a gradient is wanted of; ``None`` for all of them.
    """
    lengths_B = attended_BS[:, -places:].sum(-1)
    # One at least, or there would be no loss to differentiate.
    live_B = (
        torch.ones_like(lengths_B, dtype=torch.bool) if live_B is None else _one_at_least(live_B)
    )
    found: list[Scored] = []
    order: list[Tensor] = []
    for rows_R, context in ((live_B, nullcontext), (~live_B, torch.no_grad)):
        chosen_R = rows_R.nonzero().squeeze(-1)
        chosen_R = chosen_R[lengths_B[chosen_R].argsort(stable=True)]
        for part_R in chosen_R.split(TOGETHER) if len(chosen_R) else ():
            with context():
                found.append(narrow(forward, ids_BS[part_R], attended_BS[part_R], places))
            order.append(part_R)
    back_B = torch.cat(order).argsort()
    entropies = [each.entropy_BT for each in found if each.entropy_BT is not None]
    return Scored(
        torch.cat([each.logps_BT for each in found])[back_B],
        torch.cat(entropies)[back_B] if entropies else None,
        found[0].aux,
    )


def narrow(forward: Forward, ids_BS: Tensor, attended_BS: Tensor, places: int) -> Scored:
    """What ``forward`` says when the completions take no more columns than the longest of these rows."""
    longest = max(1, int(attended_BS[:, -places:].sum(-1).max()))
    beyond = places - longest
    end = ids_BS.shape[1] - beyond
    said = forward(ids_BS[:, :end], attended_BS[:, :end], longest)
    entropy_BT = None if said.entropy_BT is None else pad(said.entropy_BT, (0, beyond))
    return Scored(pad(said.logps_BT, (0, beyond)), entropy_BT, said.aux)


def _one_at_least(live_B: Tensor) -> Tensor:
    return live_B if live_B.any() else torch.arange(len(live_B), device=live_B.device) == 0
