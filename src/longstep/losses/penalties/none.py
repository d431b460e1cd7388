"""No penalty."""

from __future__ import annotations

from typing import Literal

from longstep.losses.penalties.base import Penalty


class NoPenalty(Penalty):
    """Nothing draws the policy back, and no reference model is kept: what most recent methods do."""

    kind: Literal["none"] = "none"
