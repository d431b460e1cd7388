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
    "SOURCES",
    "Addition",
    "AnySource",
    "Chain",
    "Countdown",
    "Equation",
    "HubDataset",
    "JsonlFile",
    "Skills",
]

#: Every source by its ``kind``. A new one is one file and one line in each of these two lists.
SOURCES = {
    "addition": Addition,
    "chain": Chain,
    "countdown": Countdown,
    "equation": Equation,
    "hub": HubDataset,
    "jsonl": JsonlFile,
    "skills": Skills,
}

AnySource = Annotated[
    Addition | Chain | Countdown | Equation | HubDataset | JsonlFile | Skills,
    Field(discriminator="kind"),
]
