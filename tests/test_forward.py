"""The forward pass in parts says what one pass over everything says, and gives the same gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bounds import EPS, LR, chain_bound, weight_bound
from longstep.config import TypeAdapter
from longstep.losses import Algorithm, AnyAlgorithm, Grpo, Tokens
from longstep.losses.bonuses import EntropyBonus
from longstep.losses.penalties import K3
from longstep.models.tiny import TinySpec, build_model
from longstep.optimizers import AdamW
from longstep.training import forward, policy
from longstep.training.forward import Scored, in_parts, narrow
from test_policy import GROUP, Script, train
from test_policy import SPEC as SCRIPTED

SPEC = TinySpec(width=16, layers=2, heads=2, context=64)
#: Rows, columns of prompts and of completions.
ROWS, PROMPT, PLACES = 23, 5, 13
#: Twenty sums one behind another at most, each over no more than all places of the batch.
BOUND = chain_bound(20, ROWS * (PROMPT + PLACES))


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """Prompts of 2 to 5 tokens filled up on the left, completions of 1 to 11 on the right, two columns too wide."""
    made = torch.Generator().manual_seed(1)
    ids_BS = torch.randint(8, 20, (ROWS, PROMPT + PLACES), generator=made)
    attended_BS = torch.zeros_like(ids_BS)
    for row in range(ROWS):
        attended_BS[row, PROMPT - 2 - row % 4 : PROMPT + 1 + row * 7 % 11] = 1
    return ids_BS.where(attended_BS.bool(), 0), attended_BS


class Asked:
    """A model, and how wide each of its passes was and whether it kept a graph."""

    def __init__(self) -> None:
        self.model = build_model(SPEC, 0)
        self.passes: list[tuple[int, int, bool]] = []

    def __call__(self, ids_BS: Tensor, attended_BS: Tensor, places: int) -> Scored:
        self.passes.append((len(ids_BS), ids_BS.shape[1], torch.is_grad_enabled()))
        logits = self.model(input_ids=ids_BS, attention_mask=attended_BS).logits[
            :, -places - 1 : -1
        ]
        logps_BTV = logits.log_softmax(-1)
        logps_BT = logps_BTV.gather(-1, ids_BS[:, -places:, None]).squeeze(-1)
        entropy_BT = -(logps_BTV.exp() * logps_BTV).sum(-1)
        here_BT = attended_BS[:, -places:].bool()
        return Scored(logps_BT.where(here_BT, 0.0), entropy_BT.where(here_BT, 0.0), None)

    def gradient(self, loss: Tensor) -> list[Tensor]:
        return [*torch.autograd.grad(loss, [*self.model.parameters()], retain_graph=True)]


def close(ours: Tensor, theirs: Tensor) -> bool:
    return (ours - theirs).abs().max().item() <= BOUND * max(1.0, theirs.abs().max().item())


def test_parts_say_what_the_whole_says(
    batch: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "TOGETHER", 4)
    asked = Asked()
    whole = asked(*batch, PLACES)
    asked.passes.clear()
    parts = in_parts(asked, *batch, PLACES)
    assert [rows for rows, _, _ in asked.passes] == [4, 4, 4, 4, 4, 3]
    widths = [columns for _, columns, _ in asked.passes]
    assert widths == sorted(widths) and widths[0] < widths[-1] == PROMPT + 11
    weights_BT = torch.rand(ROWS, PLACES, generator=torch.Generator().manual_seed(2))
    assert parts.entropy_BT is not None and whole.entropy_BT is not None
    for ours, theirs in ((parts.logps_BT, whole.logps_BT), (parts.entropy_BT, whole.entropy_BT)):
        assert ours.shape == theirs.shape and close(ours, theirs)
        gradients = zip(
            asked.gradient((ours * weights_BT).sum()),
            asked.gradient((theirs * weights_BT).sum()),
            strict=True,
        )
        assert all(close(one, other) for one, other in gradients)


def test_one_part_is_cut_to_its_longest_answer(batch: tuple[Tensor, Tensor]) -> None:
    asked = Asked()
    whole, cut = asked(*batch, PLACES), narrow(asked, *batch, PLACES)
    assert asked.passes[1] == (ROWS, PROMPT + 11, True)
    assert cut.logps_BT.shape == whole.logps_BT.shape and close(cut.logps_BT, whole.logps_BT)
    ids_BS, attended_BS = batch
    attended_BS[:, PROMPT:] = 0  # nobody said anything
    assert narrow(asked, ids_BS, attended_BS, PLACES).logps_BT.eq(0).all()
    assert asked.passes[-1][1] == PROMPT + 1


def test_rows_that_move_nothing_keep_no_graph(
    batch: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forward, "TOGETHER", 8)
    asked = Asked()
    live_B = torch.arange(ROWS) % 3 == 0
    whole, parts = asked(*batch, PLACES), in_parts(asked, *batch, PLACES, live_B)
    assert [(rows, kept) for rows, _, kept in asked.passes[1:]] == [
        (8, True),
        (8, False),
        (7, False),
    ]
    assert close(parts.logps_BT, whole.logps_BT)
    (moved,) = torch.autograd.grad(parts.logps_BT.sum(), parts.logps_BT, retain_graph=True)
    assert moved.shape == (ROWS, PLACES)
    for ours, theirs in zip(
        asked.gradient(parts.logps_BT.sum()),
        asked.gradient(whole.logps_BT[live_B].sum()),
        strict=True,
    ):
        assert close(ours, theirs)


def test_where_nothing_moves_there_is_still_a_loss_to_differentiate(
    batch: tuple[Tensor, Tensor],
) -> None:
    asked = Asked()
    said = in_parts(asked, *batch, PLACES, torch.zeros(ROWS, dtype=torch.bool))
    assert all(g.eq(0).all() for g in asked.gradient((said.logps_BT * 0.0).sum()))
    assert [(rows, kept) for rows, _, kept in asked.passes] == [(1, True), (ROWS - 1, False)]


def members() -> list[Any]:
    make = TypeAdapter(AnyAlgorithm).validate_python
    kinds = TypeAdapter(AnyAlgorithm).json_schema()["discriminator"]["mapping"]
    return [make({"kind": kind}) for kind in sorted(kinds)]


@pytest.mark.parametrize("algorithm", [a for a in members() if a.idles()], ids=lambda a: a.kind)
def test_who_says_that_worthless_answers_move_nothing_is_right(algorithm: Algorithm) -> None:
    """Old probabilities far away on both sides, a corrected and a shaped row: loss and gradient are exactly 0."""
    made = torch.Generator().manual_seed(3)
    logps_BT = (-torch.rand(6, 5, generator=made)).requires_grad_()
    old_BT = logps_BT.detach() + torch.randn(6, 5, generator=made)
    tokens = Tokens(
        logps_BT=logps_BT,
        old_BT=old_BT,
        advantages_BT=torch.zeros(6, 1),
        mask_BT=torch.ones(6, 5),
        behaviour_BT=old_BT,
        shaped_B1=torch.tensor([[0]] * 5 + [[1]]).bool(),
    )
    loss = algorithm.loss(tokens, 6.0).loss
    assert loss.item() == 0.0
    (gradient,) = torch.autograd.grad(loss, logps_BT)
    assert gradient.eq(0).all()


def test_who_is_drawn_to_a_reference_or_paid_for_entropy_always_moves() -> None:
    idle = {algorithm.kind for algorithm in members() if algorithm.idles()}
    assert {"grpo", "dapo", "dr-grpo", "gspo", "rloo", "cispo", "sapo"} <= idle
    assert not idle & {"light-r1", "ppo", "reinforce++"}
    assert not Grpo(penalty=K3()).idles() and not Grpo(bonus=EntropyBonus()).idles()


class HalfIdle(Script):
    """Every second group has equal rewards."""

    def __call__(self, step: int, count: int) -> dict[str, list[Any]]:
        rows = super().__call__(step, count)
        shaped = [1.0 if n // GROUP % 2 else each for n, each in enumerate(rows["shaped"])]
        return {**rows, "shaped": shaped}


@pytest.mark.parametrize("kind", ["grpo", "dapo"])
def test_training_in_parts_gives_the_weights_of_training_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    settings = {"kind": kind, "minibatches": 2, "rewards": [{"kind": "correctness"}]}
    algorithm = TypeAdapter(AnyAlgorithm).validate_python(settings)

    def trained(name: str) -> Tensor:
        optimizer = AdamW(lr=LR, eps=EPS)
        return train(tmp_path / name, algorithm, HalfIdle(), 4, optimizer=optimizer)

    monkeypatch.setattr(forward, "TOGETHER", 3)
    passes: list[bool] = []
    narrowed = forward.narrow

    def counted(*given: Any) -> Scored:
        passes.append(torch.is_grad_enabled())
        return narrowed(*given)

    with monkeypatch.context() as patched:
        patched.setattr(forward, "narrow", counted)
        parts = trained("parts")
    assert passes.count(False) > passes.count(True) / 2 > 0  # old ones and idle ones
    with monkeypatch.context() as patched:
        patched.setattr(
            policy, "in_parts", lambda ask, ids, mask, places, live: ask(ids, mask, places)
        )
        whole = trained("whole")
    bound = weight_bound(steps=4, tokens=8 * 8)
    assert (parts - whole).abs().max().item() < bound
    start = torch.cat([p.detach().flatten() for p in build_model(SCRIPTED, 0).parameters()])
    assert (parts - start).abs().max().item() > 10 * bound
