"""MaxRL: towards the likelihood of solving a problem, where REINFORCE goes towards the chance of it."""

from __future__ import annotations

from typing import Literal, Self

from longstep.config import model_validator
from longstep.losses.advantages import Advantages, mean_scaled
from longstep.losses.base import Groups
from longstep.losses.rewards import Graded, shaped_reward
from longstep.losses.score import ScoreFunction


class MaxRl(ScoreFunction):
    """MaxRL (arXiv 2602.02710): ``(reward - mean) / mean`` over the group, times the score.

    With 0/1 rewards and pass rate p this follows the gradient of ``log p``, as far as a group can tell it, where
    REINFORCE follows that of ``p``: the score of a right answer weighs ``1/p``. A group without a right answer teaches
    nothing. The paper's rewards are 0 and 1; any that are never negative will do.
    """

    kind: Literal["maxrl"] = "maxrl"

    @model_validator(mode="after")
    def _a_mean_to_divide_by(self) -> Self:
        # Rewards depend on correctness, the share of the longest answer and its form: these are all that matter.
        worst = min(
            shaped_reward(self.rewards, Graded(right, length, 100, text)) or 0.0
            for right in (0.0, 1.0)
            for length in range(102)
            for text in ("", "<think></think>")
        )
        if worst < 0:
            raise ValueError(
                f"rewards as low as {worst:g}: maxrl divides by the mean reward of a group, so none may be negative; "
                "write rewards: [{kind: correctness}]"
            )
        if "drift" in self.penalty.needs():
            raise ValueError(
                f"penalty: {self.penalty.kind} makes rewards negative, and maxrl divides by their mean; take k2 or "
                "k3-unbiased"
            )
        return self

    def advantages(self, groups: Groups) -> Advantages:
        """Against the mean of the group, in units of it."""
        return mean_scaled(groups.rewards_PG)
