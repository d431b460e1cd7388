"""The engine against a naive decoder, and the pieces it is made of against cases worked by hand."""

import math

import numpy as np
import pytest
import torch

from longstep.config import UserError
from longstep.generate import Prompt, Sampling, plan_batches
from longstep.generate.choose import choose
from longstep.generate.engine import TransformersEngine
from longstep.generate.noise import row_key, uniforms

STOP = 1
VOCAB = 12


class Letters:
    """Id n is the n-th letter."""

    def decode(self, token_ids, skip_special_tokens=False):
        return "".join(chr(97 + token) for token in token_ids)


@pytest.fixture(scope="module")
def model():
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.4,
    )
    return Qwen2ForCausalLM(config).double().eval()


@pytest.fixture
def engine(model):
    return TransformersEngine(model, Letters(), {STOP})


PROMPTS = [
    Prompt("p0", (3, 4, 5), "<think>"),
    Prompt("p1", (6,), "<think>"),
    Prompt("p2", (7, 8, 9, 10, 2), "<think>"),
]
SAMPLING = Sampling(
    temperature=1.0,
    top_p=0.9,
    top_k=8,
    max_tokens=20,
    samples=4,
    seed=7,
    batch_size=5,
    logprobs=True,
)


def naive(model, prompt, sample_index, sampling):
    """One row, the whole sequence encoded again at each step, the nucleus built by a loop."""
    key = np.array([row_key(sampling.seed, prompt.problem_id, sample_index)], dtype=np.uint64)
    ids, logps = list(prompt.prompt_ids), []
    for position in range(sampling.max_tokens):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        prob = torch.softmax(logits / sampling.temperature, -1).tolist()
        ranked = sorted(range(VOCAB), key=lambda token: -prob[token])[: sampling.top_k]
        total = sum(prob[token] for token in ranked)
        kept, mass = [], 0.0
        for token in ranked:
            kept.append(token)
            mass += prob[token]
            if mass >= sampling.top_p * total:
                break
        target = uniforms(key, position, 1)[0, 0] * mass
        for token in kept:
            target -= prob[token]
            if target < 0:
                break
        ids.append(token)
        logps.append(torch.log_softmax(logits, -1)[token].item())
        if token == STOP:
            break
    return tuple(ids[len(prompt.prompt_ids) :]), logps


@pytest.mark.equality
def test_batched_cached_decoding_equals_a_naive_decoder(model, engine):
    found = list(engine.draw(PROMPTS, SAMPLING))
    prompts = {prompt.problem_id: prompt for prompt in PROMPTS}
    assert len(found) == 12
    for each in found:
        ids, logps = naive(model, prompts[each.problem_id], each.sample_index, SAMPLING)
        assert each.token_ids == ids
        assert each.logprobs == pytest.approx(logps, abs=1e-5)
    assert {each.finish_reason for each in found} == {"stop", "length"}  # both ends were compared
    assert len({each.token_ids for each in found}) > 6


def test_stop_id_is_kept_in_ids_and_left_out_of_text(engine):
    for each in engine.draw(PROMPTS, SAMPLING):
        stopped = each.finish_reason == "stop"
        assert stopped == (each.token_ids[-1] == STOP)
        assert stopped or len(each.token_ids) == 20
        shown = each.token_ids[:-1] if stopped else each.token_ids
        assert each.text == "<think>" + "".join(chr(97 + token) for token in shown)
        assert len(each.logprobs) == len(each.token_ids)


def test_batch_size_order_and_company_change_no_token(engine):
    def ids(prompts, **changes):
        sampling = SAMPLING.model_copy(update=changes)
        return {
            (each.problem_id, each.sample_index): each.token_ids
            for each in engine.draw(prompts, sampling)
        }

    expected = ids(PROMPTS)
    for size in (1, 3, 8):
        assert ids(PROMPTS, batch_size=size) == expected
    alone = ids(PROMPTS[1:2])
    assert alone == {key: value for key, value in expected.items() if key[0] == "p1"}
    assert ids(PROMPTS, seed=8) != expected


def test_reversed_input_gives_the_same_rows_bit_for_bit(engine):
    assert list(engine.draw(PROMPTS, SAMPLING)) == list(engine.draw(PROMPTS[::-1], SAMPLING))


def test_a_batch_does_not_depend_on_the_batches_before_it(engine):
    whole = list(engine.draw(PROMPTS, SAMPLING))
    batches = list(plan_batches(PROMPTS, SAMPLING))
    assert [len(batch.rows) for batch in batches] == [5, 5, 2]
    resumed = [row for batch in batches[1:] for row in engine.run_batch(batch, SAMPLING)]
    assert resumed == whole[5:]


def test_plan_orders_by_length_then_id_then_sample():
    sampling = Sampling(samples=2, batch_size=4)
    prompts = [Prompt("b", (1, 2)), Prompt("a", (1, 2)), Prompt("c", (1,))]
    rows = [
        (r.prompt.problem_id, r.sample_index)
        for b in plan_batches(prompts, sampling)
        for r in b.rows
    ]
    assert rows == [("c", 0), ("c", 1), ("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    with pytest.raises(UserError, match="'a' is asked twice"):
        plan_batches([Prompt("a"), Prompt("a")], sampling)


def test_temperature_zero_takes_the_most_likely_token(model, engine):
    sampling = SAMPLING.model_copy(update={"temperature": 0.0, "samples": 1})
    for each in engine.draw(PROMPTS, sampling):
        ids = list(next(p.prompt_ids for p in PROMPTS if p.problem_id == each.problem_id))
        for token in each.token_ids:
            with torch.no_grad():
                assert model(torch.tensor([ids])).logits[0, -1].argmax() == token
            ids.append(token)


def test_context_overflow_is_refused_before_decoding(engine):
    with pytest.raises(
        UserError, match=r"'p2'.*5 tokens.*60.*context of 64; lower max_tokens to 59"
    ):
        next(engine.draw(PROMPTS, SAMPLING.model_copy(update={"max_tokens": 60})))


def test_non_finite_logits_name_the_problem(model):
    import copy

    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.model.embed_tokens.weight[10] = float("nan")  # only p2's prompt holds token 10
        if broken.config.tie_word_embeddings:
            pytest.fail("the fixture must not tie embeddings")
    with pytest.raises(UserError, match="not finite on problem 'p2', sample 0"):
        list(TransformersEngine(broken, Letters(), {STOP}).draw(PROMPTS[2:], SAMPLING))


def draw(probs, u, **settings):
    sampling = Sampling(temperature=settings.pop("temperature", 1.0), **settings)
    logits = torch.tensor([probs], dtype=torch.float64).log()
    return int(choose(logits, torch.tensor([u], dtype=torch.float64), sampling))


def test_top_p_keeps_the_smallest_set_that_reaches_p():
    probs = [0.1, 0.5, 0.15, 0.25]  # ranked: token 1 (0.5), 3 (0.75), 2 (0.9), 0 (1.0)
    # p = 0.7: 0.5 < 0.7 <= 0.75, so tokens 1 and 3, total 0.75; token 1 below 0.5/0.75 = 0.667
    assert [draw(probs, u, top_p=0.7) for u in (0.0, 0.66, 0.67, 0.999999)] == [1, 1, 3, 3]
    # p = 0.4: the first token alone already reaches it, and is kept
    assert [draw(probs, u, top_p=0.4) for u in (0.0, 0.999999)] == [1, 1]
    # p = 0.8 needs the third: 0.75 < 0.8 <= 0.9
    assert draw(probs, 0.999999, top_p=0.8) == 2


def test_top_k_comes_before_top_p():
    probs = [0.1, 0.5, 0.15, 0.25]
    # k = 2 keeps 0.5 and 0.25, renormalised 2/3 and 1/3: p = 0.6 then keeps the first alone
    assert draw(probs, 0.999999, top_k=2, top_p=1.0) == 3
    assert draw(probs, 0.999999, top_k=2, top_p=0.6) == 1


def test_without_cuts_the_draw_inverts_the_vocabulary_order():
    probs = [0.1, 0.5, 0.15, 0.25]  # cumulative 0.1, 0.6, 0.75, 1
    assert [draw(probs, u, top_p=1.0) for u in (0.05, 0.11, 0.59, 0.61, 0.76)] == [0, 1, 1, 2, 3]
    # a token without mass is never drawn, not even at the ends of the range
    assert draw([0.0, 1.0, 0.0], 0.0, top_p=1.0) == 1
    assert draw([0.0, 1.0, 0.0], 1 - 2**-53, top_p=1.0) == 1
    # temperature 0.5 squares: 0.01, 0.25, 0.0225, 0.0625 of 0.345: cumulative 0.029, 0.754, ...
    assert [draw(probs, u, top_p=1.0, temperature=0.5) for u in (0.02, 0.03, 0.75, 0.76)] == [
        0,
        1,
        1,
        2,
    ]


def test_noise_is_splitmix64_and_needs_no_order():
    # SplitMix64 seeded with 0 starts e220a8397b1dcdaf, 6e789e6aa1b965f4 (the published test vector)
    first, second = (
        value / 2**53 for value in (0xE220A8397B1DCDAF >> 11, 0x6E789E6AA1B965F4 >> 11)
    )
    zero = np.array([0], dtype=np.uint64)
    assert uniforms(zero, 0, 2).tolist() == [[first, second]]
    assert uniforms(zero, 1, 1).tolist() == [[second]]


def test_noise_is_uniform_over_problems_and_positions():
    keys = np.array([row_key(0, f"p{i}", 0) for i in range(200)], dtype=np.uint64)
    noise = uniforms(keys, 0, 500)
    counts = np.histogram(noise, bins=20, range=(0, 1))[0]
    expected = noise.size / 20
    chi2 = float(((counts - expected) ** 2 / expected).sum())
    assert chi2 < 43.8  # chi-square with 19 degrees of freedom exceeds 43.8 once in a thousand
    corr = np.corrcoef(noise[:, 0], noise[:, 1])[0, 1]
    assert abs(corr) < 4 / math.sqrt(200)
