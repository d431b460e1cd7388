"""Which problems to train on: rules that pick, each with a reason for every problem it leaves out.

A rule is a config with ``pick(candidates, seed) -> reasons``, one reason per candidate and an empty one for the picked.
Rules are pure: the same candidates, in any order, and the same seed give the same pick. One that asks for more than
there is takes all there is; the funnel shows the number.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from longstep.config import Field, Strict
from longstep.curate.candidates import NOT_PICKED, Candidate, Fact, SelectionRule
from longstep.curate.chains import chain_scores
from longstep.curate.difficulty import Band
from longstep.curate.funnel import Funnel, kind_of


class _ByRater(SelectionRule, Band):
    """What rules by a band share.

    Attributes:
        rater: whose pass rate; empty takes the problem's own.
    """

    rater: str = ""

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked; ``seed`` decides nothing."""
        return [_band_reason(self, each.rate(self.rater), self.rater) for each in candidates]

    def asked(self) -> tuple[str, ...]:
        """Its rater."""
        return (self.rater,) if self.rater else ()

    def wants(self) -> frozenset[str]:
        """The problem's own pass rate, without a rater."""
        return frozenset(["pass_rate"] * (not self.rater))


class InBand(_ByRater):
    """Problems whose pass rate lies in a band."""

    kind: Literal["band"] = "band"


class LightR1Hard(_ByRater):
    """Light-R1's second SFT stage: solved seldom, but not never, so that the key is known to be reachable.

    The paper (arXiv 2503.10460, section 3.1) keeps rates below an alpha that it does not print; 0.4 is this project's.
    """

    kind: Literal["light-r1-hard"] = "light-r1-hard"
    max: float = Field(default=0.4, ge=0.0, le=1.0)
    mixed: bool = True


class LightR1Rl(_ByRater):
    """Light-R1's prompts for RL: a pass rate of 0.25 to 0.625 by the model that is to be trained (section 4)."""

    kind: Literal["light-r1-rl"] = "light-r1-rl"
    min: float = Field(default=0.25, ge=0.0, le=1.0)
    max: float = Field(default=0.625, ge=0.0, le=1.0)


class Limo(SelectionRule, Strict):
    """LIMO: a weak model never solves it, a strong one seldom does, and the chain is among the best.

    The paper (arXiv 2502.03387): Qwen2.5-Math-7B fails four tries, R1-Distill-Qwen-32B solves 1 to 3 of 32; chains are
    scored by rules and the best 800 stay. It scores several chains of a problem; here each problem has one.

    Attributes:
        weak: rater that must never solve it.
        strong: rater that must solve it at a rate of ``solved``.
        solved: lowest and highest rate of the strong rater.
        count: how many of the best chains; ``null`` keeps all and scores none.
    """

    kind: Literal["limo"] = "limo"
    weak: str
    strong: str
    solved: tuple[float, float] = (1 / 32, 3 / 32)
    count: int | None = Field(default=800, ge=1)

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked; equal scores are ordered by ``seed``."""
        band = Band(min=self.solved[0], max=self.solved[1])
        reasons = []
        for each in candidates:
            reason = _never(each, self.weak) or _band_reason(
                band, each.rate(self.strong), self.strong
            )
            if not reason and self.count is not None and each.chain is None:
                reason = "no chain: nothing to score"
            reasons.append(reason)
        if self.count is None:
            return reasons
        left = [index for index, reason in enumerate(reasons) if not reason]
        scores = chain_scores([candidates[index].chain or "" for index in left])
        ranked = sorted(
            zip(scores, left, strict=True), key=lambda s: (-s[0], _shuffled(candidates[s[1]], seed))
        )
        for score, index in ranked[self.count :]:
            reasons[index] = f"chain not among the best {self.count}: score {score:.3f}"
        return reasons

    def asked(self) -> tuple[str, ...]:
        """The weak and the strong one."""
        return self.weak, self.strong

    def reads(self) -> frozenset[Fact]:
        """Chains, where they are scored."""
        return frozenset[Fact]() if self.count is None else frozenset[Fact]({"chain"})


class S1(SelectionRule, Strict):
    """s1: nobody solves it; then domains drawn evenly, and inside a domain the longest traces most likely.

    The paper (arXiv 2501.19393, section 2) drops what Qwen2.5-7B or 32B solves in one try, draws a domain uniformly and
    a problem in it with weight 2^-rank, the longest trace first, until it has 1,000 in 50 domains. Its quality filter
    is curation's work here.

    Attributes:
        raters: none of these may ever have solved it; empty skips the test.
        count: how many to draw.
    """

    kind: Literal["s1"] = "s1"
    raters: tuple[str, ...] = ("",)
    count: int = Field(default=1000, ge=1)

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked."""
        reasons = []
        for each in candidates:
            reason = next(filter(None, (_never(each, rater) for rater in self.raters)), "")
            reasons.append(reason or ("" if each.length is not None else "no trace length"))
        left = [index for index, reason in enumerate(reasons) if not reason]
        domains = _grouped(left, lambda index: candidates[index].domain)
        rng = random.Random(f"{seed}:s1")
        longest = {
            domain: sorted(
                members,
                key=lambda i: (-(candidates[i].length or 0), _shuffled(candidates[i], seed)),
            )
            for domain, members in sorted(domains.items())
        }
        picked: set[int] = set()
        while longest and len(picked) < self.count:
            domain = rng.choice(list(longest))
            members = longest[domain]
            picked.add(members.pop(halving_rank(rng.random(), len(members))))
            if not members:
                del longest[domain]
        return _rest(reasons, left, picked)

    def wants(self) -> frozenset[str]:
        """The problem's own pass rate, where that is asked for."""
        return frozenset(["pass_rate"] * ("" in self.raters))

    def asked(self) -> tuple[str, ...]:
        """Those that may never have solved it."""
        return tuple(filter(None, self.raters))

    def reads(self) -> frozenset[Fact]:
        """Subject and length."""
        return frozenset[Fact]({"domain", "length"})


class Balanced(SelectionRule, Strict):
    """Equal shares of every kind of problem: by domain, by length, or by both.

    Cells that hold fewer than their share give all they have, and the others share what is left.

    Attributes:
        by: what makes a cell. Length is cut into ``bins`` of equal numbers of candidates.
        bins: number of length bins.
        count: how many to pick, at random inside a cell.
    """

    kind: Literal["balanced"] = "balanced"
    by: tuple[Literal["domain", "length"], ...] = Field(default=("domain", "length"), min_length=1)
    bins: int = Field(default=4, ge=2)
    count: int = Field(ge=1)

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked."""
        needs_length = "length" in self.by
        reasons = [
            "no trace length" if needs_length and c.length is None else "" for c in candidates
        ]
        left = [index for index, reason in enumerate(reasons) if not reason]
        left.sort(key=lambda index: _shuffled(candidates[index], seed))
        bins = self._bins(candidates, left) if needs_length else dict.fromkeys(left, 0)
        domain = "domain" in self.by
        cells = _grouped(
            left, lambda index: (candidates[index].domain if domain else "", bins[index])
        )
        shares = fill({cell: len(members) for cell, members in cells.items()}, self.count)
        picked = {index for cell, members in cells.items() for index in members[: shares[cell]]}
        return _rest(reasons, left, picked)

    def reads(self) -> frozenset[Fact]:
        """What makes its cells."""
        return frozenset[Fact](self.by)

    def _bins(self, candidates: Sequence[Candidate], left: Sequence[int]) -> dict[int, int]:
        ordered = sorted(left, key=lambda index: candidates[index].length or 0)
        return {index: place * self.bins // len(ordered) for place, index in enumerate(ordered)}


class Hardest(SelectionRule, Strict):
    """The problems that are solved least often, ties at random.

    Attributes:
        rater: whose pass rate; empty takes the problem's own.
        count: how many.
        never_solved: ``drop`` leaves out what nobody solved: half of it has a broken key (Light-R1, section 4).
    """

    kind: Literal["hardest"] = "hardest"
    rater: str = ""
    count: int = Field(ge=1)
    never_solved: Literal["drop", "keep"] = "drop"

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked."""
        reasons = []
        for each in candidates:
            rate = each.rate(self.rater)
            if rate is None:
                reasons.append(_unrated(self.rater))
            else:
                reasons.append("never solved" if rate == 0 and self.never_solved == "drop" else "")
        left = [index for index, reason in enumerate(reasons) if not reason]
        left.sort(key=lambda i: (candidates[i].rate(self.rater), _shuffled(candidates[i], seed)))
        return _rest(reasons, left, set(left[: self.count]), "not among the hardest")

    def asked(self) -> tuple[str, ...]:
        """Its rater."""
        return (self.rater,) if self.rater else ()

    def wants(self) -> frozenset[str]:
        """The problem's own pass rate, without a rater."""
        return frozenset(["pass_rate"] * (not self.rater))


class AtRandom(SelectionRule, Strict):
    """The control of every selection: so many, drawn evenly.

    Attributes:
        count: so many.
    """

    kind: Literal["random"] = "random"
    count: int = Field(ge=1)

    def pick(self, candidates: Sequence[Candidate], seed: int) -> list[str]:
        """Reasons, empty for the picked."""
        order = sorted(range(len(candidates)), key=lambda i: _shuffled(candidates[i], seed))
        return _rest([""] * len(candidates), order, set(order[: self.count]))


AnySelection = Annotated[
    AtRandom | Balanced | Hardest | InBand | LightR1Hard | LightR1Rl | Limo | S1,
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


def halving_rank(uniform: float, count: int) -> int:
    """Rank in 0 .. count-1 with probability proportional to 2^-rank, from a uniform number in [0, 1).

    The geometric distribution cut at ``count``, inverted: ranks below r have the chance
    (1 - 2^-r) / (1 - 2^-count).
    """
    left, rank = uniform * (1 - 2.0**-count), 0
    while rank < count - 1 and left >= 1 - 2.0 ** -(rank + 1):
        rank += 1
    return rank


def fill(available: Mapping[tuple[str, int], int], count: int) -> dict[tuple[str, int], int]:
    """Share ``count`` evenly over cells that hold only so many (water-filling); the order of cells breaks ties."""
    shares: dict[tuple[str, int], int] = {}
    # The smallest cells first: what they cannot give is shared by the larger ones.
    cells = sorted(available, key=lambda cell: (available[cell], cell))
    for place, cell in enumerate(cells):
        shares[cell] = min(available[cell], count // (len(cells) - place))
        count -= shares[cell]
    return shares


def _band_reason(band: Band, rate: float | None, rater: str) -> str:
    if rate is None:
        return _unrated(rater)
    by = f" by {rater}" if rater else ""
    if not band.min <= rate <= band.max:
        side = "above" if rate > band.max else "below"
        return f"{side} the band: pass rate {rate:.4g}{by}"
    if band.mixed and rate in (0.0, 1.0):
        return f"not mixed: pass rate {rate:.4g}{by}"
    return ""


def _never(candidate: Candidate, rater: str) -> str:
    rate = candidate.rate(rater)
    if rate is None:
        return _unrated(rater)
    return f"solved{f' by {rater}' if rater else ''}: pass rate {rate:.4g}" if rate > 0 else ""


def _unrated(rater: str) -> str:
    return f"no pass rate{f' by {rater}' if rater else ''}"


def _shuffled(candidate: Candidate, seed: int) -> float:
    """A number per problem and seed: an order that the order of the input does not change."""
    return random.Random(f"{seed}:{candidate.problem.id}").random()


def _grouped(indices: Sequence[int], key: Callable[[int], object]) -> dict:
    groups: dict[object, list[int]] = {}
    for index in indices:
        groups.setdefault(key(index), []).append(index)
    return groups


def _rest(
    reasons: list[str], left: Sequence[int], picked: set[int], reason: str = NOT_PICKED
) -> list[str]:
    for index in left:
        if index not in picked:
            reasons[index] = reason
    return reasons
