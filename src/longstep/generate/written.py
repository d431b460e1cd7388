"""What the rows of a batch are fed and what is drawn for them, as arrays.

At every token a loop over the rows would cost more than a small model does. Here it costs a few array operations, and
only rows whose token may end something are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from longstep.generate.base import Continuation
from longstep.generate.ends import Ends
from longstep.generate.noise import uniforms_at
from longstep.types import SegmentFinish

Ids = tuple[int, ...]
ROOM = 32  # tokens that the arrays first hold; they are doubled where rows write more


@dataclass(eq=False)
class AnswerPiece:
    """One row's work: tokens that are only fed, then tokens that are drawn, which stand here once it has ended.

    Attributes:
        ask: what was asked.
        key: of its noise.
        given: tokens to feed first.
        before: text of the answer it goes on from, where that is known.
        ids: what was drawn.
        logps: log-probabilities of it.
        margins: of tokens that ranks decided.
        finish: how it ended; ``None`` while it is at work.
        read: everything the model has read by its end.
        text: of the whole answer up to its end.
    """

    ask: Continuation
    key: int
    given: Ids = ()
    before: str | None = None
    ids: Ids = ()
    logps: tuple[float, ...] = ()
    margins: list[float] = field(default_factory=list)
    finish: SegmentFinish | None = None
    read: Ids = ()
    text: str = ""

    @property
    def begin(self) -> Ids:
        """What it goes on from, the prompt included."""
        return self.ask.prompt.prompt_ids + self.ask.ids

    @property
    def waits(self) -> bool:
        """Whether another may go on from its end; nothing does behind the end of an answer."""
        return self.finish in ("after", "cut")


class Written:
    """The rows of a batch, those at work and those that wait; a row's piece can be exchanged for its next one."""

    def __init__(self, short: Callable[[Sequence[int]], str], stop_ids: Collection[int]) -> None:
        """Begin without rows; ``short`` is the text of a few ids."""
        self.pieces: list[AnswerPiece] = []
        self.over: list[AnswerPiece] = []  # that ended, until somebody takes the list
        self.live_B = np.zeros(0, dtype=bool)
        self._ranked_B = np.zeros(0, dtype=bool)
        self._key_B = np.zeros(0, dtype=np.uint64)
        # of each row: kind of its end, place in the answer where it begins, most tokens, tokens given, fed, drawn
        self._kind_B, self._begin_B, self._most_B = np.zeros((3, 0), dtype=np.int64)
        self._given_B, self._fed_B, self._count_B = np.zeros((3, 0), dtype=np.int64)
        self._given_BG = np.zeros((0, 0), dtype=np.int64)
        self._ids_BT, self._logps_BT = np.zeros((0, ROOM), dtype=np.int64), np.zeros((0, ROOM))
        self._short, self._stops = short, sorted(stop_ids)
        self._ends: dict[tuple[str, ...], tuple[int, Ends]] = {}

    @property
    def drawing_B(self) -> NDArray[np.bool_]:
        """Rows whose next token is chosen, not given."""
        return self.live_B & (self._fed_B == self._given_B)

    def noise(self) -> NDArray[np.float64]:
        """One uniform number a row, for its next token."""
        return uniforms_at(self._key_B, self._begin_B + self._count_B)

    def ranks(self) -> tuple[list[int], list[int]]:
        """Rows whose next token is decided by its rank, and the ranks."""
        rows = (self._ranked_B & self.drawing_B).nonzero()[0].tolist()
        return rows, [0 if self._count_B[row] else self.pieces[row].ask.rank or 0 for row in rows]

    def keep(self, index: Sequence[int], more: Sequence[AnswerPiece]) -> None:
        """Keep these rows in this order, and put new ones behind them."""
        chosen = np.array(index, dtype=np.int64)
        self.pieces = [self.pieces[row] for row in index]
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray):
                blank = np.zeros((len(more), *value.shape[1:]), dtype=value.dtype)
                setattr(self, name, np.concatenate([value[chosen], blank]))
        self.pieces += more
        self.begin(range(len(index), len(self.pieces)), more)

    def begin(self, rows: Sequence[int], pieces: Sequence[AnswerPiece]) -> None:
        """Let these rows work at these pieces."""
        if not pieces:
            return
        at_N, asks = np.array(rows), [piece.ask for piece in pieces]
        for row, piece in zip(rows, pieces, strict=True):
            self.pieces[row] = piece
        for ask in asks:
            if ask.after not in self._ends:
                self._ends[ask.after] = len(self._ends), Ends(self._short, ask.after)
        self.live_B[at_N] = True
        self._ranked_B[at_N] = [ask.rank is not None for ask in asks]
        self._key_B[at_N] = np.array([piece.key for piece in pieces], dtype=np.uint64)
        self._kind_B[at_N] = [self._ends[ask.after][0] for ask in asks]
        self._begin_B[at_N] = [len(ask.ids) for ask in asks]
        self._most_B[at_N] = [ask.most for ask in asks]
        self._given_B[at_N] = [len(piece.given) for piece in pieces]
        self._fed_B[at_N] = self._count_B[at_N] = 0
        self._given_BG = _widened(self._given_BG, int(self._given_B[at_N].max()))
        for row, piece in zip(rows, pieces, strict=True):
            if piece.given:
                self._given_BG[row, : len(piece.given)] = piece.given

    def put(self, token_B: NDArray[np.int64], logps_B: NDArray[np.float32]) -> NDArray[np.int64]:
        """Take what was drawn for every row; gives what each is fed, which is what it was given while there is some."""
        drawing_B = self.drawing_B
        fed_B = token_B.copy()
        at_G = (self.live_B & ~drawing_B).nonzero()[0]
        if len(at_G):
            fed_B[at_G] = self._given_BG[at_G, self._fed_B[at_G]]
            self._fed_B[at_G] += 1
        at_D = drawing_B.nonzero()[0]
        if len(at_D):
            place_D = self._count_B[at_D]
            width = int(place_D.max()) + 1
            if width > self._ids_BT.shape[1]:
                self._ids_BT = _widened(self._ids_BT, 2 * width)
                self._logps_BT = _widened(self._logps_BT, 2 * width)
            self._ids_BT[at_D, place_D] = token_B[at_D]
            self._logps_BT[at_D, place_D] = logps_B[at_D]
            self._count_B[at_D] += 1
            self._end(at_D, token_B[at_D])
        return fed_B

    def _end(self, at_D: NDArray[np.int64], token_D: NDArray[np.int64]) -> None:
        """See which rows their new token ends."""
        stop_D = np.zeros(len(token_D), dtype=bool)
        for stop in self._stops:
            stop_D |= token_D == stop
        may_D = np.zeros_like(stop_D)
        kind_D = self._kind_B[at_D]
        for kind, ends in self._ends.values():
            mine_D = kind_D == kind
            may_D[mine_D] = ends.may_end(token_D[mine_D])
        full_D = self._count_B[at_D] == self._most_B[at_D]
        some = (stop_D | may_D | full_D).nonzero()[0]
        looks = at_D[some], stop_D[some], may_D[some], full_D[some]
        for row, stop, may, full in zip(*(each.tolist() for each in looks), strict=True):
            if stop:
                self._finish(row, "stop")
            elif may and self._reached(row):
                self._finish(row, "after")
            elif full:
                self._finish(row, "cut")

    def _reached(self, row: int) -> bool:
        ends, count = self._ends[self.pieces[row].ask.after][1], self._count_B[row]
        return ends.reached(self._ids_BT[row, max(0, count - ends.window) : count].tolist())

    def _ids(self, row: int) -> list[int]:
        ids: list[int] = self._ids_BT[row, : self._count_B[row]].tolist()
        return ids

    def _finish(self, row: int, how: SegmentFinish) -> None:
        piece = self.pieces[row]
        piece.finish, piece.ids = how, tuple(self._ids(row))
        piece.logps = tuple(self._logps_BT[row, : len(piece.ids)].tolist())
        piece.read = piece.begin + piece.ids
        self.over.append(piece)
        self.live_B[row] = False


def _widened(wide_BT: NDArray[np.generic], width: int) -> NDArray[np.generic]:
    """With zeros behind, up to so many columns."""
    lacking = width - wide_BT.shape[1]
    if lacking <= 0:
        return wide_BT
    return np.concatenate([wide_BT, np.zeros_like(wide_BT, shape=(len(wide_BT), lacking))], axis=1)
