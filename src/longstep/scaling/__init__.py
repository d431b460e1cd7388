"""Inference-time scaling: strategies that grow a tree of segments for each problem, and what is picked from it.

One line in ``AnyStrategy`` for each member; what all of them are is in ``scaling.base``. The scorers and the picks are
families of their own. Nothing here loads a model: a strategy sees pieces of answers, a pick sees stored trees.
"""

from typing import Annotated

from longstep.config import Field
from longstep.scaling.adaptive import AdaptiveConsistency
from longstep.scaling.beam import BeamSearch
from longstep.scaling.budget import BudgetForcing
from longstep.scaling.cot_decoding import CotDecoding
from longstep.scaling.curtailed import StochasticCurtailment
from longstep.scaling.dvts import DiverseTrees
from longstep.scaling.esc import EarlyStopping
from longstep.scaling.rebase import Rebase
from longstep.scaling.revise import SelfRevision
from longstep.scaling.samples import IndependentSamples
from longstep.scaling.tools import ToolUse

AnyStrategy = Annotated[
    AdaptiveConsistency
    | BeamSearch
    | BudgetForcing
    | CotDecoding
    | DiverseTrees
    | EarlyStopping
    | IndependentSamples
    | Rebase
    | SelfRevision
    | StochasticCurtailment
    | ToolUse,
    Field(discriminator="kind"),
]
