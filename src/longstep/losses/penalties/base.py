"""What a penalty answers: what it needs, what it takes from rewards, what it adds to the loss of a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from longstep.config import Field, Strict
from longstep.losses.kl import k3
from longstep.losses.out import TokenLosses, masked_mean

if TYPE_CHECKING:
    from torch import Tensor

    from longstep.losses.base import Groups, Need, Tokens


class Penalty(Strict):
    """Nothing, until a member says otherwise."""

    def needs(self) -> frozenset[Need]:
        """What the trainer must provide for it."""
        return frozenset()

    def charged(self, groups: Groups) -> Groups:
        """The groups with what the penalty takes from their rewards, before advantages are taken."""
        return groups

    def added(self, losses_BT: Tensor, tokens: Tokens) -> TokenLosses:
        """The losses of tokens with what the penalty adds, and what to log of it."""
        return TokenLosses(losses_BT, {})


class Towards(Penalty):
    """A penalty on the KL to the frozen reference; ``kl`` is logged by the same estimator (k3) whatever it is.

    Attributes:
        beta: its weight.
    """

    beta: float = Field(default=0.001, gt=0)

    def needs(self) -> frozenset[Need]:
        """The reference."""
        return frozenset({"reference"})

    def each(self, logps_BT: Tensor, ref_BT: Tensor, old_BT: Tensor) -> Tensor | None:
        """The term of each token, without its weight; ``None`` for none."""
        return None

    def added(self, losses_BT: Tensor, tokens: Tokens) -> TokenLosses:
        """The losses plus ``beta`` times the term.

        Raises:
            ValueError: there are no log-probabilities of the reference.
        """
        if tokens.ref_BT is None:
            raise ValueError(f"a penalty of beta {self.beta:g} needs ref_BT")
        metrics = {"kl": masked_mean(k3(tokens.logps_BT, tokens.ref_BT), tokens.mask_BT)}
        each_BT = self.each(tokens.logps_BT, tokens.ref_BT, tokens.old_BT)
        return TokenLosses(
            losses_BT if each_BT is None else losses_BT + self.beta * each_BT, metrics
        )
