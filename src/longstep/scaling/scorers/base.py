"""What a scorer is: what a path is worth, computed from the stored tree, or read by a model once and stored in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from longstep.config import Strict, UserError
from longstep.context import Artifact
from longstep.foresight import Ahead
from longstep.generate import Generator, Prompt
from longstep.scaling.tree import Trail
from longstep.types import Problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Scorer(Strict):
    """Base of all members; a higher score is a better path."""

    #: It can score a path whose answer is not over.
    partial: ClassVar[bool] = False
    #: It needs the log-probabilities of what was drawn.
    logprobs: ClassVar[bool] = False
    #: It knows the key: a bound, never a method.
    knows: ClassVar[bool] = False
    #: It reads paths with a model, which costs.
    reads: ClassVar[bool] = False
    #: It is stored by strategies that rank tokens, and by no others.
    ranked: ClassVar[bool] = False
    #: Its score of an answer depends on what the other answers are.
    compares: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What its scores are called in a segment."""
        return str(type(self).model_fields["kind"].default)

    def score(self, trails: Sequence[Trail]) -> list[float]:
        """Score paths of one problem."""
        raise NotImplementedError

    def among_SW(self, counts_SW: NDArray[np.float64], n: int) -> NDArray[np.float64]:
        """Of one that compares: scores of the answers of each class, by how many of n these are, in every subset."""
        raise NotImplementedError

    def weight(self, score: float) -> float:
        """What a score is worth in a weighted vote, at least 0."""
        return max(0.0, score)

    @property
    def forced(self) -> bool:
        """Whether it may decide alone although its rater doubts it."""
        return False

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """Artifacts it reads."""
        yield from ()

    def misfits(self, ahead: Ahead, model: str | None) -> Iterator[str]:
        """Why it cannot score what this model draws, as far as that shows before the run; ``key: sentence``."""
        yield from ()

    def gifts(self) -> frozenset[str]:
        """What an engine must give for it, beside text."""
        return frozenset(["logprobs"] * self.logprobs)

    def rater(self, desk: ScoringDesk) -> PathRater | None:
        """What reads paths for it while trees grow; ``None`` where the stored tree says enough."""
        return None


@dataclass(frozen=True)
class ScoringDesk:
    """Where a scorer is opened: the stage that grows the trees.

    Attributes:
        name: of the stage, for messages.
        generator: what draws.
        model: the folder of the model that draws; ``None`` where nobody here has it.
        problems: by id.
        artifact: finds the folder behind a reference.
    """

    name: str
    generator: Generator
    model: Path | None
    problems: Mapping[str, Problem]
    artifact: Callable[[str], Path]


class PathRater(Protocol):
    """Reads paths with a model."""

    @property
    def identity(self) -> str:
        """A hash of what its scores depend on, beside its settings and the model that draws."""
        ...

    @property
    def doubt(self) -> str:
        """Why nothing should be chosen by its scores alone; empty when it may be."""
        ...

    @property
    def steps(self) -> tuple[str, ...]:
        """Texts behind which it takes a step to end; empty where it reads what it is given as a whole."""
        ...

    def rate(self, asked: Sequence[tuple[Prompt, Trail]]) -> list[float]:
        """Score paths, of any problems."""
        ...


class ReadingScorer(Scorer):
    """Base of members that read with a model: scored when trees are grown, and from then on what was stored."""

    reads: ClassVar[bool] = True

    def rater(self, desk: ScoringDesk) -> PathRater:
        """Begin to read."""
        raise NotImplementedError

    def score(self, trails: Sequence[Trail]) -> list[float]:
        """What the last segment of each path was given.

        Raises:
            UserError: these trees were grown without this scorer.
        """
        for trail in trails:
            if self.name not in trail.last.scores:
                known = ", ".join(trail.last.scores) or "none"
                raise UserError(
                    f"scorer {self.name!r}: problem {trail.last.problem_id} has no such score stored (it has: "
                    f"{known}), and scores that are read by a model are made while trees grow; name the scorer in "
                    "the stage's picks and run it again"
                )
        return [trail.last.scores[self.name] for trail in trails]
