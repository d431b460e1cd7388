"""Answers to one problem on their way from the draw to the trainer: what gates choose among and guides mend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from longstep.config import TypeAdapter
from longstep.curriculum.base import Outcome
from longstep.types import Completion

RowOrigin = Literal["own", "guided", "expert", "replay"]
Weight = Literal["own", "behaviour", "shaped"]


@dataclass(frozen=True, slots=True)
class DrawnRow:
    """One answer and how it may train.

    Attributes:
        completion: the answer with its verdict. It trains under the problem's own prompt, whatever it was drawn under.
        origin: who wrote it: the policy alone, the policy with help, or somebody else; ``replay`` is an answer of its
            own that was trained on, and paid for, before.
        weight: what the probability ratio is taken against: ``own``, the policy's probability under the plain prompt
            (ratio 1 at the first update); ``behaviour``, that of the true sampler, noted while drawing; ``shaped``,
            LUFFY's ``p / (p + 0.1)`` (arXiv 2504.14945).
        advantage: what it is worth, where a guide says so in the algorithm's place.
        mask: 1 for each token that the loss sees and 0 for one that it does not; empty for all ones.
    """

    completion: Completion
    origin: RowOrigin = "own"
    weight: Weight = "own"
    mask: tuple[int, ...] = ()
    advantage: float | None = None

    @property
    def correctness(self) -> float | None:
        """0 or 1, or ``None`` where the verdict says nothing."""
        assert self.completion.verdict is not None
        return self.completion.verdict.correctness

    @property
    def own(self) -> bool:
        """Whether the policy wrote it alone, and it is not yet accounted for."""
        return self.origin == "own"

    @property
    def length(self) -> int:
        """Tokens of the answer."""
        return len(self.completion.token_ids)


@dataclass(frozen=True, slots=True)
class DrawnGroup:
    """The answers drawn for one asked problem.

    Attributes:
        key: tells it from every other group of the run.
        outcome: how its own answers went, unchanged by what a gate or a guide does to the rows.
        rows: what may be trained on.
    """

    key: str
    outcome: Outcome
    rows: tuple[DrawnRow, ...]


_GROUPS = TypeAdapter(list[DrawnGroup])


def packed(groups: Sequence[DrawnGroup]) -> list[dict[str, Any]]:
    """Groups ready for JSON, for a gate that carries them across steps."""
    return [asdict(group) for group in groups]


def unpacked(stored: list[dict[str, Any]]) -> list[DrawnGroup]:
    """What :func:`packed` stored."""
    return _GROUPS.validate_python(stored)
