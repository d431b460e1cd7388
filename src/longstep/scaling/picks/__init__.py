"""Picks: which answer of a stored tree is given. One line in ``AnyPick`` for each member."""

from typing import Annotated

from longstep.config import Field
from longstep.scaling.picks.average import AnyAnswer
from longstep.scaling.picks.best import BestScore
from longstep.scaling.picks.borda import BordaVote
from longstep.scaling.picks.majority import MajorityVote
from longstep.scaling.picks.oracle import OraclePick
from longstep.scaling.picks.weighted import WeightedVote

AnyPick = Annotated[
    AnyAnswer | BestScore | BordaVote | MajorityVote | OraclePick | WeightedVote,
    Field(discriminator="kind"),
]
