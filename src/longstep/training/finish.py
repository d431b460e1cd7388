"""How every training stage ends: adapters merged and checked, the stop rate measured, a loadable folder written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longstep.context import Context
from longstep.draw.prompts import engine, prompts_for
from longstep.generate import Sampling
from longstep.models.lora import Lora
from longstep.training.card import ADAPTER, Made, write_card
from longstep.training.config import Training
from longstep.training.ranks import barrier, rank, sharded
from longstep.types import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROBED = 32
MAX_PROBE_TOKENS = 256
LOW_STOP_RATE = 0.9


@dataclass(frozen=True)
class Ended:
    """A training that reached its last step.

    Attributes:
        model: as it is in memory, adapters and shards included.
        tokenizer: of the model.
        parents: the models it was made from, as the recipe names them.
        data: the artifacts it was trained on; the card says what they were decontaminated against.
        problems: some of them are asked once more, to see whether the model stops.
        facts: said in the card.
        thinking: whether its prompts ask for a thought.
    """

    model: Any
    tokenizer: PreTrainedTokenizerBase
    parents: Sequence[str]
    data: Sequence[str]
    problems: Sequence[Problem]
    facts: Mapping[str, object]
    thinking: bool = True


def finish_model(context: Context, config: Training, ended: Ended) -> None:
    """Write ``out/``: weights, tokenizer, template, generation config and card."""
    from longstep.models.adapted import keep_adapter, write_adapter
    from longstep.models.load import save_model, whole_weights

    model, tokenizer, problems = ended.model, ended.tokenizer, ended.problems
    kept = context.folder / "adapter"
    if config.lora is not None:
        if config.lora.keep != "merged" and rank() == 0:
            write_adapter(model, kept, _base(context, ended))
        model = _merged(context, config.lora, ended)
    model.eval()
    rate = stop_rate(model, tokenizer, problems[:PROBED], ended.thinking)
    if rate < LOW_STOP_RATE:
        cause = f"only {rate:.0%} of {min(PROBED, len(problems))} greedy completions stop"
        remedy = (
            f"expected when answers are longer than {MAX_PROBE_TOKENS} tokens; "
            "else check that rows end with a stop token"
        )
        note = {"step": 0, "level": "warn", "rule": "stop rate", "cause": cause, "remedy": remedy}
        log = context.log("health.jsonl")
        log.append(note)
        log.close()
    weights = whole_weights(model) if sharded() else None
    if rank() == 0:
        said = {
            **ended.facts,
            "stop rate": f"{rate:.3f}",
            "decontaminated": _decontaminated(context, ended.data),
        }
        out = context.fresh_out()
        if config.lora is not None and config.lora.keep == "only":
            tokenizer.save_pretrained(out)
            dtype = str(model.dtype).removeprefix("torch.")
            keep_adapter(kept, out, _base(context, ended), dtype)
            write_card(out, context, config, Made(ended.parents, said, ADAPTER))
        else:
            save_model(model, tokenizer, out, weights)
            if kept.is_dir():
                kept.rename(out / kept.name)
            write_card(out, context, config, Made(ended.parents, said))
    barrier()


def _base(context: Context, ended: Ended) -> tuple[str, Path]:
    """What adapters lie on: as the recipe names it, and its artifact or folder."""
    return ended.parents[0], context.artifact_of_model(ended.parents[0])


def _merged(context: Context, lora: Lora, ended: Ended) -> Any:
    from longstep.models.lora import merge
    from longstep.models.quantised import merged_plain

    probe = _probe_ids(ended.tokenizer, ended.problems[0], ended.thinking)
    if lora.base == "nf4":
        return merged_plain(ended.model, context.model(ended.parents[0]), probe)
    return merge(ended.model, probe.to(ended.model.device))


def _decontaminated(context: Context, data: Sequence[str]) -> str:
    said = []
    for ledger in filter(None, map(context.ledger, dict.fromkeys(data))):
        names = ", ".join(f"{name} ({digest[:8]})" for name, digest in ledger["sources"].items())
        rule = ledger["rule"]["kind"]
        said.append(
            f"against {names} by rule {rule}: {ledger['removed']} of {ledger['compared']} rows removed"
        )
    return "; ".join(dict.fromkeys(said)) or "no"


def stop_rate(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    problems: Sequence[Problem],
    thinking: bool = True,
) -> float:
    """Share of greedy completions that end with a stop token.

    Every process draws the same ones: shards are whole only while all of them run the same forward pass.
    """
    prompts = prompts_for(tokenizer, problems, thinking)
    room = int(model.config.max_position_embeddings) - max(len(p.prompt_ids) for p in prompts)
    sampling = Sampling(
        temperature=0, top_p=1, max_tokens=min(MAX_PROBE_TOKENS, room), batch_size=PROBED
    )
    ended = [c.finish_reason == "stop" for c in engine(model, tokenizer).draw(prompts, sampling)]
    return sum(ended) / len(ended)


def _probe_ids(tokenizer: PreTrainedTokenizerBase, problem: Problem, thinking: bool) -> Any:
    import torch

    return torch.tensor([prompts_for(tokenizer, [problem], thinking)[0].prompt_ids])
