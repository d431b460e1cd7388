"""Answers that are one answer, found without the key."""

from __future__ import annotations

from collections.abc import Callable, Sequence

#: Decides whether two answers are one, without the key.
SameAnswer = Callable[[str, str], bool]


def classes(answers: Sequence[str | None], same: SameAnswer) -> list[list[int]]:
    """Places of equal answers, the largest class first, of equally large ones the earlier.

    An answer joins the first class whose first member it equals; equality by a verifier need not be transitive, so
    another order may give other classes. ``None`` is in no class.
    """
    found: list[list[int]] = []
    known: dict[str, list[int]] = {}
    for place, answer in enumerate(answers):
        if answer is None:
            continue
        group = known.get(answer)
        if group is None:
            group = next((g for g in found if same(answers[g[0]] or "", answer)), None)
            if group is None:
                group = []
                found.append(group)
            known[answer] = group
        group.append(place)
    return sorted(found, key=lambda group: (-len(group), group[0]))


def class_of_each(answers: Sequence[str | None], same: SameAnswer) -> list[int]:
    """The place of each answer's class among ``classes``; -1 where there is no answer."""
    found = [-1] * len(answers)
    for number, group in enumerate(classes(answers, same)):
        for place in group:
            found[place] = number
    return found
