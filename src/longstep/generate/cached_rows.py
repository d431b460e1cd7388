"""Rows of one cache, each at its own place of its own answer, that get a token each at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from longstep.config import UserError
from longstep.generate.base import Continued, Prompt, Sampling
from longstep.generate.batches import Row
from longstep.generate.choose import choose
from longstep.generate.prefilled import Prefilled, logp
from longstep.generate.written import AnswerPiece, Ids, Written

if TYPE_CHECKING:
    from longstep.generate.engine import TransformersEngine


def encoded(model: object, pieces: Sequence[AnswerPiece]) -> Prefilled:
    """One row for each piece, up to where it goes on; equal beginnings pass through the model once."""
    numbers: dict[Ids, int] = {}
    rows = []
    for piece in pieces:
        begin = piece.begin
        number = numbers.setdefault(begin, len(numbers))
        rows.append(Row(Prompt(piece.ask.prompt.problem_id, begin, key=str(number)), 0))
    return Prefilled(model, rows, watched=False)


class CachedRows:
    """The cache of a batch and what its rows write."""

    def __init__(self, engine: TransformersEngine, pieces: Sequence[AnswerPiece]) -> None:
        """Encode what each piece goes on from."""
        self.engine = engine
        self.state = encoded(engine.model, pieces)
        self.written = Written(lambda ids: engine.short_text(tuple(ids)), engine.stop_ids)
        self.written.keep((), pieces)
        self._unknown_U = engine.unknown_U.to(self.state.position_B.device)

    @property
    def live(self) -> int:
        """How many rows are at work."""
        return int(self.written.live_B.sum())

    def rearrange(
        self,
        kept: Sequence[int],
        copied: Sequence[int] = (),
        others: Sequence[Prefilled] = (),
        more: Sequence[AnswerPiece] = (),
    ) -> None:
        """Keep some rows, and put new ones behind them.

        Args:
            kept: rows that stay, in this order.
            copied: rows that are copied behind them.
            others: caches whose rows come next.
            more: what the copied rows and those of the others work at.
        """
        index = [*kept, *copied]
        if index != list(range(len(self.written.pieces))):  # taking all would copy the cache
            self.state.select(index)
        if others:
            self.state.join(others)
        self.written.keep(kept, more)

    def step(self, how: Sampling) -> None:
        """One token for every row at work.

        Raises:
            UserError: a distribution is none, or has no such rank.
        """
        state, written = self.state, self.written
        device = state.position_B.device
        logits_BV = state.logits_BV
        if len(self._unknown_U):
            logits_BV = logits_BV.index_fill(-1, self._unknown_U, -torch.inf)
        live_B, drawing_B = written.live_B.copy(), written.drawing_B
        noise_B = torch.from_numpy(written.noise()).to(device)
        token_B = self._ranked(logits_BV, choose(logits_BV, noise_B, how))
        bad_B = drawing_B & ~logits_BV.amax(-1).isfinite().cpu().numpy()
        if bad_B.any():
            ask = written.pieces[int(bad_B.argmax())].ask
            self.engine.refuse(ask.prompt.problem_id, ask.noise[1])
        logps_B = logp(logits_BV, token_B) if how.logprobs else torch.zeros(len(token_B))
        fed_B = written.put(token_B.cpu().numpy(), logps_B.cpu().numpy())
        state.advance_some(torch.from_numpy(fed_B).to(device), torch.from_numpy(live_B).to(device))

    def _ranked(self, logits_BV: Tensor, token_B: Tensor) -> Tensor:
        """Where ranks were asked for, the token of that rank and not the drawn one; notes its margin."""
        rows, ranks = self.written.ranks()
        if not rows:
            return token_B
        if max(ranks) >= logits_BV.shape[-1] - len(self._unknown_U):
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
            self.written.pieces[at].margins.append(margin)
        return token_B.index_copy(0, rows_R, best_RK.indices.gather(-1, ranks_R1).squeeze(-1))


def continued(engine: TransformersEngine, piece: AnswerPiece, how: Sampling) -> Continued:
    """What came of a piece; notes the text of the answer up to its end."""
    assert piece.finish is not None
    ids, answer = piece.ids, piece.ask.ids
    shown = ids[:-1] if piece.finish == "stop" else ids
    before = engine.text(answer) if piece.before is None else piece.before
    text = piece.text = engine.text(answer + shown)
    # A character of several tokens may be cut at the border; then the piece is read by itself.
    text = text[len(before) :] if text.startswith(before) else engine.text(shown)
    logps = piece.logps if how.logprobs else None
    return Continued(
        ids, text, piece.finish, logps, None if piece.ask.rank is None else tuple(piece.margins)
    )
