"""The adapters around TRL on a pico model: order, packing, micro-batches, selection, adapters."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from bounds import EPS, LR, weight_bound
from longstep.config import UserError
from longstep.losses import Nca
from longstep.models.lora import Lora, merge, wrap
from longstep.models.tiny import TinySpec, build_model, build_tokenizer
from longstep.optimizers import AdamW
from longstep.progress import Progress
from longstep.training.config import Training
from longstep.training.job import Job
from longstep.training.pairs import train_preference
from longstep.training.rows import PreferenceRow, SftRow, training_order
from longstep.training.sft import train_sft

SPEC = TinySpec(width=16, layers=1, heads=2, context=64)


def rows(count: int) -> list[SftRow]:
    generator = random.Random(1)
    made = []
    for n in range(count):
        length = generator.randint(6, 14)
        ids = tuple(generator.randint(8, 40) for _ in range(length - 1))
        made.append(SftRow(f"r{n}", (*ids, 3), 3))
    return made


def job(folder: Path, model, steps: int, **settings) -> Job:
    training = Training(
        steps=steps, batch=8, max_length=64, log_every=1, **{"save_every": 100, **settings}
    )
    quiet = Progress("x", steps, write=lambda text: None)
    return Job(model, build_tokenizer(), training, steps, 0, folder, quiet)


def weights(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def trained(
    folder: Path, data: list[SftRow], steps: int = 2, packing: bool = False, **settings
) -> torch.Tensor:
    model = build_model(SPEC, 0)
    train_sft(
        job(folder, model, steps, optimizer=AdamW(lr=LR, eps=EPS), **settings),
        data,
        packing=packing,
    )
    return weights(model)


#: Two steps on 8 rows of at most 14 tokens.
BOUND = weight_bound(steps=2, tokens=8 * 14)


@pytest.mark.equality
def test_micro_batches_do_not_change_the_step(tmp_path: Path):
    data = rows(16)
    whole = trained(tmp_path / "a", data)
    assert (whole - weights(build_model(SPEC, 0))).abs().max() > 10 * BOUND
    for micro in (4, 1):
        parts = trained(tmp_path / str(micro), data, micro_batch=micro)
        torch.testing.assert_close(parts, whole, atol=BOUND, rtol=0)


@pytest.mark.equality
def test_packing_keeps_every_row_to_itself_and_every_step_to_its_rows(tmp_path: Path):
    data = rows(16)
    alone = trained(tmp_path / "alone", data)
    for micro in (8, 4):
        packed = trained(tmp_path / f"packed{micro}", data, packing=True, micro_batch=micro)
        torch.testing.assert_close(packed, alone, atol=BOUND, rtol=0)


def test_rows_are_seen_in_the_order_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from longstep.training import sft

    seen: list[list[int]] = []
    original = sft._Sft.training_step

    def spy(self, model, inputs, num_items_in_batch=None):
        seen.extend(row[row != 0].tolist() for row in inputs["input_ids"])
        return original(self, model, inputs, num_items_in_batch)

    monkeypatch.setattr(sft._Sft, "training_step", spy)
    data = rows(16)
    trained(tmp_path, data)
    assert seen == [list(row.ids) for row in data]


def test_the_training_order_is_whole_epochs_in_batches():
    lengths = [random.Random(n).randint(1, 50) for n in range(20)]
    order = training_order(lengths, batch=4, count=40, seed=3, window=1)
    assert len(order) == 40
    assert sorted(order[:20]) == list(range(20)) and sorted(order[20:]) == list(range(20))
    assert order == training_order(lengths, 4, 40, 3, 1) != training_order(lengths, 4, 40, 4, 1)
    near = training_order(lengths, batch=4, count=20, seed=3, window=5)
    spread = lambda o: sum(max(lengths[i] for i in o[b : b + 4]) for b in range(0, 20, 4))  # noqa: E731
    assert spread(near) < spread(order[:20])


def test_left_over_rows_open_the_next_epoch():
    order = training_order([1] * 5, batch=2, count=10, seed=0)
    assert sorted(order) == sorted([*range(5), *range(5)])


@pytest.mark.parametrize(
    ("count", "epochs", "batch", "steps", "seen"),
    [(10, 1, 32, 1, 10), (40, 1, 32, 2, 40), (40, 3, 32, 4, 120), (40, 0.5, 32, 1, 20)],
)
def test_27_epochs_show_every_row_equally_often(count, epochs, batch, steps, seen):
    training = Training(epochs=epochs, batch=batch)
    assert (training.total_steps(count), training.rows_seen(count)) == (steps, seen)
    order = training_order([1 + n % 7 for n in range(count)], batch, seen, seed=5, window=2)
    times = [order.count(n) for n in range(count)]
    assert len(order) == seen and max(times) - min(times) == (epochs < 1)
    if epochs >= 1:
        assert set(times) == {epochs}


def test_27_processes_share_whole_micro_batches():
    # 40 rows: 2 x 4 rows at a time need no filling, 2 x 16 need 24 rows once more; a batch at once is 32 again
    assert Training(epochs=1, batch=32, micro_batch=4).rows_seen(40, processes=2) == 40
    assert Training(epochs=1, batch=32, micro_batch=16).rows_seen(40, processes=2) == 64
    assert Training(epochs=1, batch=32).rows_seen(40, processes=2) == 64


@pytest.mark.equality
def test_27_a_short_last_batch_is_one_step_on_its_rows_however_it_is_cut(tmp_path: Path):
    """8 + 5 rows: the second step must be the mean over five rows, whether 5 at once or 4 + 1."""
    data, pairs = rows(13), preferences(13)
    bound = weight_bound(steps=2, tokens=13 * 14)
    for name, train in (("sft", trained), ("nca", preferred)):
        given = data if name == "sft" else pairs
        whole = train(tmp_path / f"{name}-whole", given)
        first = train(tmp_path / f"{name}-first", given[:8], steps=1)
        assert (whole - first).abs().max() > 10 * bound
        parts = train(tmp_path / f"{name}-parts", given, micro_batch=4)
        torch.testing.assert_close(parts, whole, atol=bound, rtol=0)


def preferences(count: int) -> list[PreferenceRow]:
    return [
        PreferenceRow(f"p{n}", (8, 9), (20 + n % 4, 30 + n, 3), (21 + n % 4, 31, 3))
        for n in range(count)
    ]


def preferred(folder: Path, pairs: list[PreferenceRow], steps: int = 2, **settings) -> torch.Tensor:
    model = build_model(SPEC, 0)
    made = job(folder, model, steps, optimizer=AdamW(lr=LR, eps=EPS), **settings)
    train_preference(made, pairs, build_model(SPEC, 0), Nca())
    return weights(model)


def test_a_broken_row_stops_before_the_step_and_is_named(tmp_path: Path):
    data = rows(24)
    model = build_model(TinySpec(width=16, layers=1, heads=2, context=64, tie=False), 0)
    with torch.no_grad():
        model.get_input_embeddings().weight[50] = float("nan")
    bad = [*data[:16], SftRow("poison", (8, 9, 10, 50, 3), 3), *data[17:]]
    with pytest.raises(
        UserError, match=r"training step 3 \(rows poison, .*the loss is nan; no step was taken"
    ):
        train_sft(job(tmp_path, model, 3, optimizer=AdamW(lr=1e-2)), bad)


def test_selection_returns_the_checkpoint_with_the_lowest_held_out_loss(tmp_path: Path):
    """A learning rate that grows worse by the step: the first checkpoint must win."""
    data, dev = rows(8) * 6, rows(8)
    model = build_model(SPEC, 0)
    made = job(tmp_path, model, 6, optimizer=AdamW(lr=0.5), clip=100.0, save_every=2)
    train_sft(made, data, dev)
    import json

    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    losses = {line["step"]: line["eval_loss"] for line in lines if "eval_loss" in line}
    assert len(losses) == 3
    ids = [torch.tensor([row.ids]) for row in dev]
    with torch.no_grad():
        total = sum(
            torch.nn.functional.cross_entropy(
                model(x).logits[0, 2:-1], x[0, 3:], reduction="sum"
            ).item()
            for x in ids
        )
    count = sum(len(row.ids) - 3 for row in dev)
    assert total / count == pytest.approx(min(losses.values()), abs=1e-4)


def test_a_preference_step_moves_the_two_sides_apart(tmp_path: Path):
    model, reference = build_model(SPEC, 0), build_model(SPEC, 0)
    pairs = [
        PreferenceRow(f"p{n}", (8, 9), (20 + n % 4, 30, 3), (21 + n % 4, 31, 3)) for n in range(16)
    ]
    train_preference(
        job(tmp_path, model, 2, optimizer=AdamW(lr=1e-2)),
        pairs,
        reference,
        Nca(beta=0.3),
    )
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    import json

    first, last = json.loads(lines[0]), json.loads(lines[-1])
    assert first["loss"] == pytest.approx(1.3863, abs=1e-3)  # 2 ln 2: policy and reference agree
    assert last["rewards/margins"] > first["rewards/margins"] == pytest.approx(0, abs=1e-5)
    assert "logps/chosen" in last and "logps/rejected" in last


def test_a_merged_adapter_is_the_adapter_and_not_the_base():
    probe = torch.tensor([[8, 9, 10]])
    model = wrap(build_model(SPEC, 0), Lora(r=2, targets=("q_proj", "v_proj")))
    with pytest.raises(UserError, match="no effect"):
        merge(model, probe)
    model = wrap(build_model(SPEC, 0), Lora(r=2, targets=("q_proj", "v_proj")))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
        adapter = model(probe).logits
    merged = merge(model, probe)
    torch.testing.assert_close(merged(probe).logits, adapter, atol=1e-4, rtol=1e-4)


def test_a_module_beside_adapters_is_trained_whole_unless_its_weight_is_shared():
    probe = torch.tensor([[8, 9, 10]])
    lora = Lora(r=2, modules_to_save=("embed_tokens",))
    with pytest.raises(UserError, match="'embed_tokens' shares its weight with another layer"):
        wrap(build_model(SPEC, 0), lora)
    with pytest.raises(UserError, match="has no module 'embed_token'; did you mean 'embed_tokens'"):
        wrap(build_model(SPEC, 0), Lora(modules_to_save=("embed_token",)))
    base = build_model(SPEC.model_copy(update={"tie": False}), 0)
    before = base.get_input_embeddings().weight.detach().clone()
    model = wrap(base, lora)
    names = [name for name, each in model.named_parameters() if each.requires_grad]
    [whole] = [name for name in names if "lora_" not in name]
    with torch.no_grad():
        dict(model.named_parameters())[whole].add_(1.0)
    merged = merge(model, probe)
    torch.testing.assert_close(merged.get_input_embeddings().weight, before + 1.0)


def test_no_memory_left_is_said_with_the_setting_to_lower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Trainer

    def full(*given: object, **named: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "training_step", full)
    with pytest.raises(
        UserError, match=r"step 1 \(rows .*\): out of memory with micro_batch 4; lower it"
    ):
        trained(tmp_path, rows(16), micro_batch=4)
