"""Scorers: what a path is worth. One line in ``AnyScorer`` for each member."""

from typing import Annotated

from longstep.config import Field
from longstep.scaling.scorers.agreement import AgreementScorer
from longstep.scaling.scorers.head import HeadScorer
from longstep.scaling.scorers.logprob import LogProbScorer
from longstep.scaling.scorers.margin import MarginScorer
from longstep.scaling.scorers.oracle import OracleScorer
from longstep.scaling.scorers.reward import RewardScorer
from longstep.scaling.scorers.self_certainty import SelfCertaintyScorer

AnyScorer = Annotated[
    AgreementScorer
    | HeadScorer
    | LogProbScorer
    | MarginScorer
    | OracleScorer
    | RewardScorer
    | SelfCertaintyScorer,
    Field(discriminator="kind"),
]
