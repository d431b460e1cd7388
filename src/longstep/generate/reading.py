"""Answers read again by the model that could have drawn them: one forward pass, in bounded pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from longstep.config import UserError
from longstep.generate.base import AnswerRead, ToRead

if TYPE_CHECKING:
    from longstep.generate.engine import TransformersEngine

TOKENS = 1 << 15  # of the rows that are read together, padding included
ENTRIES = 1 << 24  # logits that are held at once


class ModelReader:
    """Reads with one engine's model. Rows are padded on the right, where no earlier token looks."""

    def __init__(self, engine: TransformersEngine) -> None:
        """Take the engine."""
        self._engine = engine

    def read(self, asked: Sequence[ToRead]) -> list[AnswerRead]:
        """Read rows of like length together.

        Raises:
            UserError: one is longer than the model's context, or holds an id that the model does not know.
        """
        self._check(asked)
        engine, found = self._engine, dict[int, AnswerRead]()
        with engine.drawing():
            for part in _parts(asked):
                found |= zip(part, self._batch([asked[at] for at in part]), strict=True)
        return [found[at] for at in range(len(asked))]

    def text(self, ids: Sequence[int]) -> str:
        """Ids as text, control tokens and all."""
        return self._engine.text(ids)

    def _check(self, asked: Sequence[ToRead]) -> None:
        model = self._engine.model
        context = model.config.max_position_embeddings
        known = model.get_output_embeddings().weight.shape[0]
        for each in asked:
            length = len(each.prompt_ids) + len(each.ids)
            if length > context:
                raise UserError(
                    f"an answer of {length} tokens with its prompt is longer than the context of {context} of the "
                    "model that is to read it; leave such answers out, or take the model that drew them"
                )
            if (highest := max(*each.prompt_ids, *each.ids, 0, 0)) >= known:
                raise UserError(
                    f"an answer holds the token id {highest}, and the model that is to read it has {known} of them; "
                    "take the model that drew it"
                )

    def _batch(self, asked: Sequence[ToRead]) -> Iterator[AnswerRead]:
        model = self._engine.model
        rows = [(*each.prompt_ids, *each.ids) for each in asked]
        width = max(2, *map(len, rows))
        padded = [(*row, *[0] * (width - len(row))) for row in rows]
        ids_BT = torch.tensor(padded, device=model.device)
        facts_3BT, states = self._passed(ids_BT, asked)
        weights_VH = model.get_output_embeddings().weight
        for at, each in enumerate(asked):
            first = len(each.prompt_ids) - 1  # a token is told from what stands before it
            own_3T = facts_3BT[:, at, first : first + len(each.ids)].cpu().numpy()
            logps_T, entropies_T, certainties_T = own_3T
            chosen = torch.tensor([each.ids[place] for place in each.places], dtype=torch.int64)
            rows_NH = weights_VH[chosen.to(weights_VH.device)].float().cpu().numpy()
            states_NH = states[at].float().cpu().numpy()
            yield AnswerRead(logps_T, entropies_T, certainties_T, states_NH, rows_NH)

    def _passed(self, ids_BT: Tensor, asked: Sequence[ToRead]) -> tuple[Tensor, list[Tensor]]:
        """Log-probability, entropy and certainty of each next token [3, B, T - 1], and states at the places."""
        model, (rows, width) = self._engine.model, ids_BT.shape
        vocabulary = model.get_output_embeddings().weight.shape[0]
        step = max(1, ENTRIES // (rows * vocabulary))
        # The last token is told, never read.
        starts = range(0, width - 1, step)
        places = [[len(each.prompt_ids) - 1 + place for place in each.places] for each in asked]
        seen: list[Tensor] = []
        hook = model.get_output_embeddings().register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[0])
        )
        facts: list[Tensor] = []
        states: list[list[Tensor]] = [[] for _ in asked]
        cache: Any = None
        try:
            for start in starts:
                end = min(start + step, width - 1)
                out = model(
                    input_ids=ids_BT[:, start:end],
                    position_ids=torch.arange(start, end, device=ids_BT.device)[None],
                    past_key_values=cache,
                    use_cache=len(starts) > 1,
                )
                cache = out.past_key_values
                facts.append(self._facts(out.logits.float(), ids_BT[:, start + 1 : end + 1]))
                state_BTH = seen.pop()
                for at, own in enumerate(places):
                    inside = [place - start for place in own if start <= place < end]
                    states[at].append(state_BTH[at, inside])
        finally:
            hook.remove()
        return torch.cat(facts, dim=-1), [torch.cat(own) for own in states]

    def _facts(self, logits_BTV: Tensor, next_BT: Tensor) -> Tensor:
        unknown_U = self._engine.unknown_U.to(logits_BTV.device)
        known = logits_BTV.shape[-1] - len(unknown_U)
        if len(unknown_U):
            logits_BTV = logits_BTV.index_fill(-1, unknown_U, -torch.inf)
        logps_BTV = logits_BTV.log_softmax(-1)
        finite_BTV = logps_BTV.masked_fill(logps_BTV.isneginf(), 0.0)
        chosen_BT = logps_BTV.gather(-1, next_BT[..., None]).squeeze(-1)
        entropy_BT = -(logps_BTV.exp() * finite_BTV).sum(-1)
        uniform = torch.log(torch.tensor(float(known)))
        certainty_BT = -finite_BTV.sum(-1) / known - uniform.to(logits_BTV.device)
        return torch.stack([chosen_BT, entropy_BT, certainty_BT])


def _parts(asked: Sequence[ToRead]) -> Iterator[list[int]]:
    """Places of rows of like length, so many together as ``TOKENS`` allows."""
    lengths = [len(each.prompt_ids) + len(each.ids) for each in asked]
    part: list[int] = []
    for at in sorted(range(len(asked)), key=lambda at: lengths[at]):
        if part and (len(part) + 1) * lengths[at] > TOKENS:
            yield part
            part = []
        part.append(at)
    if part:
        yield part
