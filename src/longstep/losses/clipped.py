"""The clipped surrogate that most members share; they differ in what a ratio is of, and in how tokens are averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

from longstep.config import Field, model_validator
from longstep.losses.base import Algorithm, Tokens
from longstep.losses.out import TokenLosses, masked_max, masked_mean

if TYPE_CHECKING:
    from torch import Tensor


class ClippedLoss(Algorithm):
    """The settings of one clipped policy loss; the defaults are GRPO's.

    Attributes:
        epsilon: a ratio below ``1 - epsilon`` earns nothing more.
        epsilon_high: a ratio above ``1 + epsilon_high`` earns nothing more.
        delta: upper bound of the ratio where the advantage is negative; ``None`` for no bound.
    """

    still: ClassVar[bool] = True
    bounds: ClassVar[frozenset[str]] = frozenset({"epsilon", "epsilon_high", "delta"})
    epsilon: float = Field(default=0.2, gt=0, lt=1)
    epsilon_high: float = Field(default=0.2, gt=0)
    delta: float | None = None

    @model_validator(mode="after")
    def _delta_above_clip(self) -> Self:
        if self.delta is not None and self.delta <= 1 + self.epsilon_high:
            raise ValueError(
                f"delta {self.delta} must exceed 1 + epsilon_high = {1 + self.epsilon_high:g}, "
                "or it also cuts ratios that the clip allows"
            )
        return self

    def ratios(self, tokens: Tokens) -> Tensor:
        """New over old probability, of each token or, in one column, of each answer."""
        return token_ratios(tokens)

    def policy_losses(self, tokens: Tokens) -> TokenLosses:
        """The surrogate of each token."""
        mask_BT, advantages_BT = tokens.mask_BT, tokens.advantages_BT
        ratios_BT = self.ratios(tokens)
        low_BT = (ratios_BT < 1 - self.epsilon) & (advantages_BT < 0)
        high_BT = (ratios_BT > 1 + self.epsilon_high) & (advantages_BT > 0)
        metrics = {
            "clipped_low": masked_mean(low_BT.to(ratios_BT.dtype), mask_BT),
            "clipped_high": masked_mean(high_BT.to(ratios_BT.dtype), mask_BT),
            "ratio_max": masked_max(ratios_BT, mask_BT),
        }
        return TokenLosses(clipped_surrogate(ratios_BT, advantages_BT, self), metrics)


def token_ratios(tokens: Tokens) -> Tensor:
    """Probability of each token under the policy over that under the policy that drew it, with its gradient."""
    return (tokens.logps_BT - tokens.old_BT).exp()


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
