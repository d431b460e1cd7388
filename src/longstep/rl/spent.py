"""What a run has spent, token by token and by purpose: two methods are compared on what they drew, not on steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from longstep.context import Cost
from longstep.curriculum.groups import DrawnGroup


@dataclass
class TokensSpent:
    """Tokens so far. Every drawn token is in exactly one of the first five, so their sum is what was drawn.

    Attributes:
        trained: drawn by the policy alone, and trained on.
        discarded: drawn to be trained on, but a gate refused the group or a guide replaced the answer.
        carried: drawn and neither yet: a gate keeps the group for a later step.
        probe: drawn to rate problems.
        guided: drawn with help, whether the answer was taken or not.
        exam: drawn to tell how good the policy is; no part of what its method costs.
        seen: what the loss saw in one pass: with guided answers and those given by somebody else, and an answer that
            stands in two rows twice.
    """

    trained: int = 0
    discarded: int = 0
    carried: int = 0
    probe: int = 0
    guided: int = 0
    exam: int = 0
    seen: int = 0

    @property
    def drawn(self) -> int:
        """All that the method asked the policy to write."""
        return self.trained + self.discarded + self.carried + self.probe + self.guided

    def settle(
        self, drawn: int, trained: Iterable[DrawnGroup], carried: Iterable[DrawnGroup]
    ) -> None:
        """Account for one step: of what was carried so far and is drawn now, what is not kept is discarded."""
        rows = [(group.key, row) for group in trained for row in group.rows]
        own = {(key, row.completion.sample_index): row.length for key, row in rows if row.own}
        open_before, self.carried = self.carried, sum(map(_own_tokens, carried))
        used = sum(own.values())
        self.trained += used
        self.discarded += open_before + drawn - used - self.carried
        self.seen += sum(row.length for _, row in rows)

    def charge(self, cost: Cost, iterations: int) -> None:
        """Enter all of it in the ledger of a stage; each row was trained on ``iterations`` times."""
        cost.tokens_generated += self.drawn + self.exam
        cost.tokens_trained += self.seen * iterations
        cost.tokens_discarded += self.discarded
        cost.tokens_probe += self.probe
        cost.tokens_guided += self.guided
        cost.tokens_exam += self.exam

    def metrics(self) -> dict[str, float]:
        """The numbers for a metric line; sums since the first step, so that no line can be missed."""
        return {f"tokens/{purpose}": float(tokens) for purpose, tokens in asdict(self).items()}


def _own_tokens(group: DrawnGroup) -> int:
    return sum(row.length for row in group.rows if row.own)
