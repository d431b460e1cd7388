"""Soft-target training: the loss by an independent formula, and the same whatever is batched with what."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from bounds import EPS, LR, chain_bound, weight_bound
from longstep.models.load import load_model, load_tokenizer, shipped_folder
from longstep.models.lora import Lora, merge, wrap
from longstep.stages.soft_sft import SoftSft, _rollout_row, _step_rows
from longstep.training.last_column import LastColumn
from longstep.training.rows import SoftRow
from longstep.training.soft import collate, soft_loss
from longstep.types import Completion, SoftTarget
from short_recipe import finish, lines
from test_contrast import setting

FOLDER = shipped_folder("longstep-tiny")


def rollouts() -> list[tuple[Completion, list[SoftTarget]]]:
    """Rollouts of unequal length with targets of unequal width, the first and the last position among them."""
    made = []
    for index, (prompt, turn) in enumerate(
        [
            ((5, 6, 7), (8, 9, 10, 11)),
            ((5,), (6, 7)),
            ((9, 8, 7, 6, 5, 4, 9), (3, 4, 5, 6, 7, 8, 9)),
        ]
    ):
        places = [0, len(turn) - 1] if index != 1 else [1]
        targets = [
            SoftTarget(str(index), 0, place, (4, 7 + place), (0.25, 0.75), 1.0)
            if place
            else SoftTarget(str(index), 0, 0, (3,), (1.0,), 1.0)
            for place in places
        ]
        made.append((Completion(str(index), 0, prompt, turn, "", "stop"), targets))
    return made


def expected(model: torch.nn.Module) -> float:
    """Mean KL(target || model), each prefix alone in a forward pass, in double precision."""
    total, count = 0.0, 0
    for rollout, targets in rollouts():
        for target in targets:
            prefix = [*rollout.prompt_ids, *rollout.token_ids[: target.position]]
            with torch.no_grad():
                logps = model(torch.tensor([prefix])).logits[0, -1].double().log_softmax(-1)
            total += sum(
                w * (math.log(w) - float(logps[i]))
                for i, w in zip(target.token_ids, target.weights, strict=True)
            )
            count += 1
    return total / count


@pytest.fixture(scope="module")
def model():
    return load_model(FOLDER).eval()


def gradient(
    model: torch.nn.Module, parts: list[list[SoftRow]], **how
) -> tuple[float, torch.Tensor]:
    model.zero_grad()
    count = sum(len(row.places) for part in parts for row in part)
    total = 0.0
    for part in parts:
        loss = soft_loss(model, collate(part, pad=0, **how), float(count))
        loss.backward()
        total += loss.item()
    return total, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.equality
def test_the_loss_and_gradient_depend_on_nothing_but_the_targets(model):
    # Three layers of eight sums, the longest over the 128 units of an MLP.
    bound = chain_bound(sums=3 * 8, terms=128)
    whole = [_rollout_row(*each) for each in rollouts()]
    steps = [row for each in rollouts() for row in _step_rows(*each)]
    assert len(steps) == sum(len(row.places) for row in whole) == 5
    loss, reference = gradient(model, [whole])
    assert loss == pytest.approx(expected(model), abs=bound)
    assert reference.abs().max() > 100 * bound
    arrangements = {
        "left padding": gradient(model, [whole], side="left"),
        "one rollout at a time": gradient(model, [[row] for row in whole]),
        "one row per step": gradient(model, [steps]),
        "one row per step, one at a time": gradient(model, [[row] for row in steps]),
        "one row per step, left": gradient(model, [steps], side="left"),
    }
    for name, (other, gradients) in arrangements.items():
        assert other == pytest.approx(loss, abs=bound), name
        assert torch.allclose(gradients, reference, atol=bound, rtol=0), name


def test_the_last_column_is_another_loss_except_for_the_longest_row(model):
    steps = [row for each in rollouts() for row in _step_rows(*each)]
    misread = LastColumn().misread
    wrong = soft_loss(model, misread(collate(steps, pad=0)), None).item()
    assert abs(wrong - expected(model)) > 0.1
    longest = max(steps, key=lambda row: len(row.ids))
    alone = collate([longest], 0)
    same = [soft_loss(model, batch, None) for batch in (alone, misread(alone))]
    assert torch.equal(*same)


def test_the_last_column_is_a_control_of_single_steps():
    stage = {"model": "@m", "data": "@d", "steps": 1, "control": {"kind": "last-column"}}
    assert list(SoftSft.model_validate({**stage, "rows": "step"}).check()) == []
    (said,) = SoftSft.model_validate(stage).check()
    assert "needs rows: step" in said


def test_labels_only_count_positions():
    batch = collate([_rollout_row(*each) for each in rollouts()], pad=0)
    assert int((batch["labels"][:, 1:] != -100).sum()) == 5  # as the trainer counts them
    bare = collate([row for each in rollouts() for row in _step_rows(*each)], pad=0)
    assert int((bare["labels"][:, 1:] != -100).sum()) == 5


WHOLE = (
    "stages.tuned.lora=null", f"stages.tuned.optimizer.lr={LR}", f"stages.tuned.optimizer.eps={EPS}"
)  # fmt: skip


@pytest.mark.equality
def test_rollouts_and_steps_train_the_same_model(tmp_path: Path):
    # A batch that holds every row: the same positions in both modes, so the same steps.
    common = [*WHOLE, "stages.tuned.steps=2"]
    assert finish(tmp_path / "a", setting(*common)) == "done"
    facts = json.loads((tmp_path / "a" / "contrast" / "out" / "contrast.json").read_text())
    rollouts_kept = len(
        {row["problem_id"] for row in lines(tmp_path / "a/contrast/out/soft_targets.jsonl")}
    )
    whole = [*common, f"stages.tuned.batch={rollouts_kept}"]
    steps = [*common, f"stages.tuned.batch={facts['kept']}", "stages.tuned.rows=step"]
    assert finish(tmp_path / "b", setting(*whole)) == "done"
    assert finish(tmp_path / "c", setting(*steps)) == "done"
    one, other = (load_model(tmp_path / name / "tuned" / "out") for name in "bc")
    # A step row repeats the rollout before it: the prompt and at most 16 tokens, in 96 at most.
    bound = weight_bound(steps=2, tokens=facts["kept"] * 96)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.allclose(a, b, atol=bound, rtol=0)
    logged = [lines(tmp_path / name / "tuned" / "metrics.jsonl") for name in "bc"]
    for a, b in zip(*logged, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=bound)
    assert logged[0][-1]["loss"] < logged[0][0]["loss"]


@pytest.mark.equality
def test_micro_batches_do_not_change_the_result(tmp_path: Path):
    assert finish(tmp_path / "a", setting(*WHOLE)) == "done"
    assert finish(tmp_path / "b", setting(*WHOLE, "stages.tuned.micro_batch=1")) == "done"
    one, other = (load_model(tmp_path / name / "tuned" / "out") for name in "ab")
    bound = weight_bound(steps=4, tokens=4 * 96)
    moved = 0.0
    start = load_model(FOLDER)
    for a, b, c in zip(*(m.parameters() for m in (one, other, start)), strict=True):
        assert torch.allclose(a, b, atol=bound, rtol=0)
        moved = max(moved, (a - c).abs().max().item())
    assert moved > 10 * bound
    logs = [lines(tmp_path / name / "tuned" / "metrics.jsonl") for name in "ab"]
    for a, b in zip(*logs, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=bound)


def test_a_zeroed_adapter_is_refused_and_a_trained_one_is_merged_in_float32():
    tokenizer = load_tokenizer(FOLDER)
    ids = torch.tensor([tokenizer("1+2", add_special_tokens=False)["input_ids"]])
    fresh = wrap(load_model(FOLDER), Lora(targets=("q_proj", "v_proj")))
    with pytest.raises(Exception, match="no effect"):
        merge(fresh, ids)  # a fresh adapter is zero
    peft = wrap(load_model(FOLDER).to(torch.bfloat16), Lora(targets=("q_proj", "v_proj")))
    for name, parameter in peft.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    merged = merge(peft, ids)
    assert merged.dtype == torch.bfloat16
    base = load_model(FOLDER)
    assert (merged.float()(ids).logits - base(ids).logits).abs().max() > 1e-2
