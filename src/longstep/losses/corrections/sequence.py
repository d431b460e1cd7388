"""One weight for a whole answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.config import Field
from longstep.losses.corrections.base import Weighing

if TYPE_CHECKING:
    from torch import Tensor


class SequenceTruncated(Weighing):
    """``min(ratio of the whole answer, cap)`` for all of its tokens.

    Below the cap this is unbiased, which a weight for each token is not: what came before a token was drawn by the
    sampler too. It is a product over all tokens, so it varies the more the longer answers are.

    Attributes:
        cap: largest weight.
    """

    kind: Literal["sequence"] = "sequence"
    cap: float = Field(default=2.0, ge=1)

    def ratios(self, logs_BT: Tensor) -> Tensor:
        """Of whole answers."""
        return logs_BT.sum(-1, keepdim=True).exp()

    def bounded(self, ratios_BT: Tensor) -> Tensor:
        """At most ``cap``."""
        return ratios_BT.clamp(max=self.cap)
