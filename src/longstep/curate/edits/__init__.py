"""Edits of traces, to be trained on or forced: one leaf file per member, one line in ``AnyEdit``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.curate.edits.base import Edit, Edited, FinishedTrace, thought_of
from longstep.curate.edits.cut import CutShort
from longstep.curate.edits.filler import FillerThought
from longstep.curate.edits.gold_answer import GoldAnswer
from longstep.curate.edits.gold_conclusion import GoldConclusion
from longstep.curate.edits.pauses import PauseMarks
from longstep.curate.edits.slip import Slip
from longstep.curate.edits.swap import SwapThought

__all__ = [
    "AnyEdit",
    "CutShort",
    "Edit",
    "Edited",
    "FillerThought",
    "FinishedTrace",
    "GoldAnswer",
    "GoldConclusion",
    "PauseMarks",
    "Slip",
    "SwapThought",
    "thought_of",
]

AnyEdit = Annotated[
    CutShort | FillerThought | GoldAnswer | GoldConclusion | PauseMarks | Slip | SwapThought,
    Field(discriminator="kind"),
]
