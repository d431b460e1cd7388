"""The only vocabulary that crosses a border between parts of longstep: small frozen row types.

Token ids travel end to end: a row that was sampled carries the ids it was sampled with, so that nothing
ever decodes a prefix and tokenises it again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["correct", "incorrect", "unparseable", "timeout", "truncated", "bad_gold"]
FinishReason = Literal["stop", "length"]
SegmentOrigin = Literal["model", "forced", "tool"]
#: How a segment ended: the model's turn; no room was left; a text that was asked for; as long as was asked for; it was
#: not drawn.
SegmentFinish = Literal["stop", "length", "after", "cut", "given"]

#: Statuses that say nothing about the model: excluded from pass rates, rewards and scores, and counted.
UNSCORABLE: frozenset[str] = frozenset({"timeout", "bad_gold"})
#: Rung of a verdict on a completion that nobody has: it is left out and counted, and nobody needs to look at it.
ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with its gold answer.

    Attributes:
        id: content hash of the problem, stable across runs and files.
        prompt: the question as the user would type it (no chat markup).
        answer: the gold answer.
        solution: a worked solution, when the source has one.
        verifier: name in ``longstep.verify.VERIFIERS`` or ``module:function``.
        source: where the problem comes from, e.g. ``chain`` or ``open-r1-math``.
        difficulty: the source's own difficulty (a generator's knob or a dataset's level), any scale.
        pass_rate: share of verified-correct samples of a rater model, in [0, 1].
        before: turns of a conversation that stand before the question, each a role (``system``, ``user`` or
            ``assistant``) and its content; the assistant's without their thoughts.
    """

    id: str
    prompt: str
    answer: str
    solution: str | None = None
    verifier: str = "exact"
    source: str = ""
    difficulty: float | None = None
    pass_rate: float | None = None
    before: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse ratings that nothing can be ordered by; JSON as Python reads it has NaN and Infinity.

        Raises:
            ValueError: a pass rate outside of [0, 1], or a difficulty that is not finite.
        """
        if self.pass_rate is not None and not 0 <= self.pass_rate <= 1:
            raise ValueError(f"pass_rate {self.pass_rate:g} is no share between 0 and 1")
        if self.difficulty is not None and not math.isfinite(self.difficulty):
            raise ValueError(f"difficulty {self.difficulty:g} is no finite number")

    @property
    def asked(self) -> str:
        """Everything that the user asks, which is what repeats and benchmarks are looked for in."""
        earlier = [content for role, content in self.before if role == "user"]
        return "\n\n".join([*earlier, self.prompt])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier says of one answer: more than two values, with the reason and what decided.

    Attributes:
        status: the outcome; ``timeout`` and ``bad_gold`` say nothing about the model.
        answer: the answer that was judged, or ``None`` when there is none.
        reason: one short sentence.
        rung: which step of the verifier's ladder decided, such as ``number`` or ``symbolic``; may be empty.
    """

    status: Status
    answer: str | None
    reason: str = ""
    rung: str = ""

    @property
    def correctness(self) -> float | None:
        """1.0 or 0.0, or ``None`` when the verdict says nothing about the model (timeout, bad gold)."""
        if self.status in UNSCORABLE:
            return None
        return 1.0 if self.status == "correct" else 0.0


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled answer to one problem.

    Attributes:
        problem_id: the problem it answers.
        sample_index: 0-based index among the samples of that problem.
        prompt_ids: rendered prompt, a forced ``<think>`` included; empty when only text is known (a remote teacher).
        token_ids: generated ids, the stop token included when there was one; empty when only text is known.
        text: the whole assistant turn as text, the forced prefix re-attached, the stop token left out.
        finish_reason: ``stop`` when a stop token ended it, ``length`` when it was cut.
        logprobs: log-probability of each generated token under the sampling model at temperature 1, or ``None``.
        verdict: what the verifier said, or ``None`` before verification.
    """

    problem_id: str
    sample_index: int
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    text: str
    finish_reason: FinishReason
    logprobs: tuple[float, ...] | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """A preferred and a rejected completion of one problem; ids are beside the text."""

    problem_id: str
    prompt: str
    chosen: str
    rejected: str
    prompt_ids: tuple[int, ...]
    chosen_ids: tuple[int, ...]
    rejected_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SoftTarget:
    """A sparse next-token distribution at one position of one rollout.

    The prefix is not repeated: it is the rollout's prompt ids and its first ``position`` token ids.

    Attributes:
        problem_id: the problem the rollout answers.
        sample_index: which of its rollouts.
        position: 0-based place in the rollout's token ids; the target replaces the token that stands there.
        token_ids: ids that carry weight, in ascending order.
        weights: their probabilities, summing to 1.
        kl: ``KL(expert || amateur)`` there, in nats.
    """

    problem_id: str
    sample_index: int
    position: int
    token_ids: tuple[int, ...]
    weights: tuple[float, ...]
    kl: float


@dataclass(frozen=True, slots=True)
class Segment:
    """One node of the tree that an inference-time strategy grows for a problem: a piece of an answer.

    Attributes:
        problem_id: the problem.
        node: number in order of creation, from 0; parents come first.
        parent: number of the segment before it; -1 is the prompt.
        round: which of the strategy's requests asked for it, from 0.
        origin: ``model`` drew it, it was ``forced``, or a ``tool`` returned it.
        token_ids: its ids, a stop token included; empty when only text is known.
        text: as the reader sees it, the stop token left out.
        finish: how it ended; ``stop`` and ``length`` end the answer.
        logprobs: of each token at temperature 1, of what the model drew; or ``None``.
        scores: by the scorer's name: what the path up to its end is worth.
        verdict: of an answer that ended here.
    """

    problem_id: str
    node: int
    parent: int
    round: int
    origin: SegmentOrigin
    token_ids: tuple[int, ...]
    text: str
    finish: SegmentFinish
    logprobs: tuple[float, ...] | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    verdict: Verdict | None = None

    @property
    def ended(self) -> bool:
        """Whether the answer is over."""
        return self.finish in ("stop", "length")
