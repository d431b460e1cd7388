"""``longstep doctor MODEL``: what is right is said, and every fault of a folder becomes a line with its remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from longstep.cli.doctor import examine_reference
from longstep.cli.main import app
from longstep.config import UserError
from longstep.merge.folders import refuse_unmergeable
from longstep.models.examine import Examined, examine_model
from longstep.models.load import load_model, load_tokenizer
from zoo import ARCHITECTURES, TEMPLATE, build, edit, tokenizer

VERBS = ("chat, sample, evaluate, rl", "sft, prefer", "lora")
MERGE = "merge with another of its kind"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_whole_member_of_the_zoo_can_do_everything_and_nothing_is_wrong(tmp_path, name):
    found = examine_model(build(name, tmp_path / name, spare=10), {MERGE: refuse_unmergeable})
    assert found.wrong == []
    assert found.abilities == dict.fromkeys((MERGE, *VERBS), "")
    assert found.facts["layers"] == "2" and found.facts["context"] == "192 tokens"
    assert found.facts["vocabulary"] == "312 rows for 302 token ids; 10 rows pad it"
    assert found.facts["think tags"] == "<think> one token, </think> one token"
    assert found.facts["ends a turn"] == "<|end|>"
    tied = "tied" in name or name in ("gemma2", "gemma3", "gpt2")
    assert found.facts["output layer"].startswith("the embedding" if tied else "its own")


def test_a_mixture_says_how_many_parameters_a_token_meets(tmp_path):
    found = examine_model(build("qwen3-moe", tmp_path / "m"))
    # Two layers, of whose four experts of 3 * 32 * 16 weights two are passed by.
    unused = 2 * 2 * 3 * 32 * 16
    assert found.facts["parameters"] == (
        f"38,208, a mixture: a token passes 2 of 4 experts, {38208 - unused:,} in all"
    )
    assert found.facts["lora targets"] == (
        "q_proj, v_proj by default; all-linear: q_proj, k_proj, v_proj, o_proj"
    )


def test_weights_stay_in_the_type_of_their_files(tmp_path):
    folder = build("llama", tmp_path / "m")
    weights = {n: v.bfloat16() for n, v in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    found = examine_model(folder)
    assert found.facts["weights"] == "37,920 in BF16" and found.wrong == []


def weights(change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    return spoil


def prefixed(tensors: dict[str, torch.Tensor]) -> None:
    for name in list(tensors):
        tensors[f"_orig_mod.{name}"] = tensors.pop(name)


def not_a_number(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.norm.weight"][0] = float("nan")


def rounded(tensors: dict[str, torch.Tensor]) -> None:
    tensors.update({name: value.mul(100).to(torch.int8) for name, value in tensors.items()})


def config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "config.json", **changes)


def file(name: str, text: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).write_text(text)

    return spoil


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def tokens(template: str | None, think: bool = True) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / "chat_template.jinja").unlink()
        tokenizer(template, think).save_pretrained(folder)

    return spoil


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def tags_without_rows(folder: Path) -> None:
    build("llama", folder, own=tokenizer(think=False))
    tokenizer().save_pretrained(folder)


ALL, TRAIN = (*VERBS, MERGE), VERBS[1:]
#: How to break a llama, what is said, and what it then cannot do.
FAULTS: dict[str, tuple[Callable[[Path], None], str, tuple[str, ...]]] = {
    "prefixed": (weights(prefixed), "torch.compile wrote '_orig_mod.'", ALL),
    "not a number": (
        weights(not_a_number),
        "logits for a plain question are not all finite",
        VERBS,
    ),
    "layers": (config(num_hidden_layers=3), "number of layers in config.json", ALL),
    "no layers in figures": (config(num_hidden_layers="two"), "expected int, got str", ALL),
    "no heads": (config(num_attention_heads=0), "cannot be loaded (ZeroDivisionError", ALL),
    "no context": (config(max_position_embeddings=0), "max_position_embeddings", VERBS),
    "quantised": (
        config(quantization_config={"quant_method": "gptq"}),
        "take the unquantised",
        ALL,
    ),
    "in whole numbers": (weights(rounded), "stored as I8, so its weights are quantised", ALL),
    "adapter beside": (
        file("adapter_config.json", '{"base_model_name_or_path": "Q"}'),
        "an adapter of Q beside it",
        ALL,
    ),
    "own code": (config(auto_map={"AutoModel": "x.py"}), "remote code is never executed", ALL),
    "torn": (file("config.json", "{"), "not valid JSON", ALL),
    "pickled": (pickled, "convert the model to safetensors first", ALL),
    "no template": (tokens(None), "chat_template: FILE", VERBS),
    "lost question": (tokens("{{ 'Hello' }}"), "puts the question 0 times", VERBS),
    "failing template": (tokens("{{ 1 / 0 }}"), "cannot render a user's question", VERBS),
    "two thoughts": (tokens(TEMPLATE + "<think><think>"), "opens 2 thoughts", VERBS),
    "no think tags": (tokens(TEMPLATE, think=False), "checkpoint: think_tokens: add", TRAIN),
    "no tokenizer": (without("tokenizer_config.json"), "must carry its tokenizer", VERBS),
    "damaged tokenizer": (file("tokenizer.json", '{"model": null}'), "cannot be loaded", ALL),
    "rows missing": (tags_without_rows, "was added to the tokenizer only", VERBS),
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("llama", tmp_path_factory.mktemp("whole") / "m")


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_a_line_and_says_what_cannot_be_done(tmp_path, llama, name):
    spoil, words, cannot = FAULTS[name]
    spoil(shutil.copytree(llama, tmp_path / "m"))
    found = examine_model(tmp_path / "m", {MERGE: refuse_unmergeable})
    assert [line for line in found.wrong if words in line], found.wrong
    assert all("\n" not in line for line in found.wrong)
    assert {verb for verb, why in found.abilities.items() if why} == set(cannot)
    assert len(found.wrong) == len(set(found.wrong))


def test_a_token_without_a_row_that_no_prompt_needs_is_a_fact_and_no_fault(tmp_path, llama):
    """As in gemma-3-1b-it, whose tokenizer knows an image token."""
    folder = shutil.copytree(llama, tmp_path / "m")
    own = tokenizer()
    own.add_tokens(["<image>"])
    own.save_pretrained(folder)
    found = examine_model(folder)
    assert found.wrong == []
    assert found.facts["vocabulary"] == "302 rows for 303 token ids; 1 ids have none"


def test_every_fault_is_reported_not_only_the_first(tmp_path, llama):
    folder = shutil.copytree(llama, tmp_path / "m")
    config(num_hidden_layers=3)(folder)
    tokens(TEMPLATE + "<think><think>", think=False)(folder)
    (layers, template) = examine_model(folder).wrong
    assert "number of layers" in layers and "opens 2 thoughts" in template


def test_what_a_stage_would_say_is_what_the_doctor_says(tmp_path, llama):
    folder = shutil.copytree(llama, tmp_path / "m")
    weights(prefixed)(folder)
    tokens("{{ 'Hello' }}")(folder)
    said: list[str] = []
    for load in (load_model, load_tokenizer):
        with pytest.raises(UserError) as told:
            load(folder)
        said.append(str(told.value))
    assert examine_model(folder).wrong == said


def test_one_complaint_of_two_checks_is_one_line():
    found = Examined()
    found.refuse("a", "b", "a")
    found.refuse("b")
    assert found.wrong == ["a", "b"]


# -- the verb ----------------------------------------------------------------------------------------


def doctor(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["doctor", *words], catch_exceptions=False)
    return done.exit_code, done.stdout


def test_the_doctor_speaks_in_words_and_ends_with_1_when_something_is_wrong(tmp_path, llama):
    code, text = doctor("longstep-tiny")
    assert code == 0 and "nothing is wrong with it" in text
    for words in ("Qwen2ForCausalLM (qwen2)", "256 tokens", "the embedding (tied)", "lora: yes"):
        assert words in text
    folder = shutil.copytree(llama, tmp_path / "m")
    tokens(TEMPLATE, think=False)(folder)
    code, text = doctor(str(folder))
    assert code == 1 and "sft, prefer: no: <think> is" in text
    assert "chat, sample, evaluate, rl: yes" in text and "1. <think> is" in text


def test_the_doctor_speaks_json_and_downloads_nothing(tmp_path):
    code, text = doctor("longstep-tiny-rater", "--json")
    assert code == 0 and json.loads(text)["facts"]["think tags"].startswith("<think> one token")
    with pytest.raises(UserError, match="not in the local cache; download it"):
        examine_reference("nobody/has-this-model")
