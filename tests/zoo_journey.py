"""What every member of the zoo goes through: load, chat, sample, sft, LoRA, rl, resume, merge, evaluate.

Each step is a real run in a process of its own. What it answers is "" or the words of the refusal without the
stage's name; a traceback ends the journey. The suite takes two members along, ``make zoo`` (scripts/zoo.py) all of them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from longstep.config import UserError
from longstep.models.examine import Examined
from short_recipe import Setting, contents, finish, kill_after_step, outcome, start
from zoo import _SPECIAL, _TEXT, ARCHITECTURES, TEMPLATE, add_tags, build, dressed, tokenizer

STEPS = ("chat", "sample", "sft", "lora", "rl", "resume", "merge", "evaluate")

RECIPE = """
name: zoo
stages:
  problems: {{kind: curate, sources: [{{kind: chain, count: 8, difficulty: [1, 1]}}]}}
  drawn: {{kind: sample, by: {{kind: model, model: "{model}"}}, data: "@problems", sampling: {{max_tokens: 8, batch_size: 4}}}}
  traces: {{kind: sample, by: {{kind: reference, model: "{model}"}}, data: "@problems", sampling: {{max_tokens: 100}}}}
  sft:
    {{kind: sft, model: "{model}", data: "@traces", steps: 4, batch: 4, max_length: 160, save_every: 2, log_every: 1,
     optimizer: {{kind: adamw, lr: 1e-2}}}}
  lora:
    {{kind: sft, model: "{model}", data: "@traces", steps: 4, batch: 4, max_length: 160, save_every: 2, log_every: 1,
     lora: {{r: 2}}, optimizer: {{kind: adamw, lr: 1e-2}}}}
  rl:
    {{kind: rl, model: "{model}", data: "@problems", group: 4, steps: 2, batch: 8, max_tokens: 8, max_length: 160,
     log_every: 1, optimizer: {{kind: adamw, lr: 1e-3}}}}
  merged: {{kind: merge, method: {{kind: ties, density: 0.5}}, parents: ["@sft", "@lora"], base: "@start"{merge}}}
  start: {{kind: checkpoint, path: "{model}"}}
  scores: {{kind: evaluate, models: {{start: "{model}", merged: "@merged"}}, {scored}}}
  untuned: {{kind: evaluate, models: {{start: "{model}"}}, {scored}}}
"""
SCORED = """samples: 1, resamples: 100,
     benchmarks: [{name: few, source: {kind: chain, count: 4, difficulty: [1, 1], split: heldout}, max_tokens: 8}]"""
#: What stands for a step whose input was refused already.
UNREACHED = "not reached"


def _metaspace(inner: Tokenizer, trainer: trainers.Trainer) -> PreTrainedTokenizerFast:
    """Spaces written as SentencePiece writes them."""
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    inner.decoder = decoders.Sequence(
        [decoders.Metaspace(prepend_scheme="never"), decoders.ByteFallback(), decoders.Fuse()]
    )
    inner.train_from_iterator([*_TEXT, *(chr(n) for n in range(32, 127))], trainer)
    return dressed(add_tags(inner))


def unigram() -> PreTrainedTokenizerFast:
    """As T5 and XLM-R have it."""
    trainer = trainers.UnigramTrainer(
        vocab_size=200,
        special_tokens=["<unk>", *_SPECIAL],
        unk_token="<unk>",
        initial_alphabet=[chr(n) for n in range(33, 127)],
        show_progress=False,
    )
    return _metaspace(Tokenizer(models.Unigram()), trainer)


def fallback_bpe() -> PreTrainedTokenizerFast:
    """As Llama 2, Mistral and Gemma have it: BPE over Metaspace, unknown characters as bytes."""
    inner = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    inner.normalizer = normalizers.Replace(" ", "\u2581")
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<unk>", *_SPECIAL, *(f"<0x{n:02X}>" for n in range(256))],
        initial_alphabet=[chr(n) for n in range(33, 127)],
        show_progress=False,
    )
    return _metaspace(inner, trainer)


def _resaved(folder: Path, **how: object) -> Path:
    """Written again: in another type, or cut into several files."""
    build("qwen2", folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=how.pop("dtype", torch.float32))
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, **how)  # pyright: ignore[reportArgumentType]
    return folder


def _padded_apart(folder: Path) -> Path:
    own = tokenizer()
    own.pad_token = "<|pad|>"
    return build("qwen2", folder, own=own)


#: What published folders vary, whatever the architecture.
VARIANTS: Mapping[str, Callable[[Path], Path]] = {
    "padded vocabulary": lambda folder: build("qwen2", folder, spare=200),
    "several files": lambda folder: _resaved(folder, max_shard_size="40KB"),
    "bfloat16": lambda folder: _resaved(folder, dtype=torch.bfloat16),
    "pad is not eos": _padded_apart,
    "no chat template": lambda folder: build("qwen2", folder, own=tokenizer(None)),
    "no think tags": lambda folder: build("qwen2", folder, own=tokenizer(TEMPLATE, think=False)),
    "Unigram": lambda folder: build("llama", folder, own=unigram()),
    "BPE, Metaspace": lambda folder: build("llama", folder, own=fallback_bpe()),
}
MEMBERS: Mapping[str, Callable[[Path], Path]] = {
    **{name: (lambda folder, name=name: build(name, folder)) for name in ARCHITECTURES},
    **VARIANTS,
}


def promised(examined: Examined) -> dict[str, bool]:
    """What the doctor says of the steps that depend on nothing but the folder."""
    can = {verb: not why for verb, why in examined.abilities.items()}
    drawn = dict.fromkeys(("chat", "sample", "rl"), can["chat, sample, evaluate, rl"])
    return {**drawn, "sft": can["sft, prefer"], "lora": can["lora"]}


def chat_once(folder: Path, said: Path) -> None:
    """Ask one question; what came of it is left in a file."""
    from longstep.cli.chat import Chat

    try:
        with closing(Chat(str(folder), thinking=True, max_tokens=8)) as talk:
            talk.ask("What is 12+34?")
        text = "done"
    except UserError as error:
        text = f"error: {error}"
    said.write_text(text, encoding="utf-8")


def journey(member: Path, folder: Path) -> dict[str, str]:
    """Take a member along; by step "" or why it was refused.

    Args:
        member: its folder.
        folder: where to run.
    """
    # A bfloat16 base and its float32 children merge into the type that is asked for.
    merge = ", dtype: float32" if member.name == "bfloat16" else ""
    text = RECIPE.format(model=member, merge=merge, scored=SCORED)

    def stage(*names: str) -> str:
        said = _words(finish(folder / "run", Setting(text=text, only=names)), member)
        return re.sub(rf"^({names[0]}|stages\.\S+): ", "", said)  # where, which the table shows

    said = folder / "run.said"
    folder.mkdir(parents=True, exist_ok=True)
    found = {"chat": _words(outcome(start(chat_once, member, said), folder / "run"), member)}
    for step, names in (
        ("sample", ("drawn", "traces")),
        ("sft", ("sft",)),
        ("lora", ("lora",)),
        ("rl", ("rl",)),
    ):
        found[step] = stage(*names)
    untrained = UNREACHED if found["sft"] or found["lora"] else ""
    found["resume"] = untrained or _resumed(folder, Setting(text=text))
    found["merge"] = untrained or stage("merged")
    found["evaluate"] = stage("untuned" if found["merge"] else "scores")
    return {step: found[step] for step in STEPS}


def _words(ended: str, member: Path) -> str:
    """ "" or the refusal, without the folder that the test happens to be in."""
    if ended == "done":
        return ""
    assert ended.startswith("error: "), ended
    return ended.removeprefix("error: ").replace(f"{member}: ", "").replace(str(member), "MODEL")


def _resumed(folder: Path, setting: Setting) -> str:
    """SIGKILL at step 3 of 4, then the same command: equal by hash to the run that was left alone."""
    whole = contents(folder / "run")
    for stage in ("sft", "lora"):
        again = folder / f"again-{stage}"
        shutil.copytree(folder / "run", again, ignore=shutil.ignore_patterns("sft", "lora", "rl"))
        kill_after_step(again, Setting(text=setting.text, only=(stage,)), 3)
        assert os.listdir(again / stage / "checkpoints"), "killed before the first checkpoint"
        assert finish(again, Setting(text=setting.text, only=(stage,))) == "done"
        if contents(again)[stage] != whole[stage]:
            return f"the resumed {stage} differs from the one that was left alone"
    return ""
