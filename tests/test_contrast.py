"""LightReasoner's mathematics by hand, the sampler against the plain algorithm, and kills in its middle."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from longstep.artifacts import read_rows
from longstep.config import UserError
from longstep.contrast.pair import Contrasted, Pair
from longstep.contrast.targets import (
    Contrast,
    EveryPosition,
    KlGate,
    OneHot,
    RandomPositions,
    Sharpen,
    contrast_weights,
    diverge,
    plausible,
)
from longstep.generate import Prompt, Sampling
from longstep.generate.batches import plan_batches
from longstep.generate.engine import TransformersEngine
from longstep.generate.seals import Sealed
from longstep.models.bounds import stop_ids
from longstep.models.load import load_model, load_tokenizer, shipped_folder
from longstep.types import Completion, SoftTarget
from short_recipe import Setting, finish, lines

EXPERT, AMATEUR = shipped_folder("longstep-tiny"), shipped_folder("longstep-tiny-rater")
GREEDY = Sampling(temperature=0, top_p=1, max_tokens=24, batch_size=8)


def test_kl_and_weights_of_a_hand_case():
    # pE = (1/2, 1/4, 1/4), pA = (1/4, 1/4, 1/2): KL = 1/2 ln 2 + 0 + 1/4 ln 1/2 = 1/4 ln 2
    expert, amateur = (
        torch.tensor([[0.5, 0.25, 0.25]]).log(),
        torch.tensor([[0.25, 0.25, 0.5]]).log(),
    )
    found = diverge(expert + 3.0, amateur - 7.0, 3)  # logits are log-probabilities up to a constant
    assert found.kl_N.item() == pytest.approx(0.25 * math.log(2), abs=1e-6)
    assert found.agree_N.tolist() == [False]
    # pE / pA = (2, 1, 1/2), so v_C = (4, 2, 1) / 7 when everything is plausible
    weights = Contrast(alpha=0.2).weights(found)[0].tolist()
    assert weights == pytest.approx([4 / 7, 2 / 7, 1 / 7], abs=1e-6)
    # alpha 0.6 leaves tokens of at least 0.3
    assert Contrast(alpha=0.6).weights(found)[0].tolist() == [1.0, 0.0, 0.0]
    assert OneHot().weights(found)[0].tolist() == [1.0, 0.0, 0.0]
    # pE^2 = (4, 1, 1) / 16, renormalised
    assert Sharpen(tau=2).weights(found)[0].tolist() == pytest.approx(
        [4 / 6, 1 / 6, 1 / 6], abs=1e-6
    )


def test_contrast_weights_are_the_ratio_of_probabilities_on_the_plausible_set():
    generator = torch.Generator().manual_seed(0)
    expert = (3 * torch.randn(50, 40, generator=generator)).log_softmax(-1)
    amateur = (3 * torch.randn(50, 40, generator=generator)).log_softmax(-1)
    inside = plausible(expert, 0.2)
    ratio = (expert.double().exp() / amateur.double().exp()) * inside
    expected = ratio / ratio.sum(-1, keepdim=True)
    assert torch.allclose(contrast_weights(expert, amateur, 0.2).double(), expected, atol=1e-6)
    probabilities = expert.exp()
    assert torch.equal(inside, probabilities >= 0.2 * probabilities.amax(-1, keepdim=True))


def test_padded_rows_are_cut_renormalised_and_their_mass_is_reported():
    expert = torch.tensor([[0.3, 0.3, 0.4]]).log()  # the third row is padding
    amateur = torch.tensor([[0.2, 0.6, 0.1, 0.1]]).log()  # two of them here
    found = diverge(expert, amateur, 2)
    assert found.expert_NV.exp()[0].tolist() == pytest.approx([0.5, 0.5])
    assert found.amateur_NV.exp()[0].tolist() == pytest.approx([0.25, 0.75])
    assert found.discarded_N.item() == pytest.approx(0.4 + 0.2)
    # only some ids are shared
    some = diverge(expert, amateur, torch.tensor([0, 1]))
    assert torch.equal(some.kl_N, found.kl_N)


def test_logits_that_are_too_few_or_not_finite_are_refused():
    good = torch.zeros(1, 4)
    with pytest.raises(ValueError, match="the amateur gives 3 logits for 4"):
        diverge(good, torch.zeros(1, 3), 4)
    with pytest.raises(ValueError, match="the expert's logits are not finite"):
        diverge(torch.tensor([[0.0, math.nan, 0.0, 0.0]]), good, 4)


def test_positions():
    kl = [0.5, 0.4, 0.1, 2.0, 0.0]
    assert KlGate(beta=0.4).keep(kl, "x") == [0, 3]  # strictly above
    assert EveryPosition().keep(kl, "x") == [0, 1, 2, 3, 4]
    draws = [RandomPositions(beta=0.4).keep(kl, str(key)) for key in range(200)]
    assert all(len(draw) == 2 and draw == sorted(draw) for draw in draws)
    assert {place for draw in draws for place in draw} == {0, 1, 2, 3, 4}
    assert RandomPositions(beta=0.4).keep(kl, "7") == draws[7]


def pair(entries: int = 1 << 24) -> tuple[Pair, list[Prompt]]:
    tokenizer = load_tokenizer(EXPERT)
    expert = load_model(EXPERT).eval()
    engine = TransformersEngine(expert, tokenizer, stop_ids(expert, tokenizer))
    questions = ["1+2", "3*4+5-6", "(7+8)*9-1+2*3", "2", "9-4*3+8*7-6+5"]
    prompts = [
        Prompt(q, tuple(tokenizer(q, add_special_tokens=False)["input_ids"]), "", q)  # pyright: ignore
        for q in questions
    ]
    return Pair(engine, load_model(AMATEUR).eval(), len(tokenizer), entries), prompts  # pyright: ignore


def contrasted(sampling: Sampling, entries: int = 1 << 24) -> dict[str, Contrasted]:
    both, prompts = pair(entries)
    found: list[Contrasted] = []
    for batch in plan_batches(prompts, sampling):
        found += both.run(batch, sampling, KlGate(beta=0.2), Contrast())
    return {f"{row.completion.problem_id}.{row.completion.sample_index}": row for row in found}


def plain(both: Pair, completion: Completion) -> dict[int, tuple[float, dict[int, float]]]:
    """Every prefix encoded anew by both models, one at a time; position -> KL and weights where KL > 0.2."""
    kept = {}
    for position in range(len(completion.token_ids)):
        prefix = torch.tensor([[*completion.prompt_ids, *completion.token_ids[:position]]])
        with torch.no_grad():
            expert = both.expert.model(prefix).logits[0, -1, : both.vocabulary].double().softmax(-1)
            amateur = both.amateur(prefix).logits[0, -1, : both.vocabulary].double().softmax(-1)
        kl = float((expert * (expert / amateur).log()).sum())
        if kl > 0.2:
            inside = expert >= 0.2 * expert.max()
            ratio = (expert / amateur) * inside
            weights = {int(i): float(ratio[i] / ratio.sum()) for i in inside.nonzero()[:, 0]}
            kept[position] = (kl, weights)
    return kept


@pytest.mark.parametrize(
    "sampling",
    [GREEDY, Sampling(temperature=1, top_p=1, max_tokens=12, samples=3, batch_size=4, seed=3)],
    ids=["greedy", "sampled"],
)
def test_one_pass_equals_encoding_every_prefix_anew(sampling: Sampling):
    both, _ = pair()
    for row in contrasted(sampling).values():
        expected = plain(both, row.completion)
        assert [t.position for t in row.targets] == sorted(expected)
        for target in row.targets:
            kl, weights = expected[target.position]
            assert target.kl == pytest.approx(kl, abs=1e-4)
            assert list(target.token_ids) == sorted(weights)
            assert target.weights == pytest.approx([weights[i] for i in target.token_ids], abs=1e-4)
            assert sum(target.weights) == pytest.approx(1, abs=1e-6)
        assert len(row.kl) == len(row.agree) == len(row.completion.token_ids)
    assert any(row.targets for row in contrasted(sampling).values())


def test_the_first_token_and_the_end_of_turn_are_eligible():
    both, prompts = pair()
    rows: list[Contrasted] = []
    for batch in plan_batches(prompts, GREEDY):
        rows += both.run(batch, GREEDY, EveryPosition(), Contrast())
    stops = both.expert.stop_ids
    ended = [row for row in rows if row.completion.token_ids[-1] in stops]
    assert ended, "no rollout stops, so the test shows nothing"
    for row in rows:
        places = [target.position for target in row.targets]
        assert places == list(range(len(row.completion.token_ids)))
    assert any(row.completion.token_ids[-1] in row.targets[-1].token_ids for row in ended)


def test_batch_size_and_memory_bound_change_nothing():
    alone = contrasted(GREEDY.model_copy(update={"batch_size": 1}))
    together = contrasted(GREEDY)
    small = contrasted(GREEDY, entries=150)  # a few positions at a time
    for name, row in alone.items():
        for other in (together[name], small[name]):
            assert other.completion.token_ids == row.completion.token_ids
            assert other.kl == pytest.approx(row.kl, abs=1e-4)
            assert [t.token_ids for t in other.targets] == [t.token_ids for t in row.targets]


def test_a_model_that_changes_its_logits_after_the_head_is_refused():
    both, prompts = pair()
    both.check(prompts, GREEDY)
    forward = both.amateur.forward

    def capped(*args, **kwargs):
        out = forward(*args, **kwargs)
        out.logits = 5 * torch.tanh(out.logits / 5)
        return out

    both.amateur.forward = capped
    with pytest.raises(UserError, match="the amateur changes its logits"):
        both.check(prompts, GREEDY)


RECIPE = """
name: short
stages:
  expert: {kind: checkpoint, path: longstep-tiny}
  amateur: {kind: checkpoint, path: AMATEUR}
  questions: {kind: curate, sources: [{kind: chain, count: 24, difficulty: [1, 3]}]}
  contrast:
    kind: contrast
    expert: "@expert"
    amateur: "@amateur"
    data: "@questions"
    positions: {kind: kl, beta: 0.05}
    sampling: {temperature: 0, top_p: 1, max_tokens: 16, batch_size: 8}
  tuned:
    kind: soft_sft
    model: "@expert"
    data: "@contrast"
    steps: 4
    batch: 4
    max_length: 96
    optimizer: {kind: adamw, lr: 1e-3}
    lora: {r: 4, alpha: 8, targets: [q_proj, v_proj]}
    save_every: 2
    log_every: 1
"""


def setting(*overrides: str, amateur: str = "longstep-tiny-rater") -> Setting:
    return Setting(overrides, text=RECIPE.replace("AMATEUR", amateur))


def permuted(folder: Path) -> Path:
    shutil.copytree(AMATEUR, folder)
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text("utf-8"))
    vocabulary = data["model"]["vocab"]
    vocabulary["3"], vocabulary["5"] = vocabulary["5"], vocabulary["3"]
    path.write_text(json.dumps(data), encoding="utf-8")
    return folder


def test_a_permuted_vocabulary_is_refused_naming_the_first_differing_token(tmp_path: Path):
    said = finish(tmp_path / "run", setting(amateur=str(permuted(tmp_path / "model"))))
    assert said.startswith("error:") and "'3' has id" in said


def _die_after_a_batch(folder: Path) -> None:
    append = Sealed.append

    def append_and_die(sealed: Sealed[Contrasted], rows: Sequence[Contrasted]) -> None:
        append(sealed, rows)
        os.kill(os.getpid(), signal.SIGKILL)

    Sealed.append = append_and_die


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "out").iterdir())}


def test_a_kill_in_the_contrast_stage_loses_and_doubles_nothing(tmp_path: Path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert finish(whole, setting()) == "done"
    log = killed / "contrast" / "partial" / "contrast.jsonl"
    for number in (1, 2):
        assert finish(killed, setting(), _die_after_a_batch) == "killed"
        assert log.read_bytes().count(b'{"sealed": ') == number
    log.write_bytes(log.read_bytes() + b'{"completion": "torn')
    assert finish(killed, setting()) == "done"
    assert outputs(killed / "contrast") == outputs(whole / "contrast")
    assert outputs(killed / "tuned") == outputs(whole / "tuned")
    rows = list(read_rows(whole / "contrast" / "out" / "soft_targets.jsonl", SoftTarget))
    facts = json.loads((whole / "contrast" / "out" / "contrast.json").read_text())
    assert facts["kept"] == len(rows) and sum(facts["kl_histogram"]) == facts["positions"]
    shown = lines(whole / "contrast" / "steered.jsonl")
    assert sum("target" in token for row in shown for token in row["tokens"]) > 0


def test_another_expert_than_the_sampled_one_is_refused(tmp_path: Path):
    said = finish(tmp_path / "run", setting("stages.tuned.model=@amateur"))
    assert said.startswith("error:") and "is not the expert that @contrast is sampled from" in said


def test_a_pair_without_any_divergence_says_so(tmp_path: Path):
    said = finish(tmp_path / "run", setting(amateur="longstep-tiny"))
    assert said.startswith("error:") and "no position was kept" in said


def test_nothing_is_taught_where_the_expert_means_an_id_that_is_not_shared():
    both, prompts = pair()
    stops = both.expert.stop_ids
    kept = torch.tensor([i for i in range(both.vocabulary) if i not in stops])
    shared = Pair(both.expert, both.amateur, both.vocabulary, shared=kept)
    ended = 0
    for batch in plan_batches(prompts, GREEDY):
        for row in shared.run(batch, GREEDY, EveryPosition(), Contrast()):
            assert not stops & {i for target in row.targets for i in target.token_ids}
            if row.completion.token_ids[-1] in stops:
                ended += 1
                last = len(row.completion.token_ids) - 1
                assert all(target.position != last for target in row.targets)
            assert row.targets  # ordinary positions are kept
    assert ended


def test_rollouts_too_long_for_the_amateur_are_refused():
    both, prompts = pair()
    both.amateur.config.max_position_embeddings = 8
    with pytest.raises(UserError, match="the amateur's context of 8 tokens is too short"):
        both.check(prompts, GREEDY)
