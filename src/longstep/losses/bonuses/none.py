"""No bonus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from longstep.losses.bonuses.base import Bonus, Earned

if TYPE_CHECKING:
    from longstep.losses.base import Need


class NoBonus(Bonus):
    """Exploration earns nothing."""

    kind: Literal["none"] = "none"

    def needs(self) -> frozenset[Need]:
        """Nothing."""
        return frozenset()

    def build(self) -> Earned:
        """Nothing, always."""
        return Earned()
