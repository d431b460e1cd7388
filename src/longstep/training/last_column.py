"""A control for soft targets: what training at the wrong place does. No method of ours; nothing here is advice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.config import Strict

if TYPE_CHECKING:
    from torch import Tensor


class LastColumn(Strict):
    """Read every target in the last column of the padded batch, as LightReasoner's released code does: a defect.

    Rows end where their target stands, so only the longest of a batch is read where it should be; the others are
    read at padding. That code gives no positions either: a pad token stands at its column, not at its row's end.
    """

    kind: Literal["last-column"] = "last-column"

    def misread(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The batch of ``training.soft.collate`` with places and positions as the released code has them."""
        import torch

        rows, width = batch["input_ids"].shape
        last_N = torch.full_like(batch["where"][:, 0], width - 1)
        return {
            **batch,
            "where": torch.stack([batch["where"][:, 0], last_N], dim=-1),
            "position_ids": torch.arange(width).expand(rows, -1),
        }
