"""The clipped surrogate that GRPO, DAPO and Dr. GRPO share; they differ in how they average it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from longstep.config import Field, model_validator
from longstep.losses.advantages import Advantages, group_centred, group_normalised
from longstep.losses.base import Algorithm, Groups, Need, Tokens
from longstep.losses.kl import k3
from longstep.losses.out import LossOut, masked_mean

if TYPE_CHECKING:
    from torch import Tensor


class ClippedLoss(Algorithm):
    """The settings of one clipped policy loss; the defaults are GRPO's.

    Attributes:
        epsilon: a ratio below ``1 - epsilon`` earns nothing more.
        epsilon_high: a ratio above ``1 + epsilon_high`` earns nothing more.
        delta: upper bound of the ratio where the advantage is negative; ``None`` for no bound.
        beta: weight of the k3 penalty towards the reference model; 0 needs no reference model.
        scale_rewards: divide centred rewards by the group's standard deviation, or leave them.
    """

    epsilon: float = Field(default=0.2, gt=0, lt=1)
    epsilon_high: float = Field(default=0.2, gt=0)
    delta: float | None = None
    beta: float = Field(default=0.0, ge=0)
    scale_rewards: Literal["group", "none"] = "group"

    @model_validator(mode="after")
    def _delta_above_clip(self) -> Self:
        if self.delta is not None and self.delta <= 1 + self.epsilon_high:
            raise ValueError(
                f"delta {self.delta} must exceed 1 + epsilon_high = {1 + self.epsilon_high:g}, "
                "or it also cuts ratios that the clip allows"
            )
        return self

    def needs(self) -> frozenset[Need]:
        """A reference model, while ``beta`` draws towards it."""
        return frozenset({"reference"}) if self.beta > 0 else frozenset()

    def advantages(self, groups: Groups) -> Advantages:
        """Advantages of the samples of each problem; see ``losses.advantages``."""
        if self.scale_rewards == "group":
            return group_normalised(groups.rewards_PG)
        return group_centred(groups.rewards_PG)


def clipped_surrogate(ratios_BT: Tensor, advantages_BT: Tensor, config: ClippedLoss) -> Tensor:
    """PPO's surrogate per token, as a loss: ``-min(r A, clip(r, 1 - low, 1 + high) A)``.

    Sources: PPO (arXiv 1707.06347, equation 7); separate bounds from DAPO (arXiv 2503.14476,
    equation 10); ``delta`` from INTELLECT-2 (arXiv 2505.07291): where ``A < 0`` the ratio is
    unbounded above and one token can be a spike, so ``r`` is bounded by ``delta`` first. (r = 10, A
    = -1) costs 10 without, 3 with delta = 3.

    Args:
        ratios_BT: policy over behaviour probability of each sampled token.
        advantages_BT: of each token, or one column of each sequence.
        config: the bounds.
    """
    clipped_BT = ratios_BT.clamp(1 - config.epsilon, 1 + config.epsilon_high)
    bounded_BT = ratios_BT if config.delta is None else ratios_BT.clamp(max=config.delta)
    return -(bounded_BT * advantages_BT).minimum(clipped_BT * advantages_BT)


def token_losses(tokens: Tokens, config: ClippedLoss) -> LossOut:
    """Surrogate plus ``beta`` times k3 for every token, exactly 0 under the mask, with what to log.

    Padding may hold anything, NaN included: it is replaced before any arithmetic, so neither a
    value nor a gradient of it survives.

    Raises:
        ValueError: ``beta`` needs reference log-probabilities and there are none.
    """
    mask_BT, chosen_BT = tokens.mask_BT, tokens.mask_BT.bool()
    logps_BT = tokens.logps_BT.where(chosen_BT, 0.0)
    ratios_BT = (logps_BT - tokens.old_BT.where(chosen_BT, 0.0)).exp()
    losses_BT = clipped_surrogate(ratios_BT, tokens.advantages_BT, config)
    low_BT = (ratios_BT < 1 - config.epsilon) & (tokens.advantages_BT < 0)
    high_BT = (ratios_BT > 1 + config.epsilon_high) & (tokens.advantages_BT > 0)
    metrics = {
        "clipped_low": masked_mean(low_BT.to(logps_BT.dtype), mask_BT),
        "clipped_high": masked_mean(high_BT.to(logps_BT.dtype), mask_BT),
        "ratio_max": ratios_BT.detach().where(chosen_BT, 0.0).amax(),
    }
    if config.beta > 0:
        if tokens.ref_BT is None:
            raise ValueError("beta > 0 needs ref_BT")
        kl_BT = k3(logps_BT, tokens.ref_BT.where(chosen_BT, 0.0))
        losses_BT = losses_BT + config.beta * kl_BT
        metrics["kl"] = masked_mean(kl_BT, mask_BT)
    return LossOut(losses_BT.where(chosen_BT, 0.0), metrics)
