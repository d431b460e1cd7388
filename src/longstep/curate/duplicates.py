"""Duplicates inside a training set, and duplicates that contradict each other.

Three kinds of equal, each wider than the one before: ``exact`` (the same text, white space folded),
``normalised`` (the same words and numbers in the same order, see ``normalise``) and ``near`` (the same numbers, the
same answer, and nearly the same words). Rows of an exact or normalised group with different golds ask the same and
nobody knows which gold is right: the whole group is dropped, to be looked at. Near rows with different golds may just
as well ask for different things ("the sum", "the product"): they are no duplicates, and stay.

A row joins the first earlier row that it is near to and that leads a group; rows of a group resemble their leader, not
each other, so that a chain of small changes ends in several groups. Leaders are found exactly, by prefix filtering
(Bayardo, Ma, Srikant 2007, *Scaling up all pairs similarity search*): two bags of words can only be similar enough
when they share one of their rarest words. No random projections, so the same rows always give the same groups. In
memory; ``duplicate_key`` is for streams.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from longstep.config import Field, Strict, model_validator
from longstep.curate.normalise import words
from longstep.types import Problem

Kind = Literal["exact", "normalised", "near"]
#: Canonical form of an answer, or ``None`` where there is none; then the stripped text counts.
AnswerKey = Callable[[str], str | None]
#: Share of words in common from which rows are near duplicates, when none is given.
SIMILARITY = 0.7


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are duplicates of each other, in their order, two or more.

    Attributes:
        kind: the narrowest kind that holds for all of them.
        members: the rows; the first one is the one to keep.
        golds: their different answers, sorted; more than one is a conflict.
    """

    kind: Kind
    members: tuple[Problem, ...]
    golds: tuple[str, ...]

    @property
    def conflicting(self) -> bool:
        """Whether the members carry different gold answers."""
        return len(self.golds) > 1


class Duplicates(Strict):
    """What counts as a duplicate.

    Attributes:
        kind: the widest kind looked for.
        similarity: for ``near`` alone: words in common over words in either, repeated words counted (Jaccard of bags);
            ``None`` is 0.7, tuned on labelled rewordings of DeepScaleR rows.
    """

    kind: Kind = "normalised"
    similarity: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _has_effect(self) -> Duplicates:
        if self.similarity is not None and self.kind != "near":
            raise ValueError(
                f"similarity has no effect on {self.kind} duplicates; remove it or say kind: near"
            )
        return self

    def groups(self, problems: Iterable[Problem], answer_key: AnswerKey) -> list[Group]:
        """Give every group of two or more, ordered by first member."""
        return [group for group in _grouped(problems, answer_key, self) if len(group.members) > 1]


def drop_duplicates(
    problems: Iterable[Problem], answer_key: AnswerKey, how: Duplicates | None = None
) -> tuple[list[Problem], list[tuple[Problem, str]]]:
    """Keep the first of every group of duplicates, and nothing of a group whose golds conflict.

    Args:
        problems: rows in order; the order decides which one is first.
        answer_key: ``longstep.verify.canonical``, or what widens it.
        how: what counts as a duplicate; ``None`` is the same normal form of the prompt.

    Returns:
        The kept problems in their order, and the dropped ones with their reasons.
    """
    kept, dropped = [], []
    for group in _grouped(problems, answer_key, how or Duplicates()):
        first, *rest = group.members
        if group.conflicting:
            shown = ", ".join(group.golds)[:200]
            dropped += [(each, f"conflicting golds: {shown}") for each in group.members]
            continue
        kept.append(first)
        for each in rest:
            dropped.append((each, f"{_narrowest(first, each)} duplicate: of {first.id}"))
    return kept, dropped


def duplicate_key(text: str) -> int:
    """Give the normal form of a prompt as 64 bits: rows with equal keys are normalised duplicates.

    For streams, row by row; the same in every process. Ten million rows collide by chance with probability 3e-6.
    """
    key = _normal_form(text)
    digest = hashlib.blake2b("\0".join(key).encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


def _normal_form(text: str) -> tuple[str, ...]:
    # a prompt of symbols only has no words; its own text is its key then
    return words(text) or ("", text.strip())


def _exact_form(text: str) -> tuple[str]:
    return (_folded(text),)


def _folded(text: str) -> str:
    return " ".join(text.split())


def _gold(problem: Problem, answer_key: AnswerKey) -> str:
    return answer_key(problem.answer) or problem.answer.strip()


def _numbers(bag: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(word for word in bag if word[-1].isdigit()))


def _narrowest(first: Problem, other: Problem) -> Kind:
    if _folded(first.asked) == _folded(other.asked):
        return "exact"
    return "normalised" if _normal_form(first.asked) == _normal_form(other.asked) else "near"


def _grouped(problems: Iterable[Problem], answer_key: AnswerKey, how: Duplicates) -> list[Group]:
    """Partition the problems, singles included."""
    key = _exact_form if how.kind == "exact" else _normal_form
    found: dict[tuple[str, ...], list[Problem]] = {}
    for problem in problems:
        found.setdefault(key(problem.asked), []).append(problem)
    groups = [
        Group(
            "exact" if how.kind == "exact" else _widest(members),
            tuple(members),
            tuple(sorted({_gold(each, answer_key) for each in members})),
        )
        for members in found.values()
    ]
    if how.kind != "near":
        return groups
    bags = [form if form[0] else () for form in found]
    return _merged(groups, bags, how.similarity or SIMILARITY)


def _widest(members: Sequence[Problem]) -> Kind:
    first = _folded(members[0].asked)
    return "exact" if all(_folded(m.asked) == first for m in members[1:]) else "normalised"


def _merged(
    groups: Sequence[Group], bags: Sequence[Sequence[str]], similarity: float
) -> list[Group]:
    """Join near groups; those whose golds conflict are left alone, and so is what only resembles them."""
    blocks = [
        None if group.conflicting else (group.golds, _numbers(bag))
        for group, bag in zip(groups, bags, strict=True)
    ]
    leader = _leaders(bags, blocks, similarity)
    together: dict[int, list[Group]] = {}
    for number, group in enumerate(groups):
        together.setdefault(leader[number], []).append(group)
    return [
        parts[0]
        if len(parts) == 1
        else Group("near", tuple(m for part in parts for m in part.members), parts[0].golds)
        for parts in together.values()
    ]


def _leaders(
    bags: Sequence[Sequence[str]], blocks: Sequence[Hashable], similarity: float
) -> list[int]:
    """For every bag the first leader of its block whose Jaccard with it reaches the similarity, or itself.

    A bag's elements are (word, how many times before), so that repeated words count. ``None`` is no block, and an
    empty bag resembles nothing. Only leaders are looked through, so that many copies of one row cost no more than one;
    a bag alone in its block, as most are, is not looked at.
    """
    sizes = Counter(block for block, bag in zip(blocks, bags, strict=True) if bag)
    counted = {
        i: _elements(bag)
        for i, bag in enumerate(bags)
        if bag and blocks[i] is not None and sizes[blocks[i]] > 1
    }
    frequency = Counter(element for elements in counted.values() for element in elements)
    index: dict[tuple[Hashable, tuple[str, int]], list[int]] = {}
    leader = list(range(len(bags)))
    for i, elements in counted.items():
        size = len(elements)
        rarest = sorted(elements, key=lambda each: (frequency[each], each))
        prefix = rarest[: size - math.ceil(similarity * size - 1e-9) + 1]
        seen = {j for element in prefix for j in index.get((blocks[i], element), ())}
        leader[i] = next((j for j in sorted(seen) if _near(elements, counted[j], similarity)), i)
        if leader[i] == i:
            for element in prefix:
                index.setdefault((blocks[i], element), []).append(i)
    return leader


def _near(one: set[tuple[str, int]], other: set[tuple[str, int]], similarity: float) -> bool:
    common = len(one & other)
    return common >= similarity * (len(one) + len(other) - common)


def _elements(bag: Sequence[str]) -> set[tuple[str, int]]:
    times: Counter[str] = Counter()
    elements = set()
    for word in bag:
        elements.add((word, times[word]))
        times[word] += 1
    return elements
