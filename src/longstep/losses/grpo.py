"""GRPO: every sequence weighs the same; and Light-R1's variant of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from longstep.losses.clipped import ClippedLoss, token_losses
from longstep.losses.out import LossOut

if TYPE_CHECKING:
    from torch import Tensor


class _SequenceMean(ClippedLoss):
    def trl(self) -> dict[str, Any]:
        """The same loss as ``GRPOConfig`` keywords."""
        return self._trl("grpo")

    def loss(
        self,
        logps_BT: Tensor,
        old_logps_BT: Tensor,
        advantages_B: Tensor,
        mask_BT: Tensor,
        ref_logps_BT: Tensor | None = None,
        total: float | None = None,
    ) -> LossOut:
        """Mean over sequences of each one's token mean (arXiv 2402.03300, equation 3).

        A token of a long answer weighs less than one of a short answer: long wrong answers are
        punished least per token, which DAPO and Dr. GRPO change.

        Args:
            logps_BT: log-probability of each sampled token under the policy.
            old_logps_BT: the same under the model that sampled.
            advantages_B: one advantage per sequence.
            mask_BT: 1 where a sampled token trains.
            ref_logps_BT: the same under the frozen reference; needed when ``beta`` is not 0.
            total: sequences in the whole batch, when this is one part of it; the parts' losses then
                add up.
        """
        tokens = token_losses(logps_BT, old_logps_BT, advantages_B, mask_BT, ref_logps_BT, self)
        means_B = tokens.loss.sum(-1) / mask_BT.sum(-1).clamp(min=1)
        return LossOut(means_B.sum() / (len(means_B) if total is None else total), tokens.metrics)


class Grpo(_SequenceMean):
    """GRPO (arXiv 2402.03300), without its KL term, which verifiable rewards do without."""

    kind: Literal["grpo"] = "grpo"


class LightR1(_SequenceMean):
    """Light-R1's 14B stage (arXiv 2503.10460, section 4): k3 at 0.001, large ratios bounded.

    The paper bounds importance weights but released neither the code nor the constant: 3.0 is the
    value verl's dual clip uses, our choice.
    """

    kind: Literal["light-r1"] = "light-r1"
    delta: float | None = 3.0
    beta: float = 0.001
