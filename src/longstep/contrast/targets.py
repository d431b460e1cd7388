"""LightReasoner's mathematics: where an expert diverges from an amateur, and what it should have said there.

After LightReasoner (Wang et al., arXiv 2510.07962, section 2 and appendices C-H). Pure functions of raw logits, and
the two families of choices that its ablation varies: which positions are supervised, and by which target. How this
differs from the released code: raw logits instead of scores a generation config has cut, the whole vocabulary of the
tokenizer (added tokens too) instead of ``tokenizer.vocab_size``, and weights that always sum to 1.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from longstep.config import Field, Strict

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Divergence:
    """Both models' next-token log-probabilities over the tokenizer's ids, and what they disagree on.

    Attributes:
        expert_NV: log-probabilities of the expert at N positions, renormalised over the tokenizer's ids.
        amateur_NV: the same of the amateur.
        kl_N: ``KL(expert || amateur)`` in nats.
        agree_N: whether both prefer the same token.
        discarded_N: probability the expert and the amateur together gave to ids that are cut off here.
        expert_discarded_N: the expert's part of it: where that is large, what is left says little of the expert.
    """

    expert_NV: Tensor
    amateur_NV: Tensor
    kl_N: Tensor
    agree_N: Tensor
    discarded_N: Tensor
    expert_discarded_N: Tensor


def diverge(
    expert_logits_NV: Tensor, amateur_logits_NV: Tensor, vocabulary: int | Tensor
) -> Divergence:
    """Compare two models' raw logits at the same positions.

    Args:
        expert_logits_NV: raw logits, any float type; may hold padded rows beyond the tokenizer.
        amateur_logits_NV: the same of the amateur; its number of padded rows may differ.
        vocabulary: number of token ids both share, or those ids; all else is cut and the rest renormalised.

    Raises:
        ValueError: a model has fewer rows than the tokenizer has ids, or a logit is not finite.
    """
    size = vocabulary if isinstance(vocabulary, int) else int(vocabulary.max()) + 1
    shared = slice(size) if isinstance(vocabulary, int) else vocabulary
    parts, lost = [], []
    for name, logits_NV in (("expert", expert_logits_NV), ("amateur", amateur_logits_NV)):
        if logits_NV.shape[-1] < size:
            raise ValueError(f"the {name} gives {logits_NV.shape[-1]} logits for {size} token ids")
        wide_NV = logits_NV.float()
        cut_NV = wide_NV[:, shared]
        if not cut_NV.isfinite().all():
            raise ValueError(f"the {name}'s logits are not finite")
        lost.append(1 - (cut_NV.logsumexp(-1) - wide_NV.logsumexp(-1)).exp())
        parts.append(cut_NV.log_softmax(-1))
    expert_NV, amateur_NV = parts
    kl_N = (expert_NV.exp() * (expert_NV - amateur_NV)).sum(-1).clamp(min=0)
    agree_N = expert_NV.argmax(-1) == amateur_NV.argmax(-1)
    return Divergence(expert_NV, amateur_NV, kl_N, agree_N, lost[0] + lost[1], lost[0])


def plausible(expert_NV: Tensor, alpha: float) -> Tensor:
    """Mask of tokens whose probability is at least ``alpha`` times the largest (Amask in the paper)."""
    return expert_NV >= expert_NV.amax(-1, keepdim=True) + math.log(alpha)


def contrast_weights(expert_NV: Tensor, amateur_NV: Tensor, alpha: float) -> Tensor:
    """``v_C``: softmax of ``log pE - log pA`` on the plausible set, 0 elsewhere; ``pE / pA`` renormalised there."""
    scores_NV = expert_NV - amateur_NV
    return scores_NV.masked_fill(~plausible(expert_NV, alpha), float("-inf")).softmax(-1)


class Contrast(Strict):
    """The paper's target: the expert's plausible tokens, weighted by how much more it believes in them.

    Attributes:
        alpha: a token is plausible from this share of the expert's highest probability on.
    """

    kind: Literal["contrast"] = "contrast"
    alpha: float = Field(default=0.2, gt=0, le=1)

    def weights(self, found: Divergence) -> Tensor:
        """Target probabilities [N, V]."""
        return contrast_weights(found.expert_NV, found.amateur_NV, self.alpha)


class OneHot(Strict):
    """The ablation "without contrast": all weight on the expert's own favourite."""

    kind: Literal["one_hot"] = "one_hot"

    def weights(self, found: Divergence) -> Tensor:
        """Target probabilities [N, V]."""
        best_N1 = found.expert_NV.argmax(-1, keepdim=True)
        return found.expert_NV.new_zeros(found.expert_NV.shape).scatter_(-1, best_N1, 1.0)


class Sharpen(Strict):
    """The control the paper lacks: ``pE^tau`` on the same plausible set, with no amateur in it.

    Attributes:
        tau: the power; above 1 it sharpens.
        alpha: a token is plausible from this share of the expert's highest probability on.
    """

    kind: Literal["sharpen"] = "sharpen"
    tau: float = Field(default=2.0, gt=0)
    alpha: float = Field(default=0.2, gt=0, le=1)

    def weights(self, found: Divergence) -> Tensor:
        """Target probabilities [N, V]."""
        scores_NV = self.tau * found.expert_NV
        outside_NV = ~plausible(found.expert_NV, self.alpha)
        return scores_NV.masked_fill(outside_NV, float("-inf")).softmax(-1)


class KlGate(Strict):
    """The paper's positions: those where the KL exceeds ``beta`` nats.

    Attributes:
        beta: nats.
    """

    kind: Literal["kl"] = "kl"
    beta: float = Field(default=0.4, ge=0)

    def keep(self, kl_T: list[float], key: str) -> list[int]:
        """Positions of one rollout, in order."""
        return [t for t, kl in enumerate(kl_T) if kl > self.beta]


class RandomPositions(Strict):
    """The control of the gate: as many positions of a rollout as the gate would keep, drawn at random.

    Attributes:
        beta: of the gate whose number of positions is drawn, in nats.
    """

    kind: Literal["random"] = "random"
    beta: float = Field(default=0.4, ge=0)

    def keep(self, kl_T: list[float], key: str) -> list[int]:
        """Positions of one rollout, in order; ``key`` seeds the draw."""
        count = sum(kl > self.beta for kl in kl_T)
        return sorted(random.Random(f"positions:{key}").sample(range(len(kl_T)), count))


class EveryPosition(Strict):
    """No gate: the ablation "without selection"."""

    kind: Literal["all"] = "all"

    def keep(self, kl_T: list[float], key: str) -> list[int]:
        """Every position."""
        return list(range(len(kl_T)))


AnyTarget = Annotated[Contrast | OneHot | Sharpen, Field(discriminator="kind")]
AnyPositions = Annotated[KlGate | RandomPositions | EveryPosition, Field(discriminator="kind")]
