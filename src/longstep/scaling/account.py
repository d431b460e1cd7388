"""What a tree cost, counted from its segments alone: nothing that was drawn is lost because it was pruned."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from longstep.types import Segment


@dataclass(frozen=True, slots=True)
class Bill:
    """Tokens of one problem by purpose, or sums or means of them.

    Attributes:
        drawn: by the model, pruned ones included.
        forced: written for the model.
        tool: returned by tools.
        encoded: prompt and given tokens, each once: what a server that keeps all prefixes reads.
        encoded_again: prompt and answer so far at every request: what a server without such a cache reads.
        scored: read by models that score: prompt and segments of scored paths, each once a scorer.
        scored_again: the same for one without a cache: every scored path again, from its prompt on.
        calls: pieces that the model was asked for.
        depth: rounds, one after the other.
        latency: tokens of the longest piece of each round: the time of an ideal batch.
    """

    drawn: float = 0
    forced: float = 0
    tool: float = 0
    encoded: float = 0
    encoded_again: float = 0
    scored: float = 0
    scored_again: float = 0
    calls: float = 0
    depth: float = 0
    latency: float = 0

    @property
    def tokens(self) -> float:
        """What a curve's axis counts: everything that stands in a tree."""
        return self.drawn + self.forced + self.tool


def bill(tree: Sequence[Segment], prompt: int, readers: Collection[str] = ()) -> Bill:
    """Count the segments of one problem.

    Args:
        tree: all of them.
        prompt: tokens of the prompt.
        readers: names of scorers that read paths with a model; scores of others cost nothing.
    """
    counts = dict.fromkeys(("model", "forced", "tool"), 0)
    scored_again = calls = again = 0
    before = {-1: prompt}  # tokens of the path up to the end of a segment, the prompt's included
    piece = {-1: 0}  # of the request that a segment belongs to
    longest: dict[int, int] = {}
    for each in tree:
        length = len(each.token_ids)
        counts[each.origin] += length
        joined = each.parent >= 0 and tree[each.parent].round == each.round
        if each.origin == "model" and not joined:
            calls += 1
            again += before[each.parent]
        before[each.node] = before[each.parent] + length
        piece[each.node] = length + (piece[each.parent] if joined else 0)
        longest[each.round] = max(longest.get(each.round, 0), piece[each.node])
        scored_again += before[each.node] * sum(name in readers for name in each.scores)
    return Bill(
        drawn=counts["model"],
        forced=counts["forced"],
        tool=counts["tool"],
        encoded=prompt + counts["forced"] + counts["tool"],
        encoded_again=again,
        scored=sum(_read_once(tree, prompt, name) for name in readers),
        scored_again=scored_again,
        calls=calls,
        depth=len(longest),
        latency=sum(longest.values()),
    )


def _read_once(tree: Sequence[Segment], prompt: int, reader: str) -> int:
    """Tokens of all scored paths together, the prompt's included; 0 where nothing was scored."""
    read: set[int] = set()
    for each in reversed(tree):
        if reader in each.scores or each.node in read:
            read |= {each.node, each.parent}
    return prompt * bool(read) + sum(len(tree[node].token_ids) for node in read if node >= 0)
