"""Orders and adaptive samplers: one leaf file per member, one line in ``AnyCurriculum``.

What happens after the draw is beside them: ``gates`` choose among the drawn groups, ``guides`` mend hopeless ones.
"""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.curriculum.adarft import AdaRFT
from longstep.curriculum.base import Ask, Curriculum, Horizon, Outcome
from longstep.curriculum.easy_to_hard import EasyToHard
from longstep.curriculum.shuffle import Shuffle

__all__ = [
    "AdaRFT",
    "AnyCurriculum",
    "Ask",
    "Curriculum",
    "EasyToHard",
    "Horizon",
    "Outcome",
    "Shuffle",
]

AnyCurriculum = Annotated[Shuffle | EasyToHard | AdaRFT, Field(discriminator="kind")]
