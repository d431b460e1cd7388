"""Stages: one file = one config + one run. A new stage is one file and one line in ``AnyStage``."""

from __future__ import annotations

from typing import Annotated

from longstep.config import Field
from longstep.stages.base import Stage
from longstep.stages.checkpoint import Checkpoint
from longstep.stages.contrast import Contrast
from longstep.stages.curate import Curate
from longstep.stages.evaluate import Evaluate
from longstep.stages.faithful import Faithful
from longstep.stages.lrsamples import LrSamples
from longstep.stages.merge import Merge
from longstep.stages.pairs import Pairs
from longstep.stages.prefer import Prefer
from longstep.stages.rl import Rl
from longstep.stages.sample import Sample
from longstep.stages.scale import Scale
from longstep.stages.select import Select
from longstep.stages.sft import Pretrain, Sft
from longstep.stages.soft_sft import SoftSft
from longstep.stages.traces import Traces
from longstep.stages.verifier import ValueVerifier

AnyStage = Annotated[
    Checkpoint
    | Contrast
    | Curate
    | Evaluate
    | Faithful
    | LrSamples
    | Merge
    | Pairs
    | Prefer
    | Pretrain
    | Rl
    | Sample
    | Scale
    | Select
    | Sft
    | SoftSft
    | Traces
    | ValueVerifier,
    Field(discriminator="kind"),
]

__all__ = [
    "AnyStage",
    "Checkpoint",
    "Contrast",
    "Curate",
    "Evaluate",
    "Faithful",
    "LrSamples",
    "Merge",
    "Pairs",
    "Prefer",
    "Pretrain",
    "Rl",
    "Sample",
    "Scale",
    "Select",
    "Sft",
    "SoftSft",
    "Stage",
    "Traces",
    "ValueVerifier",
]
