"""Light-R1's two bands: of the second SFT stage, and of RL (arXiv 2503.10460)."""

from __future__ import annotations

from typing import Literal

from longstep.config import Field
from longstep.curate.rules.band import ByRater


class LightR1Hard(ByRater):
    """Light-R1's second SFT stage: solved seldom, but not never, so that the key is known to be reachable.

    The paper (arXiv 2503.10460, section 3.1) keeps rates below an alpha that it does not print; 0.4 is this project's.
    """

    kind: Literal["light-r1-hard"] = "light-r1-hard"
    max: float = Field(default=0.4, ge=0.0, le=1.0)
    mixed: bool = True


class LightR1Rl(ByRater):
    """Light-R1's prompts for RL: a pass rate of 0.25 to 0.625 by the model that is to be trained (section 4)."""

    kind: Literal["light-r1-rl"] = "light-r1-rl"
    min: float = Field(default=0.25, ge=0.0, le=1.0)
    max: float = Field(default=0.625, ge=0.0, le=1.0)
