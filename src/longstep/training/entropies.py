"""The entropy of a step, over all of its tokens and processes, and where it is: right or wrong, early or late."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: Metric -> its place among the sums.
PARTS = ("entropy", "entropy_right", "entropy_wrong", "entropy_early", "entropy_late")


class Entropies:
    """Adds up the micro-batches of an optimiser step."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._sums: Tensor | None = None

    def add(self, entropy_BT: Tensor, mask_BT: Tensor, right_B: Tensor | None) -> None:
        """Count some rows in.

        Args:
            entropy_BT: nats of each token's distribution.
            mask_BT: tokens that train.
            right_B: 1 for right answers of the policy's own, 0 for wrong ones, NaN for others.
        """
        chosen_BT = mask_BT.bool()
        place_BT, length_B1 = mask_BT.cumsum(-1), mask_BT.sum(-1, keepdim=True)
        early_BT = chosen_BT & (2 * place_BT <= length_B1)
        nowhere_BT = torch.zeros_like(chosen_BT)
        right_BT, wrong_BT = (
            (chosen_BT & (right_B == side).unsqueeze(-1) for side in (1.0, 0.0))
            if right_B is not None
            else (nowhere_BT, nowhere_BT)
        )
        parts = (chosen_BT, right_BT, wrong_BT, early_BT, chosen_BT & ~early_BT)
        detached_BT = entropy_BT.detach().double()
        sums = torch.stack(
            [torch.stack([detached_BT.where(part, 0.0).sum(), part.sum()]) for part in parts]
        )
        self._sums = sums if self._sums is None else self._sums + sums

    def told(self, together: Callable[[Tensor], Tensor]) -> dict[str, float]:
        """Means of the step, added up over processes by ``together``, of what has tokens; then begin anew."""
        if self._sums is None:
            return {}
        sums, self._sums = together(self._sums).tolist(), None
        return {
            name: total / count
            for name, (total, count) in zip(PARTS, sums, strict=True)
            if count > 0
        }
