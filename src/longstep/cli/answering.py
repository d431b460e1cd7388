"""``longstep serve --strategy``: what is typed, as what answers chats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from longstep.config import Located, Strict, UserError, validate
from longstep.jobs.words import member
from longstep.scaling import AnyStrategy
from longstep.scaling.picks import AnyPick

if TYPE_CHECKING:
    from longstep.generate.serve import Served

#: What people call independent answers of which the most frequent is given.
VOTE = "vote"


class _Answering(Strict):
    strategy: AnyStrategy
    pick: AnyPick


def answering(
    strategy: str | None, n: int | None, pick: str | None, most: int | None
) -> Callable[[Served], Served] | None:
    """What makes a source answer chats by a strategy; ``None`` where none is asked for.

    Raises:
        UserError: the words name none, or have no effect.
    """
    if strategy is None:
        given = {"--n": n, "--pick": pick, "--most-tokens": most}
        for option, value in given.items():
            if value is not None:
                raise UserError(f"{option}: has no effect without --strategy; add --strategy vote")
        return None
    chosen = member(strategy, "--strategy")
    if chosen["kind"] == VOTE:
        chosen["kind"] = "samples"
    if n is not None and chosen.setdefault("n", n) != n:
        raise UserError(f"--n {n}: the strategy says n={chosen['n']}; say it once")
    data = {"strategy": chosen, "pick": member(pick or "majority", "--pick")}
    asked = validate(_Answering, Located(data, {}))

    def made(source: Served) -> Served:
        from longstep.scaling.answering import chooser_of

        chooser = chooser_of(source, asked.strategy, asked.pick, most)
        return replace(source, chooser=chooser, plain=None)

    return made
