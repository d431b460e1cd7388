"""Guides, for groups without a right answer: one leaf file per member, one line in ``AnyGuide``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.curriculum.guides.base import Guidance, Guide
from longstep.curriculum.guides.none import NoGuide

__all__ = ["AnyGuide", "Guidance", "Guide", "NoGuide"]

#: With a second member the line reads ``Annotated[NoGuide | Mine, Field(discriminator="kind")]``.
AnyGuide = Annotated[NoGuide, Field()]
