"""What a bonus answers: how much the entropy of the policy earns in each optimiser step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from longstep.config import Strict

if TYPE_CHECKING:
    from longstep.losses.base import Need


@dataclass
class Earned:
    """A bonus at work, with a weight that stays.

    Attributes:
        weight: nats of the entropy of a token count so much in its loss, in the step being taken.
    """

    weight: float = 0.0

    def observe(self, entropy: float) -> None:
        """Learn the mean entropy of the tokens of a finished step."""

    def metrics(self) -> dict[str, float]:
        """Numbers for each metric line."""
        return {}

    def state(self) -> dict[str, Any]:
        """Everything that changes, ready for JSON."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""


class Bonus(Strict):
    """Settings of a bonus."""

    def needs(self) -> frozenset[Need]:
        """The entropy with its gradient."""
        return frozenset({"entropy"})

    def build(self) -> Earned:
        """Give the bonus at the first step."""
        raise NotImplementedError
