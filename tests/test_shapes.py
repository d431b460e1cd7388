"""A plan counts the parameters that a model has: those of every architecture of the zoo, to the last bias (fault 35)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

from longstep.config import UserError
from longstep.costs import arithmetic as costs
from longstep.costs.arithmetic import Decoding, Holding
from longstep.costs.decoder import Experts, Shape
from longstep.costs.planning import Planning
from longstep.costs.shapes import MODELS, shape_of
from longstep.models.lora import Lora, wrap
from zoo import ARCHITECTURES, build, edit

#: From the model's hub page.
QWEN3_30B = {
    "model_type": "qwen3_moe", "attention_bias": False, "decoder_sparse_step": 1, "head_dim": 128,
    "hidden_size": 2048, "intermediate_size": 6144, "mlp_only_layers": [], "moe_intermediate_size": 768,
    "num_attention_heads": 32, "num_experts": 128, "num_experts_per_tok": 8, "num_hidden_layers": 48,
    "num_key_value_heads": 4, "tie_word_embeddings": False, "vocab_size": 151936,
}  # fmt: skip
#: Beyond the zoo's own settings: what a config may switch on, and neighbours of its members.
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "biased llama": ("LlamaConfig", {"attention_bias": True, "mlp_bias": True}),
    "tied llama": ("LlamaConfig", {"tie_word_embeddings": True}),
    "untied gemma": ("GemmaConfig", {"tie_word_embeddings": False, "head_dim": 8}),
    "wide heads": ("Qwen3Config", {"head_dim": 16}),
    "olmo3": ("Olmo3Config", {}),
    "smollm3": ("SmolLM3Config", {}),
    "granite": ("GraniteConfig", {}),
    "olmoe": ("OlmoeConfig", {"num_experts": 4}),
    "dense layers": (
        "Qwen3MoeConfig",
        {"num_experts": 4, "moe_intermediate_size": 16, "mlp_only_layers": [0], "head_dim": 8},
    ),
    "every second": (
        "Qwen3MoeConfig",
        {"num_experts": 4, "moe_intermediate_size": 16, "decoder_sparse_step": 2, "head_dim": 8},
    ),
    "shared expert": (
        "Qwen2MoeConfig",
        {"num_experts": 4, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 24},
    ),
    "neox without biases": ("GPTNeoXConfig", {"attention_bias": False}),
}
_SMALL = {
    "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 64, "vocab_size": 77, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 1,
}  # fmt: skip


def counted(model: torch.nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


def linear(model: Any) -> int:
    """Weights in linear layers but the output layer and what routes to experts."""
    return sum(
        module.weight.numel()
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D)
        and module is not model.get_output_embeddings()
        and not name.endswith((".router", ".gate", "shared_expert_gate"))
    )


def unused(model: Any) -> int:
    """Parameters of the experts that a token passes by."""
    config = model.config
    mine = [p for name, p in model.named_parameters() if ".experts." in name]
    assert all(p.shape[0] == 4 for p in mine)
    return sum(p.numel() // 4 * (4 - config.num_experts_per_tok) for p in mine)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_35_every_member_of_the_zoo_is_counted_to_the_last_parameter(tmp_path, name):
    folder = build(name, tmp_path / name, spare=3)
    model = AutoModelForCausalLM.from_pretrained(folder)
    shape, remark = shape_of(str(folder))
    assert (shape.parameters, remark) == (counted(model), "")
    assert shape.active == counted(model) - unused(model)
    assert shape.linear == linear(model)


@pytest.mark.parametrize("name", OTHERS)
def test_35_what_a_config_switches_on_is_counted_too(tmp_path, name):
    kind, settings = OTHERS[name]
    config = getattr(transformers, kind)(**{**_SMALL, "num_experts_per_tok": 2, **settings})
    config.save_pretrained(tmp_path)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    shape, remark = shape_of(str(tmp_path))
    assert (shape.parameters, remark) == (counted(model), "")
    assert shape.active == counted(model) - unused(model)
    assert shape.linear == linear(model)


def test_35_the_published_mixture_has_30_5_billion_of_which_3_3_are_met_by_a_token(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(QWEN3_30B))
    shape, remark = shape_of(str(tmp_path))
    assert (shape.parameters, remark) == (30_532_122_624, "")
    assert MODELS["Qwen/Qwen3-30B-A3B"].parameters == shape.parameters
    assert shape.active == 30_532_122_624 - 48 * 120 * 3 * 2048 * 768


# From the safetensors headers on each model's page; GPT-OSS's, which are stored in 4 bits, from its paper (table 1).
@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("Qwen/Qwen3-8B", 8_190_735_360),
        ("Qwen/Qwen3-0.6B", 596_049_920),
        ("Qwen/Qwen3-235B-A22B", 235_093_634_560),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 46_702_792_704),
        ("openai/gpt-oss-20b", 20_914_757_184),
        ("openai/gpt-oss-120b", 116_829_156_672),
    ],
)
def test_35_shapes_by_name_have_the_published_number_of_parameters(name, total):
    assert MODELS[name].parameters == total


@pytest.mark.parametrize(
    ("name", "planned"),
    [
        ("unsloth/Qwen3-30B-A3B-Instruct-2507", "Qwen/Qwen3-30B-A3B"),
        ("somebody/Thinker-21B-A3B", "openai/gpt-oss-20b"),
        ("somebody/mixture-8x7b-v2", "mistralai/Mixtral-8x7B-Instruct-v0.1"),
        ("unsloth/gpt-oss-20b-BF16", "openai/gpt-oss-20b"),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", "Qwen/Qwen3-8B"),
    ],
)
def test_35_a_guess_by_name_takes_the_whole_mixture(name, planned):
    assert shape_of(name) == (
        MODELS[planned],
        f"{name} is not in the table of shapes; planned as {planned}",
    )


# -- arithmetic of a mixture, by hand ---------------------------------------------------------------

#: 1 layer; q and o 8*8 each, k and v 8*4 each: 192. Router 4*8 = 32, four experts of 3*8*2 = 48. Head 10*8 = 80.
MIXED = Shape(1, 8, 99, 2, 1, 10, True, bias=False, experts=Experts(4, 1, 2, 1))


def test_35_memory_counts_all_experts_and_operations_those_in_use():
    assert (MIXED.held_matrices, MIXED.matrices) == (192 + 32 + 192 + 80, 192 + 32 + 48 + 80)
    assert MIXED.parameters == 496 + 2 * 8 + 8 and MIXED.active == 352 + 24
    assert costs.token_flops(MIXED, 0, costs.FORWARD) == 2 * 352
    assert costs.state_bytes(MIXED, Holding(1, 0, True)) == 16 * 520 + 2 * 496
    # One sequence meets one expert of four, two meet 1 - (3/4)^2 of them, many meet all.
    assert MIXED.read(1) == 376 and MIXED.read(2) == 520 - 192 * 9 / 16
    assert MIXED.read(1000) == pytest.approx(520)


def test_35_adapters_of_a_mixture_are_those_that_peft_lays(tmp_path):
    folder = build("qwen3-moe", tmp_path / "m")
    lora = Lora(r=3, targets="all-linear")
    made = wrap(AutoModelForCausalLM.from_pretrained(folder), lora).get_nb_trainable_parameters()[0]
    assert costs.adapter_parameters(shape_of(str(folder))[0], 3, lora.projections) == made


def test_35_a_mixture_costs_the_memory_of_its_whole_and_the_time_of_its_part():
    mixture, plan = MODELS["Qwen/Qwen3-30B-A3B"], Planning(device="h200")
    small, large = MODELS["Qwen/Qwen2.5-3B-Instruct"], MODELS["Qwen/Qwen2.5-32B-Instruct"]
    work = Decoding(1, 100, 1000, 1000, 1)
    bytes_ = [costs.decoding_bytes(s, work, 1, costs.HALF) / 1e9 for s in (small, mixture, large)]
    assert bytes_ == pytest.approx([6.2, 61.2, 65.8], rel=0.01)
    hours = [costs.decoding_hours(s, work, 1, plan) for s in (small, mixture, large)]
    assert hours[0] < hours[1] < 1.2 * hours[0] < hours[2]


# -- 33: what is no model, or an odd one, is refused in words -----------------------------------------


def spoilt(folder: Path, how: str) -> None:
    config = folder / "config.json"
    if how == "torn":
        config.write_text('{"model_type": "lla')
    elif how == "a list":
        config.write_text("[]")
    elif how == "none":
        config.unlink()
    elif how == "adapter":
        config.unlink()
        (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "Qwen/Q"}')
    elif how == "in words":
        edit(config, num_hidden_layers="two")
    elif how == "by layer":
        edit(config, num_key_value_heads=[2, 4])
    elif how == "no heads":
        edit(config, num_attention_heads=0)
    elif how == "no size":
        edit(config, hidden_size=None)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("torn", "not valid JSON"),
        ("a list", "expected a JSON object"),
        ("none", "no config.json"),
        ("adapter", "holds an adapter of Qwen/Q"),
        ("in words", "num_hidden_layers is 'two', expected a whole number"),
        ("by layer", "num_key_value_heads is '[2, 4]'"),
        ("no heads", "num_attention_heads is '0'"),
        ("no size", "no hidden_size"),
    ],
)
def test_33_plan_refuses_a_folder_that_it_cannot_read_in_one_sentence(tmp_path, how, words):
    folder = shutil.copytree(build("llama", tmp_path / "whole"), tmp_path / "a-7B-model")
    spoilt(folder, how)
    with pytest.raises(UserError) as told:
        shape_of(str(folder))
    assert words in str(told.value) and "\n" not in str(told.value)


def test_33_an_architecture_that_plan_does_not_know_is_counted_with_a_remark(tmp_path):
    edit(build("llama", tmp_path / "m") / "config.json", model_type="nosuch")
    assert "does not know model_type 'nosuch'" in shape_of(str(tmp_path / "m"))[1]
