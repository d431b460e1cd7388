"""What every problem source shares: content-hash ids, the train/held-out split and the config's common fields."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from longstep.config import Field, Strict, UserError, field_validator
from longstep.types import Problem

Split = Literal["train", "heldout"]
Style = Literal["plain", "detour"]

#: One problem in this many belongs to the held-out split.
HELDOUT_ONE_IN = 8
#: Share of steps with a detour when nothing else is said.
DETOUR_RATE = 0.25
#: So many problems are drawn for a try before the run; it takes a fraction of a second.
FEW = 2000
#: Draws without a new problem after which a family counts as exhausted.
PATIENCE = 2000


def content_id(family: str, prompt: str) -> str:
    """Stable id of a problem: a hash of its family and its prompt, nothing else."""
    return hashlib.sha256(f"{family}\n{prompt}".encode()).hexdigest()[:16]


def split_of(family: str, canonical: str) -> Split:
    """The one split a problem belongs to, decided by a hash of its canonical form."""
    digest = hashlib.sha256(f"split\n{family}\n{canonical}".encode()).digest()
    return "heldout" if int.from_bytes(digest[:8]) % HELDOUT_ONE_IN == 0 else "train"


class Detours:
    """Which steps of one worked solution go wrong first, and how: ``rng`` depends on the prompt alone.

    It is not the stream that draws the problems, so both styles give the same problems for the same
    seed.
    """

    def __init__(self, prompt: str, rate: float, confirms: float) -> None:
        """Take a detour at each step with probability ``rate``; a share of them doubts what is right."""
        self.rng = random.Random(f"detour/{prompt}")
        self.rate = rate
        self._confirms = confirms

    def taken(self) -> bool:
        """Whether the next step takes one."""
        return self.rng.random() < self.rate

    def confirms(self) -> bool:
        """Whether the detour that was just taken doubts a right step, which is then only written again."""
        return self._confirms > 0 and self.rng.random() < self._confirms


@dataclass(frozen=True, slots=True)
class Unread:
    """A row of a table that is no problem: the field that is wrong, and a line for the quarantine."""

    field: str
    line: bytes


class Source(Strict):
    """Where problems come from; a subclass has ``kind: Literal[...]`` and loads."""

    @property
    def called(self) -> str:
        """Its name where a recipe says how many rows a data set holds; empty for a source that has none."""
        return ""

    def rows(self, known: Mapping[str, int]) -> int | None:
        """How many problems it yields, for ``longstep plan``; ``None`` when nobody can tell.

        Args:
            known: rows of data sets by name.
        """
        return known.get(self.called)

    def lacks(self) -> frozenset[str]:
        """Of ``pass_rate``, ``difficulty`` and ``solution``, what none of its problems has."""
        return frozenset()

    def load(self, seed: int) -> Iterator[Problem]:
        """The problems, the same for the same seed."""
        raise NotImplementedError

    def collect(self, seed: int) -> Iterator[Problem | Unread]:
        """What a curation takes: every problem, and the rows that are none, where a source has such rows."""
        return self.load(seed)


class Generated(Source):
    """Fields common to the generated families.

    Attributes:
        count: problems to produce.
        difficulty: lowest and highest value of the family's knob.
        weights: relative share of each difficulty from lowest to highest; empty means equal shares.
        split: ``train`` and ``heldout`` never share a problem: a hash of the problem decides where
            it belongs.
        style: worked solutions with plain steps, or with ``detour``: wrong steps that are noticed
            and redone.
        detour_rate: share of steps that take a detour, a quarter when not given; style ``detour`` only.
        confirming: share of detours that doubt a right step and write it again; style ``detour`` only.
    """

    count: int = Field(ge=1)
    difficulty: tuple[int, int] = (1, 4)
    weights: tuple[float, ...] = ()
    split: Split = "train"
    style: Style = "plain"
    detour_rate: float | None = Field(default=None, ge=0, le=1)
    confirming: float = Field(default=0.0, ge=0, le=1)

    @field_validator("difficulty")
    @classmethod
    def _ordered(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= value[0] <= value[1]:
            raise ValueError(
                f"difficulty is [lowest, highest] with 1 <= lowest <= highest, not {list(value)}"
            )
        return value

    def rows(self, known: Mapping[str, int]) -> int:
        """As many as asked for."""
        return self.count

    def lacks(self) -> frozenset[str]:
        """Nobody has tried them yet."""
        return frozenset({"pass_rate"})

    def check(self) -> Iterator[str]:
        """More problems than the family has: found by drawing, where that takes no time."""
        if self.count > FEW:
            return
        said: list[str] = []
        for seed in range(3):  # close to the limit, luck decides
            try:
                deque(self.load(seed), maxlen=0)
            except UserError as error:
                said.append(str(error))
            else:
                return
        yield f"count: {said[0]}"

    def load(self, seed: int) -> Iterator[Problem]:
        """Distinct problems of the configured split, the same for the same seed."""
        raise NotImplementedError

    def draw_difficulty(self, rng: random.Random) -> int:
        """One difficulty by the configured weights."""
        levels = range(self.difficulty[0], self.difficulty[1] + 1)
        return rng.choices(levels, self.weights or None)[0]

    def detours(self, prompt: str) -> Detours:
        """Decides where the solution of this prompt takes a detour."""
        return Detours(prompt, self._rate(), self.confirming)

    def _rate(self) -> float:
        if self.style == "plain":
            return 0.0
        return DETOUR_RATE if self.detour_rate is None else self.detour_rate

    def model_post_init(self, context: object) -> None:
        """Refuse weights that do not match the difficulties, and a detour rate without detours."""
        number = self.difficulty[1] - self.difficulty[0] + 1
        if self.weights and len(self.weights) != number:
            raise ValueError(f"weights has {len(self.weights)} entries for {number} difficulties")
        if self.style == "plain" and self.detour_rate is not None:
            raise ValueError("detour_rate has no effect with style: plain; set style: detour")
        if self.style == "plain" and self.confirming:
            raise ValueError("confirming has no effect with style: plain; set style: detour")


def distinct(
    count: int, family: str, seed: int, draw: Callable[[random.Random], Problem | None]
) -> Iterator[Problem]:
    """Draw until ``count`` different problems were found; ``None`` from ``draw`` means "not of this split".

    Raises:
        UserError: the family has fewer problems like that.
    """
    rng = random.Random(f"{family}/{seed}")
    seen: set[str] = set()
    misses = 0
    while len(seen) < count:
        problem = draw(rng)
        if problem is None or problem.id in seen:
            misses += 1
            if misses > PATIENCE:
                raise UserError(
                    f"{family}: found only {len(seen)} different problems, but count is {count}; "
                    "ask for fewer or widen difficulty"
                )
            continue
        misses = 0
        seen.add(problem.id)
        yield problem
