"""Orders and adaptive samplers: one leaf file per member, one line in ``AnyCurriculum``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.curriculum.adarft import AdaRFT
from longstep.curriculum.base import Curriculum
from longstep.curriculum.easy_to_hard import EasyToHard
from longstep.curriculum.shuffle import Shuffle

__all__ = ["AdaRFT", "AnyCurriculum", "Curriculum", "EasyToHard", "Shuffle"]

AnyCurriculum = Annotated[Shuffle | EasyToHard | AdaRFT, Field(discriminator="kind")]
