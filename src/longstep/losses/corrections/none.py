"""No correction."""

from __future__ import annotations

from typing import Literal

from longstep.losses.corrections.base import Correction


class NoCorrection(Correction):
    """What the sampler recorded is not looked at: right where sampler and trainer are the same engine."""

    kind: Literal["none"] = "none"
