"""A mistake in the last stage is refused before the first one begins, in words that name stage and key (faults 36, 37)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from longstep.artifacts import write_rows
from longstep.config import UserError
from longstep.models.lora import Lora, target_layers
from longstep.run.plan import make_plan
from longstep.run.recipe import load
from longstep.run.runner import Run, execute
from longstep.types import Completion, Problem, Verdict
from patience import PATIENCE
from test_light import REFUSE
from zoo import CONTEXT, build, edit, tokenizer

# What every recipe here begins with: nothing of it may be drawn or written before the refusal.
FIRST = """name: late
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 8, difficulty: [1, 2]}]}
  rated: {kind: sample, by: {kind: model, model: "@base"}, data: "@problems", sampling: {max_tokens: 24}, rate: true}
  traces: {kind: sample, by: {kind: reference, model: "@base"}, data: "@rated", keep: correct}
"""
TRAIN = "steps: 2, batch: 2, max_length: 96"
RL = "model: '@base', data: '@rated', group: 2, steps: 1, batch: 4, max_tokens: 24, max_length: 96"


def trained(stage: str) -> str:
    return f"{{{stage}, {TRAIN}}}"


def reinforced(stage: str) -> str:
    return f"{{{stage}, {RL}}}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, rows and code that are there before a run, each with something wrong."""
    root = tmp_path_factory.mktemp("inputs")
    llama = build("llama", root / "llama")
    shutil.copytree(llama, root / "nothink")
    tokenizer(think=False).save_pretrained(root / "nothink")
    shutil.copytree(llama, root / "notemplate")
    (root / "notemplate/chat_template.jinja").unlink()
    edit(root / "notemplate/tokenizer_config.json", chat_template=None)
    shutil.copytree(llama, root / "notokenizer")
    (root / "notokenizer/tokenizer_config.json").unlink()
    shutil.copytree(llama, root / "quantised")
    edit(root / "quantised/config.json", quantization_config={"quant_method": "gptq"})
    shutil.copytree(llama, root / "unknown")
    edit(root / "unknown/config.json", model_type="no-such-thing", architectures=None)
    shutil.copytree(llama, root / "pickled")
    (root / "pickled/model.safetensors").rename(root / "pickled/pytorch_model.bin")
    build("llama", root / "otherheads", change=lambda config: setattr(config, "rope_theta", 7.0))
    edit(root / "otherheads/config.json", rope_parameters=None, rope_theta=7.0)
    (root / "file.safetensors").write_bytes(b"")
    (root / "lost.jinja").write_text("{{- '<|assistant|>' -}}", encoding="utf-8")
    (root / "rows.jsonl").write_text('{"question": "1+1?", "gold": "2"}\n', encoding="utf-8")
    (root / "broken.jsonl").write_text('{"id": 3}\n', encoding="utf-8")
    (root / "broken_verifier.py").write_text("import nowhere_at_all\n", encoding="utf-8")
    (root / "odd_verifier.py").write_text(
        "class Judge: pass\nNUMBER = 3\ndef short(problem): return None\nraise_ = 1 / 1\n"
    )
    (root / "raising_verifier.py").write_text("1 / 0\n", encoding="utf-8")
    write_rows(
        root / "unrated/problems.jsonl", [Problem("a", "1+1?", "2"), Problem("b", "2+2?", "4")]
    )
    unverified = Completion("a", 0, (), (), "<think>2</think>2", "stop")
    judged = Completion(
        "a", 0, (), (), "<think>2</think>2", "stop", verdict=Verdict("correct", "2")
    )
    write_rows(root / "unrated/completions.jsonl", [judged])
    write_rows(root / "unverified/problems.jsonl", [Problem("a", "1+1?", "2", pass_rate=0.5)])
    write_rows(root / "unverified/completions.jsonl", [unverified])
    return root


#: Last stage -> its key and words of the sentence. ``$`` stands for the folder with the inputs.
LATE = {
    # -- models
    "{kind: checkpoint, path: longstep-tinny}": ("path", "did you mean 'longstep-tiny'?"),
    "{kind: checkpoint, path: $/lama}": ("path", "did you mean '$/llama'?"),
    "{kind: checkpoint, path: some/model}": ("path", "the hub did not provide it"),
    "{kind: checkpoint, path: $/file.safetensors}": ("path", "is a file; give the folder it lies"),
    "{kind: checkpoint, path: $/quantised}": ("path", "its weights are quantised (gptq)"),
    "{kind: checkpoint, path: $/unknown}": ("path", "no model that this transformers knows"),
    "{kind: checkpoint, path: $/pickled}": ("path", "pickled weights can execute code"),
    "{kind: checkpoint, path: $/notokenizer}": ("path", "no tokenizer_config.json"),
    "{kind: checkpoint, path: $/llama, chat_template: $/no.jinja}": ("chat_template", "no file"),
    "{kind: checkpoint, path: $/llama, chat_template: $/lost.jinja}": (
        "chat_template",
        "puts the question 0 times",
    ),
    "{kind: checkpoint, path: $/notemplate, think_tokens: add}": (
        "think_tokens",
        "has no chat template",
    ),
    "{kind: checkpoint, path: $/llama, think_tokens: add}": (
        "think_tokens",
        "already has <think> and </think>",
    ),
    trained("kind: sft, model: $/lama, data: '@traces'"): ("model", "did you mean"),
    trained("kind: sft, model: base, data: '@traces'"): ("model", "did you mean '@base'?"),
    trained("kind: sft, model: $/nothink, data: '@traces'"): ("model", "<think> is 7 tokens"),
    trained("kind: sft, model: $/notemplate, data: '@traces'"): ("model", "no chat template"),
    reinforced("kind: rl").replace("@base", "$/notemplate"): ("model", "no chat template"),
    "{kind: sample, by: {kind: model, model: nowhere}, data: '@problems'}": (
        "by.model",
        "no such folder",
    ),
    "{kind: sample, by: {kind: model, model: $/llama}, data: '@problems'}": (
        "by.model",
        f"leave no room for a prompt in the context of {CONTEXT} tokens",
    ),
    reinforced("kind: rl").replace(
        "max_tokens: 24, max_length: 96", "max_tokens: 600, max_length: 900"
    ): (
        "max_tokens",
        "leave no room for a prompt",
    ),
    "{kind: merge, method: {kind: linear}, parents: ['@base', $/llama]}": (
        "parents.1",
        "the tokenizers of",
    ),
    "{kind: merge, method: {kind: linear}, parents: [$/llama, $/otherheads]}": (
        "parents.1",
        "rotary positions",
    ),
    "{kind: merge, method: {kind: ties}, parents: ['@base', '@base'], base: $/lama}": (
        "base",
        "did you mean",
    ),
    "{kind: contrast, expert: '@base', amateur: $/llama, data: '@problems'}": (
        "amateur",
        "the tokenizers of",
    ),
    "{kind: evaluate, models: {a: '@base', b: $/lama}, benchmarks: [chain]}": (
        "models.b",
        "did you mean",
    ),
    "{kind: evaluate, models: {a: $/llama}, benchmarks: [{name: x, source: {kind: chain, count: 4}, max_tokens: 999}]}": (
        "models.a",
        "leave no room for a prompt",
    ),
    # -- adapters
    trained("kind: sft, model: '@base', data: '@traces', lora: {targets: [q_porj]}"): (
        "lora.targets",
        "did you mean 'q_proj'?",
    ),
    reinforced("kind: rl, lora: {targets: [lm_head]}"): (
        "lora.targets",
        "is tied to another layer",
    ),
    # -- rows
    trained("kind: sft, model: '@base', data: '@problems'"): (
        "data",
        "@problems holds no completions.jsonl",
    ),
    trained("kind: prefer, model: '@base', chosen: '@problems', rejected: '@traces'"): (
        "chosen",
        "holds no completions.jsonl",
    ),
    trained("kind: prefer, model: '@base', chosen: '@traces', rejected: $/unverified"): (
        "rejected",
        "were never verified",
    ),
    trained("kind: soft_sft, model: '@base', data: '@traces'"): (
        "data",
        "holds no soft_targets.jsonl",
    ),
    "{kind: sample, by: {kind: reference}, data: $/nowhere}": ("data", "no file or folder"),
    "{kind: sample, by: {kind: reference}, data: $/broken.jsonl}": ("data", "broken.jsonl:1"),
    "{kind: sample, by: {kind: reference}, data: $/unrated}": ("by", "needs the solution"),
    "{kind: lrsamples, path: $/rows.jsonl, expert: '@base'}": ("path", "rows.jsonl:1"),
    reinforced("kind: rl, where: {pass_rate: [0.2, 0.8]}").replace("@rated", "@problems"): (
        "where",
        "needs the pass_rate of problems, and those of @problems have none",
    ),
    reinforced("kind: rl, where: {mixed: true}").replace("@rated", "$/unrated"): (
        "where",
        "needs the pass_rate",
    ),
    reinforced("kind: rl, where: {pass_rate: [0.9, 1]}").replace("@rated", "$/unverified"): (
        "where",
        "leaves none of the problems",
    ),
    reinforced("kind: rl, curriculum: {kind: adarft, by: pass_rate}").replace(
        "@rated", "@problems"
    ): (
        "curriculum",
        "needs the pass_rate",
    ),
    reinforced("kind: rl, curriculum: {kind: easy_to_hard}").replace("@rated", "$/unrated"): (
        "curriculum",
        "needs the difficulty",
    ),
    "{kind: select, data: '@problems', rules: [{kind: light-r1-hard}]}": (
        "rules.0",
        "needs the pass_rate",
    ),
    "{kind: select, data: '@rated', raters: {a: '@problems'}, rules: [{kind: band, rater: a}]}": (
        "raters.a",
        "have no pass rate",
    ),
    "{kind: select, data: '@problems', rules: [{kind: balanced, count: 3}]}": (
        "rules.0",
        "holds no completions.jsonl",
    ),
    # -- sources, benchmarks, verifiers
    "{kind: curate, sources: [{kind: jsonl, path: $/no_such_rows.jsonl}]}": (
        "sources.0.path",
        "no file",
    ),
    "{kind: curate, sources: [{kind: jsonl, path: $/row.jsonl}]}": (
        "sources.0.path",
        "did you mean '$/rows.jsonl'?",
    ),
    "{kind: curate, sources: [{kind: jsonl, path: $/rows.jsonl, columns: {prompt: question, answer: answr}}]}": (
        "sources.0.columns",
        "no row has the column 'answr'",
    ),
    "{kind: curate, sources: [{kind: hub, name: some/dataset}]}": (
        "sources.0.name",
        "cannot be loaded",
    ),
    "{kind: curate, sources: [{kind: hub, name: ./nowhere}]}": (
        "sources.0.name",
        "no file or folder",
    ),
    "{kind: curate, sources: [{kind: chain, count: 900, difficulty: [1, 1]}]}": (
        "sources.0.count",
        "but count is 900",
    ),
    "{kind: curate, sources: [{kind: chain, count: 3}], decontaminate: [aime42]}": (
        "decontaminate.0",
        "did you mean 'aime2",
    ),
    "{kind: evaluate, models: {a: '@base'}, benchmarks: [chian]}": (
        "benchmarks.0",
        "did you mean 'chain'?",
    ),
    "{kind: evaluate, models: {a: '@base'}, benchmarks: [aime24], max_tokens: 64}": (
        "benchmarks.0",
        "cannot be loaded",
    ),
    "{kind: evaluate, models: {a: '@base'}, benchmarks: [{name: x, verifier: mth, source: {kind: chain, count: 3}}]}": (
        "benchmarks.0.verifier",
        "did you mean 'math'?",
    ),
    "{kind: curate, sources: [{kind: jsonl, path: $/rows.jsonl, columns: {prompt: question, answer: gold}, verifier: 'nowhere_at_all:judge'}]}": (
        "sources.0.verifier",
        "no module named 'nowhere_at_all'",
    ),
    "{kind: sample, by: {kind: reference}, data: '@traces', second: 'broken_verifier:judge'}": (
        "second",
        "importing broken_verifier raised ModuleNotFoundError",
    ),
    "{kind: sample, by: {kind: reference}, data: '@traces', second: 'raising_verifier:judge'}": (
        "second",
        "raised ZeroDivisionError",
    ),
    "{kind: sample, by: {kind: reference}, data: '@traces', second: 'odd_verifier:Judge'}": (
        "second",
        "is a class",
    ),
    "{kind: sample, by: {kind: reference}, data: '@traces', second: 'odd_verifier:NUMBER'}": (
        "second",
        "is int, not a function",
    ),
    "{kind: sample, by: {kind: reference}, data: '@traces', second: 'odd_verifier:short'}": (
        "second",
        "does not take (problem, text)",
    ),
    "{kind: sample, by: {kind: reference}, data: '@traces', second: 'math(tolernce=1%)'}": (
        "second",
        "tolernce",
    ),
    # -- engines
    "{kind: sample, by: {kind: endpoint, model: m, url: 'http://h/v1', api_key_env: NO_SUCH_KEY}, data: '@problems'}": (
        "by.api_key_env",
        "NO_SUCH_KEY is not set",
    ),
    "{kind: sample, by: {kind: server, model: m, command: [no-such-server, '{port}']}, data: '@problems'}": (
        "by.command",
        "no program 'no-such-server'",
    ),
    # -- settings that only the end would refuse
    trained("kind: sft, model: '@base', data: '@traces', select: {share: 0.2}"): (
        "select",
        "is beyond the last of 2 steps",
    ),
    trained("kind: sft, model: '@base', data: '@traces', trainer: {sav_steps: 1}"): (
        "trainer.sav_steps",
        "has no key",
    ),
}
#: Complaints of what this machine or the hub lacks: a plan may be made for another machine.
HERE_ONLY = (
    "some/model",
    "no_such_rows",
    "some/dataset",
    "aime24",
    "NO_SUCH_KEY",
    "no-such-server",
)


def recipe_of(folder: Path, inputs: Path, last: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(f"{FIRST}  last: {last.replace('$', str(inputs))}\n", encoding="utf-8")
    return path


def refused(work: Callable[[], object]) -> str:
    with pytest.raises(UserError) as told:
        work()
    return str(told.value)


@pytest.mark.parametrize("last", LATE, ids=lambda last: re.sub(r"\W+", " ", last)[:70])
def test_36_a_mistake_in_the_last_stage_is_refused_before_the_first_begins(
    tmp_path, folders, monkeypatch, last
):
    monkeypatch.syspath_prepend(str(folders))
    key, words = LATE[last]
    path, out = recipe_of(tmp_path, folders, last), tmp_path / "run"

    def run() -> None:
        execute(Run(*load([path]), out, lambda line: None))

    said = refused(run)
    start = f"{path}:7: stages.last.{key}"
    assert said.startswith(start) and words.replace("$", str(folders)) in said, said
    assert "\n" not in said
    assert [each.name for each in out.glob("*") if each.name != "run.lock"] == []
    if not any(each in last for each in HERE_ONLY):
        recipe = refused(lambda: make_plan(load([path])[0], located=load([path])[1]))
        assert recipe == said


@pytest.mark.parametrize(
    "last",
    [
        trained("kind: sft, model: '@base', data: '@traces'"),
        reinforced(
            "kind: rl, where: {pass_rate: [0.2, 0.8]}, curriculum: {kind: adarft, by: pass_rate}"
        ),
        reinforced("kind: rl, lora: {targets: all-linear}"),
        trained("kind: prefer, model: '@base', chosen: '@traces', rejected: '@rated'"),
        "{kind: select, data: '@traces', rules: [{kind: balanced, count: 3}, {kind: hardest, count: 2}]}",
        "{kind: evaluate, models: {a: '@base', b: $/llama}, benchmarks: [chain], max_tokens: 64}",
        "{kind: sample, by: {kind: model, model: $/notemplate}, data: $/unrated}",
    ],
)
def test_36_what_can_run_is_not_refused(tmp_path, folders, last):
    """Unless it is the one model that has no template."""
    path = recipe_of(tmp_path, folders, last)
    if "notemplate" in last:
        assert "no chat template" in refused(lambda: make_plan(load([path])[0]))
    else:
        assert make_plan(load([path])[0]).stage("last")


def test_36_tags_that_a_stage_adds_are_known_before_it_runs(tmp_path, folders):
    """The trained model has them where ``think_tokens: add`` stands between, and lacks them where it does not."""
    last = trained("kind: sft, model: '@mine', data: '@traces'")
    for tags, fits in (("add", True), ("keep", False)):
        text = f"{FIRST}  mine: {{kind: checkpoint, path: {folders}/nothink, think_tokens: {tags}}}\n  last: {last}\n"
        (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
        recipe = load([tmp_path / "recipe.yaml"])[0]
        if fits:
            make_plan(recipe)
        else:
            assert "<think> is 7 tokens" in refused(lambda: make_plan(recipe))  # noqa: B023


def test_24_adapters_alone_do_not_train_a_model_whose_tags_are_new(tmp_path, folders):
    """They never move a token's row. All weights trained in between have taught it."""
    mine = f"  mine: {{kind: checkpoint, path: {folders}/nothink, think_tokens: add}}\n"
    taught = "  taught: " + trained("kind: sft, model: '@mine', data: '@traces'") + "\n"
    for model, lora, fits in (
        ("@mine", "{}", False),
        ("@mine", "{new_tokens: keep}", True),
        ("@taught", "{}", True),
    ):
        last = trained(f"kind: sft, model: '{model}', data: '@traces', lora: {lora}")
        (tmp_path / "recipe.yaml").write_text(f"{FIRST}{mine}{taught}  last: {last}\n")
        recipe = load([tmp_path / "recipe.yaml"])[0]
        if fits:
            make_plan(recipe)
        else:
            said = refused(lambda: make_plan(recipe))  # noqa: B023
            assert "last.lora.new_tokens: the think tags of @mine are new" in said


def test_30_the_output_layer_gets_no_adapter(folders):
    """TRL reads its weight past the adapter, and says so after everything before it was paid for."""
    from longstep.models.load import load_model

    def untie(config: Any) -> None:
        config.tie_word_embeddings = False

    model = load_model(build("llama", folders / "untied", change=untie), "float32")
    with pytest.raises(UserError, match=r"'lm_head' is the output layer.* never be trained"):
        target_layers(model, Lora(targets=("q_proj", "lm_head")))


def test_35_a_plan_needs_a_config_alone(tmp_path, folders):
    """A run needs the weights and the tokenizer too; pickled ones are refused by both."""
    (tmp_path / "model").mkdir()
    shutil.copy(folders / "llama/config.json", tmp_path / "model")
    last = trained("kind: sft, model: '@mine', data: '@traces', lora: {}")
    text = f"{FIRST}  mine: {{kind: checkpoint, path: {tmp_path}/model}}\n  last: {last}\n"
    (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
    recipe, located = load([tmp_path / "recipe.yaml"])
    assert make_plan(recipe).stage("last")
    run = Run(recipe, located, tmp_path / "run", lambda line: None)
    assert "no *.safetensors weights here" in refused(lambda: execute(run))
    (tmp_path / "model/pytorch_model.bin").write_bytes(b"")
    assert "pickled weights" in refused(lambda: make_plan(recipe))


def test_36_soft_targets_of_another_expert_are_refused_early(tmp_path, folders):
    tuned = trained("kind: sft, model: '@base', data: '@traces'")
    soft = "{kind: contrast, expert: '@base', amateur: longstep-tiny, data: '@problems'}"
    between = f"  tuned: {tuned}\n  soft: {soft}\n"
    for model, fits in (("@base", True), ("@tuned", False)):
        last = "  last: " + trained(f"kind: soft_sft, model: '{model}', data: '@soft'") + "\n"
        (tmp_path / "recipe.yaml").write_text(FIRST + between + last, encoding="utf-8")
        recipe = load([tmp_path / "recipe.yaml"])[0]
        if fits:
            make_plan(recipe)
        else:
            assert "is not the expert" in refused(lambda: make_plan(recipe))  # noqa: B023


@pytest.mark.parametrize(
    ("last", "key", "module"),
    [
        (trained("kind: sft, model: '@base', data: '@traces'"), "kind", "trl"),
        (reinforced("kind: rl, lora: {}"), "lora.kind", "peft"),
    ],
)
def test_36_a_library_that_a_later_stage_needs_is_missed_before_the_first(
    tmp_path, folders, last, key, module
):
    recipe_of(tmp_path, folders, last)
    code = REFUSE.replace(
        REFUSE[REFUSE.index(" in [") : REFUSE.index("]:") + 1], f" in [{module!r}]"
    )
    code += "\nimport sys\nfrom longstep.cli.main import main\nsys.argv = ['longstep', 'run', 'recipe.yaml', '--out', 'run']\nmain()\n"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 2, done.stderr
    assert f"stages.last.{key.rpartition('.')[0] or 'kind'}" in done.stderr
    assert f"needs {module}, which is not installed: pip install 'longstep[train]'" in done.stderr
    assert not [*(tmp_path / "run").glob("*/out")]


def test_36_a_stage_that_is_finished_is_not_asked_again(tmp_path, folders):
    """Its inputs may be gone; what is done is verified and skipped."""
    source = tmp_path / "mine.jsonl"
    source.write_text(json.dumps({"problem": "1+1?", "answer": "2"}) + "\n", encoding="utf-8")
    text = "name: two\nstages:\n  a: {kind: curate, sources: [{kind: chain, count: 3}], decontaminate: [aime24]}\n"
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    assert execute(Run(*load([path]), tmp_path / "run", lambda line: None)) == ["a"]
    assert execute(Run(*load([path]), tmp_path / "run", lambda line: None)) == []


# -- 37: words -------------------------------------------------------------------------------------

FROM_ROOT = {
    "name: a/b\nstages: {a: {kind: checkpoint, path: longstep-tiny}}": "name: expected a plain name",
    "name: x\nstages: {a: checkpoint}": "stages.a: expected a mapping, got text 'checkpoint'; write {kind: checkpoint}",
    "name: x\nstages: {a: {kind: [sft]}}": "stages.a.kind: expected text (choices: checkpoint,",
    "name: x\nbatch: 2\nstages: {a: {kind: checkpoint, path: longstep-tiny}}": "batch: unknown key 'batch' (choices:",
    "name: x\nstages: {a: {kind: checkpoint, path: ''}}": "stages.a.path: is empty; name a stage as '@name', a file or a folder",
    "name: x\nstages:\n  a: {kind: merge, method: {kind: linear}, parents: ['@b', '@b']}\n"
    "  b: {kind: merge, method: {kind: linear}, parents: ['@a', '@a']}": (
        "stages read each other in a circle: a -> b -> a; let one of them read something else"
    ),
}
#: Keys of a stage that trains -> what is said of them.
KEYS = {
    "lr: 1e-3": "lr: unknown key 'lr'; did you mean 'optimizer.lr'?",
    "learning_rate: 1e-3": "learning_rate: unknown key 'learning_rate'; here it is 'optimizer.lr'",
    "weight_deacy: 0.1": "weight_deacy: unknown key 'weight_deacy'; did you mean 'optimizer.weight_decay'?",
    "r: 8": "r: unknown key 'r'; did you mean 'lora.r'?",
    "pass_rate: [0, 1]": "pass_rate: unknown key 'pass_rate'; did you mean 'where.pass_rate'?",
    "optimizer: {kind: adamw, batch: 3}": (
        "optimizer.batch: unknown key 'batch'; it belongs to stages.last.batch"
    ),
    "optimizer: {kind: adamw, r: 3}": "optimizer.r: unknown key 'r'; it belongs to stages.last.lora.r",
    "plan: {}": "plan: unknown key 'plan'; it belongs to the top of the recipe",
    "num_train_epochs: 2": "num_train_epochs: unknown key 'num_train_epochs'; here it is 'epochs'",
    "gradient_checkpointing: true": (
        "gradient_checkpointing: unknown key 'gradient_checkpointing'; here it is 'trainer.gradient_checkpointing'"
    ),
    "batchsize: 3": "batchsize: unknown key 'batchsize'; did you mean 'batch'? (choices: batch,",
    "trainer: {report_to: wandb}": (
        "trainer.report_to: report_to belongs to longstep; set trackers at the top of the recipe instead"
    ),
    "trainer: {lr: 1}": "trainer.lr: is no key of the trainer; set optimizer.lr of the stage",
    "optimizer: adamw": "optimizer: expected a mapping, got text 'adamw'; write {kind: adamw}",
    "optimizer: {kind: adamw, betas: [2, 3]}": "optimizer: adamw refuses its settings: Invalid beta",
    "optimizer: {kind: adamw, betas: [0.9]}": "optimizer.betas.1: entry 2 is missing: the list has 1 here",
    "lora: {targets: []}": "lora.targets: name at least one layer",
    "lora: {targets: all_linear}": (
        "lora.targets: expected 'attention' or 'all-linear' or a list, got text 'all_linear'; did you mean 'all-linear'?"
    ),
    "where: {pass_rate: [20, 50]}": "where.pass_rate: a pass rate is a share between 0 and 1",
    "where: {passrate: [0, 1]}": "where.passrate: unknown key 'passrate'; did you mean 'pass_rate'?",
    "model: '@last'": "reads itself, @last; name an earlier stage",
    "model: '@'": "model: no stage is called '@' (stages that make a model: @base)",
    "data: ''": "data: is empty; name a stage as '@name', a file or a folder",
    "data: '@base'": "data: '@base' is a stage that makes a model; rows must stand here",
    "data: ['@traces']": "data: expected text, got a list",
    "steps: null": "give exactly one of steps and epochs (neither is given)",
    "epochs: 2": "give exactly one of steps and epochs (both are given)",
    "warmup: 2": "warmup 2 is 2 of 2 steps, so that the learning rate is never reached; lower it, or",
    "warmup: 0.8": "warmup 0.8 is 2 of 2 steps",
    "steps: 1e400": "is too large for a number",
}
OTHERS = {
    "{kind: sample, by: '@base', data: '@problems'}": (
        "by: expected a mapping, got text '@base'; it needs a kind (choices: edited, endpoint, model, reference, server, stored)"
    ),
    "{kind: sample, by: {kind: model, model: '@base'}, data: '@problems', n: 4}": (
        "n: unknown key 'n'; here it is 'sampling.samples'"
    ),
    "{kind: sample, by: {kind: model, model: '@base'}, data: '@problems', temperature: 1}": (
        "temperature: unknown key 'temperature'; did you mean 'sampling.temperature'?"
    ),
    "{kind: curate, sources: {kind: chain, count: 3}}": (
        "sources: expected a list, got a mapping; put it into [ ]"
    ),
    "{kind: curate, sources: [chain]}": "sources.0: expected a mapping, got text 'chain'; write {kind: chain}",
    "{kind: curate, sources: [{kind: hub, name: ''}]}": (
        "sources.0.name: expected text that is not empty, got text ''"
    ),
    "{kind: evaluate, models: {a: '@base'}, benchmarks: chain}": (
        "benchmarks: expected a list, got text 'chain'; put it into [ ]"
    ),
    "{kind: merge, method: {kind: ties}, parents: ['@base', '@base']}": (
        "method.kind: ties needs a base: the model that all parents were trained from"
    ),
    "{kind: merge, method: {kind: linear, weights: [1]}, parents: ['@base', '@base']}": (
        "method.weights: has 1 entries for 2 parents; give one per parent"
    ),
}


def told_of(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return refused(lambda: make_plan(load([path])[0], located=load([path])[1]))


@pytest.mark.parametrize("text", FROM_ROOT)
def test_37_a_mistake_at_the_top_is_told_in_words_that_help(tmp_path, text):
    assert FROM_ROOT[text] in told_of(tmp_path / "recipe.yaml", text)


@pytest.mark.parametrize("key", KEYS)
def test_37_a_key_is_told_with_the_place_where_it_lives(tmp_path, key):
    settings = {"model": "'@base'", "data": "'@traces'", "steps": "2", "max_length": "96"}
    name, _, value = key.partition(": ")
    given = {**settings, name: value}
    stage = ", ".join(f"{each}: {setting}" for each, setting in given.items())
    said = told_of(tmp_path / "recipe.yaml", f"{FIRST}  last: {{kind: sft, {stage}}}\n")
    assert KEYS[key] in said and "\n" not in said


@pytest.mark.parametrize("last", OTHERS)
def test_37_other_mistakes_in_a_stage(tmp_path, last):
    said = told_of(tmp_path / "recipe.yaml", f"{FIRST}  last: {last}\n")
    assert f"stages.last.{OTHERS[last]}" in said and "\n" not in said


def run_only(
    folder: Path, problems: list[Problem], completions: list[Completion], last: str
) -> str:
    write_rows(folder / "rows/problems.jsonl", problems)
    write_rows(folder / "rows/completions.jsonl", completions)
    path = folder / "recipe.yaml"
    text = f"name: x\nstages:\n  last: {last.replace('$', str(folder / 'rows'))}\n"
    path.write_text(text, encoding="utf-8")
    return refused(lambda: execute(Run(*load([path]), folder / "run", lambda line: None)))


def test_37_rows_without_thinking_are_counted_by_reason(tmp_path):
    rows = [
        Completion("a", 0, (), (), "2", "stop"),
        Completion("a", 1, (), (), "<think>2", "length"),
        Completion("a", 2, (), (), "<think>2", "length"),
    ]
    last = trained("kind: sft, model: longstep-tiny, data: $")
    assert run_only(tmp_path, [Problem("a", "1+1?", "2")], rows, last) == (
        f"last: no completion of {tmp_path}/rows can be trained on: 1 without thinking (the text must begin with "
        "<think>), 2 cut before they ended; take completions that think and end, such as those of a stage of kind "
        "sample with keep: correct"
    )


def test_37_sides_without_a_wrong_answer_are_told_by_their_verdicts(tmp_path):
    right = Verdict("correct", "2")
    rows = [
        Completion("a", 0, (), (), "<think>2</think>2", "stop", verdict=right),
        Completion("a", 1, (), (), "2", "stop", verdict=right),
    ]
    last = trained("kind: prefer, model: longstep-tiny, chosen: $, rejected: $")
    said = run_only(tmp_path, [Problem("a", "1+1?", "2")], rows, last)
    assert (
        "no problem of 1 has both a correct and a wrong completion that begins with <think>" in said
    )
    assert (
        "(chosen: 1 correct, 1 without thinking; rejected: 1 correct, 1 without thinking)" in said
    )


def test_37_pairs_that_are_all_too_long_are_told_apart_from_none(tmp_path):
    good = "<think>2</think>" + "2" * 90
    rows = [
        Completion("a", 0, (), (), good, "stop", verdict=Verdict("correct", "2")),
        Completion("a", 1, (), (), "<think>3</think>3", "stop", verdict=Verdict("incorrect", "3")),
    ]
    last = trained("kind: prefer, model: longstep-tiny, chosen: $, rejected: $")
    said = run_only(tmp_path, [Problem("a", "1+1?", "2")], rows, last)
    assert "none of 1 pairs is within 96 tokens" in said and "raise max_length" in said
