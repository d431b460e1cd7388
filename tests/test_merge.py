"""Merge formulas by hand, and whole folders with pico models."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from longstep.config import UserError
from longstep.merge import (
    Dare,
    Linear,
    Slerp,
    Ties,
    check_tokenizers,
    dare,
    linear,
    merge_models,
    slerp,
    ties,
)
from longstep.stages import Merge

torch.set_num_threads(1)
VOCAB = {"a": 0, "b": 1, "c": 2}
CONFIG = {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "num_attention_heads": 2}


def folder(path, tensors, vocab=VOCAB, config=CONFIG, shards=1):
    path.mkdir()
    names = sorted(tensors)
    if shards == 1:
        save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    else:
        where = {name: f"model-{i % shards + 1:05d}.safetensors" for i, name in enumerate(names)}
        for file in set(where.values()):
            save_file({n: tensors[n] for n in names if where[n] == file}, path / file)
        index = json.dumps({"weight_map": where})
        (path / "model.safetensors.index.json").write_text(index)
    tokenizer = {"model": {"vocab": vocab}, "added_tokens": [{"content": "<think>", "id": 9}]}
    (path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (path / "config.json").write_text(json.dumps(config))
    return path


def weights(seed, dtype=torch.bfloat16):
    make = torch.Generator().manual_seed(seed)
    return {
        "embed": torch.randn(3, 4, generator=make).to(dtype),
        "layer.0": torch.randn(4, 4, generator=make).to(dtype),
        "layer.1": torch.randn(4, 4, generator=make).to(dtype),
        "norm": torch.randn(4, generator=make).to(dtype),
    }


def test_linear_by_hand():
    # weights 3 and 1 become 0.75 and 0.25: 0.75 * 1 + 0.25 * 5 = 2; 0.75 * 2 + 0.25 * (-2) = 1
    merged = linear([torch.tensor([1.0, 2.0]), torch.tensor([5.0, -2.0])], [3, 1])
    assert merged.tolist() == pytest.approx([2.0, 1.0])


def test_slerp_by_hand():
    # a right angle at t = 1/2: sin(45) / sin(90) = 0.7071 of each
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert slerp(x, y, 0.5).tolist() == pytest.approx([math.sqrt(0.5)] * 2)
    # t = 1/3 of 90 degrees is 30 degrees: (cos 30, sin 30)
    assert slerp(x, y, 1 / 3).tolist() == pytest.approx([math.sqrt(0.75), 0.5])
    assert slerp(x, y, 0.0).tolist() == pytest.approx([1, 0])
    assert slerp(x, y, 1.0).tolist() == pytest.approx([0, 1], abs=1e-7)
    assert slerp(x, 3 * x, 0.5).tolist() == pytest.approx([2, 0])  # parallel: a straight line
    assert slerp(torch.zeros(2), x, 0.5).tolist() == pytest.approx([0.5, 0])


def test_ties_by_hand():
    base = torch.tensor([1.0, 1.0, 1.0, 1.0])
    a = base + torch.tensor([4.0, -3.0, 1.0, 0.5])  # density 0.5 keeps 4 and -3
    b = base + torch.tensor([2.0, 5.0, -0.1, 0.2])  # keeps 2 and 5
    # entry 0: both agree on +, (4 + 2) / 2 = 3; entry 1: the sum +2 elects +, only b agrees: 5 / 1
    # entries 2, 3: nothing is left, divisor 0 -> 1, difference 0
    assert ties([a, b], base, [1, 1], 0.5, 1.0).tolist() == pytest.approx([4, 6, 1, 1])
    # weights 3 and 1: entry 0 (12 + 2) / 4 = 3.5; entry 1: -9 + 5 < 0 elects -, -9 / 3 = -3; scale 2
    assert ties([a, b], base, [3, 1], 0.5, 2.0).tolist() == pytest.approx([8, -5, 1, 1])


def test_ties_against_a_loop():
    make = torch.Generator().manual_seed(0)
    base, *parents = (torch.randn(5, 7, generator=make) for _ in range(4))
    w, density, scale = [0.5, 1.0, 2.0], 0.3, 0.7
    kept = []
    for p in parents:
        d = (p - base).flatten().tolist()
        top = sorted(range(35), key=lambda i: -abs(d[i]))[: int(0.3 * 35)]
        kept.append([d[i] if i in top else 0.0 for i in range(35)])
    want = []
    for i, start in enumerate(base.flatten().tolist()):
        sign = 1 if sum(wi * d[i] for wi, d in zip(w, kept, strict=True)) >= 0 else -1
        agree = [(wi, d[i]) for wi, d in zip(w, kept, strict=True) if d[i] * sign > 0]
        total = sum(wi for wi, _ in agree) or 1.0
        want.append(start + scale * sum(wi * di for wi, di in agree) / total)
    assert ties(parents, base, w, density, scale).flatten().tolist() == pytest.approx(
        want, abs=1e-6
    )


def test_dare_keeps_the_expected_difference():
    base, parent = torch.zeros(200_000), torch.ones(200_000)
    merged = dare([parent], base, [1.0], 0.25, [torch.Generator().manual_seed(0)])
    assert set(merged.unique().tolist()) == {0.0, 4.0}  # dropped, or rescaled by 1 / 0.25
    # sd of the mean is sqrt(0.25 * 0.75 * 16 / 200000) = 0.0039
    assert merged.mean().item() == pytest.approx(1.0, abs=0.02)
    whole = dare([parent], base, [0.5], 1.0, [torch.Generator().manual_seed(0)])
    assert whole.unique().tolist() == [0.5]  # density 1 is task arithmetic


def test_dare_depends_on_seed_and_name_only():
    tensors = [torch.randn(50), torch.randn(50)]
    base = torch.zeros(50)
    draw = Dare().merge
    assert torch.equal(draw("x", tensors, base, 1), draw("x", tensors, base, 1))
    assert not torch.equal(draw("x", tensors, base, 1), draw("y", tensors, base, 1))
    assert not torch.equal(draw("x", tensors, base, 1), draw("x", tensors, base, 2))


@pytest.mark.parametrize("config", [Linear(), Slerp(t=0.3), Ties(scale=0.5), Dare(density=0.1)])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_merging_a_model_with_itself_gives_it_bit_for_bit(tmp_path, config, dtype):
    a = folder(tmp_path / "a", weights(1, dtype))
    base = folder(tmp_path / "base", weights(2, dtype)) if config.kind in ("ties", "dare") else None
    merge_models(config, [a, a], base, tmp_path / "out")
    assert (tmp_path / "out/model.safetensors").read_bytes() == (
        a / "model.safetensors"
    ).read_bytes()
    assert (tmp_path / "out/tokenizer.json").read_bytes() == (a / "tokenizer.json").read_bytes()


def test_sharded_parents_and_casting(tmp_path):
    x, y, z = weights(1), weights(2), weights(3)
    a, b = folder(tmp_path / "a", x, shards=3), folder(tmp_path / "b", y)
    base = folder(tmp_path / "base", z, shards=2)
    merge_models(Ties(density=0.5), [a, b], base, tmp_path / "out")
    merged = load_file(tmp_path / "out/model.safetensors")
    assert merged.keys() == x.keys()
    for name, tensor in merged.items():
        wide = ties([x[name].float(), y[name].float()], z[name].float(), [1, 1], 0.5, 1.0)
        assert torch.equal(tensor, wide.bfloat16())
    assert not (tmp_path / "out/model.safetensors.index.json").exists()


def test_several_output_files(tmp_path, monkeypatch):
    monkeypatch.setattr("longstep.merge.folders._SHARD_BYTES", 40)
    x, y = weights(1), weights(2)
    a, b = folder(tmp_path / "a", x), folder(tmp_path / "b", y)
    merge_models(Linear(), [a, b], None, tmp_path / "out")
    index = json.loads((tmp_path / "out/model.safetensors.index.json").read_text())["weight_map"]
    assert index.keys() == x.keys() and len(set(index.values())) > 1
    for name, file in index.items():
        want = (0.5 * x[name].float() + 0.5 * y[name].float()).bfloat16()
        assert torch.equal(load_file(tmp_path / "out" / file)[name], want)


def test_tokenizers_name_the_first_difference(tmp_path):
    a = folder(tmp_path / "a", weights(1))
    b = folder(tmp_path / "b", weights(1), vocab={"a": 0, "c": 1, "b": 2})
    with pytest.raises(UserError, match="'b' has id 1 in the first and 2 in the second"):
        check_tokenizers(a, b)
    c = folder(tmp_path / "c", weights(1), vocab={**VOCAB, "d": 3})
    with pytest.raises(UserError, match="'d' has id none in the first and 3 in the second"):
        merge_models(Linear(), [a, c], None, tmp_path / "out")


def refused(tmp_path, message, tensors=None, config=None, edit=None, method=None):
    a = folder(tmp_path / "a", weights(1))
    b = folder(tmp_path / "b", tensors or weights(2), config=config or CONFIG)
    if edit:
        edit(b)
    with pytest.raises(UserError, match=message):
        merge_models(method or Linear(), [a, b], None, tmp_path / "out")


def test_padded_rows_are_refused(tmp_path):
    refused(
        tmp_path, "embed has 5 rows and 3 in", {**weights(2), "embed": torch.zeros(5, 4).bfloat16()}
    )


def test_other_names_are_refused(tmp_path):
    refused(tmp_path, "extra is in only one", {**weights(2), "extra": torch.zeros(1)})


def test_other_dtype_is_refused(tmp_path):
    refused(tmp_path, "embed is F32 and BF16", weights(2, torch.float32))


def test_other_architecture_is_refused(tmp_path):
    refused(tmp_path, "num_attention_heads is 4 and 2", config={**CONFIG, "num_attention_heads": 4})


def test_nan_is_refused_by_name(tmp_path):
    bad = weights(2)
    bad["layer.1"][0, 0] = float("nan")
    refused(tmp_path, "layer.1 has NaN", bad)


def test_pickle_is_refused(tmp_path):
    def edit(path):
        (path / "model.safetensors").rename(path / "pytorch_model.bin")

    refused(tmp_path, "only pytorch_model.bin, and pickle files can run code", edit=edit)


def test_truncated_file_is_refused(tmp_path):
    def edit(path):
        data = (path / "model.safetensors").read_bytes()
        (path / "model.safetensors").write_bytes(data[:-10])

    refused(tmp_path, "cannot be read as safetensors", edit=edit)


def test_requests_that_make_no_sense(tmp_path):
    refused(tmp_path, "ties needs a base", method=Ties())
    a = tmp_path / "a"
    for method, parents, base, message in (
        (Linear(), [a, a], a, "no use for a base"),
        (Slerp(), [a, a, a], None, "exactly two parents, got 3"),
        (Linear(weights=(1.0, 2.0, 3.0)), [a, a], None, "3 entries for 2 parents"),
    ):
        with pytest.raises(UserError, match=message):
            merge_models(method, parents, base, tmp_path / "out2")
    with pytest.raises(ValueError, match="sum to 0"):
        Linear(weights=(1.0, -1.0))


def test_a_stage_refuses_the_request_before_anything_runs():
    stage = Merge.model_validate({"method": {"kind": "slerp"}, "parents": ["@a", "@b", "@c"]})
    assert [*stage.check()] == ["method.kind: slerp needs exactly two parents, got 3"]
    weighted = {"kind": "ties", "weights": [1, 2, 3]}
    stage = Merge.model_validate({"method": weighted, "parents": ["@a", "@b"]})
    assert [*stage.check()] == [
        "method.kind: ties needs a base: the model that all parents were trained from",
        "method.weights: has 3 entries for 2 parents; give one per parent",
    ]
