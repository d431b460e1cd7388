"""Reading stored trees: paths, leaves, and the stream of noise that a segment was drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from longstep.types import Segment


@dataclass(frozen=True, slots=True)
class Trail:
    """A path from the prompt to a segment.

    Attributes:
        prefix: the part of the answer that the prompt holds, such as ``<think>``.
        segments: in order; the last one gives the path its name.
    """

    prefix: str
    segments: tuple[Segment, ...]

    @property
    def last(self) -> Segment:
        """Where it ends."""
        return self.segments[-1]

    @property
    def text(self) -> str:
        """The answer so far."""
        return self.prefix + "".join(each.text for each in self.segments)

    @property
    def ids(self) -> tuple[int, ...]:
        """Token ids so far."""
        return tuple(token for each in self.segments for token in each.token_ids)

    @property
    def answer(self) -> str | None:
        """What it answers, when it is over and does."""
        return self.last.verdict.answer if self.last.verdict is not None else None

    @property
    def correctness(self) -> float | None:
        """Whether that is right, when it can be said."""
        return self.last.verdict.correctness if self.last.verdict is not None else None


def trail(tree: Sequence[Segment], node: int, prefix: str = "") -> Trail:
    """The path to a segment; ``tree`` holds all segments of one problem in order."""
    found: list[Segment] = []
    while node >= 0:
        found.append(tree[node])
        node = tree[node].parent
    return Trail(prefix, tuple(reversed(found)))


def leaves(tree: Sequence[Segment], prefix: str = "") -> list[Trail]:
    """Paths of all answers that are over and that no further turn follows."""
    followed = {each.parent for each in tree}
    return [
        trail(tree, each.node, prefix) for each in tree if each.ended and each.node not in followed
    ]


def on_paths(tree: Sequence[Segment]) -> set[int]:
    """Segments that an answer goes through; the others were pruned."""
    found: set[int] = set()
    for each in reversed(tree):
        if each.ended or each.node in found:
            found |= {each.node, each.parent}
    return found - {-1}


Noise = tuple[str, int]


def noise_of(
    name: str, place: int, parent: int, streams_N: Sequence[Noise], paths_N: Sequence[str]
) -> Noise:
    """The stream of noise that the child number ``place`` of a segment is drawn from.

    The k-th child of the prompt has the noise of sample k of a plain draw. The first child of a segment goes on with
    its stream, and any other has one that is named by its path: so a tree in which nothing is pruned or branched is a
    plain draw, token for token, and a problem's tree depends on nothing but itself.
    """
    if parent < 0:
        return name, place
    if place == 0:
        return streams_N[parent]
    return f"{name}\0{paths_N[parent]}", place
