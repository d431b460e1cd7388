"""What a correction answers: what it needs, and what each token's loss weighs.

Sampler and trainer hold the same weights and still disagree a little: other kernels, another precision, a mixture of
experts routed otherwise. The trainer's probability of a token over the sampler's, at the weights of the draw, says by
how much; how far the policy has moved since is the algorithm's own ratio and not repeated here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from longstep.config import Strict
from longstep.losses.out import TokenLosses, masked_mean

if TYPE_CHECKING:
    from torch import Tensor

    from longstep.losses.base import Need, Tokens


class Correction(Strict):
    """Nothing, until a member says otherwise."""

    def needs(self) -> frozenset[Need]:
        """What the trainer must provide for it."""
        return frozenset()

    def weighed(self, losses_BT: Tensor, tokens: Tokens) -> TokenLosses:
        """The losses of tokens, weighed, and what to log of it."""
        return TokenLosses(losses_BT, {})


class Weighing(Correction):
    """Weights from the log-ratio of trainer to sampler; where the two agree, a weight is 1."""

    def needs(self) -> frozenset[Need]:
        """What the sampler recorded."""
        return frozenset({"behaviour"})

    def ratios(self, logs_BT: Tensor) -> Tensor:
        """Of each token, or of whole answers in one column, from log-ratios that are 0 under the mask."""
        return logs_BT.exp()

    def bounded(self, ratios_BT: Tensor) -> Tensor:
        """The weights: the ratios, and something else where those go too far."""
        raise NotImplementedError

    def weighed(self, losses_BT: Tensor, tokens: Tokens) -> TokenLosses:
        """The losses times their weights, which have no gradient.

        Raises:
            ValueError: nobody said what the sampler had recorded.
        """
        if tokens.behaviour_BT is None:
            raise ValueError("a correction needs behaviour_BT")
        # Text that nobody sampled has no record (NaN): there is nothing to correct.
        logs_BT = (tokens.old_BT - tokens.behaviour_BT).detach().nan_to_num(nan=0.0)
        ratios_BT = self.ratios(logs_BT)
        weights_BT = self.bounded(ratios_BT)
        metrics = {
            "correction_mean": masked_mean(weights_BT, tokens.mask_BT),
            "correction_bounded": masked_mean((weights_BT != ratios_BT).float(), tokens.mask_BT),
        }
        return TokenLosses(losses_BT * weights_BT, metrics)
