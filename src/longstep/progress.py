"""Progress of long work: one line with a bar and an ETA, redrawn in a terminal; plain and seldom elsewhere."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

Write = Callable[[str], None]
#: Where a run keeps the latest state of a stage's work, below its unfinished work.
FILE = "progress.json"
PLAIN_SECONDS = 10.0
TERMINAL_SECONDS = 0.2
#: How often whoever asks for the state, such as ``longstep status``, finds a new one.
NOTED_SECONDS = 2.0
#: The widest that fits is drawn; few widths, so that the words seldom move.
BAR_WIDTHS = (20, 10, 5)


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
        done: units that are done.
        skipped: units that were done before this process began.
        terminal: redraw one line with a bar instead of writing a line every ten seconds.
        note: told of the state every few seconds, for those who look from outside.
    """

    label: str
    total: int
    unit: str = "step"
    write: Write = to_stderr
    terminal: bool = field(default_factory=lambda: sys.stderr.isatty())
    done: int = 0
    skipped: int = 0
    note: Callable[[Mapping[str, Any]], None] = lambda state: None
    _started: float = field(default_factory=time.monotonic)
    _shown: float = -1e9
    _shown_done: int = -1
    _noted: float = -1e9

    def start_at(self, done: int) -> None:
        """Begin part of the way through (a resumed stage); the part done before does not count for the speed."""
        self.done = self.skipped = done

    def advance(self, units: int = 1, facts: Mapping[str, float] | None = None) -> None:
        """Count units and show the state when it is time to."""
        self.done += units
        now = time.monotonic()
        wait = TERMINAL_SECONDS if self.terminal else PLAIN_SECONDS
        if now - self._shown >= wait:
            self._shown = now
            self._show(now, facts or {})
        if now - self._noted >= NOTED_SECONDS:
            self._noted = now
            self.note(self._state(now, facts or {}))

    def _state(self, now: float, facts: Mapping[str, float]) -> dict[str, Any]:
        speed = (self.done - self.skipped) / max(now - self._started, 1e-6)
        known = {"label": self.label, "unit": self.unit, "done": self.done, "total": self.total}
        finite = {name: value for name, value in facts.items() if math.isfinite(value)}
        return {**known, "speed": speed, "facts": finite}

    def finish(self, facts: Mapping[str, float] | None = None) -> None:
        """Show the final state and end the line."""
        if self._shown_done != self.done:
            self._show(time.monotonic(), facts or {})
        if self.terminal:
            self.write("\n")

    @cached_property
    def _bar(self) -> _Bar:
        return _Bar(self)

    def _show(self, now: float, facts: Mapping[str, float]) -> None:
        self._shown_done = self.done
        elapsed = max(now - self._started, 1e-6)
        extra = "".join(f"  {name} {value:.3g}" for name, value in facts.items())
        if self.terminal:
            self.write(f"\r\x1b[K{self._bar.line(elapsed, extra)}")
            return
        speed = (self.done - self.skipped) / elapsed
        left = clock((self.total - self.done) / speed) if speed > 0 else "?"
        share = 100 * self.done / max(self.total, 1)
        line = (
            f"{self.label:<12} {share:3.0f} %  {self.done}/{self.total} {self.unit}"
            f"  {speed:,.1f} {self.unit}/s  {clock(elapsed)} gone, {left} left{extra}"
        )
        self.write(f"{time.strftime('%H:%M:%S')} {line}\n")


class _Bar:
    """A terminal's line: rich measures the recent speed and draws a bar in what room the words leave.

    rich's live display is not used. It runs a thread, which a fork copies, it takes over standard output, where results
    go, and it hides the cursor until it is ended in order, which a killed or interrupted run does not do.
    """

    def __init__(self, of: Progress) -> None:
        from rich.console import Console
        from rich.progress import Progress as Tracker

        self._of = of
        self._console = Console(stderr=True, highlight=False)
        self._tracker = Tracker(console=self._console, auto_refresh=False)
        # What an earlier process did counts for the share, not for the speed.
        self._tracker.add_task(of.label, total=of.total, completed=of.skipped)

    def line(self, elapsed: float, extra: str) -> str:
        """The line as things stand; the total may have been estimated anew."""
        from rich.align import Align
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        of, task = self._of, self._tracker.tasks[0]
        self._tracker.update(task.id, total=of.total, completed=of.done)
        # rich knows a speed from the second line on.
        speed = task.speed or (of.done - of.skipped) / elapsed
        left = clock((of.total - of.done) / speed) if speed > 0 else "?"
        label = f"{of.label:<12} "
        words = (
            f" {min(task.percentage, 100):3.0f} %  {of.done:,}/{of.total:,} {of.unit}"
            f"  {speed:,.1f} {of.unit}/s  {clock(elapsed)} gone, {left} left{extra}"
        )
        # A character at the end of a row would wrap in some terminals.
        room = self._console.width - 1 - len(label)
        width = next((width for width in BAR_WIDTHS if width + len(words) <= room), 0)
        with self._console.capture() as drawn:
            self._console.print(Text(label), end="", no_wrap=True)
            if width:
                bar = ProgressBar(max(of.total, 1), of.done, width=width)
                self._console.print(Align.left(bar), end="", width=width)
            self._console.print(Text(words[: max(room - width, 0)]), end="", no_wrap=True)
        return drawn.get().replace("\n", "")


def clock(seconds: float) -> str:
    """Seconds as ``1:02:03`` or ``2:03``."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
