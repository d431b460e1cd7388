"""Duplicates under the normal form of the prompt, and duplicates that contradict each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from longstep.curate.normalise import words
from longstep.types import Problem


def drop_duplicates(
    problems: Iterable[Problem], answer_key: Callable[[str], str | None]
) -> tuple[list[Problem], list[tuple[Problem, str]]]:
    """Keep the first of every group of equal prompts.

    When members of a group carry different gold answers nobody knows which is right: the whole
    group is dropped, to be looked at.

    Args:
        problems: rows in order; the order decides which one is first.
        answer_key: canonical form of an answer (``longstep.verify.canonical``), or ``None`` where
            there is none; then the stripped text counts.

    Returns:
        The kept problems in their order, and the dropped ones with their reasons.
    """
    groups: dict[tuple[str, ...], list[Problem]] = {}
    for problem in problems:
        # A prompt of symbols only has no words; its own text is its key then.
        key = words(problem.prompt) or ("", problem.prompt.strip())
        groups.setdefault(key, []).append(problem)
    kept, dropped = [], []
    for group in groups.values():
        first = group[0]
        golds = {answer_key(each.answer) or each.answer.strip() for each in group}
        if len(golds) > 1:
            shown = ", ".join(sorted(golds))[:200]
            dropped += [(each, f"conflicting golds: {shown}") for each in group]
            continue
        kept.append(first)
        for each in group[1:]:
            how = "exact" if each.prompt == first.prompt else "normalised"
            dropped.append((each, f"{how} duplicate: of {first.id}"))
    return kept, dropped
