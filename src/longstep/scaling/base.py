"""What a strategy is: a coroutine that asks for pieces of answers and is handed them.

A strategy sees no model, no clock, no file and no key: it yields requests and receives what came of them, until it has
enough. The driver (``scaling.drive``) does so for many problems at once, draws, scores, judges and stores.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from longstep.config import Field, Strict, field_validator
from longstep.scaling.scorers import AnyScorer
from longstep.scaling.scorers.logprob import LogProbScorer
from longstep.scaling.tree import Trail
from longstep.scaling.votes import SameAnswer
from longstep.types import SegmentFinish

#: The parent of what begins at the prompt.
ROOT = -1


@dataclass(frozen=True, slots=True)
class Extend:
    """Let the model write on.

    Attributes:
        parent: number of the segment to continue; ``ROOT`` is the prompt.
        count: how many independent times.
        after: texts behind which a segment ends; without any it goes to the end of the answer.
        most: tokens of a segment; ``None`` is what room there is.
        apart: a text that ended the segment is a segment of its own behind it, so that one may go on without it; it
            must be one token, and stays in the segment where the model spelt it in others.
        ranked: nothing is left to chance: the k-th of them begins with the k-th likeliest token, and every other token
            is the likeliest one.
    """

    parent: int
    count: int = 1
    after: tuple[str, ...] = ()
    most: int | None = None
    apart: bool = False
    ranked: bool = False

    @property
    def times(self) -> int:
        """How many segments come of it directly behind the parent."""
        return self.count


@dataclass(frozen=True, slots=True)
class Insert:
    """Put a text behind a segment, as if the model had written it.

    Attributes:
        parent: number of the segment it follows.
        text: what is put there; what it spells of control tokens stays text.
        origin: who says so.
        turn: it is the user's next turn behind an answer that ended by itself, and the model's own chat format is put
            around it.
        instead: what is put there where the model's tokenizer cannot write the text; without it that is refused.
    """

    parent: int
    text: str
    origin: Literal["forced", "tool"] = "forced"
    turn: bool = False
    instead: str = ""

    @property
    def times(self) -> int:
        """How many segments come of it directly behind the parent."""
        return 1


@dataclass(frozen=True, slots=True)
class SeenSegment:
    """What a strategy is told of a segment.

    Attributes:
        node: its number.
        tokens: how many it has.
        text: what it says.
        finish: how it ended.
        answer: of an answer that ended here, when there is one; never whether it is right.
        score: of the path up to its end, by the strategy's scorer; 0 without one.
    """

    node: int
    tokens: int
    text: str
    finish: SegmentFinish
    answer: str | None = None
    score: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether the answer is over."""
        return self.finish in ("stop", "length")


#: Requests out, segments in: those of each request in order, the times of one beside each other.
Play = Generator[Sequence[Extend | Insert], Sequence[SeenSegment], None]


class Strategy(Strict):
    """Base of all members."""

    #: Its answers are independent draws of one kind, so any of them are what a smaller budget would have drawn.
    exchangeable: ClassVar[bool] = False
    #: A scorer alone decides what it goes on with, so that a bad one does harm.
    trusts: ClassVar[bool] = False
    #: It inserts turns of the user.
    turns: ClassVar[bool] = False
    #: It asks for ranked tokens, so every token's distribution must be at hand.
    distribution: ClassVar[bool] = False

    def play(self, same: SameAnswer) -> Play:
        """Begin with one problem."""
        raise NotImplementedError

    def scorers(self) -> Iterator[AnyScorer]:
        """What scores its segments."""
        yield from ()

    def tags(self) -> Iterator[str]:
        """Texts that must be one token each of the model's."""
        yield from ()

    def writes(self) -> Iterator[str]:
        """Texts that it puts into answers, as far as they are known before any is drawn."""
        yield from ()

    def cramped(self, longest: int, length: Callable[[str], int]) -> Iterator[str]:
        """Why nothing comes of it in answers of so many tokens; ``length`` counts those of a text, or says 1."""
        yield from ()

    def unmet(self, ends: Mapping[SegmentFinish, int]) -> str:
        """What it waited for and never came, by how often segments of its trees ended how; empty when it came."""
        return ""

    def keeps(self, leaf: Trail) -> bool | None:
        """Whether an answer kept the bound on its length that the strategy sets; ``None`` of one that sets none."""
        return None

    @property
    def rows(self) -> int:
        """Segments it asks for at once, at most."""
        raise NotImplementedError

    @property
    def steps(self) -> tuple[str, ...]:
        """Texts behind which it asks what a path is worth; empty where it asks of whole answers."""
        return ()

    @property
    def compares(self) -> bool:
        """Whether it draws several of a kind, between which chance alone makes a difference."""
        return self.rows > 1 and not self.distribution

    def answers(self, mean: float) -> float:
        """Tokens it draws for a problem, in whole answers of ``mean`` tokens, where nothing stops early; for a plan."""
        raise NotImplementedError

    def fewest(self, mean: float) -> float:
        """The same where it stops as early as it may."""
        return self.answers(mean)

    def worst(self, longest: int) -> float:
        """Tokens that it can draw for a problem whose answers have so many at most: never more."""
        return self.answers(longest) * longest if longest > 0 else 0.0


class Stepwise(Strategy):
    """Base of searches that go on step by step.

    Attributes:
        step: texts behind which a step ends.
        max_step: tokens of the longest step; what is cut there goes on as another step.
        rounds: steps at most; answers that are not over then give none.
        scorer: what a path up to the end of a step is worth.
    """

    trusts: ClassVar[bool] = True
    step: tuple[str, ...] = Field(default=("\n\n",), min_length=1)
    max_step: int = Field(default=256, ge=1)
    rounds: int = Field(default=40, ge=1)
    scorer: AnyScorer = LogProbScorer()

    @field_validator("step")
    @classmethod
    def _texts(cls, step: tuple[str, ...]) -> tuple[str, ...]:
        if not all(step):
            raise ValueError("an empty text ends no step")
        return step

    def check(self) -> Iterator[str]:
        """A scorer that knows nothing of unfinished answers."""
        if not self.scorer.partial:
            kind = type(self.scorer).model_fields["kind"].default
            yield f"scorer: {kind} scores whole answers only; a search needs one for steps, such as logprob"

    def scorers(self) -> Iterator[AnyScorer]:
        """The one that guides it."""
        yield self.scorer

    def answers(self, mean: float) -> float:
        """As often as there are rows, were all steps alike, up to the longest path that it allows."""
        return self.rows * min(1.0, self.rounds * self.max_step / mean)

    def worst(self, longest: int) -> float:
        """The steps that are kept may have one token each, and all the others as many as fit."""
        left = range(longest, max(0, longest - self.rounds), -1)
        return self.rows * sum(min(self.max_step, room) for room in left)

    @property
    def steps(self) -> tuple[str, ...]:
        """Those of ``step``."""
        return self.step

    def unmet(self, ends: Mapping[SegmentFinish, int]) -> str:
        """Nothing ended behind a text of ``step``."""
        if ends.get("after"):
            return ""
        known = ", ".join(map(repr, self.step[:4])) + ", ..." * (len(self.step) > 4)
        return f"no step ended behind a text of step ({known}); name texts that this model writes"

    def further(self, parent: int, count: int) -> Extend:
        """One step on."""
        return Extend(parent, count, self.step, self.max_step)


def best_first(seen: Collection[SeenSegment]) -> list[SeenSegment]:
    """By score, the best first; of equal ones the earlier."""
    return sorted(seen, key=lambda each: (-each.score, each.node))
