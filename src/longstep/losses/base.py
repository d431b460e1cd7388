"""What an RL algorithm answers: what it needs, what rewards are worth, what a token costs.

``training.policy`` is the only caller. It owns batching, accumulation, sharding and log-probabilities; a member owns
its arithmetic and the defaults that its paper names, so that naming it is the whole setting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from longstep.config import Field, Strict, model_validator
from longstep.curriculum.gates import All, AnyGate
from longstep.losses.advantages import Advantages
from longstep.losses.averages import Average, Whole
from longstep.losses.bonuses import AnyBonus, NoBonus
from longstep.losses.corrections import AnyCorrection, NoCorrection
from longstep.losses.out import LossOut, TokenLosses
from longstep.losses.penalties import AnyPenalty, NoPenalty
from longstep.losses.rewards import AnyReward, Correctness, gain
from longstep.losses.shaped import with_shaped

if TYPE_CHECKING:
    from torch import Tensor

    from longstep.losses.critic import CriticConfig

#: ``reference``: log-probabilities of the frozen start model; ``drift``: how far each answer had gone from that model
#: when it was drawn; ``values``: a critic; ``behaviour``: log-probabilities as the sampler had them; ``entropy``: of
#: the policy at each token, with its gradient.
Need = Literal["reference", "drift", "values", "behaviour", "entropy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """One batch of rollouts over all processes, P problems with G samples each, before it is cut or shuffled.

    Attributes:
        rewards_PG: shaped rewards; NaN where a sample cannot be scored, which is the one mark of that.
        lengths_PG: completion tokens of each sample.
        drift_PG: ``log(policy / reference)`` of each whole answer under the policy that drew it; there only for
            ``drift``.
        values_PGT: what the critic expected of each answer before each of its tokens; there only for ``values``.
        sampled_PGT: 1 for tokens that the policy drew; there only for ``values``.
    """

    rewards_PG: Tensor
    lengths_PG: Tensor
    drift_PG: Tensor | None = None
    values_PGT: Tensor | None = None
    sampled_PGT: Tensor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """One forward pass of B completions of T tokens at most; what is under the mask may be anything, NaN included.

    Attributes:
        logps_BT: log-probability of each sampled token under the policy, with its gradient.
        old_BT: the same under the policy that the rollouts were drawn with, by the trainer's own arithmetic. In the
            first update after a draw it is ``logps_BT`` itself, detached. In rows weighted by ``behaviour`` it is what
            the sampler recorded, under whatever prompt and by whatever policy it drew.
        advantages_BT: one column is enough when a sequence has one advantage.
        mask_BT: 1 where a sampled token trains.
        ref_BT: under the frozen reference; there only when the algorithm needs ``reference``.
        behaviour_BT: as the sampler recorded it, in its precision; there only for ``behaviour``.
        entropy_BT: of the policy, in nats, with its gradient; there only for ``entropy``.
        entropy_weight: what a nat of entropy earns.
        shaped_B1: 1 for rows by somebody else, which ``losses.shaped`` weighs; there only when there are some.
    """

    logps_BT: Tensor
    old_BT: Tensor
    advantages_BT: Tensor
    mask_BT: Tensor
    ref_BT: Tensor | None = None
    behaviour_BT: Tensor | None = None
    entropy_BT: Tensor | None = None
    entropy_weight: float = 0.0
    shaped_B1: Tensor | None = None

    def clean(self) -> Tokens:
        """The same with 0 for what is under the mask, so that neither a value nor a gradient of it survives."""
        chosen_BT = self.mask_BT.bool()

        def kept(values_BT: Tensor | None) -> Any:
            return None if values_BT is None else values_BT.where(chosen_BT, 0.0)

        return replace(
            self,
            logps_BT=kept(self.logps_BT),
            old_BT=kept(self.old_BT),
            ref_BT=kept(self.ref_BT),
            behaviour_BT=kept(self.behaviour_BT),
            entropy_BT=kept(self.entropy_BT),
        )


class Algorithm(Strict):
    """A way of learning from rollouts; the fields are the method's own defaults, and each can be replaced.

    A member says what answers are worth (``advantages``), what a token costs (``policy_losses``) and how tokens are
    averaged (``average``). Penalty, correction and bonus are applied here, to every member alike.

    Attributes:
        gate: which of the drawn groups are trained on.
        rewards: summed; each computed from one answer: its correctness, its length, its form.
        penalty: what draws the policy towards the reference model.
        correction: weighs tokens by how likely the trainer's arithmetic finds what the sampler drew.
        bonus: what the policy earns for its entropy, in the losses of tokens.
        minibatches: optimiser steps for one batch of rollouts, each row used in one of them. A batch of rollouts then
            holds ``minibatches`` times ``batch`` completions: ``batch`` stays what one optimiser step sees. Rows are
            shuffled before the cut, so the samples of a group may fall into several steps; their advantages were
            taken over the whole group before that.
    """

    average: ClassVar[Average]
    #: Whether ``policy_losses`` of an answer that is worth nothing are 0, and so is their gradient.
    still: ClassVar[bool] = False
    #: Settings that act on ratios alone.
    bounds: ClassVar[frozenset[str]] = frozenset()
    gate: AnyGate = All()
    rewards: tuple[AnyReward, ...] = Field(default=(Correctness(),), min_length=1)
    penalty: AnyPenalty = NoPenalty()
    correction: AnyCorrection = NoCorrection()
    bonus: AnyBonus = NoBonus()
    minibatches: int = Field(default=1, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _beta_is_the_penaltys(cls, given: Any) -> Any:
        if isinstance(given, dict) and "beta" in given:
            raise ValueError(
                f"beta belongs to the penalty: write penalty: {{kind: k3, beta: {given['beta']}}}, or penalty: "
                "{kind: none} for 0"
            )
        return given

    @model_validator(mode="after")
    def _right_is_better(self) -> Self:
        if gain(self.rewards) <= 0:
            raise ValueError(
                "rewards: a right answer earns no more than a wrong one of the same length and form; add {kind: "
                "correctness}, or let right earn more than wrong"
            )
        return self

    def needs(self) -> frozenset[Need]:
        """What the trainer must provide beside the policy's own log-probabilities."""
        return self.penalty.needs() | self.correction.needs() | self.bonus.needs()

    def idles(self) -> bool:
        """Whether an answer that is worth nothing moves nothing, so that the trainer may spare its gradient."""
        return self.still and not self.needs() & {"reference", "values", "entropy"}

    def learner(self) -> CriticConfig | None:
        """How its critic learns; ``None`` without one."""
        return None

    def targets(self, groups: Groups) -> Tensor:
        """What its critic should have said before each token, ``[P, G, T]``."""
        raise NotImplementedError

    def idle(self, updates: int) -> Iterator[str]:
        """Settings, ``key: sentence``, that do nothing with so many updates from one batch of rollouts."""
        for key in sorted(self.bounds & self.model_fields_set) if updates == 1 else ():
            yield (
                f"{key}: has no effect: with one update from each batch of rollouts all ratios are 1; set minibatches "
                "or iterations, or leave it out"
            )

    def lacks(self) -> tuple[str, ...]:
        """Parts of the published method that this build does not have, a sentence each."""
        return ()

    def fits(self, steps: int) -> Iterator[str]:
        """Complaints, ``key: sentence``, when a training makes so many optimiser steps."""
        yield from ()

    def advantages(self, groups: Groups) -> Advantages:
        """What each sample is worth, and which samples may train at all."""
        raise NotImplementedError

    def policy_losses(self, tokens: Tokens) -> TokenLosses:
        """What each token costs, before penalty, correction and mean; ``tokens`` hold 0 under the mask."""
        raise NotImplementedError

    def loss(self, tokens: Tokens, total: float) -> LossOut:
        """The part of the batch's loss that these rows make: parts of any cut add up to the whole.

        Args:
            tokens: the rows.
            total: ``divisor`` of the whole batch.
        """
        tokens = tokens.clean()
        losses_BT, metrics = self.policy_losses(tokens)
        losses_BT = with_shaped(losses_BT, tokens)
        # The penalty is no estimate over the sampler's tokens alone, so it stays outside of the correction.
        losses_BT, corrected = self.correction.weighed(losses_BT, tokens)
        losses_BT, penalised = self.penalty.added(losses_BT, tokens)
        if tokens.entropy_BT is not None and tokens.entropy_weight:
            losses_BT = losses_BT - tokens.entropy_weight * tokens.entropy_BT
        losses_BT = losses_BT.where(tokens.mask_BT.bool(), 0.0)
        summed = self.average.summed(losses_BT, tokens.mask_BT)
        return LossOut(summed / total, {**metrics, **corrected, **penalised})

    def divisor(self, whole: Whole) -> float:
        """What the sum over the batch is divided by."""
        return self.average.divisor(whole)
