"""No help: the policy learns from its own answers alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from longstep.curriculum.base import Horizon, Outcome
from longstep.curriculum.groups import DrawnGroup, DrawnRow
from longstep.curriculum.guides.base import Guidance, GuideConfig
from longstep.types import Problem


class NoGuide(GuideConfig):
    """Groups without a right answer stay as they are."""

    kind: Literal["none"] = "none"

    def helps(self) -> bool:
        """Never."""
        return False

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> Unguided:
        """Give the guide that never helps."""
        return Unguided()


class Unguided:
    """Wants nothing and changes nothing."""

    def wanted(self, outcome: Outcome) -> int:
        """None."""
        return 0

    def guidance(self, problem: Problem, k: int) -> Guidance | None:
        """None."""

    def admit(self, group: DrawnGroup, guided: Sequence[DrawnRow]) -> DrawnGroup:
        """Leave the group as it is."""
        return group

    def metrics(self) -> dict[str, float]:
        """Nothing to tell."""
        return {}

    def state(self) -> dict[str, Any]:
        """Nothing changes."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to continue."""
