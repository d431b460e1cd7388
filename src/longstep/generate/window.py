"""How many requests one endpoint has in flight: additive increase, multiplicative decrease."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Window:
    """AIMD (Chiu and Jain 1989) as TCP uses it: half after a sign of overload, one more per round of answers.

    It begins at ``most``, not at one: a long thought takes minutes, and growing one by one would take hours.
    Signs of overload from requests sent before the last decrease are not counted again: they saw the same queue.

    Attributes:
        most: requests in flight at most.
    """

    most: int
    limit: float = field(init=False)
    in_flight: int = 0
    _round: int = 0

    def __post_init__(self) -> None:
        self.limit = float(self.most)

    @property
    def free(self) -> bool:
        """Whether one more request may be sent."""
        return self.in_flight < int(self.limit)

    @property
    def load(self) -> float:
        """Requests in flight as a share of what is allowed."""
        return self.in_flight / self.limit

    def sent(self) -> int:
        """Count a request; gives the round it belongs to."""
        self.in_flight += 1
        return self._round

    def done(self) -> None:
        """A request ended, however it did."""
        self.in_flight -= 1

    def widen(self) -> None:
        """An answer came."""
        self.limit = min(float(self.most), self.limit + 1 / self.limit)

    def narrow(self, round_sent: int) -> bool:
        """The endpoint was overloaded, as a request of this round found; gives whether that is news."""
        if round_sent != self._round:
            return False
        self.limit = max(1.0, self.limit / 2)
        self._round += 1
        return True
