"""Progress of long work: one line with an ETA, redrawn in a terminal, plain and seldom elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Write = Callable[[str], None]
PLAIN_SECONDS = 10.0
TERMINAL_SECONDS = 0.2


def to_stderr(text: str) -> None:
    """Write progress where it does not mix with results."""
    sys.stderr.write(text)
    sys.stderr.flush()


@dataclass
class Progress:
    """Counts units of one piece of work and says how far it is.

    Attributes:
        label: what is being done, e.g. ``sft1``.
        total: units in all.
        unit: name of a unit, e.g. ``step`` or ``tok``.
        write: where the text goes.
        terminal: redraw one line instead of writing a line every ten seconds.
    """

    label: str
    total: int
    unit: str = "step"
    write: Write = to_stderr
    terminal: bool = field(default_factory=lambda: sys.stderr.isatty())
    done: int = 0
    _skipped: int = 0
    _started: float = field(default_factory=time.monotonic)
    _shown: float = -1e9
    _shown_done: int = -1

    def start_at(self, done: int) -> None:
        """Begin part of the way through (a resumed stage); the part done before does not count for the speed."""
        self.done = self._skipped = done

    def advance(self, units: int = 1, facts: Mapping[str, float] | None = None) -> None:
        """Count units and show the state when it is time to."""
        self.done += units
        now = time.monotonic()
        wait = TERMINAL_SECONDS if self.terminal else PLAIN_SECONDS
        if now - self._shown >= wait:
            self._shown = now
            self._show(now, facts or {})

    def finish(self, facts: Mapping[str, float] | None = None) -> None:
        """Show the final state and end the line."""
        if self._shown_done != self.done:
            self._show(time.monotonic(), facts or {})
        if self.terminal:
            self.write("\n")

    def _show(self, now: float, facts: Mapping[str, float]) -> None:
        self._shown_done = self.done
        elapsed = max(now - self._started, 1e-6)
        speed = (self.done - self._skipped) / elapsed
        left = clock((self.total - self.done) / speed) if speed > 0 else "?"
        share = 100 * self.done / max(self.total, 1)
        extra = "".join(f"  {name} {value:.3g}" for name, value in facts.items())
        line = (
            f"{self.label:<12} {share:3.0f} %  {self.done}/{self.total} {self.unit}"
            f"  {speed:,.1f} {self.unit}/s  {clock(elapsed)} gone, {left} left{extra}"
        )
        self.write(f"\r\x1b[K{line}" if self.terminal else f"{time.strftime('%H:%M:%S')} {line}\n")


def clock(seconds: float) -> str:
    """Seconds as ``1:02:03`` or ``2:03``."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
