"""An optimiser's state from one stage to the next: the steps are those of one training, and what does not fit is said."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from longstep.config import Located, UserError
from longstep.context import Context
from longstep.optimizers import AdamW, Muon
from longstep.progress import Progress
from longstep.run.phases import expanded
from longstep.run.plan import make_plan
from longstep.run.recipe import load
from longstep.stages.rl import Rl
from longstep.training import carried


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Embedding(5, 4), torch.nn.Linear(4, 6), torch.nn.Linear(6, 3)
    )


def steps(net: torch.nn.Module, optimizer: Any, numbers: range) -> list[torch.Tensor]:
    for number in numbers:
        ids = torch.arange(5).roll(number)
        loss = (net(ids) - number).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [p.detach().clone() for p in net.parameters()]


@pytest.mark.parametrize("config", [AdamW(lr=1e-2), Muon(lr=1e-2)], ids=lambda c: c.kind)
def test_three_steps_and_two_are_five(tmp_path: Path, config: Any) -> None:
    whole = model()
    ended = steps(whole, config.build(whole), range(5))
    first = model()
    before = config.build(first)
    steps(first, before, range(3))
    carried.keep(before.state_dict(), tmp_path, config.kind)
    halfway = copy.deepcopy(first)
    second = copy.deepcopy(first)
    after = config.build(second)
    carried.take(after, tmp_path, config.kind)
    went = steps(second, after, range(3, 5))
    assert all(a.equal(b) for a, b in zip(went, ended, strict=True))
    reset = steps(halfway, config.build(halfway), range(3, 5))
    assert not all(a.equal(b) for a, b in zip(reset, ended, strict=True))


def test_settings_are_those_of_the_stage_that_goes_on(tmp_path: Path) -> None:
    net = model()
    before = AdamW(lr=1e-2).build(net)
    steps(net, before, range(1))
    carried.keep(before.state_dict(), tmp_path, "adamw")
    after = AdamW(lr=3e-4, weight_decay=0.5).build(net)
    carried.take(after, tmp_path, "adamw")
    assert {g["lr"] for g in after.param_groups} == {3e-4}
    assert max(g["weight_decay"] for g in after.param_groups) == 0.5


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    net = model()
    optimizer = AdamW().build(net)
    with pytest.raises(UserError, match="kept no optimiser state; set keep_optimizer: true in the"):
        carried.take(optimizer, tmp_path, "adamw")
    steps(net, optimizer, range(1))
    carried.keep(optimizer.state_dict(), tmp_path, "adamw")
    with pytest.raises(UserError, match="was kept by adamw, and the optimiser is muon"):
        carried.take(Muon().build(net), tmp_path, "muon")
    other = torch.nn.Linear(7, 2)
    with pytest.raises(UserError, match=r"belongs to other weights: \w+ of weight \d has shape"):
        carried.take(AdamW().build(other), tmp_path, "adamw")


# -- stages ---------------------------------------------------------------------------------------


def complaints(**given: Any) -> list[str]:
    given = {"model": "m", "data": "d", "steps": 2, "max_tokens": 64, **given}
    return [*Rl.model_validate(given).check()]


def test_adapters_and_shards_cannot_carry() -> None:
    assert complaints(optimizer_state="carried") == complaints() == []
    (said,) = complaints(keep_optimizer=True, lora={})
    assert said.startswith("lora: adapters are new in each stage")
    stage = Rl.model_validate({"model": "m", "data": "d", "steps": 2, "optimizer_state": "carried"})
    assert "optimizer_state: cannot be carried from shards; set launch.sharding=none" in [
        *stage.refusals(2, True)
    ]


RECIPE = """name: two
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 8, difficulty: [1, 2]}]}
  first: {kind: rl, model: "@base", data: "@problems", SIZES, keep_optimizer: KEEP}
  second: {kind: rl, model: "@first", data: "@problems", SIZES, optimizer_state: carried}
""".replace("SIZES", "group: 2, steps: 1, batch: 4, max_tokens: 24, max_length: 96")


def test_it_is_known_before_the_run_whether_a_state_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("KEEP", "true"), "utf-8")
    make_plan(load([path])[0])
    path.write_text(RECIPE.replace("KEEP", "false"), "utf-8")
    said = "stages.second.optimizer_state: @first kept no optimiser state; set keep_optimizer: true"
    with pytest.raises(UserError, match=said):
        make_plan(load([path])[0])


def test_phases_keep_what_the_next_one_carries_and_nothing_else() -> None:
    phases = {"a": {}, "b": {}, "c": {"optimizer_state": "fresh"}, "d": {}}
    common = {"kind": "rl", "model": "@base", "data": "@d", "optimizer_state": "carried"}
    made = expanded(Located({"stages": {"rl": {**common, "phases": phases}}})).data["stages"]
    told = {
        name: (each["optimizer_state"], each.get("keep_optimizer", False))
        for name, each in made.items()
    }
    assert told == {
        "rl-a": ("fresh", True),  # there is nothing before it
        "rl-b": ("carried", False),
        "rl-c": ("fresh", True),
        "rl": ("carried", False),
    }


def run(folder: Path, model: Path, data: Path, **given: Any) -> Path:
    sizes = {"steps": 2, "group": 4, "batch": 8, "max_tokens": 24, "max_length": 96}
    stage = Rl.model_validate(
        {"model": str(model), "data": str(data), **sizes, "log_every": 1, **given}
    )
    quiet = lambda label, total, unit: Progress(label, total, unit, write=lambda text: None)  # noqa: E731
    folder.mkdir()
    stage.run(Context("rl", folder, 7, {}, quiet, lambda what, facts: None))
    return folder / "out"


def test_a_stage_goes_on_with_the_moments_of_the_one_before(finished: Path, tmp_path: Path) -> None:
    start, data = finished / "merged/out", finished / "pool/out"
    kept = run(tmp_path / "a", start, data, keep_optimizer=True)
    assert (kept / carried.FILE).is_file() and not (tmp_path / "a" / carried.FOLDER).exists()
    again = run(
        tmp_path / "again", start, data, keep_optimizer=True, until={"kind": "tokens", "most": 9**9}
    )
    assert (again / carried.FILE).read_bytes() == (kept / carried.FILE).read_bytes()
    ends = {
        state: run(tmp_path / state, kept, data, optimizer_state=state)
        for state in ("fresh", "carried")
    }
    assert not (ends["carried"] / carried.FILE).exists()
    weights = [(out / "model.safetensors").read_bytes() for out in ends.values()]
    assert weights[0] != weights[1]
    norms = [
        json.loads((out.parent / "metrics.jsonl").read_text("utf-8").splitlines()[0])["grad_norm"]
        for out in ends.values()
    ]
    assert norms[0] == norms[1]  # of the same start, draws and gradients
