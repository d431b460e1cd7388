"""What goes wrong is said in one clear sentence, and nothing damaged or half-written is used."""

from __future__ import annotations

import json
import os
import pickle
import random
import re
import resource
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from longstep.artifacts import read_manifest
from longstep.config import UserError
from longstep.models.load import shipped_folder
from longstep.run.fork import fork
from longstep.run.recipe import load
from longstep.run.runner import execute
from longstep.training.checkpoints import latest
from short_recipe import (
    Setting,
    begin,
    contents,
    finish,
    flip_bit,
    kill_after_step,
    lines,
    outcome,
    run_of,
    without,
)

SMALL = """
name: small
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 8, difficulty: [1, 1]}]}
"""


def refusal(folder: Path, setting: Setting) -> str:
    """The sentence with which a run in this process is refused."""
    with pytest.raises(UserError) as caught:
        execute(run_of(folder, setting))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- the disk -------------------------------------------------------------------------------------


def small_files_only(folder: Path, size: int) -> None:
    """From now on a file cannot grow beyond ``size``: a write fails as on a full disk, as root too."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("size", [1_000, 300_000, 700_000], ids=["log", "weights", "optimizer"])
def test_full_disk(finished: Path, tmp_path: Path, size: int) -> None:
    folder = tmp_path / "run"
    setting = without(finished, folder, "sft2")
    kill_after_step(folder, setting, 3)
    before = latest(folder / "sft2" / "checkpoints")
    said = finish(folder, setting, partial(small_files_only, size=size))
    assert said.startswith(f"error: {folder}")
    assert said.endswith(
        ": cannot be written (File too large); what was finished is intact: "
        "make room or fix the permission, then run the same command again"
    )
    assert before is not None and latest(folder / "sft2" / "checkpoints") == before
    assert finish(folder, setting) == "done"
    assert contents(folder) == contents(finished)


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for folder in (Path("/proc/longstep"), tmp_path / "file", tmp_path / "file" / "run"):
        said = refusal(folder, Setting(text=SMALL))
        assert re.fullmatch(rf"{folder}: cannot be written \(.+\); choose another --out", said)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "problems").write_text("not a folder")
    assert "problems: cannot be written (" in refusal(tmp_path / "run", Setting(text=SMALL))


# -- damaged artifacts ----------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["bit", "truncated", "missing", "added"])
def test_damaged_artifact(finished: Path, tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "run"
    setting = without(finished, folder, "rl")
    weights, rows = folder / "merged/out/model.safetensors", folder / "pool/out/completions.jsonl"
    if damage == "bit":
        flip_bit(path := weights, 0.9)  # safetensors loads that
    elif damage == "truncated":
        (path := rows).write_bytes(rows.read_bytes()[:-40])
    elif damage == "missing":
        (path := rows).unlink()
    else:
        (path := rows.with_name("more.jsonl")).write_text("{}\n")
    said = refusal(folder, setting)
    what = {"missing": "is missing", "added": "was added"}.get(damage, "changed")
    assert (
        said.startswith(f"{path}: {what}") and f"delete {path.parents[1]} to redo the stage" in said
    )
    assert not (folder / "rl").exists()
    shutil.rmtree(path.parents[1])  # what the sentence asks for
    assert finish(folder) == "done"
    assert contents(folder) == contents(finished)


def test_any_flipped_bit_of_a_record_is_refused_or_harmless(tmp_path: Path) -> None:
    folder, setting = tmp_path / "run", Setting(text=SMALL)
    execute(run_of(folder, setting))
    refused, generator = 0, random.Random(5)
    for path in [folder / "problems" / name for name in ("manifest.json", "config.json")]:
        whole = path.read_bytes()
        for _ in range(100):
            damaged = bytearray(whole)
            damaged[generator.randrange(len(damaged))] ^= 1 << generator.randrange(8)
            path.write_bytes(damaged)
            try:
                assert execute(run_of(folder, setting)) == []
            except UserError:
                refused += 1
        path.write_bytes(whole)
    assert refused > 100  # the rest hit what a stage cost or where a setting came from
    assert execute(run_of(folder, setting)) == []


@pytest.mark.parametrize(
    "file", ["model.safetensors", "optimizer.pt", "trainer_state.json", "manifest.json"]
)
def test_damaged_checkpoint_gives_way_to_the_one_before(
    finished: Path, tmp_path: Path, file: str
) -> None:
    folder = tmp_path / "run"
    setting = without(finished, folder, "sft1")
    kill_after_step(folder, setting, 5)
    checkpoints = folder / "sft1" / "checkpoints"
    flip_bit(checkpoints / "checkpoint-4" / file)
    found = latest(shutil.copytree(checkpoints, tmp_path / "copy"))
    assert found is not None and found.name == "checkpoint-2"
    assert finish(folder, setting) == "done"
    assert contents(folder) == contents(finished)


def test_damaged_best_checkpoint_is_not_selected(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "sft2")
    # So slow that the held-out loss stays what it is: the first checkpoint stays the best one.
    setting = Setting(("stages.sft2.optimizer.lr=1e-12",), ("sft2",))
    kill_after_step(folder, setting, 5)
    best = folder / "sft2" / "checkpoints" / "checkpoint-2"
    flip_bit(best / "model.safetensors", 0.9)
    said = finish(folder, setting)
    assert said.startswith(
        f"error: {best}: this checkpoint has the lowest held-out loss, but its files changed"
    )
    assert not (folder / "sft2" / "out").exists()


# -- what comes from elsewhere --------------------------------------------------------------------


class Canary:
    """Pickled, it is a call of ``os.mkdir`` for whoever loads it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


def model_copy(folder: Path) -> Path:
    return shutil.copytree(shipped_folder("longstep-tiny"), folder)


def test_pickled_weights_are_refused_unread(tmp_path: Path) -> None:
    source, canary = model_copy(tmp_path / "model"), tmp_path / "canary"
    (source / "model.safetensors").unlink()
    (source / "pytorch_model.bin").write_bytes(pickle.dumps(Canary(canary)))
    said = refusal(tmp_path / "run", Setting((f"stages.base.path={source}",), text=SMALL))
    assert said.startswith(
        f"command line: stages.base.path: {source / 'pytorch_model.bin'}: pickled weights can execute code and are refused"
    )
    assert not canary.exists()
    assert read_manifest(tmp_path / "run" / "base") is None


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_of_a_model_is_never_executed(tmp_path: Path, file: str) -> None:
    source, canary = model_copy(tmp_path / "model"), tmp_path / "canary"
    (source / "code.py").write_text(f"import os\nos.mkdir({str(canary)!r})\n")
    facts = json.loads((source / file).read_text())
    facts["auto_map"] = {
        "AutoConfig": "code.C",
        "AutoModelForCausalLM": "code.C",
        "AutoTokenizer": ["code.C", None],
    }
    (source / file).write_text(json.dumps(facts))
    said = refusal(tmp_path / "run", Setting((f"stages.base.path={source}",), text=SMALL))
    assert said.startswith(
        f"command line: stages.base.path: {source / file}: asks for code of its own (auto_map)"
    )
    assert not canary.exists()
    assert read_manifest(tmp_path / "run" / "base") is None


def test_tokenizers_that_differ_are_not_merged(tmp_path: Path) -> None:
    source = model_copy(tmp_path / "model")
    facts = json.loads((source / "tokenizer.json").read_text())
    words = facts["model"]["vocab"]
    words["a"], words["b"] = words["b"], words["a"]
    (source / "tokenizer.json").write_text(json.dumps(facts))
    text = (
        SMALL
        + f"""
  other: {{kind: checkpoint, path: {source}}}
  merged: {{kind: merge, method: {{kind: linear}}, parents: ["@base", "@other"]}}
"""
    )
    said = refusal(tmp_path / "run", Setting(text=text))
    assert re.search(rf"'a' has id {words['b']} in the first and {words['a']} in the second", said)
    assert read_manifest(tmp_path / "run" / "merged") is None


# -- numbers that are none ------------------------------------------------------------------------


def sft_on_own_rows(folder: Path) -> Setting:
    """Six steps on twelve rows written by hand; the prompt of p7 alone has the letter Z."""
    data = folder / "data"
    data.mkdir()
    with (
        (data / "problems.jsonl").open("w") as problems,
        (data / "completions.jsonl").open("w") as completions,
    ):
        for number in range(12):
            name, prompt = f"p{number}", f"{number:02}+Z?" if number == 7 else f"{number:02}+a?"
            problems.write(json.dumps({"id": name, "prompt": prompt, "answer": "1"}) + "\n")
            row = {
                "problem_id": name,
                "sample_index": 0,
                "prompt_ids": [],
                "token_ids": [],
                "finish_reason": "stop",
            }
            completions.write(json.dumps({**row, "text": "<think>1</think>\\boxed{1}"}) + "\n")
    text = f"""
name: own
stages:
  sft:
    kind: sft
    model: {folder / "model"}
    data: {data}
    steps: 6
    batch: 2
    max_length: 64
    optimizer: {{kind: adamw, lr: 1e-3}}
    save_every: 1
    log_every: 1
"""
    return Setting(text=text)


def small_model(folder: Path, spoil: Callable[[Any, int], None]) -> int:
    """A small model that ``spoil`` may change; gives the id of the letter Z."""
    from longstep.models.load import save_model
    from longstep.models.tiny import TinySpec, build_model, build_tokenizer

    tokenizer = build_tokenizer()
    model = build_model(TinySpec(width=16, layers=1, heads=2, tie=False), seed=3)
    token = tokenizer.convert_tokens_to_ids("Z")
    assert isinstance(token, int)
    spoil(model, token)
    save_model(model, tokenizer, folder)
    return token


def nan_embedding(model: Any, token: int) -> None:
    model.get_input_embeddings().weight.data[token] = float("nan")


def huge_output_row(model: Any, token: int) -> None:
    model.get_output_embeddings().weight.data[token] *= (
        1e21  # losses near 1e20; squares of gradients overflow
    )


def test_loss_that_is_no_number(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    token = small_model(tmp_path / "model", nan_embedding)
    folder, setting = tmp_path / "run", sft_on_own_rows(tmp_path)
    said = finish(folder, setting)
    found = re.fullmatch(
        r"error: training step (\d) \(rows (p\d+), (p\d+)\): the loss is nan; no step was taken and checkpoints are intact",
        said,
    )
    assert found and "p7" in found.groups()
    good_steps = int(found[1]) - 1
    assert good_steps >= 1  # else the seed must be another one
    assert [row["step"] for row in lines(folder / "sft" / "metrics.jsonl")] == list(
        range(1, good_steps + 1)
    )
    last = latest(folder / "sft" / "checkpoints")
    assert last is not None and last.name == f"checkpoint-{good_steps}"
    for name, weight in load_file(last / "model.safetensors").items():
        finite = (weight == weight).all(axis=-1)
        assert [i for i, row in enumerate(finite.reshape(-1)) if not row] == (
            [token] if "embed" in name else []
        )
    assert not (folder / "sft" / "out").exists()
    assert finish(folder, setting) == said  # nor does trying again get past it


def test_gradient_that_is_no_number(tmp_path: Path) -> None:
    small_model(tmp_path / "model", huge_output_row)
    folder = tmp_path / "run"
    said = finish(folder, sft_on_own_rows(tmp_path))
    assert re.fullmatch(
        r"error: training step 1 \(rows p\d+, p\d+\): the gradient norm is (inf|nan); no step was taken",
        said,
    )
    assert latest(folder / "sft" / "checkpoints") is None
    assert not (folder / "sft" / "out").exists()


def rl_with(verifier: str, folder: Path) -> Setting:
    """A few steps of rl on problems that a verifier of the user's own judges."""
    rows = folder / "own.jsonl"
    rows.write_text(
        "".join(
            json.dumps({"prompt": f"{n}+{n % 3}", "answer": str(n + n % 3)}) + "\n"
            for n in range(1, 9)
        )
    )
    text = f"""
name: own
stages:
  base: {{kind: checkpoint, path: longstep-tiny}}
  problems: {{kind: curate, sources: [{{kind: jsonl, path: {rows}, verifier: "{verifier}"}}]}}
  rl:
    kind: rl
    model: "@base"
    data: "@problems"
    algorithm: {{kind: dr-grpo, rewards: [{{kind: cosine}}]}}
    group: 8
    batch: 16
    steps: 2
    max_tokens: 48
    max_length: 96
    optimizer: {{kind: adamw, lr: 1e-3}}
    log_every: 1
"""
    return Setting(text=text)


def test_completions_without_a_verdict_do_not_train(tmp_path: Path) -> None:
    none, some = tmp_path / "none", tmp_path / "some"
    assert finish(none, rl_with("short_recipe:always_raises", tmp_path)) == "done"
    # Truncated ones are judged without the verifier; a completion is never judged wrong because it was not judged.
    assert all(
        row["unscorable_share"] + row["truncated_share"] == 1
        for row in lines(none / "rl/metrics.jsonl")
    )
    assert finish(some, rl_with("short_recipe:raises_for_some", tmp_path)) == "done"
    metrics = lines(some / "rl" / "metrics.jsonl")
    assert all(0 < row["unscorable_share"] < 1 and row["loss"] is not None for row in metrics)
    base, trained = (some / name / "out" / "model.safetensors" for name in ("base", "rl"))
    assert base.read_bytes() != trained.read_bytes()


def test_verifier_that_returns_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    said = finish(folder, rl_with("short_recipe:returns_nothing", tmp_path))
    assert re.fullmatch(
        r"error: verifier short_recipe:returns_nothing returned NoneType for problem \w+; "
        r"expected a longstep.types.Verdict",
        said,
    )
    assert not (folder / "rl" / "out").exists()


# -- empty, misspelt, changed, shared -------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "stage", "sentence"),
    [
        (
            ("stages.problems.filters=[{kind: length, max_chars: 1}]",),
            "problems",
            "problems: no problem is left after curation: collect kept 32, dropped 0; length kept 0, dropped 32;",
        ),
        (
            ("stages.traces.where={difficulty: [7, 9]}",),
            "traces",
            r"traces: where {difficulty: [7.0, 9.0]} leaves 0 of 32 problems of @rated (32 have a pass rate)",
        ),
        (
            ("stages.sft1.max_length=8",),
            "sft1",
            "sft1: no row is left to train on: of the completions of @traces, 32 longer than 8 tokens; raise",
        ),
        (
            ("stages.nca.max_length=8",),
            "nca",
            "nca: no pair to train on: ",
        ),
    ],
)  # fmt: skip
def test_nothing_left(
    finished: Path, tmp_path: Path, overrides: tuple[str, ...], stage: str, sentence: str
) -> None:
    folder = tmp_path / "run"
    setting = without(finished, folder, stage)
    for later in (
        "rl",
        "scores",
        "pool",
        "merged",
        "nca",
        "own",
        "sft2",
        "sft1",
        "traces",
        "rated",
    ):
        if later != stage and later not in run_of(folder).recipe.needed_for([stage]):
            shutil.rmtree(folder / later)
    said = refusal(folder, Setting(overrides, setting.only))
    assert said.startswith(sentence)
    assert read_manifest(folder / stage) is None


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("count: 8", "cuont: 8", "unknown key 'cuont'; did you mean 'count'?"),
        ("name: small", "name: small\nname: twice", "'name'"),
    ],
)
def test_misspelt_recipe(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(SMALL.replace(old, new))
    with pytest.raises(UserError) as caught:
        load([path])
    assert re.match(rf"{path}:\d+: ", str(caught.value)) and sentence in str(caught.value)


def training(model: str, data: str, trainer: str = "{}") -> str:
    return f'{{kind: sft, model: "{model}", data: "{data}", steps: 1, trainer: {trainer}}}'


@pytest.mark.parametrize(
    ("stages", "sentence"),
    [
        (
            {"sft": training("@bas", "@problems")},
            ":6: stages.sft.model: no stage is called '@bas'; did you mean '@base'?",
        ),
        (
            {"sft": training("@problems", "@base")},
            ":6: stages.sft.model: '@problems' is a stage that makes rows; a model must stand here",
        ),
        (
            {"one": training("@two", "@problems"), "two": training("@one", "@problems")},
            "stages read each other in a circle: one -> two -> one",
        ),
        (
            {"sft": training("@base", "@problems", "{weight_deccay: 0.1}")},
            "stages.sft.trainer.weight_deccay: TRL's SFT config has no key 'weight_deccay'; did you mean 'weight_decay'?",
        ),
        (
            {"sft": training("@base", "@problems", "{output_dir: elsewhere}")},
            "stages.sft.trainer.output_dir: output_dir belongs to longstep; set the run folder (--out) instead",
        ),
    ],
)  # fmt: skip
def test_recipe_that_cannot_run_is_refused_before_it_starts(
    tmp_path: Path, stages: dict[str, str], sentence: str
) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(SMALL + "".join(f"  {name}: {value}\n" for name, value in stages.items()))
    with pytest.raises(UserError) as caught:
        load([path])
    assert sentence in str(caught.value)


def test_changed_recipe_is_refused_and_forked(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    setting = Setting(("stages.sft2.steps=4",))
    said = refusal(folder, setting)
    assert said.startswith(
        f"stage sft2 in {folder}: changed since it was begun: config.steps: 6 -> 4; choose another --out"
    )
    assert "seed: 17 -> 18" in refusal(folder, Setting(("seed=18",)))
    lock = folder / "run.lock"
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p != lock} == {
        p: data for p, data in before.items() if p != lock
    }

    forked = fork(run_of(folder, setting)).folder
    kept = {
        "base",
        "problems",
        "rated",
        "traces",
        "sft1",
        "own",
        "nca",
    }  # all that does not read sft2
    assert contents(forked) == {
        name: content for name, content in contents(finished).items() if name in kept
    }
    assert finish(forked, setting) == "done"
    made, old = contents(forked), contents(finished)
    assert {name for name in old if made[name] == old[name]} == kept
    assert contents(folder) == old


def test_changed_data_is_refused(tmp_path: Path) -> None:
    rows, folder = tmp_path / "rows.jsonl", tmp_path / "run"
    source = f"[{{kind: jsonl, path: {rows}, verifier: exact}}]"
    setting = Setting((f"stages.problems.sources={source}",), text=SMALL)
    rows.write_text('{"prompt": "1+1", "answer": "2"}\n')
    execute(run_of(folder, setting))
    rows.write_text('{"prompt": "1+1", "answer": "3"}\n')
    assert f"stage problems in {folder}: changed since it was begun: inputs.{rows}: " in refusal(
        folder, setting
    )


def test_two_runs_in_one_folder(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    setting = without(finished, folder, "rl")
    process = begin(folder, setting)
    while process.is_alive() and not (folder / "rl").exists():
        process.join(0.001)
    said = refusal(folder, setting)
    assert re.fullmatch(
        rf"{folder}: another run is using this folder \(pid {process.pid} on \S+ since [\d :-]+\); "
        r"wait or choose another --out",
        said,
    )
    assert outcome(process, folder) == "done"
    assert contents(folder) == contents(finished)
