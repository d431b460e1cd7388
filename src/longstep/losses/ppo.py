"""PPO with a critic: each token is measured against what a second model expected there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from longstep.config import Field
from longstep.losses.advantages import Advantages
from longstep.losses.averages import TOKEN_MEAN, Average
from longstep.losses.base import Groups, Need
from longstep.losses.clipped import ClippedLoss
from longstep.losses.critic import CriticConfig
from longstep.losses.gae import at_the_end, gae

if TYPE_CHECKING:
    from torch import Tensor


class Ppo(ClippedLoss):
    """PPO (arXiv 1707.06347, equations 7 and 11) with a critic, as language models are trained: no discount.

    The reward stands on the last token. Advantages (GAE) are normalised over the tokens of a batch of rollouts, as in
    TRL's former trainer and in verl; a batch makes four updates, as in verl's example. No KL: with verified rewards
    usual (Open-Reasoner-Zero); ``penalty: {kind: k1-in-reward}`` charges whole answers, where RLHF charges each token
    for its own. The critic starts as a copy of the policy's layers that says 0 everywhere, and is not kept after the
    stage. After VAPO (arXiv 2504.05118): ``critic: {lam: 1}`` with a ``warmup``; its ``lam`` of the policy, which grows
    with the answer's length, is not here.

    Attributes:
        gamma: what a reward is worth a token earlier.
        lam: of the policy's advantages: 1 trusts only what happened, 0 only the critic.
        normalise: divide advantages by their spread over the batch's tokens and take their mean away, or leave them.
        critic: how the critic learns.
    """

    average: ClassVar[Average] = TOKEN_MEAN
    kind: Literal["ppo"] = "ppo"
    gamma: float = Field(default=1.0, gt=0, le=1)
    lam: float = Field(default=0.95, ge=0, le=1)
    normalise: Literal["batch", "none"] = "batch"
    critic: CriticConfig = CriticConfig()
    minibatches: int = Field(default=4, ge=1)

    def needs(self) -> frozenset[Need]:
        """A critic's values, too."""
        more: frozenset[Need] = frozenset({"values"})
        return super().needs() | more

    def lacks(self) -> tuple[str, ...]:
        """The KL of each token on its own, where an answer is charged for its drift."""
        if "drift" not in self.needs():
            return ()
        return (
            "each answer is charged at its end for the KL of all of its tokens, where RLHF charges each token for its "
            "own: the critic has more to learn",
        )

    def fits(self, steps: int) -> Iterator[str]:
        """A warm-up after which no step is left for the policy."""
        if self.critic.warmup >= steps:
            yield (
                f"critic.warmup: in the first {self.critic.warmup} steps the critic alone learns, of {steps}, so that "
                "the policy would never move; lower it, or set more steps"
            )

    def learner(self) -> CriticConfig:
        """Its settings."""
        return self.critic

    def advantages(self, groups: Groups) -> Advantages:
        """Of each token, against the critic; a reward needs no second answer to be compared with."""
        found_BT, mask_BT = self._ahead(groups, self.lam)
        if self.normalise == "batch":
            found_BT = normalised(found_BT, mask_BT)
        trains_PG = ~groups.rewards_PG.isnan()
        return Advantages(found_BT.view(*trains_PG.shape, found_BT.shape[-1]), trains_PG)

    def targets(self, groups: Groups) -> Tensor:
        """The critic's own word corrected by what came after it."""
        found_BT, _ = self._ahead(groups, self.critic.lam)
        assert groups.values_PGT is not None
        return groups.values_PGT + found_BT.view(groups.values_PGT.shape)

    def _ahead(self, groups: Groups, lam: float) -> tuple[Tensor, Tensor]:
        """Estimated advantages, and the tokens that have one, answer after answer.

        Raises:
            ValueError: there is no critic.
        """
        if groups.values_PGT is None or groups.sampled_PGT is None:
            raise ValueError("ppo needs values_PGT and sampled_PGT")
        known_PG = ~groups.rewards_PG.isnan()
        mask_BT = (groups.sampled_PGT.bool() & known_PG.unsqueeze(-1)).flatten(0, 1)
        rewards_B = groups.rewards_PG.where(known_PG, 0.0).flatten()
        rewards_BT = at_the_end(rewards_B, mask_BT)
        values_BT = groups.values_PGT.flatten(0, 1)
        return gae(rewards_BT, values_BT, mask_BT, self.gamma, lam), mask_BT


def normalised(values_BT: Tensor, mask_BT: Tensor, eps: float = 1e-8) -> Tensor:
    """Less their mean, over their unbiased standard deviation, of what is under the mask; 0 elsewhere."""
    count = mask_BT.sum().clamp(min=2).to(values_BT.dtype)
    off_BT = (values_BT - values_BT.where(mask_BT, 0.0).sum() / count).where(mask_BT, 0.0)
    return off_BT / ((off_BT.square().sum() / (count - 1)).sqrt() + eps)
