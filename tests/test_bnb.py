"""The extra ``bnb``: what it needs is said in words, its plan is reckoned by hand; it trains on a GPU, where nobody was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from longstep.config import Located, UserError, dump, validate
from longstep.costs import arithmetic as costs
from longstep.costs.arithmetic import Holding
from longstep.costs.decoder import Shape
from longstep.models.chat import encode_text
from longstep.models.load import load_model, load_tokenizer, shipped_folder
from longstep.models.lora import Lora, merge, wrap
from longstep.models.quantised import load_nf4, merged_plain
from longstep.optimizers import AdamW, AdamW8bit
from longstep.run import early
from longstep.run.plan import make_plan
from longstep.run.recipe import Recipe
from longstep.run.runner import execute
from longstep.yaml12 import parse
from short_recipe import Setting, lines, run_of

RECIPE = """
name: few
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 16, difficulty: [1, 1]}]}
  traces: {kind: sample, by: {kind: reference, model: "@base"}, data: "@problems", sampling: {samples: 1, max_tokens: 60}}
  sft:
    kind: sft
    model: "@base"
    data: "@traces"
    steps: 20
    batch: 8
    max_length: 96
    log_every: 1
    optimizer: {kind: adamw8bit, lr: 3e-3}
    lora: {targets: all-linear, base: nf4}
"""
#: 48 weights of attention and 96 of the MLP are linear; 40 of the embedding, 16 + 4 of norms and biases are not.
SMALL = Shape(layers=1, width=4, inner=8, heads=2, kv_heads=1, vocab=10, tied=True)


def recipe(text: str = RECIPE) -> tuple[Recipe, Located]:
    located = Located(parse(text)[0])
    return validate(Recipe, located), located


def refused(text: str = RECIPE) -> str:
    with pytest.raises(UserError) as said:
        early.refuse_early(*recipe(text), ["sft"], here=True)
    return str(said.value)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "is_here", lambda module: module != "bitsandbytes")
    wanted = "needs bitsandbytes, which is not installed: pip install 'longstep[bnb]'"
    assert wanted in refused() and "\n" not in refused()
    assert wanted in refused(RECIPE.replace(", base: nf4", ""))
    assert wanted in refused(RECIPE.replace("adamw8bit", "adamw"))


def test_without_a_gpu_both_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early, "is_here", lambda module: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = refused().splitlines()
    assert [line.partition("stages.sft.")[2] for line in said] == [
        "optimizer.kind: adamw8bit needs a GPU, and this machine has none; take adamw",
        "lora.base: nf4 needs a GPU, and this machine has none; leave it out",
    ]
    early.refuse_early(*recipe(), ["sft"])  # a plan may be made for another machine
    plain = RECIPE.replace("adamw8bit", "adamw").replace("nf4", "float32")
    early.refuse_early(*recipe(plain), ["sft"], here=True)


def test_eight_bit_moments_are_refused_with_shards() -> None:
    [stage] = [each for each in recipe()[0].stages.values() if dump(each)["kind"] == "sft"]
    assert any(
        "optimizer adamw8bit needs whole matrices" in each for each in stage.refusals(8, True)
    )


def test_bytes_of_a_base_in_four_bits_by_hand() -> None:
    assert (SMALL.linear, SMALL.parameters) == (144, 204)
    plain = Holding(shards=1, tokens=0, checkpointing=True, adapters=10)
    nf4 = Holding(shards=1, tokens=0, checkpointing=True, adapters=10, nf4=True)
    assert costs.resident_bytes(SMALL, plain) == 10 * 16 + 204 * 4
    assert costs.resident_bytes(SMALL, nf4) == pytest.approx(160 + 60 * 4 + 144 * 4.127 / 8)
    # The bf16 copies of autocast: of the output layer alone, for what is in 4 bits is not cast.
    assert (plain.twins(SMALL), nf4.twins(SMALL)) == (2 * 184, 2 * 40)


def test_bytes_of_eight_bit_moments_by_hand() -> None:
    eight = Holding(shards=1, tokens=0, checkpointing=True, moments=AdamW8bit.moments)
    full = Holding(shards=1, tokens=0, checkpointing=True, moments=AdamW.moments)
    assert costs.resident_bytes(SMALL, full) == 204 * 16
    # A weight and a gradient of 4 bytes; two moments of 1 byte, and 4 bytes for each 256 of them.
    assert costs.resident_bytes(SMALL, eight) == 204 * (4 + 4 + 2 + 8 / 256)


def test_a_plan_holds_less_and_says_how_it_was_reckoned() -> None:
    big = RECIPE.replace("longstep-tiny", "Qwen/Qwen2.5-7B-Instruct")

    def planned(text: str) -> tuple[float, str]:
        made = make_plan(recipe(text)[0])
        [sft] = [each for each in made.stages if each.stage == "sft"]
        assert sft.memory is not None
        return sft.memory, " ".join(made.assumptions)

    four, said = planned(big)
    plain, quiet = planned(big.replace("nf4", "float32").replace("adamw8bit", "adamw"))
    assert "a base in nf4 takes 0.516 bytes" in said and "adamw8bit keeps 2.03 bytes" in said
    assert "nf4" not in quiet and "8bit" not in quiet
    # 28 layers of 2 * 3584 * (3584 + 512) + 3 * 3584 * 18944 weights lose 4 - 0.516 bytes and autocast's 2.
    linear = 28 * (2 * 3584 * 4096 + 3 * 3584 * 18944)
    adapters = (plain - four - linear * (4 - 4.127 / 8 + 2)) / (8 - AdamW8bit.moments)
    assert adapters == pytest.approx(20_185_088)  # of rank 8, as PEFT counts them


def test_adapters_are_merged_into_the_weights_as_they_were() -> None:
    """What the base was held in while they trained does not matter, so a plain one stands for it here."""
    folder = shipped_folder("longstep-tiny")
    tokenizer = load_tokenizer(folder)
    probe = torch.tensor([encode_text(tokenizer, "1+2")])
    adapted = wrap(load_model(folder, "float32"), Lora(targets="all-linear"), seed=1)
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    plain = merged_plain(adapted, folder, probe)
    wanted = merge(adapted, probe)
    assert plain.dtype == torch.bfloat16
    for (name, ours), theirs in zip(plain.named_parameters(), wanted.parameters(), strict=True):
        assert torch.equal(ours, theirs.bfloat16()), name


@pytest.mark.gpu
def test_four_bits_and_eight_bit_moments_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Needs the extra and a GPU; ``LONGSTEP_BNB_ON_CPU=1`` tries it where bitsandbytes has kernels for a CPU."""
    pytest.importorskip("bitsandbytes")
    if not torch.cuda.is_available():
        if not os.environ.get("LONGSTEP_BNB_ON_CPU"):
            pytest.skip("no GPU")
        for each in (Lora, AdamW8bit):
            monkeypatch.setattr(each, "absent", lambda self: iter(()))
    model = load_nf4(shipped_folder("longstep-tiny"))
    kinds = {type(module).__name__ for name, module in model.named_modules() if "proj" in name}
    assert kinds == {"Linear4bit"}
    task = run_of(tmp_path / "run", Setting(text=RECIPE))
    execute(task)
    losses = [row["loss"] for row in lines(tmp_path / "run" / "sft" / "metrics.jsonl")]
    assert sum(losses[-3:]) < sum(losses[:3])
    load_model(tmp_path / "run" / "sft" / "out")
