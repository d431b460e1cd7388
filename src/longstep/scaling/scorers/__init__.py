"""Scorers: what a path is worth. One line in ``AnyScorer`` for each member."""

from typing import Annotated

from longstep.config import Field
from longstep.scaling.scorers.agreement import AgreementScorer
from longstep.scaling.scorers.logprob import LogProbScorer
from longstep.scaling.scorers.margin import MarginScorer
from longstep.scaling.scorers.oracle import OracleScorer

AnyScorer = Annotated[
    AgreementScorer | LogProbScorer | MarginScorer | OracleScorer, Field(discriminator="kind")
]
