"""Orders and adaptive samplers: one leaf file per member, one line in ``AnyCurriculum``.

What happens after the draw is beside them: ``gates`` choose among the drawn groups, ``guides`` mend hopeless ones.
"""

from __future__ import annotations

from typing import Annotated

from longstep.config import AS_ITS_CLASS, Field, Strict, WrapValidator
from longstep.curriculum.adarft import AdaRFT
from longstep.curriculum.adcl import ADCL
from longstep.curriculum.bank import Bank
from longstep.curriculum.base import Ask, Curriculum, Horizon, Outcome
from longstep.curriculum.e2h_cosine import E2HCosine
from longstep.curriculum.e2h_gaussian import E2HGaussian
from longstep.curriculum.easy_to_hard import EasyToHard
from longstep.curriculum.gaussian import Gaussian
from longstep.curriculum.greso import GRESO
from longstep.curriculum.mopps import MoPPS
from longstep.curriculum.outside import Outside
from longstep.curriculum.predicted import Predicted
from longstep.curriculum.retire import Retire
from longstep.curriculum.sec import SEC
from longstep.curriculum.shuffle import Shuffle

__all__ = [
    "ADCL",
    "GRESO",
    "SEC",
    "AdaRFT",
    "AnyCurriculum",
    "Ask",
    "Bank",
    "Curriculum",
    "E2HCosine",
    "E2HGaussian",
    "EasyToHard",
    "Gaussian",
    "Horizon",
    "MoPPS",
    "Outcome",
    "Predicted",
    "Retire",
    "Shuffle",
]

AnyCurriculum = Annotated[
    Shuffle
    | EasyToHard
    | E2HGaussian
    | E2HCosine
    | Gaussian
    | ADCL
    | AdaRFT
    | MoPPS
    | Predicted
    | GRESO
    | SEC
    | Retire
    | Bank,
    Field(discriminator="kind"),
    WrapValidator(Outside(Strict, Shuffle.build, Curriculum)),
    AS_ITS_CLASS,
]
