"""Skywork-OR1's entropy control (arXiv 2505.22312, section 4): entropy earns something while there is too little."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

from longstep.config import Field, model_validator
from longstep.losses.bonuses.base import Bonus, Earned


class AdaptiveEntropy(Bonus):
    """A reward for entropy that grows while entropy is below a target, shrinks above it, and acts only below.

    The defaults are those of its released 7B run: from 0, up or down by 0.0001 after each optimiser step, never above
    0.005, target 0.2 nats per token. A step knows the entropy of the step before it, which is that of the policy before
    its own update; with several updates from one batch of rollouts each of them counts.

    Attributes:
        target: mean nats per token to stay above.
        rise: what the weight moves by in each optimiser step.
        most: largest weight.
        start: weight before the first step.
    """

    kind: Literal["adaptive-entropy"] = "adaptive-entropy"
    target: float = Field(default=0.2, gt=0)
    rise: float = Field(default=1e-4, gt=0)
    most: float = Field(default=0.005, gt=0)
    start: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _start_within(self) -> Self:
        if self.start > self.most:
            raise ValueError(f"start {self.start:g} is above most {self.most:g}; lower it")
        return self

    def build(self) -> Controlled:
        """The weight before the first step, which does not act: nothing is known of the entropy yet."""
        return Controlled(config=self, coefficient=self.start)


@dataclass
class Controlled(Earned):
    """A weight that follows the entropy.

    Attributes:
        config: target and bounds.
        coefficient: what entropy earns when it is below the target.
    """

    config: AdaptiveEntropy = field(default_factory=AdaptiveEntropy)
    coefficient: float = 0.0

    def observe(self, entropy: float) -> None:
        """Move the coefficient, and let it act or not."""
        low = entropy < self.config.target
        moved = self.coefficient + (self.config.rise if low else -self.config.rise)
        self.coefficient = min(max(moved, 0.0), self.config.most)
        self.weight = self.coefficient if low else 0.0

    def metrics(self) -> dict[str, float]:
        """The coefficient, whether it acts or not."""
        return {"entropy_coefficient": self.coefficient}

    def state(self) -> dict[str, Any]:
        """Coefficient and weight."""
        return {"coefficient": self.coefficient, "weight": self.weight}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue with both."""
        self.coefficient, self.weight = state["coefficient"], state["weight"]
