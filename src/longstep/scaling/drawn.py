"""One problem's tree: as lines for a terminal, as a block of the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from longstep.config import UserError
from longstep.evaluate.store import PROTOCOL
from longstep.report.blocks import Branch, Tree
from longstep.scaling.store import read_protocol, trees
from longstep.scaling.tree import on_paths
from longstep.types import Segment

_SHOWN = 60
#: A tree to look at has no more segments, and is found among the first problems.
_SMALL, _LOOKED_AT = 60, 60


def branches(tree: Sequence[Segment]) -> Iterator[tuple[Segment, int, bool]]:
    """Segments with their depth and whether an answer goes through them, children below their parent."""
    children: dict[int, list[Segment]] = {}
    for each in tree:
        children.setdefault(each.parent, []).append(each)
    kept = on_paths(tree)
    waiting = [(each, 0) for each in reversed(children.get(-1, []))]
    while waiting:
        each, depth = waiting.pop()
        waiting += [(child, depth + 1) for child in reversed(children.get(each.node, []))]
        yield each, depth, each.node in kept


def tree_lines(tree: Sequence[Segment]) -> Iterator[str]:
    """A segment a line; what no answer goes through is marked ``x``."""
    for each, depth, kept in branches(tree):
        facts = ", ".join(_facts(each))
        yield f"{' ' if kept else 'x'} {'  ' * depth}{each.node}: {_text(each)!r} ({facts})"


def tree_block(tree: Sequence[Segment], title: str, note: str) -> Tree:
    """The colour of a segment is its score, from the lowest of the tree to the highest."""
    scores = [score for each in tree for score in list(each.scores.values())[:1]]
    low, width = min(scores, default=0.0), (max(scores, default=0.0) - min(scores, default=0.0))
    found = []
    for each, depth, kept in branches(tree):
        score = next(iter(each.scores.values()), None)
        shade = None if score is None else (score - low) / width if width else 1.0
        found.append(Branch(depth, _text(each), ", ".join(_facts(each)), shade, kept))
    return Tree(
        title,
        tuple(found),
        note,
        "Blue has the highest score of the tree, orange the lowest; grey was pruned.",
    )


def example(out: Path, problem: str | None = None) -> Iterator[Tree]:
    """A problem's trees; without one, the first small tree of several rounds with something pruned, if there is one."""
    if not (out / PROTOCOL).is_file():
        return
    known = False
    for name, _ in read_protocol(out).strategies:
        for number, (problem_id, tree) in enumerate(trees(out, name)):
            known = known or problem_id == problem
            if problem_id == problem or (problem is None and _instructive(tree)):
                yield tree_block(tree, "The tree of one problem", f"{name}, problem {problem_id}")
                if problem is None:
                    return
                break
            if problem is None and number == _LOOKED_AT:
                break
    if problem is not None and not known:
        raise UserError(f"{out}: no problem has the id {problem!r}; problems.jsonl has them")


def _instructive(tree: Sequence[Segment]) -> bool:
    return tree[-1].round > 1 and len(tree) <= _SMALL and len(on_paths(tree)) < len(tree)


def _text(each: Segment) -> str:
    return each.text if len(each.text) <= _SHOWN else f"{each.text[: _SHOWN - 3]}..."


def _facts(each: Segment) -> Iterator[str]:
    yield f"{len(each.token_ids)} tokens"
    yield from (f"{name} {score:.3f}" for name, score in each.scores.items())
    if each.origin != "model":
        yield each.origin
    if each.verdict is not None:
        yield each.verdict.status
