"""The circuit breaker of one endpoint: after failures in a row it rests, then one request tries again."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_REST = 60.0  # seconds


@dataclass
class Breaker:
    """Closed, open, or half-open (Nygard, *Release It!*, 2007, chapter 5); times are handed in, seconds.

    Attributes:
        open_after: failures in a row that open it.
        rest: seconds of the first rest; each failed trial doubles it, up to ``LONGEST_REST``.
        failures: in a row, until now.
    """

    open_after: int
    rest: float
    failures: int = 0
    _trials: int = 0
    _until: float | None = None
    _trying: bool = False

    def allows(self, now: float) -> bool:
        """Whether a request may be sent: always while closed, one at a time after a rest."""
        return self._until is None or (now >= self._until and not self._trying)

    @property
    def opens_at(self) -> float | None:
        """When a rest ends; ``None`` while closed."""
        return self._until

    def sent(self) -> None:
        """A request was sent; while the breaker is open it is the trial."""
        self._trying = self._until is not None

    def succeeded(self) -> None:
        """An answer came: close."""
        self.failures = self._trials = 0
        self._until, self._trying = None, False

    def failed(self, now: float) -> bool:
        """A request failed; gives whether this opened the breaker.

        A late failure of a request from before the opening changes nothing.
        """
        self.failures += 1
        late = self._until is not None and not self._trying
        if late or self.failures < self.open_after:
            return False
        opened = self._until is None
        # The exponent is bounded: a float overflows at 2**1024.
        self._until = now + min(self.rest * 2 ** min(self._trials, 30), LONGEST_REST)
        self._trials += 1
        self._trying = False
        return opened

    def withdrawn(self) -> None:
        """The request in flight was given up by us: it says nothing about the endpoint."""
        self._trying = False
