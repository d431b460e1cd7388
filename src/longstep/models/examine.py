"""What a model folder is, what it can do here, and what is wrong with it: the checks of every stage, asked one by one.

A stage ends at the first thing it must refuse. Here each check is asked by itself, and a refusal becomes a line: what
a user reads is what a run would have said, all of it, before anything is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from longstep.config import UserError
from longstep.models.account import refuse_rowless, stored_types
from longstep.models.bounds import context_length, stop_ids
from longstep.models.chat import THINK_CLOSE, THINK_OPEN, forces_thought, lint, render_prompt
from longstep.models.load import (
    load_model,
    load_tokenizer,
    model_json,
    refuse_unsafe,
)
from longstep.models.lora import Lora, target_layers
from longstep.models.tokens import others_differ

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Asked = TypeVar("Asked")
#: What configs call the number of experts in a layer.
EXPERT_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts")
_QUESTION = "What is 12+34?"


@dataclass
class Examined:
    """The answer.

    Attributes:
        facts: what it is, by name.
        abilities: by verb; an empty text where it can, else the first reason why it cannot.
        wrong: every refusal, each with its remedy.
    """

    facts: dict[str, str] = field(default_factory=dict)
    abilities: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def ask(self, check: Callable[..., Asked], *given: Any) -> Asked | None:
        """The answer of a check; a refusal becomes a line, and the answer ``None``."""
        try:
            return check(*given)
        except UserError as error:
            self.refuse(str(error))
            return None

    def refuse(self, *sentences: str) -> None:
        """Note what is wrong, each thing once however many checks meet it."""
        self.wrong.extend(each for each in sentences if each not in self.wrong)

    def able(self, verb: str, *checks: Callable[[], Any]) -> None:
        """Whether it can do ``verb``: not if anything was refused so far that it needs, nor if one of these refuses."""
        self.abilities[verb] = next(iter(self.wrong), "")
        for check in checks:
            try:
                check()
            except UserError as error:
                self.abilities[verb] = self.abilities[verb] or str(error)
                self.refuse(str(error))


def examine_model(
    folder: Path, files: Mapping[str, Callable[[Path], None]] | None = None
) -> Examined:
    """Examine a model folder; its weights are loaded once, in their own type.

    Args:
        folder: of the model.
        files: verbs that need its files alone, each with the check that refuses them.
    """
    found = Examined()
    found.ask(refuse_unsafe, folder)
    if config := found.ask(model_json, folder / "config.json"):
        found.facts |= _about_config(config)
    # Only what refuse_unsafe lets pass is opened: pickles and foreign code stay unread.
    model = None if found.wrong else found.ask(_opened, folder, found)
    for verb, check in (files or {}).items():
        found.able(verb, partial(check, folder))
    tokenizer = found.ask(load_tokenizer, folder)
    if model is not None:
        found.facts |= _about_model(model)
        _ask_context(found, model)
    if model is not None and tokenizer is not None:
        _ask_vocabulary(found, model, tokenizer)
    if tokenizer is not None:
        _ask_prompt(found, tokenizer)
        if apart := found.ask(others_differ, folder):
            found.facts["elsewhere"] = apart
    if model is not None and tokenizer is not None and not found.wrong:
        found.refuse(*_run(model, tokenizer))
    found.able("chat, sample, evaluate, rl")
    if tokenizer is not None and tokenizer.chat_template is not None:
        found.refuse(*(found.ask(lint, tokenizer) or ()))
    found.able("sft, prefer")
    found.able("lora", *([] if model is None else [partial(_ask_adapters, found, model)]))
    return found


# -- what it is --------------------------------------------------------------------------------------


def _about_config(config: dict[str, Any]) -> dict[str, str]:
    names = config.get("architectures")
    kind = str(config.get("model_type"))
    facts: dict[str, str] = {
        "architecture": f"{names[0]} ({kind})" if isinstance(names, list) and names else kind
    }
    for key in ("num_hidden_layers", "n_layer"):
        if key in config:
            facts["layers"] = str(config[key])
    return facts if config else {}


def _opened(folder: Path, found: Examined) -> PreTrainedModel:
    """The model, in bfloat16 where its files are, so that no more memory is taken than the files have."""
    types = found.ask(stored_types, folder) or {}
    if types:
        found.facts["weights"] = ", ".join(f"{n:,} in {kind}" for kind, n in sorted(types.items()))
    return load_model(folder, "bfloat16" if set(types) == {"BF16"} else "auto").eval()


def _about_model(model: PreTrainedModel) -> dict[str, str]:
    total, active = model.num_parameters(), active_parameters(model)
    said = f"{total:,}"
    if active != total:
        raw = model.config.to_dict()
        count = next(raw[name] for name in EXPERT_COUNTS if name in raw)
        said += f", a mixture: a token passes {raw['num_experts_per_tok']} of {count} experts, {active:,} in all"
    tied = model.config.tie_word_embeddings
    return {
        "parameters": said,
        "output layer": "the embedding (tied)" if tied else "its own, not tied to the embedding",
    }


def active_parameters(model: PreTrainedModel) -> int:
    """Parameters that one token meets: of a mixture only the experts in use."""
    raw = model.config.to_dict()
    counts = [raw[name] for name in EXPERT_COUNTS if raw.get(name)]
    own = [p.numel() for name, p in model.named_parameters() if ".experts." in name]
    if not own or not counts:
        return model.num_parameters()
    return model.num_parameters() - sum(own) // counts[0] * (counts[0] - raw["num_experts_per_tok"])


# -- what can be wrong -------------------------------------------------------------------------------


def _ask_context(found: Examined, model: PreTrainedModel) -> None:
    longest = found.ask(context_length, model)
    if longest is not None:
        found.facts["context"] = f"{longest:,} tokens"


def _ask_vocabulary(
    found: Examined, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> None:
    rows: Any = model.get_input_embeddings().weight  # pyright: ignore[reportOptionalMemberAccess]
    rows, ids = rows.shape[0], 1 + max(tokenizer.get_vocab().values(), default=-1)
    said = f"{rows:,} rows for {ids:,} token ids"
    more = f"; {rows - ids:,} rows pad it" if rows > ids else ""
    found.facts["vocabulary"] = said + (f"; {ids - rows:,} ids have none" if rows < ids else more)
    found.ask(refuse_rowless, model, tokenizer)
    if stops := found.ask(stop_ids, model, tokenizer):
        shown = tokenizer.convert_ids_to_tokens(sorted(stops))
        found.facts["ends a turn"] = ", ".join(map(str, shown))


def _ask_prompt(found: Examined, tokenizer: PreTrainedTokenizerBase) -> None:
    forced = found.ask(forces_thought, tokenizer)
    if forced is not None:
        opens = "opens the thought itself" if forced else "does not; longstep opens the thought"
        found.facts["chat template"] = f"keeps the question, once; {opens}"
    tags: list[str] = []
    for tag in (THINK_OPEN, THINK_CLOSE):
        number = len(tokenizer(tag, add_special_tokens=False)["input_ids"])  # pyright: ignore
        tags.append(f"{tag} {'one token' if number == 1 else f'{number} tokens'}")
    found.facts["think tags"] = ", ".join(tags)


def _run(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """One question through the whole model; weights that are no numbers are found only so."""
    import torch

    try:
        ids = render_prompt(tokenizer, _QUESTION).ids
    except UserError as error:
        yield str(error)
        return
    with torch.inference_mode():
        logits_BTV = model(torch.tensor([ids], device=model.device)).logits
    if not logits_BTV.isfinite().all():
        yield (
            "its logits for a plain question are not all finite: some weights are not numbers, or overflow; take a "
            "whole copy, or cast it by a stage of kind checkpoint with dtype"
        )


def _ask_adapters(found: Examined, model: PreTrainedModel) -> None:
    everything = target_layers(model, Lora(targets="all-linear"))
    found.facts["lora targets"] = f"all-linear: {', '.join(everything)}"
    default = target_layers(model, Lora())
    found.facts["lora targets"] = (
        f"{', '.join(default)} by default; all-linear: {', '.join(everything)}"
    )
