"""What accuracy is bought with: tokens, operations, time and dollars, with kept prefixes and without.

All of them are counted from stored segments; nothing is measured while trees grow, so a folder gives the same numbers
again. What scorers read with a model stands on every axis but ``tokens`` and ``latency``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from math import comb
from operator import attrgetter

from longstep.config import Field, Strict
from longstep.costs.decoder import Shape
from longstep.scaling.account import Bill, bill
from longstep.types import Segment

#: Axis -> its unit, for a heading. Those with ``again`` count a server that keeps no prefixes.
AXES = {
    "tokens": "tokens a problem: drawn, forced and returned by tools",
    "processed": "tokens a problem that pass through a model, prompts included",
    "processed again": "tokens a problem that pass through a model, every prefix again",
    "flops": "operations a problem",
    "flops again": "operations a problem, every prefix again",
    "latency": "tokens one after the other",
    "seconds": "seconds, at the declared time of a token",
    "dollars": "dollars for 1,000 problems, at the declared prices",
    "dollars again": "dollars for 1,000 problems, every prefix paid again",
}


#: All counts of a bill; ``astuple`` would copy each of them.
_counts = attrgetter(*(each.name for each in fields(Bill)))


class Prices(Strict):
    """What a token costs where the model is served, as declared: nothing here measures it.

    Attributes:
        drawn: dollars for a million drawn tokens.
        read: dollars for a million tokens that are read: prompts, forced texts, what scorers read.
        reread: dollars for a million tokens that were read before, where prefixes are paid again; if not as ``read``.
        step: seconds for one token of an answer, all answers of a round beside each other.
    """

    drawn: float | None = Field(default=None, ge=0)
    read: float = Field(default=0.0, ge=0)
    reread: float | None = Field(default=None, ge=0)
    step: float | None = Field(default=None, gt=0)

    def check(self) -> Iterator[str]:
        """Prices that nothing is reckoned with."""
        for key in ("read", "reread"):
            if self.drawn is None and key in self.model_fields_set:
                yield f"{key}: has no effect without drawn, for dollars need the price of a drawn token"


class Work(Strict):
    """What one token takes of a model: the part of its shape that operations are counted with.

    Attributes:
        matrices: weights that a token is multiplied with.
        attention: width of the attention, of all layers together.
    """

    matrices: float = Field(gt=0)
    attention: float = Field(ge=0)

    @classmethod
    def of(cls, shape: Shape) -> Work:
        """The work of a model of this shape."""
        return cls(matrices=shape.matrices, attention=shape.layers * shape.attention_width)

    def flops(self, tokens: float, places: float) -> float:
        """Operations of a forward pass (``costs.arithmetic``): 2 a weight, 4 a position that a token looks back to."""
        return 2 * self.matrices * tokens + 4 * self.attention * places


@dataclass(frozen=True, slots=True)
class Load:
    """What a problem took, or means of it.

    Attributes:
        bill: tokens by purpose.
        places: positions that the processed tokens look back to, each prefix processed once.
        places_again: the same when every request and every scored path begins at the prompt.
    """

    bill: Bill
    places: float
    places_again: float


def load(tree: Sequence[Segment], prompt: int, readers: Collection[str] = ()) -> Load:
    """Count one problem; arguments as of ``account.bill``."""
    before = {-1: prompt}
    own: dict[int, int] = {}  # places of a segment's tokens
    again = 0
    for each in tree:
        start, length = before[each.parent], len(each.token_ids)
        before[each.node], own[each.node] = start + length, _up_to(start + length) - _up_to(start)
        joined = each.parent >= 0 and tree[each.parent].round == each.round
        if each.origin == "model":
            again += own[each.node] + (0 if joined else _up_to(start))
        again += sum(_up_to(before[each.node]) for name in each.scores if name in readers)
    once = _up_to(prompt) + sum(own.values())
    for name in readers:
        read: set[int] = set()
        for each in reversed(tree):
            if name in each.scores or each.node in read:
                read |= {each.node, each.parent}
        once += _up_to(prompt) * bool(read) + sum(own[node] for node in read if node >= 0)
    return Load(bill(tree, prompt, readers), once, again)


def _up_to(tokens: int) -> int:
    """Places that so many tokens from the beginning of a row look back to, their own included."""
    return tokens * (tokens + 1) // 2


@dataclass(frozen=True, slots=True)
class DrawnAnswers:
    """Answers that hang at the prompt, each by itself.

    Attributes:
        prompt: tokens of the prompt, read once by the model and once by each reader, however many answers there are.
        readers: how many scorers read the answers with a model.
        lengths_N: tokens of each answer; the longest is what has to be waited for.
    """

    prompt: int
    readers: int
    lengths_N: Sequence[int]


def of_fewer(whole: Load, drawn: DrawnAnswers, n: int) -> Load:
    """What n of N answers would have taken, on average over all subsets of them."""
    prompt, lengths_N = drawn.prompt, drawn.lengths_N
    total, ranked = len(lengths_N), sorted(lengths_N)
    if not total or n >= total:
        return whole
    share = n / total
    paid = part_of(whole, share)
    readers = drawn.readers if whole.bill.scored else 0
    read_once = prompt * readers
    longest = sum(comb(r, n - 1) * length for r, length in enumerate(ranked)) / comb(total, n)
    bill_ = replace(
        paid.bill,
        encoded=prompt + share * (whole.bill.encoded - prompt),
        scored=read_once + share * (whole.bill.scored - read_once),
        depth=whole.bill.depth,
        latency=longest,
    )
    prompts = _up_to(prompt) * (1 + readers)
    return Load(bill_, prompts + share * (whole.places - prompts), paid.places_again)


def sum_of(one: Load, other: Load) -> Load:
    """Both together."""
    pairs = zip(_counts(one.bill), _counts(other.bill), strict=True)
    places = one.places + other.places
    return Load(Bill(*(a + b for a, b in pairs)), places, one.places_again + other.places_again)


def part_of(whole: Load, share: float) -> Load:
    """So much of it."""
    paid = Bill(*(share * value for value in _counts(whole.bill)))
    return Load(paid, share * whole.places, share * whole.places_again)


def axes_of(mean: Load, prices: Prices, work: Work | None) -> dict[str, float]:
    """The mean problem on every axis that can be known: operations need the model's shape, the last ones prices."""
    paid = mean.bill
    read, read_again = paid.encoded + paid.scored, paid.encoded_again + paid.scored_again
    found = {
        "tokens": paid.tokens,
        "processed": paid.drawn + read,
        "processed again": paid.drawn + read_again,
        "latency": paid.latency,
    }
    if work is not None:
        found["flops"] = work.flops(found["processed"], mean.places)
        found["flops again"] = work.flops(found["processed again"], mean.places_again)
    if prices.step is not None:
        found["seconds"] = prices.step * paid.latency
    if prices.drawn is not None:
        reread = prices.read if prices.reread is None else prices.reread
        once = (prices.drawn * paid.drawn + prices.read * read) / 1e3
        found["dollars"] = once
        found["dollars again"] = once + reread * max(0.0, read_again - read) / 1e3
    return {name: found[name] for name in AXES if name in found}
