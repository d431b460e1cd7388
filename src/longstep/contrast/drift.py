"""What steering did to an expert beside its score: perplexity on its own rollouts, and repetition.

LightReasoner's own perplexity figure does not shift its labels (methods 3.4, defect 10); here the token at t is
scored by the logits at t - 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from longstep.draw.prompts import engine, prompts_for
from longstep.generate import Sampling
from longstep.types import Completion, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NGRAM = 4
MAX_TOKENS = 256
#: Alarms: perplexity may rise by half, repetition by a tenth of all n-grams.
MAX_RATIO = 1.5
MAX_REPETITION = 0.1


@dataclass(frozen=True, slots=True)
class Drift:
    """Perplexity per token of given rollouts, and the share of repeated 4-grams in greedy answers."""

    perplexity: float
    repetition: float


def measure(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Problem],
    rollouts: Sequence[Completion],
    thinking: bool,
) -> Drift:
    """Measure a model on a few problems and on rollouts of the expert."""
    prompts = prompts_for(tokenizer, problems, thinking)
    room = int(model.config.max_position_embeddings) - max(len(p.prompt_ids) for p in prompts)
    sampling = Sampling(temperature=0, top_p=1, max_tokens=min(MAX_TOKENS, room), batch_size=32)
    answers = engine(model, tokenizer).draw(prompts, sampling)
    shares = [repeated(answer.token_ids) for answer in answers]
    return Drift(_perplexity(model, rollouts), sum(shares) / len(shares))


def repeated(ids: Sequence[int]) -> float:
    """Share of 4-grams that occurred before in the same answer."""
    grams = [tuple(ids[at : at + NGRAM]) for at in range(len(ids) - NGRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _perplexity(model: Any, rollouts: Sequence[Completion]) -> float:
    import torch

    total, count = 0.0, 0
    training = model.training
    model.eval()
    with torch.inference_mode():
        for rollout in rollouts:
            if not rollout.token_ids:
                continue
            ids_BT = torch.tensor([[*rollout.prompt_ids, *rollout.token_ids]], device=model.device)
            number = len(rollout.token_ids)
            logits_TV = model(input_ids=ids_BT, logits_to_keep=number + 1).logits[0, :-1].float()
            logps_T = logits_TV.log_softmax(-1).gather(-1, ids_BT[0, -number:, None])
            total -= float(logps_T.sum())
            count += number
    model.train(training)
    return math.exp(min(total / count, 700.0)) if count else 1.0


def alarms(before: Drift, after: Drift) -> list[dict[str, object]]:
    """Health notes for what got worse."""
    notes: list[dict[str, object]] = []
    if after.perplexity > MAX_RATIO * before.perplexity:
        cause = (
            f"perplexity on the expert's own rollouts rose from {before.perplexity:.3f} to "
            f"{after.perplexity:.3f}"
        )
        remedy = "the targets pull too hard: lower the rate or the steps, or take a closer amateur"
        notes.append(_note("perplexity", cause, remedy))
    if after.repetition > before.repetition + MAX_REPETITION:
        cause = (
            f"repeated 4-grams in greedy answers rose from {before.repetition:.1%} to "
            f"{after.repetition:.1%}"
        )
        remedy = (
            "read a few answers: a contrast can be won by odd text; lower the rate or the steps"
        )
        notes.append(_note("repetition", cause, remedy))
    return notes


def _note(rule: str, cause: str, remedy: str) -> dict[str, object]:
    return {"step": 0, "level": "warn", "rule": rule, "cause": cause, "remedy": remedy}
