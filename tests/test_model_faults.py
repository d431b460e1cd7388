"""Models as they come: what is not whole is refused in one sentence, what is whole comes back whole (faults 19-36)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from longstep.config import UserError
from longstep.draw.prompts import engine
from longstep.generate import Prompt, Sampling
from longstep.generate.engine import TransformersEngine
from longstep.merge import Linear, merge_models
from longstep.models.account import prove_saved, refill
from longstep.models.bounds import stop_ids, unknown_ids
from longstep.models.chat import encode_text, lint, render_prompt
from longstep.models.load import (
    SHIPPED,
    load_model,
    load_tokenizer,
    save_model,
    shipped_folder,
)
from longstep.models.lora import Lora, target_layers, wrap
from longstep.models.think import add_think_tokens
from longstep.models.tokens import others_differ
from longstep.optimizers import AdamW
from longstep.progress import Progress
from longstep.training.config import Training
from longstep.training.job import Job
from longstep.training.rows import SftRow
from longstep.training.sft import train_sft
from longstep.training.start import longest_row
from zoo import ARCHITECTURES, CONTEXT, TEMPLATE, build, edit, tokenizer

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def member(name: str) -> Path:
        if name not in made:
            made[name] = build(name, tmp_path_factory.mktemp(name))
        return made[name]

    return member


def rewritten(source: Path, folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    shutil.copytree(source, folder)
    tensors = change(load_file(folder / "model.safetensors"))
    whole = {name: value.contiguous() for name, value in tensors.items()}
    save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def prefixed(prefix: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {prefix + name: value for name, value in tensors.items()}


# -- 19: weights that the file lacks --------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (prefixed("_orig_mod."), "torch.compile wrote '_orig_mod.'"),
        (prefixed("module."), "DataParallel wrote 'module.'"),
        (prefixed("base_model.model."), "PEFT wrote 'base_model.model.'"),
        (
            lambda t: {n.replace("q_proj.", "q_proj.base_layer."): v for n, v in t.items()},
            "without merging the adapter",
        ),
        (
            lambda t: {n: v for n, v in t.items() if ".layers.1." not in n},
            "number of layers in config.json",
        ),
        (lambda t: {n: v for n, v in t.items() if n != "lm_head.weight"}, "tie_word_embeddings"),
        (
            lambda t: {**t, "v_head.weight": torch.ones(1, 32)},
            "not used by it (first 'v_head.weight')",
        ),
    ],
)
def test_19_a_tensor_that_is_missing_or_left_over_is_refused_with_its_name(
    zoo, tmp_path, change, words
):
    folder = rewritten(zoo("llama"), tmp_path / "m", change)
    with pytest.raises(UserError, match="not every tensor of this model is accounted for") as told:
        load_model(folder)
    assert words in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize("layers", [1, 3])
def test_19_another_number_of_layers_in_the_config_is_refused(zoo, tmp_path, layers):
    shutil.copytree(zoo("llama"), tmp_path / "m")
    edit(tmp_path / "m/config.json", num_hidden_layers=layers)
    with pytest.raises(UserError, match=r"number of layers in config\.json"):
        load_model(tmp_path / "m")


def test_19_a_head_saved_beside_the_embedding_it_is_tied_to_is_no_fault(zoo, tmp_path):
    def doubled(tensors: Tensors) -> Tensors:
        return {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()}

    load_model(rewritten(zoo("qwen2-tied"), tmp_path / "m", doubled))


# -- 20: resume of converted weights ---------------------------------------------------------------


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_20_every_architecture_comes_back_from_its_folder_to_the_last_tensor(zoo, tmp_path, name):
    model = load_model(zoo(name))
    with torch.no_grad():
        for number, value in enumerate(model.parameters()):
            value.add_(0.01 * (number + 1))  # so that no tensor is what it was at the start
    model.save_pretrained(tmp_path / "saved")
    prove_saved(model, tmp_path / "saved")
    again = load_model(zoo(name))
    refill(again, tmp_path / "saved")
    for (place, mine), theirs in zip(
        model.state_dict().items(), again.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, theirs), place


def test_20_a_folder_of_other_weights_is_no_proof(zoo, tmp_path):
    model = load_model(zoo("qwen3-moe"))
    model.save_pretrained(tmp_path / "saved")
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    with pytest.raises(UserError, match="does not come back from the checkpoint as it was saved"):
        prove_saved(model, tmp_path / "saved")


# -- 21, 24: templates and think tokens ------------------------------------------------------------


def written(folder: Path, template: object, think: bool = False) -> Path:
    build("qwen2", folder)
    (folder / "chat_template.jinja").unlink()
    own = tokenizer(None, think)
    own.chat_template = template  # pyright: ignore[reportAttributeAccessIssue]
    own.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (
            "{%- if add_generation_prompt -%}{{- '<think>' -}}{%- endif -%}",
            "puts the question 0 times",
        ),
        (TEMPLATE + TEMPLATE, "puts the question 2 times"),
        (TEMPLATE + "<think><think>", "opens 2 thoughts in one prompt"),
        ("{{ messages[0].content + raise_exception('no') }}", "cannot render a user's question"),
    ],
)
def test_21_a_template_that_loses_the_question_is_refused_when_it_is_loaded(
    tmp_path, template, words
):
    with pytest.raises(UserError, match="chat template") as told:
        load_tokenizer(written(tmp_path / "m", template))
    assert words in str(told.value)


def test_21_a_template_may_speak_of_the_tags_before_it_opens_a_thought(tmp_path):
    """As Open-Reasoner-Zero's does; a second opening where the answer begins is still refused, a line apart too."""
    told = "Reason within <think> </think>.\n" + TEMPLATE
    own = load_tokenizer(written(tmp_path / "m", told + "<think>\n"))
    assert render_prompt(own, "1").prefix == "<think>"
    with pytest.raises(UserError, match="opens 2 thoughts"):
        load_tokenizer(written(tmp_path / "again", told + "<think>\n<think>\n"))


def with_tags(source: Path, out: Path, template: Path | None = None) -> Path:
    own, model = load_tokenizer(source, template), load_model(source)
    add_think_tokens(own, model, source)
    save_model(model, own, out)
    return out


def test_21_think_tags_on_a_base_without_template_ask_for_one_and_take_it(tmp_path):
    source = written(tmp_path / "m", None)
    with pytest.raises(UserError, match=r"no chat template.*set chat_template: FILE"):
        with_tags(source, tmp_path / "refused")
    (tmp_path / "chat.jinja").write_text(TEMPLATE)
    own = load_tokenizer(with_tags(source, tmp_path / "out", tmp_path / "chat.jinja"))
    prompt = render_prompt(own, "12+34?")
    assert own.decode(prompt.ids) == "<|user|>12+34?<|end|><|assistant|><think>"
    assert lint(own) == []


def test_21_a_template_that_forces_a_thought_gets_no_second_one(tmp_path):
    own = load_tokenizer(
        with_tags(written(tmp_path / "m", TEMPLATE + "<think>\n"), tmp_path / "out")
    )
    assert own.decode(render_prompt(own, "1").ids).count("<think>") == 1


def test_24_new_tags_have_rows_of_their_own_that_mean_something(tmp_path):
    source = tmp_path / "m"
    build("qwen2-tied", source, spare=8)
    tokenizer(think=False).save_pretrained(source)
    own, model = load_tokenizer(source), load_model(source)
    pieces = {tag: encode_text(own, tag) for tag in ("<think>", "</think>")}
    rows = model.get_input_embeddings().weight.data
    rows[len(own) :] = 0.0  # as a padded vocabulary leaves them
    expected = {tag: rows[ids].mean(0) for tag, ids in pieces.items()}
    add_think_tokens(own, model, source)
    for tag, row in expected.items():
        assert torch.equal(rows[own.convert_tokens_to_ids(tag)], row)
    assert not torch.equal(*expected.values())


# -- 22, 26: the file's own tokenizer, and nothing but its tokens -----------------------------------


def cut_at_letters() -> PreTrainedTokenizerFast:
    """One token per byte, cut between characters that no library's own pre-tokenizer cuts like that."""
    own = tokenizer()
    own.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[a-z0-9]"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return own


@pytest.mark.parametrize("name", ["qwen2", "gpt2", "gpt-neox", "llama", "mistral", "gemma2"])
@pytest.mark.parametrize("kind", ["Qwen2Tokenizer", "LlamaTokenizerFast", "TokenizersBackend"])
def test_22_the_ids_are_those_of_the_folders_own_file(zoo, tmp_path, name, kind):
    shutil.copytree(zoo(name), tmp_path / "m")
    cut_at_letters().save_pretrained(tmp_path / "m")
    edit(tmp_path / "m/tokenizer_config.json", tokenizer_class=kind)
    text = "the answer is 46. the numbers 11 5 and  1 15\n"
    own = Tokenizer.from_file(str(tmp_path / "m/tokenizer.json"))
    read = load_tokenizer(tmp_path / "m")
    assert read(text).input_ids == own.encode(text).ids
    save_model(load_model(tmp_path / "m"), read, tmp_path / "again")
    assert load_tokenizer(tmp_path / "again")(text).input_ids == own.encode(text).ids


def test_22_a_folder_that_others_read_with_other_ids_is_known(zoo, tmp_path):
    shutil.copytree(zoo("qwen2"), tmp_path / "m")
    cut_at_letters().save_pretrained(tmp_path / "m")
    assert "load it with AutoTokenizer" in others_differ(tmp_path / "m")
    assert [others_differ(shipped_folder(name)) for name in SHIPPED] == ["", ""]


def test_26_rows_that_pad_the_vocabulary_are_never_drawn(tmp_path):
    folder = build("qwen2", tmp_path / "m", spare=200)
    own, model = load_tokenizer(folder), load_model(folder)
    spare = unknown_ids(model, own)
    assert spare == frozenset(range(len(own), len(own) + 200))
    prompts = [Prompt(f"p{n}", tuple(encode_text(own, "12+34"))) for n in range(4)]
    for temperature in (1.0, 0.0):
        how = Sampling(
            temperature=temperature, top_p=1.0, max_tokens=60, samples=1, seed=3, logprobs=True
        )
        drawn = list(engine(model, own).draw(prompts, how))
        unmasked = TransformersEngine(model, own, stop_ids(model, own)).draw(prompts, how)
        assert any(spare & {*each.token_ids} for each in unmasked)  # they would be drawn
        for each in drawn:
            assert not spare & {*each.token_ids}
            # the probabilities are those of what can be drawn: they sum to one without the spare rows
            ids = [*each.prompt_ids, *each.token_ids]
            logits_TV = model(torch.tensor([ids])).logits[0, len(each.prompt_ids) - 1 : -1]
            logps_T = logits_TV[:, : len(own)].log_softmax(-1)
            chosen = logps_T.gather(-1, torch.tensor(each.token_ids)[:, None])[:, 0]
            torch.testing.assert_close(torch.tensor(each.logprobs), chosen, rtol=0, atol=1e-4)


# -- 23, 30: adapters ------------------------------------------------------------------------------


def test_23_adapters_depend_on_their_seed_alone(zoo):
    def halves(seed: int, noise: int) -> list[torch.Tensor]:
        torch.manual_seed(noise)
        model = wrap(load_model(zoo("qwen2")), Lora(r=2), seed)
        return [value.clone() for name, value in model.named_parameters() if "lora_A" in name]

    one, two, other = halves(1, 5), halves(1, 6), halves(2, 5)
    assert all(map(torch.equal, one, two)) and not any(map(torch.equal, one, other))


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("qwen2", ["q_proj", "v_proj"]),
        ("gpt2", ["c_attn"]),
        ("phi3", ["qkv_proj"]),
        ("gpt-neox", ["query_key_value"]),
    ],
)
def test_30_the_default_targets_are_the_architectures_own(zoo, name, targets):
    assert target_layers(load_model(zoo(name)), Lora()) == targets


def test_30_all_linear_and_a_misspelt_target(zoo):
    model = load_model(zoo("llama"))
    everything = target_layers(model, Lora(targets="all-linear"))
    assert everything == [
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    ]
    with pytest.raises(UserError, match=r"no linear layer 'q_porj'; did you mean 'q_proj'\?"):
        target_layers(model, Lora(targets=("q_porj",)))
    with pytest.raises(UserError, match="tied to another layer"):
        target_layers(load_model(zoo("qwen2-tied")), Lora(targets=("embed_tokens",)))


# -- 29, 31, 33: folders of other releases, damaged ones, ones that are no model ---------------------


def test_29_a_generation_config_that_this_release_refuses_loses_all_but_its_ids(zoo, tmp_path):
    shutil.copytree(zoo("llama"), tmp_path / "m")
    edit(tmp_path / "m/generation_config.json", num_return_sequences=4, eos_token_id=[1, 3])
    model = load_model(tmp_path / "m")
    save_model(model, load_tokenizer(tmp_path / "m"), tmp_path / "out")
    assert load_model(tmp_path / "out").generation_config.eos_token_id == [1, 3]


def damaged(folder: Path, how: str) -> None:
    config, weights = folder / "config.json", folder / "model.safetensors"
    if how == "cut":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif how == "adapter":
        (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "Qwen/Q"}')
        config.unlink()
    elif how == "no config":
        config.unlink()
    elif how == "torn config":
        config.write_text("{")
    elif how == "quantised":
        edit(config, quantization_config={"quant_method": "gptq"})
    elif how == "unknown":
        edit(config, model_type="nosuch")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("cut", "cannot be loaded"),
        ("adapter", "holds an adapter of Qwen/Q, not a model"),
        ("no config", "no config.json"),
        ("torn config", "not valid JSON"),
        ("quantised", "quantised (gptq)"),
        ("unknown", "nosuch"),
    ],
)
def test_33_a_folder_that_is_no_whole_plain_model_is_refused_in_one_sentence(
    zoo, tmp_path, how, words
):
    shutil.copytree(zoo("llama"), tmp_path / "m")
    damaged(tmp_path / "m", how)
    with pytest.raises(UserError) as told:
        load_model(tmp_path / "m")
    assert words in str(told.value) and "\n" not in str(told.value)


def test_31_one_rotary_base_written_in_two_places_is_one_architecture(zoo, tmp_path):
    shutil.copytree(zoo("llama"), tmp_path / "old")
    edit(tmp_path / "old/config.json", rope_parameters=None, rope_theta=10_000.0)
    merge_models(Linear(), [zoo("llama"), tmp_path / "old"], None, tmp_path / "out")
    edit(tmp_path / "old/config.json", rope_theta=500_000.0)
    with pytest.raises(UserError, match=r"rotary positions are .*500000"):
        merge_models(Linear(), [zoo("llama"), tmp_path / "old"], None, tmp_path / "refused")


def test_31_folders_of_two_types_merge_into_the_one_that_is_asked_for(zoo, tmp_path):
    half = rewritten(
        zoo("llama"), tmp_path / "half", lambda t: {n: v.bfloat16() for n, v in t.items()}
    )
    with pytest.raises(UserError, match="dtype: float32 or bfloat16"):
        merge_models(Linear(), [zoo("llama"), half], None, tmp_path / "refused")
    merge_models(Linear(), [zoo("llama"), half], None, tmp_path / "out", dtype="float32")
    whole, made = (
        load_file(zoo("llama") / "model.safetensors"),
        load_file(tmp_path / "out/model.safetensors"),
    )
    for name, value in whole.items():
        torch.testing.assert_close(
            made[name], (value + value.bfloat16().float()) / 2, rtol=0, atol=1e-7
        )


def test_31_a_single_file_is_read_before_an_old_index_beside_it(zoo, tmp_path):
    shutil.copytree(zoo("llama"), tmp_path / "m")
    (tmp_path / "m/model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "gone.safetensors"}}'
    )
    merge_models(Linear(), [zoo("llama"), tmp_path / "m"], None, tmp_path / "out")
    whole, made = (
        load_file(zoo("llama") / "model.safetensors"),
        load_file(tmp_path / "out/model.safetensors"),
    )
    assert all(torch.equal(made[name], value) for name, value in whole.items())


def tuned(folder: Path, source: Path, steps: int) -> dict[str, torch.Tensor]:
    """Four rows a step, a checkpoint every second; continues whatever lies in ``folder``."""
    model, own = load_model(source, "float32"), load_tokenizer(source)
    how = AdamW(lr=1e-2)
    training = Training(steps=4, batch=4, max_length=64, save_every=2, log_every=1, optimizer=how)
    quiet = Progress("x", 4, write=lambda text: None)
    stop = int(own.eos_token_id)  # pyright: ignore[reportArgumentType]
    data = [SftRow(f"r{n}", (10 + n, 11, 12 + n, stop), 1) for n in range(4 * steps)]
    train_sft(Job(model, own, training, 4, 0, folder, quiet), data)
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", ["qwen3-moe", "gpt-neox"])
def test_20_a_resumed_training_ends_with_the_weights_of_an_uninterrupted_one(zoo, tmp_path, name):
    whole = tuned(tmp_path / "whole", zoo(name), 4)
    again = tmp_path / "again"
    shutil.copytree(tmp_path / "whole" / "checkpoints", again / "checkpoints")
    shutil.rmtree(again / "checkpoints" / "checkpoint-4")  # as a kill after step 2 leaves it
    resumed = tuned(again, zoo(name), 4)
    start = load_model(zoo(name)).state_dict()
    assert all(torch.equal(resumed[each], value) for each, value in whole.items())
    assert not any(
        torch.equal(start[each], value) for each, value in whole.items() if value.dim() > 1
    )


# -- 25: rows beyond the context -------------------------------------------------------------------


def test_25_no_row_is_longer_than_the_context_whatever_max_length_says(zoo):
    model = load_model(zoo("llama"))
    assert longest_row(Training(steps=1, max_length=100_000), model) == CONTEXT
    assert longest_row(Training(steps=1, max_length=64), model) == 64
