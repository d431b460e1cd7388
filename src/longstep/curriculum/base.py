"""What every curriculum is: it asks for problems, may learn from outcomes, and can be resumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from longstep.config import UserError
from longstep.types import Problem

Use = Literal["train", "rate"]
Signal = Literal["mixed", "right", "wrong", "unscorable"]


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far a run goes, for curricula that move with it.

    Attributes:
        steps: optimiser steps of the run; ``step / steps`` is the share done.
        groups: groups that are trained on from one pick to the next; several steps share them when a batch of rollouts
            makes several updates.
        seed: of everything random in a curriculum, a gate or a guide.
        updates: optimiser steps from one pick to the next.
    """

    steps: int
    groups: int
    seed: int
    updates: int = 1

    @property
    def draws(self) -> int:
        """Batches of rollouts in the run."""
        return -(-self.steps // self.updates)

    @property
    def last(self) -> int:
        """The step of the last pick."""
        return (self.draws - 1) * self.updates

    def done(self, step: int) -> float:
        """Where a step stands between the first pick of the run, 0, and the last one, 1."""
        return min(1.0, step / self.last) if self.last else 0.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One problem to be drawn.

    Attributes:
        index: its place among the problems.
        use: ``train``, or ``rate``: drawn to learn how hard it is, never trained on, charged as a probe.
        samples: answers of a ``rate``; how many a ``train`` gets is the gate's to say, so there it is 0.
    """

    index: int
    use: Use = "train"
    samples: int = 0

    def __post_init__(self) -> None:
        """Refuse what would be drawn otherwise than it reads."""
        if (self.use == "rate") != (self.samples > 0):
            raise ValueError(
                f"{self}: a rate needs samples, and a train takes those of the gate's rounds"
            )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one drawn group went: all that curricula and gates may know of it.

    Attributes:
        index: the problem's place among the problems.
        use: what it was drawn for.
        correctness_G: 0 or 1 from each verdict, ``None`` where it says nothing about the model; never a shaped reward.
        lengths_G: tokens of each answer.
        truncated: how many answers were cut at the limit.
        step: when it was drawn.
    """

    index: int
    use: Use
    correctness_G: tuple[float | None, ...]
    lengths_G: tuple[int, ...]
    truncated: int
    step: int

    @property
    def known_G(self) -> list[float]:
        """The correctness of the answers that could be scored."""
        return [each for each in self.correctness_G if each is not None]

    @property
    def signal(self) -> Signal:
        """What the group can teach; see :func:`signal_of`."""
        return signal_of(self.correctness_G)


def signal_of(correctness_G: Sequence[float | None]) -> Signal:
    """Say why a group teaches nothing by its correctness, or that it is ``mixed`` and does.

    A single scorable answer has nothing to be compared with, so fewer than two are ``unscorable``.
    """
    known = [each for each in correctness_G if each is not None]
    if len(known) < 2:
        return "unscorable"
    if min(known) < max(known):
        return "mixed"
    return "right" if known[0] >= 1.0 else "wrong"


def spread_of(known_G: Sequence[float]) -> float:
    """Variance of right and wrong answers over the largest that as many could have."""
    right, wrong = known_G.count(1.0), known_G.count(0.0)
    half = (right + wrong) // 2
    return right * wrong / (half * (right + wrong - half)) if half else 0.0


class Curriculum(Protocol):
    """An order of training problems, perhaps reacting to how they go.

    ``state`` is JSON-ready; ``restore`` on a fresh curriculum of the same config, problems and horizon continues
    exactly. Every process of a run holds the same curriculum: nothing here may depend on which one it is.
    """

    def pick(self, n: int, step: int) -> list[Ask]:
        """Ask for ``n`` problems to train on, in order, and for as many ratings as wanted.

        A gate that refuses groups makes the loop ask again within one step, for exactly what is missing.
        """
        ...

    def observe(self, outcomes: Sequence[Outcome]) -> None:
        """Learn how a step went; called once a step, so this is where targets move.

        Outcomes are of every drawn group, whole and in the order asked, of those that a gate dropped too; guided
        answers are never among them, because they say nothing about what the model can do alone.
        """
        ...

    def metrics(self) -> dict[str, float]:
        """Give numbers for each metric line."""
        ...

    def state(self) -> dict[str, Any]:
        """Give everything that changes, ready for JSON."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        ...


def telling(value_P: Sequence[float], kind: str, by: str) -> Sequence[float]:
    """The values, or the bins or levels of them, that a curriculum orders by.

    Raises:
        UserError: all are equal, so there is nothing to order.
    """
    if len(value_P) > 1 and len(set(value_P)) < 2:
        raise UserError(
            f"curriculum {kind} finds all {len(value_P)} problems equally hard by {by}; name another by, rate the "
            "problems by a stage of kind sample with rate: true, or take shuffle"
        )
    return value_P


def difficulties(problems: Sequence[Problem], key: str) -> list[float]:
    """Give each problem's difficulty: its own (``difficulty``) or one minus ``pass_rate``.

    Raises:
        UserError: a problem has no such number.
    """
    found = []
    for problem in problems:
        value = problem.difficulty if key == "difficulty" else problem.pass_rate
        if value is None:
            remedy = (
                "rate the problems by a stage of kind sample with rate: true"
                if key == "pass_rate"
                else "its source must tell it, or take by: pass_rate"
            )
            raise UserError(
                f"problem {problem.id} has no {key}, which a curriculum by {key} needs; {remedy}"
            )
        found.append(value if key == "difficulty" else 1.0 - value)
    return found
