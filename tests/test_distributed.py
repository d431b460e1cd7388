"""Several processes train the weights of one, whole or sharded, and end together when one of them fails.

Two gloo processes on the CPU, started by the launchers themselves. Accelerate turns FSDP on for GPUs only; one test
lets it through, which is all that it changes: NCCL, CPU offload and bf16 are not tested here.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from bounds import EPS, LR, weight_bound
from longstep.artifacts import read_manifest
from longstep.models.load import shipped_folder
from longstep.models.lora import Lora
from longstep.optimizers import Muon
from longstep.run.launch.accelerate import Launch, launch_command
from longstep.stages.rl import Rl
from longstep.stages.sft import Sft
from patience import PATIENCE
from short_recipe import Setting, finish, lines

pytestmark = [pytest.mark.slow, pytest.mark.equality]

RECIPE = """
name: pico
stages:
  problems: {kind: curate, sources: [{kind: chain, count: 16, difficulty: [1, 2]}]}
  base: {kind: checkpoint, path: longstep-tiny}
  traces:
    kind: sample
    by: {kind: reference, model: "@base"}
    data: "@problems"
    sampling: {samples: 1, max_tokens: 60}
    keep: correct
  own:
    kind: sample
    by: {kind: model, model: "@base"}
    data: "@traces"
    sampling: {samples: 2, max_tokens: 24, batch_size: 32}
    rate: true
  sft:
    kind: sft
    model: "@base"
    data: "@traces"
    steps: 4
    batch: 4
    micro_batch: 1
    max_length: 96
    schedule: linear
    select: {share: 0.3}
    optimizer: {kind: adamw, lr: LR, eps: EPS}
    save_every: 2
    log_every: 1
  nca:
    kind: prefer
    model: "@sft"
    chosen: "@traces"
    rejected: "@own"
    pairs: {rejected: any}
    steps: 2
    batch: 4
    max_length: 96
    optimizer: {kind: adamw, lr: LR, eps: EPS}
    log_every: 1
  rl:
    kind: rl
    model: "@sft"
    data: "@own"
    curriculum: {kind: adarft}
    group: 4
    steps: 3
    batch: 8
    max_tokens: 24
    max_length: 96
    optimizer: {kind: adamw, lr: LR, eps: EPS}
    log_every: 1
  picked:
    kind: rl
    model: "@sft"
    data: "@own"
    curriculum: {kind: adcl, batches: 8, samples: 2}
    gate: {kind: mixed, refill: whole, hopeless: keep}
    guide: {kind: expert, when: always}
    algorithm: {kind: dapo, minibatches: 1, correction: {kind: truncated}}
    until: {kind: plateau, window: 2, gain: 0.9}
    group: 4
    steps: 6
    batch: 8
    max_tokens: 24
    max_length: 96
    optimizer: {kind: adamw, lr: LR, eps: EPS}
    log_every: 1
""".replace("LR", str(LR)).replace("EPS", str(EPS))
TRAINED = ("sft", "nca", "rl", "picked")
#: Behind four steps of sft lie two of nca, three of rl or four of picked, which its rule ends after them; a batch has at
#: most 8 rows of 96 tokens. Several updates from a batch of rollouts would not do: each process shuffles its own rows
#: before the cut, so two processes cut otherwise than one.
BOUND = weight_bound(steps=8, tokens=8 * 96)
#: Numbers of a metric line that say which problems were asked, how they went and what was done with them.
DECIDED = re.compile(
    "(curriculum|gate|guide|tokens|refused)/|((effective|missing)_groups|correct|all_(right|wrong)_share)$"
)

# What runs instead of ``python -m longstep``.
SHARDED_ON_CPU = """
import runpy
from accelerate import state

init = state.AcceleratorState.__init__

def let_through(self, *args, fsdp_plugin=None, **kwargs):
    init(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
    if fsdp_plugin is not None:
        self.fsdp_plugin = fsdp_plugin
        self.distributed_type = state.DistributedType.FSDP
        state.PartialState._shared_state["distributed_type"] = state.DistributedType.FSDP

state.AcceleratorState.__init__ = let_through
runpy.run_module("longstep", run_name="__main__")
"""
SECOND_FAILS = """
import os, runpy
from longstep.training import journal
from longstep.config import UserError

def fail(self, args, state, control, **kwargs):
    if os.environ["RANK"] == "1" and state.global_step == 3:
        raise UserError("this device is broken")

journal.Journal.on_step_end = fail
runpy.run_module("longstep", run_name="__main__")
"""


def run_two(launch: Launch, program: Sequence[str], *arguments: str) -> tuple[int, str]:
    """Start a program as ``longstep plan`` says, on a free port; give its status and what it said."""
    command = launch_command(launch, arguments)
    at = command.index("-m")
    module, given = command[at : at + 2], command[at + 2 :]
    command = [
        *(sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"),
        *("--main_process_port", "0", *command[2:at], *(program or module), *given),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.terminate()  # the launcher ends its processes, which are in sessions of their own
        said, _ = process.communicate()
        pytest.fail(f"the processes do not end: {said[-3000:]}")
    return process.returncode, said


def differences(one: Path, other: Path, stages: Sequence[str] = TRAINED) -> dict[str, float]:
    """Largest difference between the weights of two runs, by stage."""
    found = {}
    for stage in stages:
        ours, theirs = (load_file(run / stage / "out/model.safetensors") for run in (one, other))
        assert ours.keys() == theirs.keys()
        found[stage] = max((ours[name] - theirs[name]).abs().max().item() for name in ours)
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe, run by one process."""
    folder = tmp_path_factory.mktemp("alone") / "run"
    assert finish(folder, Setting(text=RECIPE)) == "done"
    start = load_file(shipped_folder("longstep-tiny") / "model.safetensors")
    for stage in TRAINED:  # training moves weights by far more than the bound of the tests below
        end = load_file(folder / stage / "out/model.safetensors")
        assert max((end[name] - start[name]).abs().max().item() for name in start) > 10 * BOUND
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("recipe") / "pico.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return str(path)


def decided(stage: Path) -> list[dict[str, Any]]:
    """What curriculum, gate and guide made of each batch of rollouts."""
    rows = lines(stage / "metrics.jsonl")
    return [{name: value for name, value in row.items() if DECIDED.match(name)} for row in rows]


def numbers(folder: Path, stage: str) -> list[tuple[int, float]]:
    return [
        (row["step"], row["loss"])
        for row in lines(folder / stage / "metrics.jsonl")
        if "loss" in row
    ]


def test_two_processes_train_the_weights_of_one_after_one_of_them_failed(
    alone: Path, recipe: str, tmp_path: Path
) -> None:
    folder, script = tmp_path / "run", tmp_path / "fails.py"
    launch = Launch(processes=2, sharding="none", mixed_precision="no")
    script.write_text(SECOND_FAILS)
    status, said = run_two(launch, [str(script)], "run", recipe, "--out", str(folder))
    assert status != 0 and "process 1: error: this device is broken" in said
    assert read_manifest(folder / "traces") is not None and read_manifest(folder / "sft") is None
    with (folder / "run.lock").open() as file:  # the first process is gone, too
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    status, said = run_two(launch, [], "run", recipe, "--out", str(folder))
    assert status == 0, said
    begun = [(e["stage"], e["event"]) for e in lines(folder / "events.jsonl")]
    assert begun.count(("sft", "resumed")) == begun.count(("rl", "started")) == 1
    assert max(differences(alone, folder).values()) < BOUND
    for stage in TRAINED:  # no line doubled by the second process, or by going on
        ours, theirs = numbers(folder, stage), numbers(alone, stage)
        assert [step for step, _ in ours] == [step for step, _ in theirs]
        assert [loss for _, loss in ours] == pytest.approx([loss for _, loss in theirs], abs=1e-4)
    for stage in ("rl", "picked"):  # the picks and what came of them are those of one process
        assert [(r["step"], r["text"]) for r in lines(folder / stage / "rollouts.jsonl")] == [
            (r["step"], r["text"]) for r in lines(alone / stage / "rollouts.jsonl")
        ]
        assert decided(folder / stage) == decided(alone / stage)
    ended = [json.loads((run / "picked/ended.json").read_text()) for run in (alone, folder)]
    assert ended[0]["why"] == ended[1]["why"] and ended[0]["step"] == ended[1]["step"] == 4
    rows = decided(alone / "picked")
    assert rows[-1]["tokens/probe"] * rows[-1]["guide/taken"] > 0
    assert any(name.startswith("refused/") for row in rows for name in row)
    spent = [json.loads((run / "rl/manifest.json").read_text())["cost"] for run in (alone, folder)]
    assert spent[0]["tokens_generated"] == spent[1]["tokens_generated"] > 0


def test_two_processes_with_sharded_weights_train_the_weights_of_one(
    alone: Path, recipe: str, tmp_path: Path
) -> None:
    folder, script = tmp_path / "run", tmp_path / "sharded.py"
    launch = Launch(processes=2, mixed_precision="no")
    script.write_text(SHARDED_ON_CPU)
    status, said = run_two(launch, [str(script)], "run", recipe, "--out", str(folder))
    assert status == 0, said
    assert max(differences(alone, folder).values()) < BOUND
    for stage in TRAINED:  # the same files: tied weights are written once
        assert sorted(p.name for p in (folder / stage / "out").iterdir()) == sorted(
            p.name for p in (alone / stage / "out").iterdir()
        )


def test_processes_on_other_machines_end_when_the_first_refuses(
    recipe: str, tmp_path: Path
) -> None:
    """Started by hand, so that no launcher of the same machine ends the second one."""
    command = [sys.executable, "-m", "longstep", "run", recipe, "stages.rl.batch=4"]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    names = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [*command, "--out", str(tmp_path / "run")],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **names, "RANK": number, "LOCAL_RANK": number},
        )
        for number in ("0", "1")
    ]
    try:
        said = [process.communicate(timeout=PATIENCE)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [2, 2]
    assert "error: stage rl: batch 4 is not a multiple of group 4 x 2 processes" in said[0]
    assert "process 1: error: process 0 ended" in said[1]
    assert not (tmp_path / "run" / "problems").exists()  # nothing was spent


def test_what_is_refused() -> None:
    sft = Sft(model="m", data="d", steps=1, batch=12, micro_batch=3)
    assert [list(sft.refusals(n, False)) == [] for n in (1, 2, 3, 4, 6)] == [
        True,
        True,
        False,
        True,
        False,
    ]
    rl = Rl(model="m", data="d", steps=1, batch=16, group=8)
    assert [list(rl.refusals(n, True)) == [] for n in (1, 2, 4)] == [True, True, False]
    for setting in ({"optimizer": Muon()}, {"lora": Lora()}):
        stage = sft.model_copy(update=setting)
        assert list(stage.refusals(2, False)) == [] and len(list(stage.refusals(2, True))) == 1
