"""The path of light-r1 in seconds, and processes to run it in that may be killed or fail.

Each process is forked from a server that has torch and TRL imported already and nothing else going on, so that
starting one costs milliseconds and no thread of the tests is copied into it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from longstep.artifacts import AppendLog, read_manifest
from longstep.config import Located, UserError, override, validate
from longstep.run.recipe import Recipe, check
from longstep.run.runner import Run, execute
from longstep.types import Problem, Verdict
from longstep.yaml12 import parse

RECIPE = """
name: short
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems:
    kind: curate
    sources: [{kind: chain, count: 32, difficulty: [1, 2]}]
    filters: [{kind: has_answer}]
  rated:
    kind: sample
    by: {kind: model, model: "@base"}
    data: "@problems"
    sampling: {samples: 2, max_tokens: 24, batch_size: 8}
    rate: true
  traces:
    kind: sample
    by: {kind: reference, model: "@base"}
    data: "@rated"
    sampling: {samples: 1, max_tokens: 60, batch_size: 4}
    keep: correct
  sft1:
    kind: sft
    model: "@base"
    data: "@traces"
    steps: 6
    batch: 4
    micro_batch: 2
    max_length: 96
    schedule: linear
    optimizer: {kind: muon, lr: 1e-3, adamw_lr: 1e-3}
    save_every: 2
    log_every: 1
  sft2:
    kind: sft
    model: "@sft1"
    data: "@traces"
    steps: 6
    batch: 4
    max_length: 96
    optimizer: {kind: adamw, lr: 1e-2}
    select: {share: 0.3}
    save_every: 2
    log_every: 1
  own:
    kind: sample
    by: {kind: model, model: "@sft1"}
    data: "@traces"
    sampling: {samples: 2, max_tokens: 24, batch_size: 8}
  nca:
    kind: prefer
    model: "@sft1"
    chosen: "@traces"
    rejected: "@own"
    pairs: {rejected: any}
    steps: 4
    batch: 4
    max_length: 96
    optimizer: {kind: adamw, lr: 1e-3}
    save_every: 2
    log_every: 1
  merged: {kind: merge, method: {kind: ties, density: 0.5}, parents: ["@sft2", "@nca"], base: "@sft1"}
  pool:
    kind: sample
    by: {kind: model, model: "@merged"}
    data: "@problems"
    sampling: {samples: 2, max_tokens: 24, batch_size: 16}
    rate: true
  rl:
    kind: rl
    model: "@merged"
    data: "@pool"
    curriculum: {kind: adarft}
    group: 4
    steps: 6
    batch: 8
    max_tokens: 32
    max_length: 96
    optimizer: {kind: adamw, lr: 1e-3}
    save_every: 2
    log_every: 1
  scores:
    kind: evaluate
    models: {base: "@base", rl: "@rl"}
    benchmarks:
      - {name: easy, source: {kind: chain, count: 12, difficulty: [1, 2], split: heldout}, max_tokens: 24}
    samples: 2
    batch_size: 8
    resamples: 100
"""

PRELOADED = [
    "longstep.training.sft",
    "longstep.training.pairs",
    "longstep.training.policy",
    "longstep.generate.engine",
    "longstep.merge",
    "longstep.models.lora",
    "transformers.models.qwen2.modeling_qwen2",
    "short_recipe",
    "frozen",  # the last: what was imported is no garbage
]


@dataclass(frozen=True)
class Setting:
    """What the command line says: the recipe, overrides, and ``--only``."""

    overrides: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    text: str = RECIPE


def run_of(folder: Path, setting: Setting = Setting()) -> Run:
    """A recipe in a folder."""
    located = Located(parse(setting.text)[0])
    for assignment in setting.overrides:
        located = override(located, assignment)
    recipe = validate(Recipe, located)
    check(recipe, located)
    return Run(recipe, located, folder, lambda line: None)


def start(work: Callable[..., None], *arguments: object) -> BaseProcess:
    """Call a module's function in a clean process with everything imported; its progress lines go nowhere."""
    here = str(Path(__file__).parent)
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if here not in paths:  # Python 3.11 starts the server without our sys.path
        os.environ["PYTHONPATH"] = os.pathsep.join([here, *paths])
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(PRELOADED)
    process = server.Process(target=_quietly, args=(work, arguments))
    process.start()
    return process


def _quietly(work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    import torch

    torch.set_num_threads(1)
    with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        work(*arguments)


def attempt(
    folder: Path, setting: Setting = Setting(), before: Callable[[Path], None] | None = None
) -> None:
    """Run the recipe; how it ended is left beside the run folder."""
    if before is not None:
        before(folder)
    try:
        execute(run_of(folder, setting), setting.only)
        said = "done"
    except UserError as error:
        said = f"error: {error}"
    _said(folder).write_text(said, encoding="utf-8")


def _said(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.said")


def begin(
    folder: Path, setting: Setting = Setting(), before: Callable[[Path], None] | None = None
) -> BaseProcess:
    """Start a run in a process of its own; ``before`` is called there first, with the folder."""
    _said(folder).unlink(missing_ok=True)
    return start(attempt, folder, setting, before)


def finish(
    folder: Path, setting: Setting = Setting(), before: Callable[[Path], None] | None = None
) -> str:
    """Run in a process of its own to the end; see :func:`outcome`."""
    return outcome(begin(folder, setting, before), folder)


def outcome(process: BaseProcess, folder: Path, seconds: float = 100) -> str:
    """Wait for the end: ``done``, ``error: SENTENCE``, or ``killed``."""
    process.join(seconds)
    assert process.exitcode is not None, f"the run in {folder} does not end"
    if process.exitcode < 0:
        return "killed"
    assert process.exitcode == 0, f"the run in {folder} ended with a traceback"
    return _said(folder).read_text(encoding="utf-8")


def contents(folder: Path) -> dict[str, str]:
    """The content hash of every finished stage."""
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and (manifest := read_manifest(path)) is not None:
            found[path.name] = manifest["content"]
    return found


def lines(path: Path) -> list[Mapping[str, Any]]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def without(finished: Path, folder: Path, stage: str) -> Setting:
    """Copy a finished run in which one stage has not begun; gives the setting that runs this stage only."""
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / stage)
    return Setting(only=(stage,))


def _die_after_step(folder: Path, step: int) -> None:
    """From now on this process kills itself as soon as the metric line of a step is written."""
    append = AppendLog.append

    def append_and_die(log: AppendLog, row: object) -> None:
        append(log, row)
        if isinstance(row, Mapping) and row.get("step") == step and "loss" in row:
            os.kill(os.getpid(), signal.SIGKILL)

    AppendLog.append = append_and_die


def kill_after_step(folder: Path, setting: Setting, step: int) -> None:
    """SIGKILL a run when a training stage has logged a step."""
    assert finish(folder, setting, partial(_die_after_step, step=step)) == "killed"


def flip_bit(path: Path, at: float = 0.5) -> None:
    """Flip one bit at a share of a file's length."""
    data = bytearray(path.read_bytes())
    data[int(at * len(data))] ^= 4
    path.write_bytes(data)


def always_raises(problem: Problem, text: str) -> Verdict:
    """A verifier that reaches no judgement."""
    raise RuntimeError("no judgement")


_CALLS = itertools.count()


def raises_for_some(problem: Problem, text: str) -> Verdict:
    """A verifier that judges every other completion and finds half of those right, whatever a model says."""
    call = next(_CALLS) % 4
    if call % 2:
        raise RuntimeError("no judgement")
    return Verdict("correct" if call == 0 else "incorrect", problem.answer)


def returns_nothing(problem: Problem, text: str) -> None:
    """A verifier whose author forgot to return."""
