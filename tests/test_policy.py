"""Algorithms inside the trainer: what is drawn, cut, divided by and trained, on a pico model and scripted rollouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch

from longstep.config import TypeAdapter
from longstep.losses import (
    Advantages,
    Algorithm,
    AnyAlgorithm,
    Dapo,
    Groups,
    Grpo,
    LossOut,
    Reinforce,
    Tokens,
    Whole,
    entropy,
    group_centred,
    token_logps,
)
from longstep.losses.bonuses import AnyBonus, EntropyBonus
from longstep.losses.corrections import AnyCorrection
from longstep.losses.penalties import K3, AnyPenalty, K1InReward
from longstep.models.tiny import TinySpec, build_model, build_tokenizer
from longstep.optimizers import AdamW
from longstep.progress import Progress
from longstep.training.config import Training
from longstep.training.entropies import Entropies
from longstep.training.job import Job
from longstep.training.policy import PolicySettings, train_policy, whole_rollouts

SPEC = TinySpec(width=16, layers=1, heads=2, context=64)
PROMPT = (8, 9)
GROUP = 4


class Script:
    """Rollouts made up: rewards 0, 1, 2, ... in a group; the completions grow by a token every other row."""

    def __init__(
        self,
        unscorable: frozenset[int] = frozenset(),
        broken_at: int = -1,
        recorded: float = -0.5,
    ):
        self.asked: list[tuple[int, int]] = []
        self.unscorable, self.broken_at, self.recorded = unscorable, broken_at, recorded

    def __call__(self, step: int, count: int) -> dict[str, list[Any]]:
        if step == self.broken_at:
            raise KeyboardInterrupt
        self.asked.append((step, count))
        ids = [[10 + n % 7, *[20 + step] * (1 + n // 2 % 3), 3] for n in range(count)]
        return {
            "prompt_ids": [list(PROMPT)] * count,
            "completion_ids": ids,
            "logprobs": [[self.recorded] * len(row) for row in ids],
            "shaped": [
                None if n in self.unscorable else float(n % GROUP) + n // GROUP / 8
                for n in range(count)
            ],
        }


def train(folder: Path, algorithm: Algorithm, rollout: Script, steps: int, **settings: Any) -> Any:
    """Weights after ``steps``; the start is on disk, because a reference model is read again from there."""
    reference = settings.pop("reference", None)
    training = Training(
        steps=steps,
        batch=8,
        max_length=64,
        log_every=1,
        **{"optimizer": AdamW(lr=1e-2), "save_every": 100, **settings},
    )
    model = build_model(SPEC, 0)
    model.save_pretrained(folder / "start")
    model.config._name_or_path = str(folder / "start")
    quiet = Progress("x", steps, write=lambda text: None)
    job = Job(model, build_tokenizer(), training, steps, 0, folder, quiet)
    train_policy(job, PolicySettings(algorithm, GROUP, 8, 1.0, reference=reference), rollout)
    assert model.config._name_or_path == str(folder / "start")
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


class Squared(Algorithm):
    """A loss that TRL lacks: REINFORCE whose weight is the squared ratio to what the sampler recorded."""

    kind: Literal["squared"] = "squared"

    def needs(self):
        return frozenset({"behaviour"})

    def advantages(self, groups: Groups) -> Advantages:
        return group_centred(groups.rewards_PG / groups.lengths_PG)

    def loss(self, tokens: Tokens, total: float) -> LossOut:
        assert tokens.ref_BT is None and tokens.entropy_BT is None  # it did not ask for them
        logps = tokens.logps_BT.where(tokens.mask_BT.bool(), 0.0)
        weight = (2 * (logps - tokens.behaviour_BT)).exp().detach() * tokens.mask_BT
        return LossOut(
            -(weight * tokens.advantages_BT * logps).sum() / total, {"mine": weight.amax()}
        )

    def divisor(self, whole: Whole) -> float:
        return float(whole.sequences)


def test_a_loss_that_trl_lacks_trains(tmp_path: Path):
    """Loss and gradient norm of its first step, made again with a loop over rows and nothing of the trainer."""
    start = build_model(SPEC, 0)
    drawn = Script()(0, 8)
    shares = [r / len(ids) for r, ids in zip(drawn["shaped"], drawn["completion_ids"], strict=True)]
    total = torch.zeros(())
    for n, ids in enumerate(drawn["completion_ids"]):
        whole = torch.tensor([[*PROMPT, *ids]])
        logps = token_logps(start(whole).logits[:, 1:-1], whole[:, 2:])
        mean = sum(shares[n // GROUP * GROUP :][:GROUP]) / GROUP
        weight = (2 * (logps.detach() + 0.5)).exp()
        total = total - (shares[n] - mean) * (weight * logps).sum() / 8
    total.backward()
    norm = torch.cat([p.grad.flatten() for p in start.parameters()]).norm()
    for name, micro in (("whole", None), ("parts", 2)):
        after = train(tmp_path / name, Squared(), Script(), 2, micro_batch=micro)
        first, second = metrics(tmp_path / name)
        assert first["loss"] == pytest.approx(total.item(), abs=1e-5)
        assert first["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)
        assert first["mine"] > 0 and second["step"] == 2
        before = torch.cat([p.detach().flatten() for p in build_model(SPEC, 0).parameters()])
        assert not torch.equal(after, before)


class Watched(Dapo):
    """DAPO that writes down what it is given."""

    seen: ClassVar[list[tuple[list[float], int, float]]] = []

    def loss(self, tokens: Tokens, total: float) -> LossOut:
        rows = [round(each, 4) for each in tokens.advantages_BT.flatten().tolist()]
        self.seen.append((rows, int(tokens.mask_BT.sum()), total))
        return super().loss(tokens, total)


def test_minibatches_use_every_row_once_and_divide_by_their_own_tokens(tmp_path: Path):
    Watched.seen.clear()
    script = Script(unscorable=frozenset({5}))
    train(tmp_path, Watched(minibatches=2, scale_rewards="none"), script, 4, micro_batch=4)
    assert script.asked == [(0, 16), (2, 16)]  # twice the batch, for two steps each
    calls = Watched.seen
    assert len(calls) == 8  # 4 steps of 2 micro-batches
    # Centred: -1.5, -0.5, 0.5, 1.5 in a whole group; 0, 2, 3 without the second: mean 5/3.
    whole = [-1.5, -0.5, 0.5, 1.5] * 3 + [-1.6667, 0.0, 0.3333, 1.3333]
    lengths = [3, 3, 4, 4, 5, 5] * 3  # tokens of the 16 rows; the sixth cannot be scored
    for draw in (calls[:4], calls[4:]):
        assert sorted(a for rows, _, _ in draw for a in rows) == pytest.approx(sorted(whole))
        assert sum(tokens for _, tokens, _ in draw) == sum(lengths[:16]) - 5
    for step in range(4):
        (_, one, total), (_, other, same) = calls[2 * step : 2 * step + 2]
        assert one + other == total == same


class Named(Script):
    """What the last row of the first group and the others of it are worth is named."""

    def __call__(self, step: int, count: int) -> dict[str, list[Any]]:
        worth = [0.0] * (GROUP - 1) + [1.0] + [None] * (count - GROUP)
        return {**super().__call__(step, count), "advantage": worth}


def test_a_named_advantage_takes_the_place_of_the_algorithms(tmp_path: Path):
    Watched.seen.clear()
    train(tmp_path, Watched(minibatches=1, scale_rewards="none"), Named(), 1)
    ((rows, _, _),) = Watched.seen
    assert sorted(rows) == [-1.5, -0.5, 0.0, 0.0, 0.0, 0.5, 1.0, 1.5]
    # (4 + 1)^2 / (2 * 2.25 + 2 * .25 + 1)
    assert metrics(tmp_path)[0]["effective_answers"] == pytest.approx(25 / 6)


def test_clip_higher_acts_only_when_a_batch_of_rollouts_makes_several_updates(tmp_path: Path):
    far = {"optimizer": AdamW(lr=0.1), "clip": 100.0}
    train(tmp_path / "one", Dapo(minibatches=1), Script(), 4, **far)
    for row in metrics(tmp_path / "one"):
        assert row["ratio_max"] == 1.0 and row["clipped_high"] == row["clipped_low"] == 0.0
    train(tmp_path / "two", Dapo(minibatches=2), Script(), 4, **far)
    first, second, third, fourth = metrics(tmp_path / "two")
    assert first["ratio_max"] == pytest.approx(1.0, abs=1e-5) == third["ratio_max"]
    assert second["ratio_max"] > 1.28 and fourth["ratio_max"] > 1.28
    assert second["clipped_high"] + fourth["clipped_high"] > 0


def test_checkpoints_wait_for_the_end_of_a_batch_of_rollouts_and_resume_exactly(tmp_path: Path):
    assert [whole_rollouts(every, 16) for every in (1, 16, 17, 100)] == [16, 16, 32, 112]
    settings: dict[str, Any] = {"save_every": 1}
    want = train(tmp_path / "a", Dapo(minibatches=2), Script(), 6, **settings)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "b", Dapo(minibatches=2), Script(broken_at=4), 6, **settings)
    saved = sorted(path.name for path in (tmp_path / "b" / "checkpoints").glob("checkpoint-*"))
    assert saved == ["checkpoint-2", "checkpoint-4"]
    again = Script()
    assert torch.equal(train(tmp_path / "b", Dapo(minibatches=2), again, 6, **settings), want)
    assert again.asked == [(4, 16)]


def kinds(family: Any) -> list[str]:
    return sorted(TypeAdapter(family).json_schema()["discriminator"]["mapping"])


def some(family: Any) -> list[str]:
    """All but ``none``, which the algorithms above are without them."""
    return [kind for kind in kinds(family) if kind != "none"]


MEMBERS = [
    *({"kind": kind} for kind in kinds(AnyAlgorithm)),
    *({"kind": "grpo", "penalty": {"kind": kind}} for kind in some(AnyPenalty)),
    *({"kind": "gspo", "correction": {"kind": kind}} for kind in some(AnyCorrection)),
    *({"kind": "dr-grpo", "bonus": {"kind": kind}} for kind in some(AnyBonus)),
]


@pytest.mark.parametrize("given", MEMBERS, ids=lambda given: "-".join(map(str, given.values())))
def test_every_member_trains_and_resumes_exactly(tmp_path: Path, given: dict[str, Any]):
    """Two updates from each of two draws; stopped at the second draw, it goes on from the checkpoint before it."""
    algorithm = TypeAdapter(AnyAlgorithm).validate_python({**given, "minibatches": 2})
    # Recorded is about what the model gives each token, so that no correction leaves all of them out.
    near: dict[str, Any] = {"unscorable": frozenset({5}), "recorded": -3.5}
    want = train(tmp_path / "a", algorithm, Script(**near), 4, save_every=1)
    start = torch.cat([p.detach().flatten() for p in build_model(SPEC, 0).parameters()])
    assert want.isfinite().all() and not torch.equal(want, start)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "b", algorithm, Script(**near, broken_at=2), 4, save_every=1)
    again = Script(**near)
    assert torch.equal(train(tmp_path / "b", algorithm, again, 4, save_every=1), want)
    assert again.asked == [(2, 16)]
    rows = metrics(tmp_path / "b")
    penalised, corrected = "penalty" in given, "correction" in given
    if penalised:
        # At the start the policy is the reference; an update later it is not.
        assert rows[0]["kl"] == pytest.approx(0.0, abs=1e-9) and rows[-1]["kl"] > 0
    if corrected:
        assert rows[0]["correction_mean"] > 0


def test_a_penalty_compares_with_the_model_that_it_is_told(tmp_path: Path):
    """k3 of the first step, where the policy is still the start: exp(d) - d - 1 with d = log(reference / policy)."""
    other = build_model(SPEC, 1)
    other.save_pretrained(tmp_path / "other")
    algorithm = Grpo(penalty=K3(beta=0.1))
    train(tmp_path, algorithm, Script(), 1, reference=tmp_path / "other")
    start, kls = build_model(SPEC, 0), []
    for ids in Script()(0, 8)["completion_ids"]:
        whole = torch.tensor([[*PROMPT, *ids]])
        with torch.no_grad():
            logps, ref = (
                token_logps(model(whole).logits[:, 1:-1], whole[:, 2:]) for model in (start, other)
            )
        kls.append(((ref - logps).exp() - (ref - logps) - 1).flatten())
    assert metrics(tmp_path)[0]["kl"] == pytest.approx(torch.cat(kls).mean().item(), rel=1e-4)


def test_drift_is_that_of_the_policy_that_drew(tmp_path: Path):
    """With one update from each draw TRL keeps no log-probabilities of the draw; a reward needs them all the same."""
    Charged.seen.clear()
    train(tmp_path, Charged(minibatches=1, baseline="none"), Script(), 2)
    first, second = Charged.seen
    assert first.abs().max() < 1e-5  # the start is its own reference
    script = Script()
    model = build_model(SPEC, 0)
    before = [each.clone() for each in model.parameters()]
    after = train(tmp_path / "one", Charged(minibatches=1, baseline="none"), script, 1)
    drawn = script(1, 8)
    for n, ids in enumerate(drawn["completion_ids"]):
        whole = torch.tensor([[*PROMPT, *ids]])
        logps = []
        for weights in (after, torch.cat([each.flatten() for each in before])):
            torch.nn.utils.vector_to_parameters(weights, model.parameters())
            with torch.no_grad():
                logps.append(token_logps(model(whole).logits[:, 1:-1], whole[:, 2:]).sum())
        assert second.flatten()[n].item() == pytest.approx((logps[0] - logps[1]).item(), abs=1e-4)
    assert second.abs().max() > 0.01


class Charged(Reinforce):
    """REINFORCE that pays for its drift, and writes down how far it was."""

    seen: ClassVar[list[torch.Tensor]] = []
    penalty: AnyPenalty = K1InReward(beta=0.5)

    def advantages(self, groups: Groups) -> Advantages:
        assert groups.drift_PG is not None
        self.seen.append(groups.drift_PG)
        return super().advantages(groups)


def test_a_bonus_reaches_the_weights_through_the_trainer(tmp_path: Path):
    """No advantage at all: what is left is the entropy of the tokens, made again here without the trainer."""
    start, script = build_model(SPEC, 0), Even()
    summed, count = torch.zeros(()), 0
    for ids in script(0, 8)["completion_ids"]:
        whole = torch.tensor([[*PROMPT, *ids]])
        summed = summed + entropy(start(whole).logits[:, 1:-1]).sum()
        count += len(ids)
    (-0.5 * summed / count).backward()
    norm = torch.cat([p.grad.flatten() for p in start.parameters()]).norm()
    algorithm = Dapo(minibatches=1, bonus=EntropyBonus(weight=0.5))
    train(tmp_path, algorithm, script, 1, micro_batch=4)
    (row,) = metrics(tmp_path)
    assert row["entropy"] == pytest.approx(summed.item() / count, rel=1e-5)
    assert row["loss"] == pytest.approx(-0.5 * row["entropy"], rel=1e-5)
    assert row["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)
    # Half of the rows are right, as told; early and late tokens together are all of them.
    assert min(row["entropy_right"], row["entropy_wrong"]) <= row["entropy"]
    assert min(row["entropy_early"], row["entropy_late"]) <= row["entropy"]
    assert row["entropy_right"] != row["entropy_wrong"] and row["effective_answers"] == 0


class Even(Script):
    """Every answer earns the same, and every other one was right."""

    def __call__(self, step: int, count: int) -> dict[str, list[Any]]:
        rows = super().__call__(step, count)
        return {
            **rows,
            "shaped": [1.0] * count,
            "correctness": [float(n % 2) for n in range(count)],
        }


def test_the_entropy_of_a_step_is_over_its_tokens_and_split_by_what_they_are():
    found = Entropies()
    nan = float("nan")
    entropies = torch.tensor([[1.0, 2.0, 3.0, nan], [4.0, nan, nan, nan], [5.0, 6.0, nan, nan]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]])
    found.add(entropies[:2], mask[:2], torch.tensor([1.0, 0.0]))
    found.add(entropies[2:], mask[2:], torch.tensor([nan]))
    # early is the first half of each answer, the smaller one: 1 and 5
    assert found.told(lambda sums: sums) == {
        "entropy": 3.5,
        "entropy_right": 2.0,
        "entropy_wrong": 4.0,
        "entropy_early": 3.0,
        "entropy_late": 3.75,
    }
    assert found.told(lambda sums: sums) == {}
    found.add(entropies[:1], 0 * mask[:1], None)
    assert found.told(lambda sums: sums) == {}


def test_one_batch_of_unscorable_rollouts_moves_nothing(tmp_path: Path):
    before = torch.cat([p.detach().flatten() for p in build_model(SPEC, 0).parameters()])
    none = Script(unscorable=frozenset(range(8)))
    after = train(tmp_path, Dapo(minibatches=1), none, 1, optimizer=AdamW(lr=0.1, weight_decay=0.0))
    assert torch.equal(after, before)


def test_fewer_steps_than_a_batch_of_rollouts_would_give(tmp_path: Path):
    script = Script()
    train(tmp_path, Dapo(), script, 2)
    assert script.asked == [(0, 16 * 8)] and len(metrics(tmp_path)) == 2
