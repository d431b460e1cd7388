"""LoRA through PEFT, with a gate: the merged model must be the adapter model, and must not be the base model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from longstep.config import Field, Strict, UserError, field_validator, nearest
from longstep.models.damage import InWords
from longstep.models.load import model_json

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

TOLERANCE = 1e-3
ADAPTER = "adapter_model.safetensors"
#: The projections of queries and values, which the paper adapts, as architectures call them; some fuse them.
ATTENTION = (("q_proj", "v_proj"), ("qkv_proj",), ("query_key_value",), ("c_attn",), ("Wqkv",))
#: Every projection of a layer of a Llama-like model, for a plan that knows no model yet.
_LAYER = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Lora(Strict):
    """Low-rank adapters (Hu et al., arXiv 2106.09685); merged into the model when the stage ends.

    Attributes:
        r: rank.
        alpha: the adapter's output is multiplied by ``alpha / r``.
        dropout: on the adapter's input, while training.
        targets: names of the layers that get one; ``attention`` takes the projections of queries and values, however
            the architecture calls them, ``all-linear`` every linear layer but the output layer.
        new_tokens: adapters never move a token's row. ``keep`` trains a model whose think tags were only just added all
            the same: their rows stay the mean of their letters', and the adapters alone have to make sense of them.
        modules_to_save: names of modules that are trained whole beside the adapters, such as ``embed_tokens`` and
            ``lm_head`` where tokens were added.
        base: how the frozen model is held while adapters train: ``nf4`` holds its linear layers in 4 bits (QLoRA,
            Dettmers et al., arXiv 2305.14314), on a GPU, by bitsandbytes. The adapters are merged into the weights as
            they were, and the result is stored in bfloat16.
        keep: ``merged`` leaves the merged model alone; ``beside`` also the adapter as PEFT stores it, in ``adapter``
            below the model; ``only`` the adapter alone, with the name of its base: a stage that reads it merges the two
            into scratch of its own.
    """

    r: int = Field(default=8, ge=1)
    alpha: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: Literal["attention", "all-linear"] | tuple[str, ...] = "attention"
    new_tokens: Literal["refuse", "keep"] = "refuse"
    modules_to_save: tuple[str, ...] = ()
    base: Literal["float32", "nf4"] = "float32"
    keep: Literal["merged", "beside", "only"] = "merged"

    def libraries(self) -> frozenset[str]:
        """Who makes adapters, and who quantises."""
        return frozenset({"peft", *["bitsandbytes"] * (self.base == "nf4")})

    def absent(self) -> Iterator[str]:
        """A GPU, for 4 bits."""
        import torch

        if self.base == "nf4" and not torch.cuda.is_available():
            yield "base: nf4 needs a GPU, and this machine has none; leave it out"

    @field_validator("targets")
    @classmethod
    def _some(cls, targets: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not targets:
            raise ValueError("name at least one layer, or take attention or all-linear")
        return targets

    @property
    def projections(self) -> tuple[str, ...]:
        """The targets by name, as a Llama-like model would have them: for a plan, which opens no model."""
        if self.targets == "attention":
            return ATTENTION[0]
        return _LAYER if self.targets == "all-linear" else tuple(self.targets)


def wrap(model: PreTrainedModel, lora: Lora, seed: int = 0) -> Any:
    """A PEFT model with fresh adapters on the named projections; their random half depends on ``seed`` alone.

    Raises:
        UserError: no layer has such a name, or one that cannot be merged back.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=target_layers(model, lora),
        modules_to_save=saved_modules(model, lora) or None,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def target_layers(model: PreTrainedModel, lora: Lora) -> list[str]:
    """The last names of the layers that get an adapter.

    Raises:
        UserError: as :func:`wrap` does, naming the layers that there are.
    """
    layers = linear_layers(model)
    if lora.targets == "all-linear":
        return layers
    if lora.targets == "attention":
        for names in ATTENTION:
            if set(names) <= set(layers):
                return list(names)
        raise UserError(
            f"lora.targets: attention is not known for {type(model).__name__}; name some of its linear layers: "
            f"{', '.join(layers)}"
        )
    assert isinstance(lora.targets, Sequence)
    return [_checked(name, layers, model) for name in lora.targets]


def saved_modules(model: PreTrainedModel, lora: Lora) -> list[str]:
    """The modules that are trained whole.

    Raises:
        UserError: the model has none of that name, or it shares its weight with another one.
    """
    names = list(dict.fromkeys(place.rpartition(".")[2] for place, _ in model.named_modules()))
    outer = (model.get_input_embeddings(), model.get_output_embeddings())
    for name in lora.modules_to_save:
        found = [m for place, m in model.named_modules() if place.rpartition(".")[2] == name]
        if not name or not found:
            close = nearest(name, names)
            hint = f"; did you mean {close!r}?" if close else ""
            raise UserError(
                f"lora.modules_to_save: {type(model).__name__} has no module {name!r}{hint}"
            )
        if model.config.tie_word_embeddings and any(m is each for m in found for each in outer):
            raise UserError(
                f"lora.modules_to_save: {name!r} shares its weight with another layer (tie_word_embeddings), and only "
                "one of the two would be trained; leave it out, or train all weights"
            )
    return list(lora.modules_to_save)


def _checked(name: str, layers: Sequence[str], model: PreTrainedModel) -> str:
    if name in layers:
        return name
    ends = {place.rpartition(".")[2]: module for place, module in model.named_modules()}
    is_head = name in ends and ends[name] is model.get_output_embeddings()
    is_embedding = name in ends and ends[name] is model.get_input_embeddings()
    rest = f"name some of: {', '.join(layers)}"
    if model.config.tie_word_embeddings and (is_head or is_embedding):
        raise UserError(
            f"lora.targets: {name!r} is tied to another layer (tie_word_embeddings), so an adapter on it could not be "
            f"merged; {rest}"
        )
    if is_head:  # TRL says so too, but only when everything before it was paid for
        raise UserError(
            f"lora.targets: {name!r} is the output layer, whose weight the trainers read directly, so an adapter on it "
            f"would never be trained; {rest}"
        )
    if is_embedding:
        return name
    close = nearest(name, layers)
    hint = f"; did you mean {close!r}?" if close else ""
    raise UserError(
        f"lora.targets: {type(model).__name__} has no linear layer {name!r}{hint} (it has: {', '.join(layers)})"
    )


def linear_layers(model: PreTrainedModel) -> list[str]:
    """Last names of all linear layers but the output layer, in the order in which they appear."""
    import torch
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    names = [
        place.rpartition(".")[2]
        for place, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    ]
    return list(dict.fromkeys(names))


def store_adapter(peft_model: Any, folder: Path) -> None:
    """Write the adapter as PEFT stores it, without the card that PEFT would write."""
    peft_model.save_pretrained(folder, safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)


def refuse_no_adapter(folder: Path) -> None:
    """Refuse a folder that holds no adapter that can be merged.

    Raises:
        UserError: saying what is there instead.
    """
    if not (folder / "adapter_config.json").is_file():
        raise UserError(f"{folder}: no adapter_config.json; expected a folder as PEFT writes it")
    if not (folder / ADAPTER).is_file():
        raise UserError(
            f"{folder}: no {ADAPTER}; pickled weights can execute code and are refused, store it again by PEFT"
        )
    kind = model_json(folder / "adapter_config.json").get("peft_type")
    if kind != "LORA":
        raise UserError(f"{folder}: an adapter of type {kind!r}; longstep merges LORA")


def with_adapter(model: PreTrainedModel, folder: Path, probe_ids_BT: Tensor) -> PreTrainedModel:
    """The model with the adapter of a folder merged into it, every tensor of it accounted for.

    Raises:
        UserError: it is none, belongs to another model, or changes nothing.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    refuse_no_adapter(folder)
    with InWords(f"{folder}: this adapter does not fit {type(model).__name__}"):
        wrapped = PeftModel.from_pretrained(model, folder)  # pyright: ignore[reportArgumentType]
    there, taken = load_file(folder / ADAPTER), get_peft_model_state_dict(wrapped)
    if strays := sorted(there.keys() ^ taken.keys()):
        raise UserError(
            f"{folder}: {len(strays)} tensors of the adapter and of the model do not meet, such as {strays[0]}; it was "
            "made for another model"
        )
    return merge(wrapped, probe_ids_BT)


def merge(peft_model: Any, probe_ids_BT: Tensor) -> PreTrainedModel:
    """Merge adapters in float32 and check the result on probe rows.

    Raises:
        UserError: the adapter changes nothing, or merged and adapter logits disagree.
    """
    import torch

    dtype = next(peft_model.parameters()).dtype
    peft_model = peft_model.float().eval()
    with torch.no_grad():
        adapter_BTV = peft_model(probe_ids_BT).logits
        with peft_model.disable_adapter():
            base_BTV = peft_model(probe_ids_BT).logits
        merged = peft_model.merge_and_unload()
        merged_BTV = merged(probe_ids_BT).logits
    if torch.equal(adapter_BTV, base_BTV):
        raise UserError(
            "the LoRA adapter has no effect: its logits equal the base model's; nothing was trained"
        )
    difference = (adapter_BTV - merged_BTV).abs().max().item()
    if not difference <= TOLERANCE:  # not a number is no agreement either
        raise UserError(
            f"the merged LoRA model differs from the adapter model by {difference:.2g} in its logits"
        )
    return merged.to(dtype)
