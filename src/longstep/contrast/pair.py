"""Rollouts of an expert beside an amateur's opinion of them: KL at every position, soft targets at the kept ones.

Nothing is encoded twice. The expert's distributions are those its rollout was drawn from: what its output head was
given is kept (H numbers a position), not what the head gave (V numbers). The amateur reads each rollout in one
teacher-forced pass. Both heads are then applied to a few positions at a time, so that memory is bounded by
``entries`` logits whatever the rollout length, the batch and the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from longstep.config import UserError
from longstep.contrast.targets import AnyPositions, AnyTarget, Divergence, diverge
from longstep.draw.prompts import engine
from longstep.generate import Prompt, Sampling
from longstep.generate.batches import Batch
from longstep.merge import check_tokenizers, shared_token_ids
from longstep.models.load import load_model, load_tokenizer
from longstep.models.pointer import weights_hash
from longstep.types import Completion, SoftTarget

if TYPE_CHECKING:
    from torch import Tensor

    from longstep.generate.engine import TransformersEngine


@dataclass(frozen=True, slots=True)
class Contrasted:
    """One rollout with what was found along it.

    Attributes:
        completion: the expert's rollout.
        kl: ``KL(expert || amateur)`` at each of its tokens, in nats.
        agree: whether both models prefer the same token there.
        discarded: largest probability that both models gave to padded vocabulary rows.
        targets: soft targets at the kept positions.
    """

    completion: Completion
    kl: tuple[float, ...]
    agree: tuple[bool, ...]
    discarded: float
    targets: tuple[SoftTarget, ...]


@dataclass(frozen=True)
class Pair:
    """Two loaded models over one vocabulary.

    Attributes:
        expert: the engine that rolls out.
        amateur: the weaker model.
        vocabulary: number of token ids they share, from 0 on.
        entries: logits per model held at once.
        shared: when only some ids mean the same in both, those; the others are cut off.
    """

    expert: TransformersEngine
    amateur: Any
    vocabulary: int
    entries: int = 1 << 24
    shared: Tensor | None = None

    def check(self, prompts: Sequence[Prompt], sampling: Sampling) -> None:
        """Refuse prompts too long for one of the models, and models whose head does not give their logits.

        Raises:
            UserError: a prompt leaves too little context; or a model scales or caps its logits, so that the states
                that are kept would not give them back.
        """
        import torch

        self.expert.check(prompts, sampling)
        longest = max(len(prompt.prompt_ids) for prompt in prompts) + sampling.max_tokens
        if longest > self.amateur.config.max_position_embeddings:
            raise UserError(
                f"the amateur's context of {self.amateur.config.max_position_embeddings} tokens is too short for "
                f"rollouts of up to {longest} with their prompt; lower sampling.max_tokens or take another amateur"
            )
        probe_ids = prompts[0].prompt_ids
        for name, model in (("expert", self.expert.model), ("amateur", self.amateur)):
            ids_BT = torch.tensor([list(probe_ids)], device=model.device)
            with torch.inference_mode(), self._precision():
                whole_TV = model(input_ids=ids_BT).logits[0].float()
                state_TH = model.get_decoder()(input_ids=ids_BT).last_hidden_state[0]
                parts_TV = model.get_output_embeddings()(state_TH).float()
            if not torch.allclose(whole_TV, parts_TV, rtol=1e-2, atol=1e-2):
                raise UserError(
                    f"the {name} changes its logits after the output head (scaling or soft-capping); "
                    "contrast needs a model that does not, such as Qwen or Llama"
                )

    def run(
        self, batch: Batch, sampling: Sampling, positions: AnyPositions, target: AnyTarget
    ) -> list[Contrasted]:
        """Roll out one batch and compare."""
        import torch

        drawn, expert_NH = self._rollouts(batch, sampling)
        with torch.inference_mode(), self._precision():
            amateur_NH = self._teacher_forced(drawn)
            kl, agree, discarded, cut = self._compare(expert_NH, amateur_NH)
            starts = _starts([len(each.token_ids) for each in drawn])
            # Where the expert means an id that is not shared, such as its end of turn, the rest of its
            # distribution is noise: nothing is taught there.
            kept = [
                [
                    t
                    for t in positions.keep(
                        kl[a:b], f"{sampling.seed}:{c.problem_id}:{c.sample_index}"
                    )
                    if cut[a + t] < MOST_CUT
                ]
                for c, (a, b) in zip(drawn, starts, strict=True)
            ]
            flat = [a + t for (a, _), ts in zip(starts, kept, strict=True) for t in ts]
            sparse = iter(list(self._targets(expert_NH, amateur_NH, flat, target)))
        return [
            Contrasted(
                completion=each,
                kl=tuple(kl[a:b]),
                agree=tuple(agree[a:b]),
                discarded=max(discarded[a:b]),
                targets=tuple(
                    SoftTarget(each.problem_id, each.sample_index, t, *next(sparse), kl[a + t])
                    for t in ts
                ),
            )
            for each, (a, b), ts in zip(drawn, starts, kept, strict=True)
        ]

    def _precision(self) -> AbstractContextManager[object]:
        return self.expert.precision()

    def _rollouts(self, batch: Batch, sampling: Sampling) -> tuple[list[Completion], Tensor]:
        """Completions, and what the expert's head was given for each of their tokens, end to end [N, H]."""
        import torch

        states: list[tuple[Tensor, Tensor]] = []

        def observe(step: int, alive_A: Tensor, state_AH: Tensor) -> None:
            states.append((alive_A, state_AH))

        drawn = self.expert.run_batch(batch, sampling, observe)
        width = states[0][1].shape[-1]
        shape = (len(drawn), len(states), width)
        with torch.inference_mode():
            state_BTH = states[0][1].new_zeros(shape)
            for step, (alive_A, state_AH) in enumerate(states):
                state_BTH[alive_A, step] = state_AH
            return drawn, torch.cat(
                [state_BTH[i, : len(each.token_ids)] for i, each in enumerate(drawn)]
            )

    def _teacher_forced(self, drawn: Sequence[Completion]) -> Tensor:
        """What the amateur's head would be given for each token of the rollouts, end to end [N, H]."""
        import torch

        # The last token is predicted, never read.
        rows = [(*each.prompt_ids, *each.token_ids[:-1]) for each in drawn]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        states: dict[int, Tensor] = {}
        for part in _parts(order, rows):
            width = len(rows[part[-1]])
            # Padding is on the right and attention is causal: no token of a rollout sees it, so no mask is needed.
            padded = [(*rows[i], *[0] * (width - len(rows[i]))) for i in part]
            ids_BT = torch.tensor(padded, device=self.amateur.device)
            out = self.amateur.get_decoder()(input_ids=ids_BT, use_cache=False)
            for i, state_TH in zip(part, out.last_hidden_state, strict=True):
                first = len(drawn[i].prompt_ids) - 1
                states[i] = state_TH[first : len(rows[i])]
        return torch.cat([states[i] for i in range(len(rows))])

    def _logits(self, expert_NH: Tensor, amateur_NH: Tensor) -> Iterator[Divergence]:
        size = max(1, self.entries // self.vocabulary)
        head_E = self.expert.model.get_output_embeddings()
        head_A = self.amateur.get_output_embeddings()
        for start in range(0, len(expert_NH), size):
            expert_NV = head_E(expert_NH[start : start + size])
            amateur_NV = head_A(amateur_NH[start : start + size])
            ids = self.vocabulary if self.shared is None else self.shared.to(expert_NH.device)
            try:
                yield diverge(expert_NV, amateur_NV, ids)
            except ValueError as error:
                raise UserError(
                    f"contrast: {error}; check the weights, and that both models fit the tokenizer"
                ) from None

    def _compare(
        self, expert_NH: Tensor, amateur_NH: Tensor
    ) -> tuple[list[float], list[bool], list[float], list[float]]:
        kl: list[float] = []
        agree: list[bool] = []
        discarded: list[float] = []
        cut: list[float] = []
        for found in self._logits(expert_NH, amateur_NH):
            kl += found.kl_N.tolist()
            agree += found.agree_N.tolist()
            discarded += found.discarded_N.tolist()
            cut += found.expert_discarded_N.tolist()
        return kl, agree, discarded, cut

    def _targets(
        self, expert_NH: Tensor, amateur_NH: Tensor, flat: Sequence[int], target: AnyTarget
    ) -> Iterator[tuple[tuple[int, ...], tuple[float, ...]]]:
        import torch

        index_N = torch.tensor(flat, dtype=torch.int64, device=expert_NH.device)
        for found in self._logits(expert_NH[index_N], amateur_NH[index_N]):
            weights_NV = target.weights(found)
            counts = (weights_NV > 0).sum(-1).tolist()
            ids = self._ids(weights_NV.nonzero()[:, 1]).tolist()
            values = weights_NV[weights_NV > 0].tolist()
            at = 0
            for count in counts:
                yield tuple(ids[at : at + count]), tuple(values[at : at + count])
                at += count

    def _ids(self, columns: Tensor) -> Tensor:
        return columns if self.shared is None else self.shared.to(columns.device)[columns]


#: Probability the expert may give to ids that are cut off, where something is taught.
MOST_CUT = 0.01
#: Tokens of one teacher-forced pass: enough to keep a device busy, few enough to stay in a processor's cache.
_PASS_TOKENS = 8192


def _parts(order: Sequence[int], rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Rows from short to long, cut so that a padded part holds at most ``_PASS_TOKENS``."""
    part: list[int] = []
    for index in order:
        if part and (len(part) + 1) * len(rows[index]) > _PASS_TOKENS:
            yield part
            part = []
        part.append(index)
    yield part


def _starts(lengths: Sequence[int]) -> list[tuple[int, int]]:
    found, at = [], 0
    for length in lengths:
        found.append((at, at + length))
        at += length
    return found


def open_pair(
    expert: Path,
    amateur: Path,
    vocabulary: Literal["same", "shared"] = "same",
    entries: int = 1 << 24,
) -> tuple[Pair, Any, dict[str, Any]]:
    """Load both models after comparing their vocabularies; also gives hashes of their weights.

    Raises:
        UserError: naming the first token with another id.
    """
    import torch

    shared = None
    if vocabulary == "same":
        check_tokenizers(expert, amateur)
    else:
        shared = torch.tensor(shared_token_ids(expert, amateur))
    tokenizer = load_tokenizer(expert)
    hashes = {"expert": weights_hash(expert), "amateur": weights_hash(amateur)}
    strong = engine(load_model(expert).eval(), tokenizer)
    size = max(tokenizer.get_vocab().values()) + 1
    return Pair(strong, load_model(amateur).eval(), size, entries, shared), tokenizer, hashes
