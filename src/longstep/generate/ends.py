"""Where a piece of an answer ends, told from the text of its last tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

UNKNOWN = np.int8(-1)


class Ends:
    """Tells when what a row writes ends with, or holds, one of some texts for the first time."""

    def __init__(self, text: Callable[[Sequence[int]], str], after: Sequence[str]) -> None:
        """Take the function from ids to text, and the texts."""
        self._text, self._after = text, after
        self._any = re.compile("|".join(map(re.escape, after)))
        # Of so many tokens at most is such a text made, for each has a byte of it.
        self.window = max((len(text.encode()) for text in after), default=0)
        self._last = {text[-1] for text in after}
        # A token by itself shows whether it can be the last of one, unless decoding may hide that.
        self._shows = all(char.isascii() and char != " " for char in self._last)
        self._may_V = np.full(0, UNKNOWN)

    def reached(self, ids: Sequence[int]) -> bool:
        """Whether the last token completed one."""
        if not self._after or not self._can_end(ids[-1]):
            return False
        return self._any.search(self._text(ids[-self.window :])) is not None

    def may_end(self, token_B: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these tokens can be the last of such a text; each is decoded when it first comes."""
        if not self._after or not self._shows:
            return np.full(len(token_B), bool(self._after))
        self._widen(int(token_B.max(initial=0)))
        for token in token_B[self._may_V[token_B] == UNKNOWN].tolist():
            self._can_end(token)
        return self._may_V[token_B] == 1

    def _can_end(self, token: int) -> bool:
        if not self._shows:
            return True
        self._widen(token)
        if self._may_V[token] == UNKNOWN:
            self._may_V[token] = not self._last.isdisjoint(self._text([token]))
        return bool(self._may_V[token])

    def _widen(self, token: int) -> None:
        lacking = token + 1 - len(self._may_V)
        if lacking > 0:
            self._may_V = np.pad(self._may_V, (0, lacking), constant_values=UNKNOWN)
