"""GRPO: every sequence weighs the same; and Light-R1's variant of it."""

from __future__ import annotations

from typing import Literal

from longstep.config import Field
from longstep.losses.base import Tokens, Whole
from longstep.losses.clipped import ClippedLoss, token_losses
from longstep.losses.out import LossOut
from longstep.losses.rewards import AnyReward, ClippedCosine


class _SequenceMean(ClippedLoss):
    def loss(self, tokens: Tokens, total: float) -> LossOut:
        """Mean over sequences of each one's token mean (arXiv 2402.03300, equation 3).

        A token of a long answer weighs less than one of a short answer: long wrong answers are
        punished least per token, which DAPO and Dr. GRPO change.
        """
        each = token_losses(tokens, self)
        means_B = each.loss.sum(-1) / tokens.mask_BT.sum(-1).clamp(min=1)
        return LossOut(means_B.sum() / total, each.metrics)

    def divisor(self, whole: Whole) -> float:
        """Sequences."""
        return float(whole.sequences)


class Grpo(_SequenceMean):
    """GRPO (arXiv 2402.03300), without its KL term, which verifiable rewards do without."""

    kind: Literal["grpo"] = "grpo"


class LightR1(_SequenceMean):
    """Light-R1's 14B stage (arXiv 2503.10460, section 4): k3 at 0.001, large ratios bounded.

    The paper bounds importance weights but released neither the code nor the constant: 3.0 is the
    value verl's dual clip uses, our choice. Its reward is the cosine of length, clipped.
    """

    kind: Literal["light-r1"] = "light-r1"
    delta: float | None = 3.0
    beta: float = 0.001
    rewards: tuple[AnyReward, ...] = Field(default=(ClippedCosine(),), min_length=1)
