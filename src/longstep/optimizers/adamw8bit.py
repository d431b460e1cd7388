"""AdamW with its moments in 8 bits, from bitsandbytes: a quarter of their memory, on a GPU only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from longstep.config import Field
from longstep.optimizers.base import Optimizer, decayed_groups

if TYPE_CHECKING:
    import torch


class AdamW8bit(Optimizer):
    """AdamW whose moments are kept in 8 bits, block by block (Dettmers et al., arXiv 2110.02861).

    Never run by us on a GPU. Weights of fewer than 4096 numbers keep moments in float32.

    Attributes:
        lr: peak learning rate; a schedule scales it.
        betas: decay of the two moments.
        eps: added to the denominator.
        weight_decay: decoupled decay of weights with two or more dimensions.
    """

    #: One byte for each of two moments, and a float32 scale of each for every block of 256.
    moments: ClassVar[float] = 2 * (1 + 4 / 256)
    kind: Literal["adamw8bit"] = "adamw8bit"
    lr: float = Field(default=1e-5, gt=0)
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)

    def libraries(self) -> frozenset[str]:
        """Whose it is."""
        return frozenset({"bitsandbytes"})

    def absent(self) -> Iterator[str]:
        """A GPU."""
        import torch

        if not torch.cuda.is_available():
            yield "kind: adamw8bit needs a GPU, and this machine has none; take adamw"

    def build(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """The library's own, with two groups."""
        from bitsandbytes.optim import AdamW8bit as Theirs  # pyright: ignore[reportMissingImports]

        groups = decayed_groups(model, self.weight_decay)
        return Theirs(groups, lr=self.lr, betas=self.betas, eps=self.eps)
