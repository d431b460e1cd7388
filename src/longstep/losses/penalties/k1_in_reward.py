"""The KL as a part of the reward."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from longstep.losses.penalties.base import Towards

if TYPE_CHECKING:
    from longstep.losses.base import Groups, Need


class K1InReward(Towards):
    """``beta log(policy / reference)`` of the whole answer is taken from its reward (arXiv 1909.08593, equation 2).

    A constant in the loss, it acts through the score like any reward: the gradient is that of the reverse KL. It
    passes through baseline and normalisation, so a group whose answers are equally right is still told apart.
    """

    kind: Literal["k1-in-reward"] = "k1-in-reward"

    def needs(self) -> frozenset[Need]:
        """The reference, and how far from it each answer was when it was drawn."""
        at_the_draw: frozenset[Need] = frozenset({"drift"})
        return super().needs() | at_the_draw

    def charged(self, groups: Groups) -> Groups:
        """Less reward for answers that the reference finds less likely.

        Raises:
            ValueError: nobody said how far the answers had drifted.
        """
        if groups.drift_PG is None:
            raise ValueError("k1-in-reward needs drift_PG")
        return replace(groups, rewards_PG=groups.rewards_PG - self.beta * groups.drift_PG)
