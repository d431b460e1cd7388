"""Scorers that read with a model: opened once for all that use them; none decides alone where it tells nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from longstep.config import UserError
from longstep.scaling import AnyStrategy
from longstep.scaling.picks import AnyPick
from longstep.scaling.scorers.base import PathRater, ScoringDesk


def open_raters(
    strategies: Sequence[AnyStrategy], picks: Sequence[AnyPick], desk: ScoringDesk
) -> dict[str, PathRater]:
    """What reads paths for the scorers of strategies and picks, by their names.

    Raises:
        UserError: one cannot be opened here, knows other steps than a search, or would decide alone and tells nothing.
    """
    users = (*strategies, *picks)
    found: dict[str, PathRater] = {}
    for scorer in (scorer for user in users for scorer in user.scorers()):
        if scorer.name not in found and (rater := scorer.rater(desk)) is not None:
            found[scorer.name] = rater
    for search in strategies:
        for scorer in search.scorers():
            own = found[scorer.name].steps if scorer.name in found else ()
            if own and search.steps and {*own}.isdisjoint(search.steps):
                raise UserError(
                    f"{desk.name}: a search asks for scores behind {_texts(search.steps)}, and {scorer.name} knows "
                    f"steps that end behind {_texts(own)}, so it says the same of all; give both one step"
                )
    refuse_doubtful(desk.name, users, {name: rater.doubt for name, rater in found.items()})
    return found


def _texts(step: Sequence[str]) -> str:
    return " ".join(map(repr, step))


def refuse_doubtful(
    place: str, users: Iterable[AnyPick | AnyStrategy], doubts: Mapping[str, str]
) -> None:
    """Refuse to let a scorer decide alone that tells nothing.

    Raises:
        UserError: a pick or a strategy trusts one.
    """
    for user in users:
        for scorer in user.scorers():
            doubt = doubts.get(scorer.name, "")
            if doubt and user.trusts and not scorer.forced:
                kind = type(user).model_fields["kind"].default
                raise UserError(
                    f"{place}: {kind} chooses by {scorer.name} alone, and {doubt}; let a vote weigh by it, train it on "
                    "more answers, or write force: true in the scorer"
                )
