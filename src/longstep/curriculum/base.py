"""What every curriculum is: it picks problems, may learn from outcomes, and can be resumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from longstep.types import Problem


class Curriculum(Protocol):
    """An order of training problems, perhaps reacting to how they go.

    ``state`` is JSON-ready; ``restore`` on a fresh curriculum of the same config, problems and
    seed continues exactly. A trainer must not pick ahead of what it has observed.
    """

    def pick(self, n: int) -> list[int]:
        """Give the indices of the next ``n`` problems."""
        ...

    def observe(self, index: int, correctness_G: list[float]) -> None:
        """Report the 0/1 outcomes of one picked problem's group, unscorable ones left out."""
        ...

    def state(self) -> dict[str, Any]:
        """Give everything that changes, ready for JSON."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        ...


def difficulties(problems: Sequence[Problem], key: str) -> list[float]:
    """Give each problem's difficulty: its own (``difficulty``) or one minus ``pass_rate``.

    Raises:
        ValueError: a problem has no such number.
    """
    found = []
    for problem in problems:
        value = problem.difficulty if key == "difficulty" else problem.pass_rate
        if value is None:
            raise ValueError(f"problem {problem.id} has no {key}; a curriculum by {key} needs it")
        found.append(value if key == "difficulty" else 1.0 - value)
    return found
