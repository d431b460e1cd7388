"""The tiny tokenizer, chat template and model, and the optimisers that train it."""

import copy
import io

import pytest
import torch

from bounds import EPS, LR, weight_bound
from longstep.config import UserError, ValidationError
from longstep.models.chat import encode_text, render_prompt
from longstep.models.load import load_tokenizer
from longstep.models.tiny import CHARACTERS, TinySpec, build_model, build_tokenizer
from longstep.optimizers import AdamW, Muon
from longstep.optimizers.orthogonal import orthogonalize
from longstep.problems import Addition, Chain, Equation, Skills

SPEC = TinySpec(width=16, layers=2, heads=2, context=64)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def turn(user: str, assistant: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


def test_think_tags_survive_skipping_special_tokens(tokenizer):
    text = tokenizer.apply_chat_template(
        turn("a3b+4?", "<think>a3b+4=7</think>\\boxed{7}"), tokenize=False
    )
    assert text == "<|user|>a3b+4?<|assistant|><think>a3b+4=7</think>\\boxed{7}<|end|>"
    ids = tokenizer(text, add_special_tokens=False).input_ids
    # 1 user + 6 characters + assistant + think + 7 characters + /think + boxed + "7" + "}" + end = 21
    assert len(ids) == 21
    assert tokenizer.decode(ids) == text
    assert (
        tokenizer.decode(ids, skip_special_tokens=True) == "a3b+4?<think>a3b+4=7</think>\\boxed{7}"
    )


def test_generation_prompt_forces_or_closes_the_thought(tokenizer):
    user = turn("1?", "")[:1]
    render = tokenizer.apply_chat_template
    assert (
        render(user, tokenize=False, add_generation_prompt=True) == "<|user|>1?<|assistant|><think>"
    )
    off = render(user, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    assert off == "<|user|>1?<|assistant|><think></think>"


def test_infer_prompt_is_a_prefix_of_the_training_text_in_tokens(tokenizer):
    messages = turn("a1?", "<think>a1</think>\\boxed{1}")
    prompt = tokenizer.apply_chat_template(
        messages[:1], add_generation_prompt=True, return_dict=False
    )
    whole = tokenizer.apply_chat_template(messages, return_dict=False)
    assert whole[: len(prompt)] == prompt


def test_only_the_last_thought_is_kept(tokenizer):
    messages = turn("1?", "<think>x</think>\\boxed{1}") + turn("2?", "<think>y</think>\\boxed{2}")
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert (
        text
        == "<|user|>1?<|assistant|>\\boxed{1}<|end|><|user|>2?<|assistant|><think>y</think>\\boxed{2}<|end|>"
    )


def test_loss_mask_covers_the_last_assistant_turn(tokenizer):
    out = tokenizer.apply_chat_template(
        turn("1?", "<think></think>\\boxed{1}"), return_dict=True, return_assistant_tokens_mask=True
    )
    masked = [i for i, m in zip(out["input_ids"], out["assistant_masks"], strict=True) if m]
    assert tokenizer.decode(masked) == "<think></think>\\boxed{1}<|end|>"


def test_unknown_characters(tokenizer):
    # two bytes in UTF-8
    assert tokenizer("é", add_special_tokens=False).input_ids == [tokenizer.unk_token_id] * 2
    with pytest.raises(UserError, match="no token for 'é' in 'abé'"):
        encode_text(tokenizer, "abé")
    with pytest.raises(UserError, match="no token for 'é'"):
        render_prompt(tokenizer, "1 é?")
    for source in (Chain, Addition, Equation, Skills):
        for problem in source(count=40).load(0):
            assert encode_text(tokenizer, f"{problem.prompt}{problem.solution}{problem.answer}")


def test_22_spaces_are_read_by_us_and_by_whoever_loads_the_folder_with_autotokenizer(
    tokenizer, tmp_path
):
    from transformers import AutoTokenizer

    build_model(SPEC, seed=3).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    read = [
        [each(text, add_special_tokens=False).input_ids for text in ("11 5->16?", "1 15->16?")]
        for each in (tokenizer, load_tokenizer(tmp_path), theirs)
    ]
    assert read[0] == read[1] == read[2] and read[0][0] != read[0][1]
    assert theirs.decode(read[0][0]) == "11 5->16?"


def test_every_character_is_one_token_and_comes_back(tokenizer):
    ids = tokenizer(CHARACTERS, add_special_tokens=False).input_ids
    assert len(ids) == len(CHARACTERS) == len(set(ids))
    assert tokenizer.decode(ids) == CHARACTERS


def test_tokenizer_and_model_reload_the_same(tokenizer, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = build_model(SPEC, seed=3)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, loaded = (
        AutoTokenizer.from_pretrained(tmp_path),
        AutoModelForCausalLM.from_pretrained(tmp_path),
    )
    messages = turn("a3b+4?", "<think>a3b+4=7</think>\\boxed{7}")
    ids = tokenizer.apply_chat_template(messages, return_dict=False)
    assert again.apply_chat_template(messages, return_dict=False) == ids
    assert (again.pad_token, again.eos_token, again.unk_token) == ("<|pad|>", "<|end|>", "<|unk|>")
    x = torch.tensor([ids])
    assert torch.equal(loaded(x).logits, model(x).logits)
    assert loaded.generation_config.eos_token_id == tokenizer.eos_token_id != tokenizer.pad_token_id
    assert loaded.generation_config.pad_token_id == tokenizer.pad_token_id
    assert loaded.config.vocab_size == len(tokenizer)


def test_weights_depend_on_the_seed_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = build_model(SPEC, seed=1).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    second, other = build_model(SPEC, seed=1).state_dict(), build_model(SPEC, seed=2).state_dict()
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])
    # 98 * 16 embedding entries: the sample deviation is within 10% of init_std
    assert first["model.embed_tokens.weight"].std().item() == pytest.approx(SPEC.init_std, rel=0.1)


def test_parameter_count_by_hand():
    # embedding V*16; per layer: q,k,v 3*(16*16+16), o 16*16, SwiGLU 3*16*32, two norms 2*16; last norm 16
    layer = 3 * (16 * 16 + 16) + 16 * 16 + 3 * 16 * 32 + 2 * 16
    assert build_model(SPEC, 0).num_parameters() == len(build_tokenizer()) * 16 + 2 * layer + 16


def test_heads_must_divide_width():
    with pytest.raises(ValidationError, match="multiple of 2"):
        TinySpec(width=20, heads=4)


# --- optimisers


def batch(seed: int) -> torch.Tensor:
    return torch.randint(0, 90, (4, 12), generator=torch.Generator().manual_seed(seed))


def train(model, optimizer, seeds):
    for seed in seeds:
        x = batch(seed)
        model(input_ids=x, labels=x).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize(
    "config", [Muon(weight_decay=0.1), AdamW(lr=1e-3, weight_decay=0.1)], ids=lambda c: c.kind
)
def test_two_steps_saved_and_two_more_equal_four_bit_for_bit(config):
    straight = build_model(SPEC, 0)
    train(straight, config.build(straight), range(4))

    half = build_model(SPEC, 0)
    optimizer = config.build(half)
    train(half, optimizer, range(2))
    saved = io.BytesIO()
    torch.save({"model": half.state_dict(), "optimizer": optimizer.state_dict()}, saved)
    saved.seek(0)
    state = torch.load(saved, weights_only=True)
    resumed = build_model(SPEC, 7)
    resumed.load_state_dict(state["model"])
    optimizer = config.build(resumed)
    optimizer.load_state_dict(state["optimizer"])
    train(resumed, optimizer, range(2, 4))
    for (name, a), b in zip(straight.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_muon_takes_the_hidden_matrices_and_nothing_else():
    for tie in (True, False):
        model = build_model(SPEC.model_copy(update={"tie": tie}), 0)
        groups = {g["method"]: [] for g in Muon().build(model).param_groups}
        optimizer = Muon().build(model)
        for group in optimizer.param_groups:
            groups[group["method"]] += [id(p) for p in group["params"]]
        expected = {id(p) for n, p in model.named_parameters() if "_proj.weight" in n}
        assert set(groups["muon"]) == expected and len(expected) == 2 * 7
        everything = [id(p) for p in model.parameters()]
        assert sorted(groups["muon"] + groups["adamw"]) == sorted(everything)


@pytest.mark.equality
def test_adamw_half_of_muon_equals_torch_adamw():
    # freeze the hidden matrices: what is left must move exactly like torch's AdamW
    ours, theirs = build_model(SPEC, 0), build_model(SPEC, 0)
    for model in (ours, theirs):
        for name, p in model.named_parameters():
            p.requires_grad_("_proj.weight" not in name)
    train(ours, Muon(adamw_lr=LR, eps=EPS, weight_decay=0.1).build(ours), range(3))
    train(theirs, AdamW(lr=LR, eps=EPS, weight_decay=0.1).build(theirs), range(3))
    bound = weight_bound(steps=3, tokens=4 * 12)
    start = build_model(SPEC, 0)
    moved = [
        (a - c).abs().max() for a, c in zip(ours.parameters(), start.parameters(), strict=True)
    ]
    assert max(moved) > 10 * bound
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=bound)


@pytest.mark.parametrize("shape", [(24, 8), (8, 24), (8, 8)])
def test_orthogonalize_keeps_singular_vectors_and_flattens_values(shape):
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    y = orthogonalize(x)
    values = torch.linalg.svdvals(y)
    # directions far below the largest singular value are only partly lifted in five iterations; none exceeds 1.3
    assert values.max() < 1.3 and values[:, :4].min() > 0.6
    u, _, vt = torch.linalg.svd(x, full_matrices=False)
    projected = u.mT @ y @ vt.mT
    off = projected - torch.diag_embed(torch.diagonal(projected, dim1=1, dim2=2))
    assert off.abs().max() < 1e-4
    assert torch.equal(orthogonalize(torch.zeros(1, *shape)), torch.zeros(1, *shape))


def test_first_muon_step_by_hand():
    # momentum after one step is 0.05 g, and Nesterov's look-ahead (0.05 + 0.95 * 0.05) g: multiples of g,
    # and the update ignores scale, so W moves by lr * sqrt(max(1, rows/cols)) * orth(g)
    layer = torch.nn.Linear(4, 8, bias=False)
    before, g = (
        layer.weight.detach().clone(),
        torch.randn(8, 4, generator=torch.Generator().manual_seed(1)),
    )
    layer.weight.grad = g.clone()
    optimizer = Muon(lr=0.1).build(layer)
    optimizer.step()
    expected = before - 0.1 * 2**0.5 * orthogonalize(g[None])[0]
    torch.testing.assert_close(layer.weight.detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(24, 8), (8, 24)])
def test_muon_is_torchs_but_for_its_bfloat16(shape):
    layers = [torch.nn.Linear(shape[1], shape[0], bias=False) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    before = layers[0].weight.detach().clone()
    ours = Muon(lr=0.1, momentum=0.9, weight_decay=0.1).build(layers[0])
    theirs = torch.optim.Muon(layers[1].parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for seed in range(3):
        gradient = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
        for layer, optimizer in zip(layers, (ours, theirs), strict=True):
            layer.weight.grad = gradient.clone()
            optimizer.step()
    moved, others = (layer.weight.detach() - before for layer in layers)
    # bfloat16 keeps 8 bits; five iterations, each some ten roundings deep, lose a few of them
    assert (moved - others).norm() < 2**-5 * moved.norm()


def test_scheduler_scales_both_rates_and_groups_survive_a_copy():
    model = build_model(SPEC, 0)
    optimizer = Muon(lr=0.02, adamw_lr=0.004).build(model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    optimizer.step()
    schedule.step()
    assert sorted({g["lr"] for g in optimizer.param_groups}) == [0.002, 0.01]
    assert copy.deepcopy(optimizer.state_dict())["param_groups"][0]["method"] == "muon"


def test_muon_memorises_a_batch():
    # 60 steps on one batch: the loss of a memorised batch falls below a tenth of ln(98) = 4.6
    model = build_model(SPEC, 0)
    optimizer = Muon(lr=0.03, adamw_lr=0.02).build(model)
    train(model, optimizer, [0] * 60)
    x = batch(0)
    assert model(input_ids=x, labels=x).loss.item() < 0.46
