"""From the rewards of a group of samples of one problem to advantages.

A NaN reward means *unscorable* (a verifier that timed out, a bad gold answer): that sample is left
out of its group's mean and spread, and out of the loss. A group with fewer than two scorable
samples has no baseline and is left out whole. A reward of 0 instead would hand such samples a real,
made-up advantage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Advantages(NamedTuple):
    """Advantages, and which samples may train.

    Attributes:
        values_PG: finite everywhere; 0 where ``trains_PG`` is False or a group's rewards are all
            equal. With a critic they are of tokens, ``[P, G, T]``.
        trains_PG: bool; multiply it into the token mask.
    """

    values_PG: Tensor
    trains_PG: Tensor


def group_centred(rewards_PG: Tensor) -> Advantages:
    """Reward minus the mean of its group: REINFORCE with the group mean as baseline.

    Dr. GRPO (arXiv 2503.20783, section 3): without the division by the spread, easy and hard
    problems weigh the same.
    """
    trains_PG, count_P1 = _scorable(rewards_PG)
    filled_PG = rewards_PG.where(trains_PG, 0.0)
    mean_P1 = filled_PG.sum(-1, keepdim=True) / count_P1
    values_PG = (filled_PG - mean_P1).where(trains_PG & ~_all_equal(rewards_PG, trains_PG), 0.0)
    return Advantages(values_PG, trains_PG)


def group_normalised(rewards_PG: Tensor, eps: float = 1e-4) -> Advantages:
    """Centred reward over the group's standard deviation: GRPO (arXiv 2402.03300, section 4.1.2).

    The paper does not say which standard deviation; this is the unbiased one (divisor G - 1), as in
    TRL and verl. ``eps`` is TRL's; verl has 1e-6. All-equal rewards give exactly 0, where plain
    arithmetic gives rounding noise divided by rounding noise.
    """
    centred_PG, trains_PG = group_centred(rewards_PG)
    _, count_P1 = _scorable(rewards_PG)
    # TRL's order of operations (mean, then Bessel's factor): weights trained by either are equal bit for bit.
    mean_P1 = centred_PG.square().sum(-1, keepdim=True) / count_P1
    variance_P1 = mean_P1 * (count_P1 / (count_P1 - 1).clamp(min=1))
    return Advantages(centred_PG / (variance_P1.sqrt() + eps), trains_PG)


def batch_scaled(rewards_PG: Tensor, eps: float = 1e-4) -> Advantages:
    """Centred reward over the standard deviation of all rewards of the batch: Lite PPO (arXiv 2508.08221)."""
    values_PG, trains_PG = group_centred(rewards_PG)
    count = trains_PG.sum().clamp(min=2).to(values_PG.dtype)
    known_PG = rewards_PG.where(trains_PG, 0.0)
    off_PG = (known_PG - known_PG.sum() / count).where(trains_PG, 0.0)
    deviation = (off_PG.square().sum() / (count - 1)).sqrt()
    return Advantages(values_PG / (deviation + eps), trains_PG)


def batch_normalised(rewards_PG: Tensor, eps: float = 1e-4) -> Advantages:
    """Reward minus the batch mean, over the batch's standard deviation (arXiv 2501.03262, equation 10)."""
    values_1N, trains_1N = group_normalised(rewards_PG.reshape(1, -1), eps)
    return Advantages(values_1N.reshape(rewards_PG.shape), trains_1N.reshape(rewards_PG.shape))


def mean_scaled(rewards_PG: Tensor) -> Advantages:
    """Centred reward over the mean of its group, 0 where that is 0: MaxRL (arXiv 2602.02710)."""
    values_PG, trains_PG = group_centred(rewards_PG)
    _, count_P1 = _scorable(rewards_PG)
    mean_P1 = rewards_PG.where(trains_PG, 0.0).sum(-1, keepdim=True) / count_P1
    return Advantages(values_PG / mean_P1.where(mean_P1 > 0, 1.0), trains_PG)


def leave_one_out(rewards_PG: Tensor) -> Advantages:
    """Reward minus the mean of the *others* in its group: RLOO (arXiv 2402.14740, equation 8).

    Equal to ``G / (G - 1)`` times the centred reward; unlike the plain mean, the baseline is
    unbiased.
    """
    centred_PG, trains_PG = group_centred(rewards_PG)
    _, count_P1 = _scorable(rewards_PG)
    return Advantages(centred_PG * count_P1 / (count_P1 - 1).clamp(min=1), trains_PG)


def batch_centred(rewards_PG: Tensor) -> Advantages:
    """Reward minus the batch mean: REINFORCE with a mean baseline (Williams 1992), no groups."""
    values_1N, trains_1N = group_centred(rewards_PG.reshape(1, -1))
    return Advantages(values_1N.reshape(rewards_PG.shape), trains_1N.reshape(rewards_PG.shape))


def uncentred(rewards_PG: Tensor) -> Advantages:
    """The reward itself."""
    trains_PG = ~rewards_PG.isnan()
    return Advantages(rewards_PG.where(trains_PG, 0.0), trains_PG)


def carrying(found: Advantages) -> dict[str, float]:
    """As how many equal answers those of a batch count, ``(sum|A|)^2 / sum(A^2)``, and what share that is of all."""
    weights_PG = found.values_PG.abs()  # 0 where nothing trains
    if weights_PG.ndim == 3:  # an answer weighs what its tokens do
        weights_PG = weights_PG.sum(-1)
    total, squares = weights_PG.sum().square().item(), weights_PG.square().sum().item()
    answers = total / squares if squares else 0.0
    count = int(found.trains_PG.sum())
    return {
        "effective_answers": answers,
        **({"effective_answer_share": answers / count} if count else {}),
    }


def _scorable(rewards_PG: Tensor) -> tuple[Tensor, Tensor]:
    """Samples with a reward and a baseline; scorable ones per group (at least 1, to divide)."""
    scorable_PG = ~rewards_PG.isnan()
    count_P1 = scorable_PG.sum(-1, keepdim=True)
    return scorable_PG & (count_P1 >= 2), count_P1.clamp(min=1).to(rewards_PG.dtype)


def _all_equal(rewards_PG: Tensor, trains_PG: Tensor) -> Tensor:
    low_P1 = rewards_PG.where(trains_PG, float("inf")).amin(-1, keepdim=True)
    high_P1 = rewards_PG.where(trains_PG, float("-inf")).amax(-1, keepdim=True)
    return low_P1 == high_P1
