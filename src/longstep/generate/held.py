"""Answers written on piece by piece, their keys and values held between the requests.

Rows of a batch stop at different places and wait for each other: the cache of a waiting row grows by columns that its
mask leaves out. A piece that goes on where a row stopped costs its own tokens; one that goes back costs what it leaves
out again, at most. Columns are moved together when less than ``DENSE`` of them are in use. Where not all layers of a
model look at the whole row (windows, recurrent states), nothing is held and every prefix is encoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from longstep.config import UserError
from longstep.generate.base import Continuation, Continued, Prompt, Sampling
from longstep.generate.batches import Row
from longstep.generate.choose import choose
from longstep.generate.ends import Ends
from longstep.generate.noise import row_key, uniforms_at
from longstep.generate.prefilled import Prefilled, logp
from longstep.types import SegmentFinish

if TYPE_CHECKING:
    from longstep.generate.engine import TransformersEngine

Ids = tuple[int, ...]
DENSE = 0.7  # repack the cache when a smaller share of its columns is in use
LOOK = 8  # steps between looks at how dense it is: each waits for the device
REMEMBERED = 10_000  # texts of the last tokens of steps, which end alike
SHRINK = 0.9  # drop answers that are over when at most this share of the rows is not: dropping copies the cache


@dataclass(eq=False)
class _Piece:
    """One row's work: tokens that are only fed, then tokens that are drawn."""

    ask: Continuation
    key: int
    given: list[int]
    ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    finish: SegmentFinish | None = None

    @property
    def drawing(self) -> bool:
        """Whether its next token is chosen, not given."""
        return self.finish is None and not self.given

    @property
    def rank(self) -> int:
        """Of its next token, where ranks decide."""
        return 0 if self.ids else self.ask.rank or 0

    @property
    def whole(self) -> Ids:
        """Everything the model has read by the end."""
        return self.ask.prompt.prompt_ids + self.ask.ids + tuple(self.ids)


class HeldFrontier:
    """Unfinished answers of one model; see ``Frontier``. What one request leaves out is not held for the next."""

    def __init__(self, engine: TransformersEngine, hold: bool) -> None:
        """Take the engine, and whether the caches of its model may be held."""
        self._engine, self._hold = engine, hold
        self._short = lru_cache(REMEMBERED)(engine.text)
        self._batches: list[_Batch] = []
        self._texts: dict[Ids, str] = {}  # of the answers that the last request wrote on

    def extend(self, asked: Sequence[Continuation], how: Sampling) -> list[Continued]:
        """Write each on, in one batch for what was begun together."""
        engine = self._engine
        engine.check([ask.prompt for ask in asked], how)
        pieces = [_Piece(ask, row_key(how.seed, *ask.noise), []) for ask in asked]
        training = engine.model.training
        engine.model.eval()
        try:
            with torch.inference_mode(), engine.precision():
                batches = self._sorted(pieces)
                for batch in batches:
                    batch.run(how, lambda ids: self._short(tuple(ids)))
        finally:
            engine.model.train(training)
        self._batches = batches if self._hold else []
        texts: dict[Ids, str] = {}
        found = [self._continued(piece, how, texts) for piece in pieces]
        self._texts = texts
        return found

    def _sorted(self, pieces: Sequence[_Piece]) -> list[_Batch]:
        """Batches that go on, and one of all that begins; a held row serves what shares its answer so far."""
        begun: list[_Piece] = []
        going: dict[int, list[tuple[_Piece, int, int]]] = {}
        for piece in pieces:
            at, row, common = self._nearest(piece)
            if common <= len(piece.ask.prompt.prompt_ids):
                begun.append(piece)
            else:
                going.setdefault(at, []).append((piece, row, common))
        found = []
        for at, chosen in going.items():
            self._batches[at].go_on(chosen)
            found.append(self._batches[at])
        if begun:
            found.append(_Batch(self._engine, begun, self._hold))
        return found

    def _nearest(self, piece: _Piece) -> tuple[int, int, int]:
        """Batch and row that share the most tokens with what a piece goes on from, and how many."""
        whole, best = piece.whole, (0, 0, 0)
        for at, batch in enumerate(self._batches):
            exact = batch.places.get(whole)
            if exact is not None:
                return at, exact, len(whole)
            for row in batch.rows_of.get(piece.ask.prompt.name, ()):
                common = _common(batch.read[row], whole)
                if common > best[2]:
                    best = at, row, common
        return best

    def _continued(self, piece: _Piece, how: Sampling, texts: dict[Ids, str]) -> Continued:
        engine, ids = self._engine, tuple(piece.ids)
        assert piece.finish is not None
        shown = ids[:-1] if piece.finish == "stop" else ids
        known = self._texts.get(piece.ask.ids)
        before = engine.text(piece.ask.ids) if known is None else known
        text = texts[piece.ask.ids + shown] = engine.text(piece.ask.ids + shown)
        # A character of several tokens may be cut at the border; then the piece is read by itself.
        text = text[len(before) :] if text.startswith(before) else engine.text(shown)
        logps = tuple(piece.logps) if how.logprobs else None
        margins = None if piece.ask.rank is None else tuple(piece.margins)
        return Continued(ids, text, piece.finish, logps, margins)


class _Batch:
    """Rows with one cache, at different places of their answers."""

    def __init__(self, engine: TransformersEngine, pieces: list[_Piece], hold: bool) -> None:
        """Encode what each piece goes on from, equal ones once."""
        numbers: dict[Ids, int] = {}
        rows = []
        for piece in pieces:
            number = numbers.setdefault(piece.whole, len(numbers))
            rows.append(Row(Prompt(piece.ask.prompt.problem_id, piece.whole, key=str(number)), 0))
        self.engine, self.pieces, self.hold = engine, pieces, hold
        self.state = Prefilled(engine.model, rows, watched=False)
        self.read: list[Ids] = []
        self.places: dict[Ids, int] = {}
        self.rows_of: dict[str, list[int]] = {}

    def go_on(self, chosen: Sequence[tuple[_Piece, int, int]]) -> None:
        """Take rows for pieces, each back to what it shares with its piece; the rest is fed again."""
        state = self.state
        read = [self.read[row] for _, row, _ in chosen]
        places = self._placed([row for _, row, _ in chosen])
        for (piece, _, common), ids, place in zip(chosen, read, places, strict=True):
            whole = piece.whole
            # The next token's distribution is known where a row ends, and nowhere before.
            kept = common if common == len(ids) else min(common, len(whole) - 1)
            surplus = len(ids) - kept
            if surplus:
                state.go_back(place, surplus)
            piece.given = list(whole[kept:])
        order = sorted(zip(places, chosen, strict=True), key=itemgetter(0))
        self.pieces = [piece for _, (piece, _, _) in order]

    def _placed(self, rows: Sequence[int]) -> Sequence[int]:
        """Keep these rows and no others; gives where each stands then."""
        state, count = self.state, len(rows)
        if not state.roomy or len(set(rows)) < count:
            state.select(torch.tensor(rows, device=state.position_B.device))
            return range(count)
        wanted = set(rows)
        free = [place for place in range(count) if place not in wanted]
        moved = dict(zip((row for row in wanted if row >= count), free, strict=True))
        if moved:
            state.swap(list(moved), free)
        if count < len(self.read):
            state.drop_behind(count)
        return [moved.get(row, row) for row in rows]

    def run(self, how: Sampling, short: Callable[[Sequence[int]], str]) -> None:
        """Feed and draw until every row stands where it was asked to stop; ``short`` is the text of a few ids."""
        engine, state = self.engine, self.state
        device = state.position_B.device
        unknown_U = engine.unknown_U.to(device)
        known = {after: Ends(short, after) for after in {p.ask.after for p in self.pieces}}
        step = 0
        while any(piece.finish is None for piece in self.pieces):
            pieces, logits_BV = self.pieces, state.logits_BV
            if len(unknown_U):
                logits_BV = logits_BV.index_fill(-1, unknown_U, -torch.inf)
            keys_B = np.array([piece.key for piece in pieces], dtype=np.uint64)
            places_B = np.array([len(p.ask.ids) + len(p.ids) for p in pieces])
            noise_B = torch.from_numpy(uniforms_at(keys_B, places_B)).to(device)
            token_B = self._ranked(logits_BV, choose(logits_BV, noise_B, how))
            logps_B = logp(logits_BV, token_B).tolist() if how.logprobs else [0.0] * len(pieces)
            self._refuse_bad(logits_BV.amax(-1).isfinite())
            live = [piece.finish is None for piece in pieces]
            fed = token_B.tolist()
            for at, piece in enumerate(pieces):
                if piece.given:
                    fed[at] = piece.given.pop(0)
                elif live[at]:
                    self._put(piece, fed[at], logps_B[at], known[piece.ask.after])
            if any(piece.finish != "stop" for piece in self.pieces):
                state.advance_some(
                    torch.tensor(fed, device=device), torch.tensor(live, device=device)
                )
            step += 1
            if step % LOOK == 0:
                self._shrink()
        self._settle()

    def _ranked(self, logits_BV: Tensor, token_B: Tensor) -> Tensor:
        """Where ranks were asked for, the token of that rank and not the drawn one; notes its margin."""
        rows = [at for at, p in enumerate(self.pieces) if p.ask.rank is not None and p.drawing]
        if not rows:
            return token_B
        ranks = [self.pieces[at].rank for at in rows]
        if max(ranks) >= logits_BV.shape[-1] - len(self.engine.unknown_U):
            raise UserError(
                f"rank {max(ranks)} of the first token was asked for, and the model knows no more tokens; lower k"
            )
        rows_R = torch.tensor(rows, device=token_B.device)
        probs_RV = logits_BV[rows_R].float().softmax(-1)
        best_RK = probs_RV.topk(max(2, max(ranks) + 1), -1)
        ranks_R1 = torch.tensor(ranks, device=token_B.device)[:, None]
        other_R1 = best_RK.values.gather(-1, (ranks_R1 == 0).long())
        margins_R = (best_RK.values.gather(-1, ranks_R1) - other_R1).squeeze(-1)
        for at, margin in zip(rows, margins_R.tolist(), strict=True):
            self.pieces[at].margins.append(margin)
        return token_B.index_copy(0, rows_R, best_RK.indices.gather(-1, ranks_R1).squeeze(-1))

    def _refuse_bad(self, finite_B: Tensor) -> None:
        if not finite_B.all():
            for piece, finite in zip(self.pieces, finite_B.tolist(), strict=True):
                if not finite and piece.drawing:
                    self.engine.refuse(piece.ask.prompt.problem_id, piece.ask.noise[1])

    def _put(self, piece: _Piece, drawn: int, logp: float, ends: Ends) -> None:
        """Write down what was drawn for a row."""
        piece.ids.append(drawn)
        piece.logps.append(logp)
        if drawn in self.engine.stop_ids:
            piece.finish = "stop"
        elif ends.reached(piece.ids):
            piece.finish = "after"
        elif len(piece.ids) == piece.ask.most:
            piece.finish = "cut"

    def _shrink(self) -> None:
        """Drop answers that are over, and columns that no row needs."""
        kept = [at for at, piece in enumerate(self.pieces) if piece.finish != "stop"]
        if kept and len(kept) <= SHRINK * len(self.pieces):
            self.state.select(torch.tensor(kept, device=self.state.position_B.device))
            self.pieces = [self.pieces[at] for at in kept]
        if self.hold:
            self.state.pack(DENSE)

    def _settle(self) -> None:
        """Know which row has read what; nothing goes on behind the end of an answer."""
        if self.hold:
            self.state.pack(DENSE)
        self.read = [piece.whole for piece in self.pieces]
        self.places = {}
        self.rows_of = {}
        for row, (piece, read) in enumerate(zip(self.pieces, self.read, strict=True)):
            if piece.finish != "stop":
                self.places.setdefault(read, row)
                self.rows_of.setdefault(piece.ask.prompt.name, []).append(row)


def _common(first: Ids, second: Ids) -> int:
    """How many tokens two rows share from their beginning."""
    pairs = zip(first, second, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
