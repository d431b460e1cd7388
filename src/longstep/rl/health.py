"""Rules that notice a training run going nowhere, or apart, from the metrics of each step.

Learning nothing is silent by default: all completions truncated, or all groups equal, give loss 0
and a run that "completes". Every rule says one sentence of cause and one of remedy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from longstep.config import Field, Strict

__all__ = ["Health", "HealthConfig", "HealthNote", "StepStats"]

Level = Literal["note", "warn", "stop"]


class HealthConfig(Strict):
    """Thresholds of the rules.

    Attributes:
        strict: what would warn for ``patience`` steps stops the run.
        patience: steps in a row before a rule that can pass by itself is believed.
        truncated_warn: share of cut completions that is worth a warning.
        zero_variance_warn: share of groups without both right and wrong answers that is worth a warning.
        entropy_floor: nats per token, below which the policy hardly explores.
        entropy_growth: times the first entropy, above which the policy falls apart.
        kl_ceiling: nats per token from the reference.
        length_shrink: share of the first mean length, below which length has collapsed.
        length_growth: times the first mean length, above which length runs away.
        unparseable_warn: share of completions without an answer.
        duplicate_warn: share of completions that repeat another one of their group.
        grad_norm_ceiling: a gradient norm that is worth a warning.
    """

    strict: bool = False
    patience: int = Field(default=3, ge=1)
    truncated_warn: float = Field(default=0.5, gt=0, le=1)
    zero_variance_warn: float = Field(default=0.8, gt=0, le=1)
    entropy_floor: float = Field(default=0.02, ge=0)
    entropy_growth: float = Field(default=4.0, gt=1)
    kl_ceiling: float = Field(default=1.0, gt=0)
    length_shrink: float = Field(default=0.3, ge=0, lt=1)
    length_growth: float = Field(default=4.0, gt=1)
    unparseable_warn: float = Field(default=0.5, gt=0, le=1)
    duplicate_warn: float = Field(default=0.8, gt=0, le=1)
    grad_norm_ceiling: float = Field(default=100.0, gt=0)


@dataclass(frozen=True, slots=True)
class StepStats:
    """What is known after one optimizer step; ``None`` where the trainer does not measure it.

    Shares are of completions, and of groups for ``zero_variance_share`` (those without both right
    and wrong answers) and its parts ``all_right_share`` and ``all_wrong_share``, in [0, 1];
    ``first_mean_length`` and ``first_entropy`` are those of the run's first step and are filled in
    by ``Health`` when missing. ``rollout`` numbers the batch of rollouts, where several steps train on one;
    ``short`` says why a step trained on fewer groups than wanted.
    """

    step: int
    rollout: int | None = None
    loss_finite: bool = True
    grad_norm: float | None = None
    truncated_share: float | None = None
    zero_variance_share: float | None = None
    all_right_share: float | None = None
    all_wrong_share: float | None = None
    unparseable_share: float | None = None
    unscorable_share: float | None = None
    duplicate_share: float | None = None
    entropy: float | None = None
    first_entropy: float | None = None
    kl: float | None = None
    mean_length: float | None = None
    first_mean_length: float | None = None
    short: str | None = None


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


@dataclass(frozen=True, slots=True)
class _Rule:
    """The rule holds when ``cause`` gives a sentence; a ``serious`` one stops a strict run.

    A ``drawn`` one looks at rollouts only, and so judges each batch of them once.
    """

    name: str
    cause: Callable[[StepStats, HealthConfig], str | None]
    remedy: str
    level: Level = "warn"
    waits: bool = True
    serious: bool = False
    drawn: bool = False


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
        for rule in _RULES:
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


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


# -- the rules: a sentence when the rule holds, None when it does not or nothing is known ---------


def _not_finite(stats: StepStats, config: HealthConfig) -> str | None:
    names = ("grad_norm", "entropy", "kl", "mean_length")
    values = (stats.grad_norm, stats.entropy, stats.kl, stats.mean_length)
    bad = [
        name
        for name, value in zip(names, values, strict=True)
        if value is not None and not math.isfinite(value)
    ]
    if not stats.loss_finite:
        bad.insert(0, "loss")
    return f"{' and '.join(bad)} not finite" if bad else None


def _truncated(stats: StepStats, config: HealthConfig) -> str | None:
    share = stats.truncated_share
    return (
        None
        if share is None or share < config.truncated_warn
        else f"{_percent(share)} of completions truncated"
    )


def _all_truncated(stats: StepStats, config: HealthConfig) -> str | None:
    share = stats.truncated_share
    return None if share is None or share < 1.0 else "100 % of completions truncated"


def _zero_variance(stats: StepStats, config: HealthConfig) -> str | None:
    share = stats.zero_variance_share
    if share is None or share < config.zero_variance_warn:
        return None
    return f"{_percent(share)} of groups teach nothing{_parts(stats)}"


def _parts(stats: StepStats) -> str:
    """Too easy or too hard: the two ask for opposite remedies."""
    if stats.all_right_share is None or stats.all_wrong_share is None:
        return ""
    right, wrong = _percent(stats.all_right_share), _percent(stats.all_wrong_share)
    return f" ({right} all right, {wrong} all wrong)"


def _no_signal(stats: StepStats, config: HealthConfig) -> str | None:
    share = stats.zero_variance_share
    if share is None or share < 1.0:
        return None
    return f"no group has both right and wrong answers{_parts(stats)}"


def _short(stats: StepStats, config: HealthConfig) -> str | None:
    return f"a step had too few groups to train on: {stats.short}" if stats.short else None


def _unparseable(stats: StepStats, config: HealthConfig) -> str | None:
    share = stats.unparseable_share
    return (
        None
        if share is None or share < config.unparseable_warn
        else f"{_percent(share)} of completions unparseable"
    )


def _unscorable(stats: StepStats, config: HealthConfig) -> str | None:
    share = stats.unscorable_share
    return f"{_percent(share)} of completions could not be scored" if share else None


def _duplicates(stats: StepStats, config: HealthConfig) -> str | None:
    share = stats.duplicate_share
    if share is None or share < config.duplicate_warn:
        return None
    return f"{_percent(share)} of completions repeat another of their group"


def _low_entropy(stats: StepStats, config: HealthConfig) -> str | None:
    if stats.entropy is None or stats.entropy >= config.entropy_floor:
        return None
    return f"entropy {stats.entropy:.3g} is below {config.entropy_floor:g} nats per token"


def _high_entropy(stats: StepStats, config: HealthConfig) -> str | None:
    first = stats.first_entropy
    if stats.entropy is None or not first or stats.entropy <= config.entropy_growth * first:
        return None
    return (
        f"entropy {stats.entropy:.3g} is {stats.entropy / first:.1f} times that of the first step"
    )


def _kl(stats: StepStats, config: HealthConfig) -> str | None:
    if stats.kl is None or stats.kl <= config.kl_ceiling:
        return None
    return f"KL {stats.kl:.3g} from the reference is above {config.kl_ceiling:g} nats per token"


def _shrinking(stats: StepStats, config: HealthConfig) -> str | None:
    length, first = stats.mean_length, stats.first_mean_length
    if length is None or not first or length >= config.length_shrink * first:
        return None
    return f"mean length fell from {first:.0f} to {length:.0f} tokens"


def _growing(stats: StepStats, config: HealthConfig) -> str | None:
    length, first = stats.mean_length, stats.first_mean_length
    if length is None or not first or length <= config.length_growth * first:
        return None
    return f"mean length grew from {first:.0f} to {length:.0f} tokens"


def _zero_gradient(stats: StepStats, config: HealthConfig) -> str | None:
    return "the gradient is exactly zero" if stats.grad_norm == 0.0 else None


def _large_gradient(stats: StepStats, config: HealthConfig) -> str | None:
    norm = stats.grad_norm
    if norm is None or not config.grad_norm_ceiling < norm < math.inf:
        return None
    return f"gradient norm {norm:.3g} is above {config.grad_norm_ceiling:g}"


_RULES = (
    _Rule(
        "finite",
        _not_finite,
        "go back to the last checkpoint with half the learning rate, and look at the rows of "
        "this batch",
        "stop",
        waits=False,
    ),
    _Rule(
        "all-truncated",
        _all_truncated,
        "raise max_tokens: no completion reached its answer",
        serious=True,
        drawn=True,
    ),
    _Rule(
        "truncated",
        _truncated,
        "raise max_tokens or add the soft-overlong reward",
        "note",
        drawn=True,
    ),
    _Rule(
        "no-signal",
        _no_signal,
        "train on problems the model solves sometimes: select pass rates strictly between "
        "0 and 1, or sample more completions per problem",
        serious=True,
        drawn=True,
    ),
    _Rule(
        "zero-variance",
        _zero_variance,
        "select problems by pass rate or raise the group size",
        "note",
        drawn=True,
    ),
    _Rule(
        "short-batch",
        _short,
        "select problems by pass rate, or let the gate draw more often",
        drawn=True,
    ),
    _Rule(
        "zero-gradient",
        _zero_gradient,
        "check the rewards and the loss mask: nothing is being learned",
        serious=True,
    ),
    _Rule(
        "unparseable",
        _unparseable,
        "check the chat template and the answer format, or run SFT first",
        drawn=True,
    ),
    _Rule(
        "unscorable",
        _unscorable,
        "look at the verdicts: verifier timeouts and bad gold answers are left out of training",
        "note",
        drawn=True,
    ),
    _Rule(
        "duplicates",
        _duplicates,
        "raise the temperature or the entropy of the start model",
        drawn=True,
    ),
    _Rule(
        "low-entropy",
        _low_entropy,
        "raise epsilon_high or the temperature, or lower the learning rate",
    ),
    _Rule(
        "high-entropy",
        _high_entropy,
        "lower the learning rate, or give the algorithm a penalty",
        serious=True,
    ),
    _Rule("kl", _kl, "lower the learning rate, or raise the penalty's beta", serious=True),
    _Rule(
        "short",
        _shrinking,
        "weaken the length reward (clipped-cosine), or raise the penalty's beta",
        serious=True,
        drawn=True,
    ),
    _Rule(
        "long",
        _growing,
        "add the soft-overlong reward or use the dr-grpo algorithm",
        drawn=True,
    ),
    _Rule("large-gradient", _large_gradient, "lower the learning rate or set delta"),
)
