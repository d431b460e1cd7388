"""What a device holds while a policy is trained: three moments that never come together, and what helps in each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from longstep.costs import arithmetic as costs
from longstep.costs.arithmetic import Decoding, Holding
from longstep.costs.decoder import Shape
from longstep.training.estimate import Way, relief

Needed = Callable[[Holding], float]


@dataclass(frozen=True)
class Moments:
    """One step of reinforcement learning, moment by moment.

    Attributes:
        shape: of the model.
        work: what a step draws.
        devices: that share it.
        usable: bytes of each.
    """

    shape: Shape
    work: Decoding
    devices: int
    usable: float

    def all(self) -> Mapping[str, Needed]:
        """Bytes of each moment, given what the training holds."""
        return {
            "rollouts": lambda held: costs.rollout_bytes(
                self.shape, _copied(held), self.work, self.devices
            ),
            "the reference": lambda held: (
                costs.scoring_bytes(self.shape, _copied(held)) if held.reference else 0.0
            ),
            "updates": lambda held: costs.updating_bytes(self.shape, _copied(held)),
        }

    def peak(self, held: Holding) -> float:
        """Bytes of the largest."""
        return max(needed(held) for needed in self.all().values())

    def relief(self, held: Holding, choice: Sequence[Way]) -> str:
        """What helps in each moment that needs too much; empty where all fit."""
        said: list[str] = []
        for moment, needed in self.all().items():
            if (need := needed(held)) > self.usable:
                said.append(
                    f"{moment} ({costs.gigabytes(need)}) by {self._way(moment, held, choice)}"
                )
        return "; ".join(said)

    def _way(self, moment: str, held: Holding, choice: Sequence[Way]) -> str:
        if moment == "rollouts" and (fits := self._together(held)):
            return f"rollout_batch: {fits}"
        if moment == "the reference":
            without = "algorithm.penalty: {kind: none}", lambda held: replace(held, reference=False)
            choice = [without, *choice]
        return relief(held, choice, self.all()[moment], self.usable)

    def _together(self, held: Holding) -> int:
        """Completions whose keys and values fit beside what is held."""
        word = costs.rollout_word(_copied(held))
        cache = costs.cache_bytes(self.shape, self.work, self.devices, word)
        beside = self.all()["rollouts"](held) - cache
        return costs.fitting_slots(self.shape, self.work, self.usable - beside, word)


def _copied(held: Holding) -> Holding:
    """Nobody can draw from shards, so each process holds a whole copy beside its own."""
    return replace(held, copies=max(held.copies, int(held.shards > 1)))
