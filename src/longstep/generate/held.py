"""Answers written on piece by piece, their keys and values held between the requests.

Nobody waits for a whole round: pieces that are over are told of once they are more than ``SOME`` of the rows, and what
is asked next joins the rows that are at work. A piece that goes on where a row stopped takes that row where it stands,
and costs its own tokens. One that goes on from an earlier place is fed what it does not share with a row that waits.
Columns that a row does not use are left out by its mask, and moved together when less than ``DENSE`` of all are in use.
Of a problem with more pieces than a batch has, prefixes are encoded again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from longstep.generate.base import AskNext, Continuation, Continued, Frontier, Sampling
from longstep.generate.cached_rows import CachedRows, continued, encoded
from longstep.generate.noise import row_key
from longstep.generate.prefilled import Prefilled
from longstep.generate.written import AnswerPiece, Ids

if TYPE_CHECKING:
    from longstep.generate.engine import TransformersEngine

DENSE = 0.7  # repack the cache when a smaller share of its columns is in use
LOOK = 8  # steps between looks at how dense it is: each waits for the device
SOME = 0.1  # tell of what is over when it is more than this share of the rows
FED = 64  # tokens that a row is fed, one at a time, to go on from another place; more are encoded with their prefix
# Dropping rows copies the cache, and so does putting them aside, and fetching them.
SHRINK = 0.7  # do so when at most this share of the rows is at work,
ASIDE = 0.5  # and put those that wait aside when they are more than so many for each one at work


@dataclass(eq=False)
class _Aside:
    """Rows that wait, out of the way of those at work."""

    state: Prefilled
    pieces: list[AnswerPiece]

    def give(self, sources: Sequence[AnswerPiece], held: Collection[AnswerPiece]) -> Prefilled:
        """The rows where these ended, which may repeat; of the others those that are held stay."""
        places = [self.pieces.index(source) for source in sources]
        rest = [at for at, piece in enumerate(self.pieces) if piece in held]
        given = self.state.taken(places) if rest else self.state
        if rest:
            self.state.select(rest)
        elif places != list(range(len(self.pieces))):
            given.select(places)
        self.pieces = [self.pieces[at] for at in rest]
        return given


@dataclass(eq=False)
class _Claim:
    """A piece, the one at whose end a row waits that it goes on from, and how many tokens that row has to go back."""

    piece: AnswerPiece
    source: AnswerPiece
    surplus: int


class HeldFrontier(Frontier):
    """Unfinished answers of one model; see ``Frontier``. What a problem's next request leaves out is not held."""

    def __init__(self, engine: TransformersEngine) -> None:
        """Take the engine."""
        self._engine = engine
        self._rows: CachedRows | None = None
        self._aside: list[_Aside] = []
        #: By name of the prompt; their rows are held.
        self._waiting: dict[str, list[AnswerPiece]] = {}
        self._later: list[AnswerPiece] = []  # to be encoded
        self._steps = 0

    def extend(self, asked: Sequence[Continuation], how: Sampling) -> list[Continued]:
        """Write each on, and hold nothing."""
        found: dict[int, Continued] = {}

        def told(done: Sequence[tuple[Continuation, Continued]]) -> Sequence[Continuation]:
            found.update((id(ask), each) for ask, each in done)
            return ()

        self.run(asked, how, told)
        return [found[id(ask)] for ask in asked]

    def run(self, asked: Sequence[Continuation], how: Sampling, told: AskNext) -> None:
        """Write on until nothing more is asked, at most ``how.batch_size`` pieces at a time."""
        queue = list(asked)
        try:
            while queue or self._later or self._live:
                self._engine.check([ask.prompt for ask in queue], how)
                free = how.batch_size - self._live - len(self._later)
                taken, queue = queue[:free], queue[free:]
                with self._engine.drawing():  # only here: who is told may read with other models
                    self._take([AnswerPiece(ask, row_key(how.seed, *ask.noise)) for ask in taken])
                    done = self._some(how)
                queue += told([(piece.ask, continued(self._engine, piece, how)) for piece in done])
                self._forget({piece.ask.prompt.name for piece in done}, queue)
        finally:
            self._rows, self._aside, self._waiting = None, [], {}
            self._later, self._steps = [], 0

    @property
    def _live(self) -> int:
        return 0 if self._rows is None else self._rows.live

    def _take(self, pieces: Sequence[AnswerPiece]) -> None:
        """Let rows work at these pieces: those that wait for them, copies of these, and new ones.

        New rows begin when no others are at work: they are short, and would drag the columns of long ones along.
        """
        if not pieces and not self._later:
            return
        claims = [self._claim(piece) for piece in pieces]
        claimed = [claim for claim in claims if claim is not None]
        self._later += [piece for piece, claim in zip(pieces, claims, strict=True) if claim is None]
        begun: list[AnswerPiece] = []
        if not self._live and not claimed:
            begun, self._later = self._later, begun
        for name in {piece.ask.prompt.name for piece in pieces}:
            self._waiting.pop(name, None)
        if self._rows is None or (begun and not self._held()):
            self._rows = CachedRows(self._engine, begun)
            return
        written = self._rows.written
        here = {piece: row for row, piece in enumerate(written.pieces)}
        first: dict[AnswerPiece, _Claim] = {}
        for claim in claimed:
            if claim.source in here:
                first.setdefault(claim.source, claim)
        further = [claim for claim in claimed if first.get(claim.source) is not claim]
        written.begin([here[source] for source in first], [c.piece for c in first.values()])
        if further or begun:
            self._arrange(here, further, begun)
        now = {piece: row for row, piece in enumerate(written.pieces)}
        for claim in claimed:
            if claim.surplus:
                self._rows.state.go_back(now[claim.piece], claim.surplus)

    def _arrange(
        self,
        here: Mapping[AnswerPiece, int],
        further: Sequence[_Claim],
        begun: Sequence[AnswerPiece],
    ) -> None:
        """Copy rows that are here, fetch those put aside, encode new ones; what nobody needs goes."""
        assert self._rows is not None
        held = self._held()
        kept = _needed(self._rows, held)
        copies = [claim for claim in further if claim.source in here]
        more, others = [claim.piece for claim in copies], list[Prefilled]()
        for aside in self._aside:
            mine = [claim for claim in further if claim.source in aside.pieces]
            if mine:
                others.append(aside.give([claim.source for claim in mine], held))
                more += [claim.piece for claim in mine]
        self._aside = [aside for aside in self._aside if aside.pieces]
        if begun:
            others.append(encoded(self._engine.model, begun))
            more += begun
        self._rows.rearrange(kept, [here[claim.source] for claim in copies], others, more)

    def _claim(self, piece: AnswerPiece) -> _Claim | None:
        """The waiting row that a piece goes on from; gives the piece what it is still to be fed, and what it knows.

        ``None`` where none shares more than the prompt, or so little that encoding is quicker.
        """
        begin, waiting = piece.begin, self._waiting.get(piece.ask.prompt.name, ())
        passed = [source for source in waiting if begin[: len(source.read)] == source.read]
        if passed:
            source = max(passed, key=lambda source: len(source.read))
            kept = len(source.read)
        else:
            shared = [_common(source.read, begin) for source in waiting]
            common = max(shared, default=0)
            if common <= len(piece.ask.prompt.prompt_ids):
                return None
            source = waiting[shared.index(common)]
            # The next token's distribution is known where a row ends, and nowhere before.
            kept = min(common, len(begin) - 1)
        if len(begin) - kept > FED:
            return None
        piece.given = begin[kept:]
        if kept == len(begin):
            piece.before = source.text
        return _Claim(piece, source, len(source.read) - kept)

    def _some(self, how: Sampling) -> list[AnswerPiece]:
        """Feed and draw until some pieces are over; gives them."""
        rows = self._rows
        assert rows is not None
        if rows.live <= SHRINK * len(rows.written.pieces):
            self._thin(rows)
        count = len(rows.written.pieces)
        while rows.live and len(rows.written.over) <= SOME * count:
            rows.step(how)
            self._steps += 1
            if self._steps % LOOK == 0:
                rows.state.pack(DENSE)
        done, rows.written.over = rows.written.over, []
        for piece in done:
            full = len(piece.ask.ids) + len(piece.ids) >= how.max_tokens
            if piece.waits and not full:
                self._waiting.setdefault(piece.ask.prompt.name, []).append(piece)
        return done

    def _thin(self, rows: CachedRows) -> None:
        """Drop rows that nobody needs, and put those aside that wait when they are many.

        All rows of the batch pass through the model with every token.
        """
        held, pieces = self._held(), rows.written.pieces
        waiting = [row for row, piece in enumerate(pieces) if piece in held]
        kept = _needed(rows, held)
        if len(waiting) > ASIDE * rows.live:
            state = rows.state.taken(waiting)
            state.pack(DENSE)
            self._aside.append(_Aside(state, [pieces[row] for row in waiting]))
            kept = rows.written.live_B.nonzero()[0].tolist()
        rows.rearrange(kept)

    def _held(self) -> set[AnswerPiece]:
        return {piece for some in self._waiting.values() for piece in some}

    def _forget(self, names: set[str], queue: Sequence[Continuation]) -> None:
        """Hold nothing of problems of which nothing is at work and nothing was asked."""
        assert self._rows is not None
        rows = self._rows.written
        busy = {ask.prompt.name for ask in queue} | {p.ask.prompt.name for p in self._later}
        busy |= {p.ask.prompt.name for p in rows.pieces if p.finish is None}
        for name in names - busy:
            self._waiting.pop(name, None)
        held = self._held()
        self._aside = [aside for aside in self._aside if not held.isdisjoint(aside.pieces)]


def _needed(rows: CachedRows, held: Collection[AnswerPiece]) -> list[int]:
    """Rows at work, and those that wait for somebody."""
    pieces = enumerate(rows.written.pieces)
    return [row for row, piece in pieces if piece.finish is None or piece in held]


def _common(first: Ids, second: Ids) -> int:
    """How many tokens two rows share from their beginning."""
    pairs = zip(first, second, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
