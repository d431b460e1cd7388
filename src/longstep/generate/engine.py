"""The in-process generator: batched decoding of a loaded causal model with its key-value cache.

Torch only: ``longstep.models`` loads the model, this file calls it. What differs from
``model.generate``: the noise of a completion depends on nothing but its own seed, a prompt shared
by several samples is encoded once, and finished rows leave the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from torch import Tensor

from longstep.config import UserError
from longstep.generate.base import Frontier, Prompt, Sampling
from longstep.generate.batches import Batch, Batched, Row
from longstep.generate.choose import choose
from longstep.generate.encoded import EncodedFrontier
from longstep.generate.held import HeldFrontier
from longstep.generate.noise import row_key, uniforms
from longstep.generate.prefilled import Prefilled, logp, looks_everywhere
from longstep.generate.reading import ModelReader
from longstep.generate.stops import cut
from longstep.types import Completion

#: ``(step, rows still running [A], input of the output head [A, H])``
Observer = Callable[[int, Tensor, Tensor], None]
REMEMBERED = 10_000  # short texts
STRIDE = 8  # steps between looks at which rows are finished: each look waits for the device
SHRINK = 0.9  # drop finished rows when at most this share still runs: dropping copies the cache


class Decoder(Protocol):
    """The one method of a tokenizer that is needed."""

    def decode(self, token_ids: Any, skip_special_tokens: bool = False) -> Any:
        """Turn ids into text."""
        ...


class TransformersEngine(Batched):
    """Draws completions from a loaded ``transformers`` causal model; see ``Generator``."""

    def __init__(
        self,
        model: Any,
        tokenizer: Decoder,
        stop_ids: Collection[int],
        copy: Callable[[Any, Any], None] | None = None,
        unknown_ids: Collection[int] = (),
    ) -> None:
        """Take a model in evaluation mode, its tokenizer, and the ids that end a turn.

        Args:
            model: a causal language model.
            tokenizer: turns ids into text.
            stop_ids: end a completion.
            copy: ``copy(model, mine)`` brings our weights up to those of a model in training, for ``sync``.
            unknown_ids: rows of the vocabulary that stand for no token; they are never drawn. A padded vocabulary has
                hundreds, of which a young model draws many, and their text is empty.
        """
        if not stop_ids:
            raise ValueError("a completion needs at least one stop id")
        self.model = model
        self.tokenizer = tokenizer
        self.stop_ids = frozenset(stop_ids)
        self._copy = copy
        #: Text of the last few ids of a step; steps end alike.
        self.short_text = lru_cache(REMEMBERED)(self.text)
        self.unknown_U = torch.tensor(sorted(unknown_ids), dtype=torch.int64)

    def sync(self, model: Any, step: int) -> None:
        """Take over the weights of a model in training, unless it is the very one that is drawn from."""
        if model is not self.model and self._copy is not None:
            self._copy(model, self.model)

    def frontier(self) -> Frontier:
        """Write answers on piece by piece, holding their caches where every layer looks at the whole row."""
        return HeldFrontier(self) if looks_everywhere(self.model) else EncodedFrontier(self)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """The model as it draws: in evaluation mode, without gradients, in the precision of drawing."""
        training = self.model.training
        if training:  # then checkpointed layers would drop the cache, and dropout sample noise
            self.model.eval()
        try:
            with torch.inference_mode(), self.precision():
                yield
        finally:
            if training:
                self.model.train()

    def reader(self) -> ModelReader:
        """Read answers again with this model."""
        return ModelReader(self)

    def describe(self) -> dict[str, Any]:
        """Name the engine, its versions and what else can move the last bits of a float."""
        return {
            "engine": "transformers",
            "torch": torch.__version__,
            "transformers": version("transformers"),
            "dtype": str(self.model.dtype),
            "device": str(self.model.device),
            "threads": torch.get_num_threads(),
        }

    def check(self, prompts: Sequence[Prompt], sampling: Sampling) -> None:
        """Refuse, before decoding, a prompt that is empty or leaves too little context."""
        context = self.model.config.max_position_embeddings
        for prompt in prompts:
            length = len(prompt.prompt_ids)
            if length == 0:
                raise UserError(f"problem {prompt.problem_id!r} has no prompt ids to continue")
            if length + sampling.max_tokens > context:
                raise UserError(
                    f"problem {prompt.problem_id!r}: its prompt of {length} tokens and max_tokens"
                    f" {sampling.max_tokens} exceed the model's context of {context};"
                    f" lower max_tokens to {context - length} or drop the problem"
                )

    def run_batch(
        self, batch: Batch, sampling: Sampling, observe: Observer | None = None
    ) -> list[Completion]:
        """Decode one batch of the plan; the result depends on nothing outside the batch.

        ``observe(step, alive_A, state_AH)`` is shown, before each token is chosen, which rows of the batch still run
        and what the output head was given for them: the distribution the token is drawn from, before V is in it.
        """
        with self.drawing():
            tokens_BT, logps_BT = self._decode(batch.rows, sampling, observe)
        logps = [None] * len(batch.rows) if logps_BT is None else logps_BT.tolist()
        ids = tokens_BT.tolist()
        return [self._completion(*each) for each in zip(batch.rows, ids, logps, strict=True)]

    def precision(self) -> torch.autocast:
        """Weights kept in float32 for training are sampled in bfloat16 on a GPU, and as they are on a CPU."""
        kind = self.model.device.type
        wide = kind == "cuda" and self.model.dtype == torch.float32
        return torch.autocast(kind, torch.bfloat16, enabled=wide)

    def _decode(
        self, rows: Sequence[Row], sampling: Sampling, observe: Observer | None
    ) -> tuple[Tensor, Tensor | None]:
        """Give ids [B, T] and log-probabilities; what follows a row's stop id means nothing."""
        device = self.model.device
        stops = torch.tensor(sorted(self.stop_ids), device=device)
        unknown_U = self.unknown_U.to(device)
        keys_B = np.array(
            [row_key(sampling.seed, row.prompt.name, row.sample_index) for row in rows],
            dtype=np.uint64,
        )
        state = Prefilled(self.model, rows, observe is not None)
        alive_B = torch.arange(len(rows), device=device)
        done_B = torch.zeros(len(rows), dtype=torch.bool, device=device)
        bad_B = done_B.clone()
        shape = (len(rows), sampling.max_tokens)
        tokens_BT = torch.zeros(shape, dtype=torch.int32, device=device)
        logps_BT = torch.zeros(shape, device=device) if sampling.logprobs else None

        for start in range(0, sampling.max_tokens, STRIDE):
            count = min(STRIDE, sampling.max_tokens - start)
            noise_BS = torch.from_numpy(uniforms(keys_B[alive_B.cpu().numpy()], start, count))
            noise_BS = noise_BS.to(device)
            for step in range(count):
                logits_BV = state.logits_BV
                if len(unknown_U):
                    logits_BV = logits_BV.index_fill(-1, unknown_U, -torch.inf)
                if observe is not None and state.head_input_BH is not None:
                    observe(start + step, alive_B, state.head_input_BH)
                bad_B |= ~logits_BV.amax(-1).isfinite() & ~done_B  # not a number, +inf, or all -inf
                token_B = choose(logits_BV, noise_BS[:, step], sampling)
                tokens_BT[alive_B, start + step] = token_B.int()
                if logps_BT is not None:
                    logps_BT[alive_B, start + step] = logp(logits_BV, token_B)
                done_B |= torch.isin(token_B, stops)
                if start + step + 1 < sampling.max_tokens:
                    state.advance(token_B)
            self._refuse_bad(rows, alive_B, bad_B)
            done_B |= self._stopped(rows, alive_B, tokens_BT[:, : start + count])
            left = int((~done_B).sum())
            if left == 0:
                break
            if left <= SHRINK * len(alive_B):
                keep = (~done_B).nonzero().squeeze(-1)
                state.select(keep.tolist())
                alive_B, done_B, bad_B = alive_B[keep], done_B[keep], bad_B[keep]
        return tokens_BT, logps_BT

    def _refuse_bad(self, rows: Sequence[Row], alive_B: Tensor, bad_B: Tensor) -> None:
        if bad_B.any():
            row = rows[int(alive_B[bad_B][0])]
            self.refuse(row.prompt.problem_id, row.sample_index)

    def refuse(self, problem_id: str, sample_index: int) -> NoReturn:
        """Say that a distribution is none."""
        raise UserError(
            f"the model gave logits that are not finite on problem {problem_id!r},"
            f" sample {sample_index}; check that its weights are sound and try float32"
        )

    def _stopped(self, rows: Sequence[Row], alive_B: Tensor, tokens_BT: Tensor) -> Tensor:
        """Which of the running rows have written one of their stop texts."""
        stopped_B = torch.zeros_like(alive_B, dtype=torch.bool)
        if not any(row.prompt.stops for row in rows):
            return stopped_B
        for place, index in enumerate(alive_B.tolist()):
            text = self.text(tokens_BT[index].tolist())
            stopped_B[place] = any(stop in text for stop in rows[index].prompt.stops)
        return stopped_B

    def text(self, ids: Sequence[int]) -> str:
        """Ids as text, control tokens and all."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=False))

    def _completion(self, row: Row, ids: list[int], logps: list[float] | None) -> Completion:
        end = next((i for i, token in enumerate(ids) if token in self.stop_ids), None)
        length = len(ids) if end is None else end + 1
        prompt = row.prompt
        whole = Completion(
            problem_id=prompt.problem_id,
            sample_index=row.sample_index,
            prompt_ids=prompt.prompt_ids,
            token_ids=tuple(ids[:length]),
            text=prompt.prefix + self.text(ids[:end]),
            finish_reason="length" if end is None else "stop",
            logprobs=None if logps is None else tuple(logps[:length]),
        )
        return cut(whole, prompt.prefix, prompt.stops, self.text)
