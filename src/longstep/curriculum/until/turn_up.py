"""DeepScaleR's sign that a context has become too short (its notes, "Iteratively Lengthen Max Context Length").

Answers first become shorter while more of them are right. Later they grow again, more and more of them are cut, and
nothing more is gained: then the next phase gives them more room.

    average length >= (1 + rise) x its smallest so far,  average cut share >= cut,  slope of average correctness <= flat

Difference from DeepScaleR: there somebody looked at the curves and chose step 1040, so the four numbers are ours. The
slope is taken over the last ``window`` averages, and the smallest length is looked for once the averages are filled.
"""

from __future__ import annotations

from typing import Literal

from longstep.config import Field
from longstep.curriculum.until.base import History, Smoothed
from longstep.curriculum.until.series import averages_N, known, slope


class TurnUp(Smoothed):
    """Answers grow again, more of them are cut, and no more of them are right: DeepScaleR's sign for a longer context.

    Attributes:
        rise: how far the average length stands above its smallest, as a share of that.
        cut: average share of answers cut at ``max_tokens``.
        flat: average correctness rises by no more than this from one batch of rollouts to the next.
    """

    kind: Literal["turn-up"] = "turn-up"
    rise: float = Field(0.10, gt=0)
    cut: float = Field(0.05, ge=0, le=1)
    flat: float = Field(0.0, ge=0)

    def reason(self, history: History) -> str | None:
        """When all three hold at once."""
        lengths = averages_N(known(each.length for each in history), self.window)
        shares = averages_N(known(each.truncated for each in history), self.window)
        correct = averages_N(known(each.correct for each in history), self.window)
        if min(len(lengths), len(correct)) < self.fewest():
            return None
        smallest, rising = min(lengths[self.window - 1 :]), slope(correct[-self.window :])
        turned = lengths[-1] >= (1 + self.rise) * smallest
        if not (turned and shares[-1] >= self.cut and rising <= self.flat):
            return None
        return (
            f"the average length is {lengths[-1]:.1f} tokens after a smallest of {smallest:.1f} (rise {self.rise:g}), "
            f"{shares[-1]:.1%} are cut (cut {self.cut:g}), and correctness changes by {rising:+.2g} a batch of "
            f"rollouts (flat {self.flat:g})"
        )
