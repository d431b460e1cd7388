"""Problem sources by name: generated families with worked solutions, component skills, files and hub datasets."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.problems.addition import Addition
from longstep.problems.chain import Chain
from longstep.problems.countdown import Countdown
from longstep.problems.equation import Equation
from longstep.problems.hub import HubDataset
from longstep.problems.jsonl import JsonlFile
from longstep.problems.skills import Skills

__all__ = [
    "Addition",
    "AnySource",
    "Chain",
    "Countdown",
    "Equation",
    "HubDataset",
    "JsonlFile",
    "Skills",
]

#: A new source is one file and one line here.
AnySource = Annotated[
    Addition | Chain | Countdown | Equation | HubDataset | JsonlFile | Skills,
    Field(discriminator="kind"),
]
