"""Guides, for groups without a right answer: one leaf file per member, one line in ``AnyGuide``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import AS_ITS_CLASS, Field, WrapValidator
from longstep.curriculum.guides.base import Guidance, Guide, GuideConfig
from longstep.curriculum.guides.egsr import Egsr
from longstep.curriculum.guides.expert import Expert
from longstep.curriculum.guides.none import NoGuide
from longstep.curriculum.guides.prefix import Prefix
from longstep.curriculum.outside import Outside

__all__ = [
    "AnyGuide",
    "Egsr",
    "Expert",
    "Guidance",
    "Guide",
    "GuideConfig",
    "NoGuide",
    "Prefix",
]

AnyGuide = Annotated[
    NoGuide | Egsr | Expert | Prefix,
    Field(discriminator="kind"),
    WrapValidator(Outside(GuideConfig, GuideConfig.build, Guide)),
    AS_ITS_CLASS,
]
