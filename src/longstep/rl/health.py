"""Rules that notice a training run going nowhere, or apart, from the metrics of each step.

Learning nothing is silent by default: all completions truncated, or all groups equal, give loss 0
and a run that "completes". Every rule says one sentence of cause and one of remedy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from longstep.rl.rules import RULES, HealthConfig, Level, StepStats

__all__ = ["Health", "HealthConfig", "HealthNote", "StepStats"]


@dataclass(frozen=True, slots=True)
class HealthNote:
    """One finding: what is wrong, why, and what to do."""

    step: int
    level: Level
    rule: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        """Give the line for the console: ``HEALTH stop: cause; remedy``."""
        return f"HEALTH {self.level}: {self.cause}; {self.remedy}"


class Health:
    """Watches one run: ``observe`` each step's stats; what it tells again and again it tells once.

    A rule speaks when it has held for ``patience`` steps in a row (at once for NaN), and again only
    after it has been silent for a step.
    """

    def __init__(self, config: HealthConfig | None = None) -> None:
        """Start with no step seen."""
        self.config = config or HealthConfig()
        self._held: dict[str, int] = {}
        self._rollout: int | None = None
        self._first_length: float | None = None
        self._first_entropy: float | None = None

    def observe(self, stats: StepStats) -> list[HealthNote]:
        """Give the findings that this step makes certain, in the order of the rules."""
        stats = self._with_first(stats)
        # Checkpoints are taken between batches of rollouts, so a resumed run begins with a new one.
        seen = stats.rollout is not None and stats.rollout == self._rollout
        self._rollout = stats.rollout
        notes = []
        for rule in RULES:
            if rule.drawn and seen:
                continue
            cause = rule.cause(stats, self.config)
            held = self._held[rule.name] = 0 if cause is None else self._held.get(rule.name, 0) + 1
            if cause is not None and held == (self.config.patience if rule.waits else 1):
                level = "stop" if self.config.strict and rule.serious else rule.level
                notes.append(HealthNote(stats.step, level, rule.name, cause, rule.remedy))
        return notes

    def state(self) -> dict[str, object]:
        """What a checkpoint must keep, JSON-ready."""
        return {
            "held": dict(self._held),
            "first_length": self._first_length,
            "first_entropy": self._first_entropy,
        }

    def restore(self, state: dict[str, object]) -> None:
        """Continue from ``state()``."""
        held, length, entropy = state["held"], state["first_length"], state["first_entropy"]
        assert isinstance(held, dict)
        assert length is None or isinstance(length, int | float)
        assert entropy is None or isinstance(entropy, int | float)
        self._held, self._first_length, self._first_entropy = dict(held), length, entropy

    def _with_first(self, stats: StepStats) -> StepStats:
        if self._first_length is None:
            self._first_length = stats.first_mean_length or stats.mean_length
        if self._first_entropy is None:
            self._first_entropy = stats.first_entropy or stats.entropy
        return replace(
            stats, first_mean_length=self._first_length, first_entropy=self._first_entropy
        )
