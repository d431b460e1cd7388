"""Where a piece of an answer ends, told from the text of its last tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Ends:
    """Tells when what a row writes ends with, or holds, one of some texts for the first time."""

    def __init__(self, text: Callable[[Sequence[int]], str], after: Sequence[str]) -> None:
        """Take the function from ids to text, and the texts."""
        self._text, self._after = text, after
        # Of so many tokens at most is such a text made, for each has a byte of it.
        self._window = max((len(text.encode()) for text in after), default=0)
        self._last = {text[-1] for text in after}
        # A token by itself shows whether it can be the last of one, unless decoding may hide that.
        self._shows = all(char.isascii() and char != " " for char in self._last)
        self._may: dict[int, bool] = {}

    def reached(self, ids: Sequence[int]) -> bool:
        """Whether the last token completed one."""
        may = self._may.get(ids[-1])
        if may is None:
            may = self._may[ids[-1]] = self._can_end(ids[-1])
        if not may:
            return False
        text = self._text(ids[-self._window :])
        return any(each in text for each in self._after)

    def _can_end(self, token: int) -> bool:
        if not self._shows or not self._after:
            return bool(self._after)
        return not self._last.isdisjoint(self._text([token]))
