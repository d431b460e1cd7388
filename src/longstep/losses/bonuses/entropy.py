"""The entropy bonus of A3C (arXiv 1602.01783, section 4) and of PPO's equation 9."""

from __future__ import annotations

from typing import Literal

from longstep.config import Field
from longstep.losses.bonuses.base import Bonus, Earned


class EntropyBonus(Bonus):
    """A fixed reward for entropy: ``loss - weight * entropy`` of each token.

    With verified rewards a fixed weight does little for long and then too much: once the advantages are small it is the
    only term left, and pushes up without an end. ``adaptive-entropy`` lets go.

    Attributes:
        weight: nats of a token's entropy count so much in its loss.
    """

    kind: Literal["entropy"] = "entropy"
    weight: float = Field(default=0.001, gt=0)

    def build(self) -> Earned:
        """The same in every step."""
        return Earned(self.weight)
