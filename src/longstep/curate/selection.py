"""Which problems to train on: rules that pick, each with a reason for every problem it leaves out.

A rule is a config with ``pick(candidates, seed) -> reasons``, one reason per candidate and an empty one for the picked.
Rules are pure: the same candidates, in any order, and the same seed give the same pick. One that asks for more than
there is takes all there is; the funnel shows the number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from longstep.config import Field
from longstep.curate.candidates import Candidate
from longstep.curate.funnel import Funnel, kind_of
from longstep.curate.rules.at_random import AtRandom
from longstep.curate.rules.balanced import Balanced
from longstep.curate.rules.band import InBand
from longstep.curate.rules.best_chains import BestChains
from longstep.curate.rules.best_rated import BestRated
from longstep.curate.rules.domain_length import DomainLength
from longstep.curate.rules.hardest import Hardest
from longstep.curate.rules.light_r1 import LightR1Hard, LightR1Rl
from longstep.curate.rules.limo import Limo
from longstep.curate.rules.s1 import S1
from longstep.curate.rules.unsolved import Unsolved

AnySelection = Annotated[
    AtRandom
    | Balanced
    | BestChains
    | BestRated
    | DomainLength
    | Hardest
    | InBand
    | LightR1Hard
    | LightR1Rl
    | Limo
    | S1
    | Unsolved,
    Field(discriminator="kind"),
]


def narrow(
    funnel: Funnel, rules: Sequence[AnySelection], candidates: Sequence[Candidate], seed: int
) -> dict[int, tuple[str, str]]:
    """Apply rules one after the other, as stage ``select`` and ``longstep data select`` do.

    Args:
        funnel: each rule is counted there.
        rules: each sees what those before it left, and has a seed of its own.
        candidates: all rows at once, since rules compare them.
        seed: of every random pick.

    Returns:
        Rule and reason of each candidate that is left out, by its place, in the order in which they went.
    """
    left = list(range(len(candidates)))
    dropped: dict[int, tuple[str, str]] = {}
    for number, rule in enumerate(rules):
        reasons = rule.pick([candidates[place] for place in left], seed + number)
        pairs = list(zip(left, reasons, strict=True))
        dropped |= {place: (rule.kind, reason) for place, reason in pairs if reason}
        left = [place for place, reason in pairs if not reason]
        funnel.count(rule.kind, len(left), Counter(kind_of(reason) for reason in reasons if reason))
    return dropped
