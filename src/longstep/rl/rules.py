"""The health rules: what is known after a step, thresholds, and for each rule a sentence of cause and one of remedy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from longstep.config import Field, Strict

Level = Literal["note", "warn", "stop"]


class HealthConfig(Strict):
    """Thresholds of the rules.

    Attributes:
        strict: what would warn for ``patience`` steps stops the run.
        patience: steps in a row before a rule that can pass by itself is believed.
        truncated_warn: share of cut completions that is worth a warning.
        zero_variance_warn: share of groups without both right and wrong answers that is worth a warning.
        effective_groups_warn: share of the groups trained on that teach something, below which the batch is far smaller
            than it seems: its gate repeats or pads.
        effective_answers_warn: share of the answers that carry the gradient, ``(sum|A|)^2 / sum(A^2)`` over their
            number, below which a few of them outweigh all others.
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
    effective_groups_warn: float = Field(default=0.2, ge=0, le=1)
    effective_answers_warn: float = Field(default=0.05, ge=0, le=1)
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

    Shares are of completions (``effective_answer_share``: of those that train; ``entropy_right``: over the tokens of
    right ones), and of groups for ``zero_variance_share`` (those without both right
    and wrong answers) and its parts ``all_right_share`` and ``all_wrong_share``, and for ``effective_group_share``, in
    [0, 1];
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
    effective_group_share: float | None = None
    effective_answer_share: float | None = None
    unparseable_share: float | None = None
    unscorable_share: float | None = None
    duplicate_share: float | None = None
    entropy: float | None = None
    first_entropy: float | None = None
    entropy_right: float | None = None
    explained_variance: float | None = None
    kl: float | None = None
    mean_length: float | None = None
    first_mean_length: float | None = None
    short: str | None = None


@dataclass(frozen=True, slots=True)
class HealthRule:
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


def _small_batch(stats: StepStats, config: HealthConfig) -> str | None:
    share, drawn = stats.effective_group_share, stats.zero_variance_share
    if share is None or share >= config.effective_groups_warn:
        return None
    if drawn is not None and drawn >= config.zero_variance_warn:
        return None  # said of what was drawn
    return f"only {_percent(share)} of the groups trained on teach something"


def _few_answers(stats: StepStats, config: HealthConfig) -> str | None:
    share = stats.effective_answer_share
    if not share or share >= config.effective_answers_warn:  # none at all: the groups say so
        return None
    return f"a few answers outweigh all others, as if {share:.1%} of the batch were trained on"


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


def _sure_where_right(stats: StepStats, config: HealthConfig) -> str | None:
    right, all_ = stats.entropy_right, stats.entropy
    if right is None or all_ is None or not right < config.entropy_floor <= all_:
        return None
    return f"entropy of right answers {right:.3g} is below {config.entropy_floor:g} nats per token"


def _idle_critic(stats: StepStats, config: HealthConfig) -> str | None:
    explained = stats.explained_variance
    if explained is None or explained >= 0:
        return None
    return f"the critic's errors vary more than the returns (explained variance {explained:.2f})"


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


RULES = (
    HealthRule(
        "finite",
        _not_finite,
        "go back to the last checkpoint with half the learning rate, and look at the rows of "
        "this batch",
        "stop",
        waits=False,
    ),
    HealthRule(
        "all-truncated",
        _all_truncated,
        "raise max_tokens: no completion reached its answer",
        serious=True,
        drawn=True,
    ),
    HealthRule(
        "truncated",
        _truncated,
        "raise max_tokens or add the soft-overlong reward",
        "note",
        drawn=True,
    ),
    HealthRule(
        "no-signal",
        _no_signal,
        "train on problems the model solves sometimes: select pass rates strictly between "
        "0 and 1, or sample more completions per problem",
        serious=True,
        drawn=True,
    ),
    HealthRule(
        "zero-variance",
        _zero_variance,
        "select problems by pass rate or raise the group size",
        "note",
        drawn=True,
    ),
    HealthRule(
        "small-batch",
        _small_batch,
        "take a gate that draws other problems (mixed), or select by pass rate",
        drawn=True,
    ),
    HealthRule(
        "few-answers",
        _few_answers,
        "divide by no spread (scale_rewards: none or batch), or raise the group size",
        "note",
        drawn=True,
    ),
    HealthRule(
        "short-batch",
        _short,
        "select problems by pass rate, or let the gate draw more often",
        drawn=True,
    ),
    HealthRule(
        "zero-gradient",
        _zero_gradient,
        "check the rewards and the loss mask: nothing is being learned",
        serious=True,
    ),
    HealthRule(
        "unparseable",
        _unparseable,
        "check the chat template and the answer format, or run SFT first",
        drawn=True,
    ),
    HealthRule(
        "unscorable",
        _unscorable,
        "look at the verdicts: verifier timeouts and bad gold answers are left out of training",
        "note",
        drawn=True,
    ),
    HealthRule(
        "duplicates",
        _duplicates,
        "raise the temperature or the entropy of the start model",
        drawn=True,
    ),
    HealthRule(
        "low-entropy",
        _low_entropy,
        "raise epsilon_high or the temperature, or lower the learning rate",
    ),
    HealthRule(
        "sure-where-right",
        _sure_where_right,
        "what it solves it only repeats: take harder problems, or a bonus (adaptive-entropy)",
        "note",
    ),
    HealthRule(
        "critic",
        _idle_critic,
        "raise critic.warmup, or change the rate of critic.optimizer",
        "note",
        drawn=True,
    ),
    HealthRule(
        "high-entropy",
        _high_entropy,
        "lower the learning rate, or give the algorithm a penalty",
        serious=True,
    ),
    HealthRule("kl", _kl, "lower the learning rate, or raise the penalty's beta", serious=True),
    HealthRule(
        "short",
        _shrinking,
        "weaken the length reward (clipped-cosine), or raise the penalty's beta",
        serious=True,
        drawn=True,
    ),
    HealthRule(
        "long",
        _growing,
        "add the soft-overlong reward or use the dr-grpo algorithm",
        drawn=True,
    ),
    HealthRule("large-gradient", _large_gradient, "lower the learning rate or set delta"),
)
