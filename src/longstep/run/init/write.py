"""The text of a first recipe: every choice has its reason beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from longstep.artifacts import read_json
from longstep.config import UserError
from longstep.models.load import located_before
from longstep.run.init.look import LOOKED, Seen, verifier_for

#: Characters for a token, on the safe side for text with formulas; the tokenizer decides.
_CHARACTERS = 3
#: Longest answer in RL, and a context where the model's is not known.
_ANSWER, _CONTEXT = 4096, 32768
_BOXED = "\\nPlease reason step by step, and put your final answer within \\\\boxed{}."
_HEAD = """\
# Written by longstep init from {path}: {seen}
# Everything here may be changed. `longstep plan FILE` says what it costs, `longstep run FILE` runs it; what else can be
# set is in docs/settings.md and docs/recipes.md.
name: {name}
seed: 17
stages:
  # The model to train: a hub id, a folder, or longstep-tiny. {about}
  base: {{kind: checkpoint, path: {model}, think_tokens: {tags}}}
"""
_RATED = """\
  # How often does the model solve each problem already? RL learns nothing from what is always or never solved.
  rated:
    kind: sample
    by: {{kind: model, model: "@base"}}
    data: "@problems"
    sampling: {{samples: 8, max_tokens: {tokens}}}
    rate: true
    keep: all
"""
_RL = """\
  problems:
    kind: curate
    sources:
      - kind: jsonl
        path: {path}
        {reading}
        verifier: {verifier}   # {why}
    filters: [{{kind: has_answer}}, {{kind: verifiable_gold}}]   # drops what nobody could be judged by, with its reason
    decontaminate: [aime24, aime25, math500]   # what you want to report must not be trained on
    instruction: "{boxed}"   # "" where the model was trained without it
{rated}  rl:
    kind: rl
    model: "@base"
    data: "@{rows}"
    where: {{mixed: true}}   # solved sometimes; {{pass_rate: [0.2, 0.8]}} is narrower
    algorithm: {{kind: dapo}}   # longstep show losses
    group: 8
    batch: 128   # answers in a step: 16 problems
    micro_batch: 4   # rows at a time: the first to lower when memory is short
    steps: 100
    max_tokens: {tokens}   # longest answer; `rl` warns when many are cut
    max_length: {length}   # with the prompt, of which the longest here has about {prompt} tokens
    optimizer: {{kind: adamw, lr: 1e-6}}
  scores:
    kind: evaluate
    models: {{base: "@base", rl: "@rl"}}
    # A file of held-out problems of your own: {{name: mine, source: {{kind: jsonl, path: heldout.jsonl{own}}}}}
    benchmarks: [math500]
    samples: 4
    max_tokens: {tokens}
"""
_SFT = """\
  traces:
    kind: traces
    data: {path}
    {reading}
    verifier: {verifier}   # {why}
    require: any   # `verified` keeps only answers that the verifier calls right
  sft:
    kind: sft
    model: "@base"
    data: "@traces"
    epochs: 3
    batch: 32
    micro_batch: 4   # rows at a time: the first to lower when memory is short
    max_length: {length}   # the longest row here has about {row} tokens; longer rows are dropped and counted
    optimizer: {{kind: adamw, lr: 1e-5}}
  scores:
    kind: evaluate
    models: {{base: "@base", sft: "@sft"}}
    benchmarks: [math500]
    samples: 4
    max_tokens: {tokens}
"""
_PREFER = """\
  pairs:
    kind: pairs
    data: {path}
    {reading}
    verifier: {verifier}   # {why}
  prefer:
    kind: prefer
    model: "@base"
    data: "@pairs"
    loss: {{kind: dpo}}   # longstep show losses
    epochs: 1
    batch: 32
    micro_batch: 4   # rows at a time: the first to lower when memory is short
    max_length: {length}   # the longest row here has about {row} tokens; longer rows are dropped and counted
    optimizer: {{kind: adamw, lr: 5e-7}}
  scores:
    kind: evaluate
    models: {{base: "@base", prefer: "@prefer"}}
    benchmarks: [math500]
    samples: 4
    max_tokens: {tokens}
"""


@dataclass(frozen=True, slots=True)
class Base:
    """What the folder of the model says, where it is at hand."""

    tagged: bool | None
    context: int | None


def recipe_text(seen: Seen, model: str) -> str:
    """A recipe for rows like these: RL on problems with keys, SFT on traces, preferences on pairs.

    Raises:
        UserError: the rows hold nothing that can be trained on, or the model is neither here nor a hub id.
    """
    base = _base(model)
    about = {
        True: "It has <think> and </think> already.",
        False: "`add` gives it <think> and </think> as single tokens.",
        None: "It is not at hand: should it have <think> and </think> already, write `keep`.",
    }
    head = _HEAD.format(
        path=seen.path, seen=_told(seen), name=_name(seen.path), model=json.dumps(model),
        about=about[base.tagged], tags="keep" if base.tagged else "add",
    )  # fmt: skip
    return head + _body(seen, base.context or _CONTEXT)


def _base(model: str) -> Base:
    folder = located_before(model)
    if folder is None:
        return Base(None, None)
    tokenizer, config = folder / "tokenizer.json", folder / "config.json"
    tagged = tokenizer.is_file() and b'"<think>"' in tokenizer.read_bytes()
    said = read_json(config).get("max_position_embeddings") if config.is_file() else None
    return Base(tagged, said if isinstance(said, int) else None)


def _body(seen: Seen, context: int) -> str:
    given: dict[str, object] = {"path": json.dumps(seen.path), "reading": _reading(seen, " " * 4)}
    verifier, why = verifier_for(seen.keys) if seen.keys else ("math", "no key here: unverified")
    given |= {"verifier": json.dumps(verifier), "why": why}
    given["tokens"] = tokens = min(_ANSWER, context // 2)
    prompt = _tokens(seen.characters["prompt"])
    if seen.has["chosen"] and seen.has["rejected"]:
        longest = max(seen.characters["chosen"], seen.characters["rejected"])
        row = prompt + _tokens(longest)
        return _PREFER.format(**given, row=row, length=min(_rounded(row), context))
    if seen.has["completion"]:
        row = prompt + _tokens(seen.characters["completion"])
        return _SFT.format(**given, row=row, length=min(_rounded(row), context))
    if not seen.keys:
        raise UserError(
            f"{seen.path}: its rows hold questions alone, no answer, trace or pair; name the column of the answer: "
            "--columns prompt=COLUMN,answer=COLUMN"
        )
    given["reading"] = _reading(seen, " " * 8)
    given["own"] = f", columns: {_columns(seen)}" if seen.columns else ""
    length = min(tokens + _rounded(prompt), context)
    rated = not seen.all_have("pass_rate")
    return _RL.format(
        **given, boxed=_BOXED, prompt=prompt, length=length,
        rated=_RATED.format(tokens=tokens) if rated else "", rows="rated" if rated else "problems",
    )  # fmt: skip


def _told(seen: Seen) -> str:
    """``the first 2,000 rows: 2,000 with a prompt, 1,998 with an answer``."""
    first = "the first " if seen.rows + seen.bad == LOOKED else ""
    parts = [f"{count:,} with {name}" for name, count in seen.has.items() if count]
    bad = f"; {seen.bad:,} cannot be read, such as {seen.first_bad}" if seen.bad else ""
    return f"{first}{seen.rows:,} rows, {', '.join(parts)}{bad}"


def _reading(seen: Seen, indent: str) -> str:
    if seen.columns:
        said = f"columns: {_columns(seen)}"
    else:
        name, _, note = seen.layout.partition(": ")
        said = f"layout: {name}   # {note}"
    if seen.bad:
        everything = seen.rows + seen.bad
        share = min(1.0, ceil(200 * seen.bad / everything) / 100)
        cannot = f"{seen.bad:,} of {everything:,} rows cannot be read: set aside"
        said += f"\n{indent}max_bad: {share:g}   # {cannot}"
    return said


def _columns(seen: Seen) -> str:
    named = ", ".join(f"{name}: {json.dumps(column)}" for name, column in seen.columns.items())
    return f"{{{named}}}"


def _tokens(characters: int) -> int:
    return ceil(characters / _CHARACTERS)


def _rounded(tokens: int) -> int:
    """The next multiple of 256."""
    return max(1, ceil(tokens / 256)) * 256


def _name(path: str) -> str:
    """A recipe's name from a file's."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", Path(path).name.split(".")[0]).lstrip("-_.") or "mine"


def lines_of(seen: Seen) -> Iterator[str]:
    """What was seen, for whoever typed the command."""
    yield f"{seen.path}: {_told(seen)}"
    if seen.columns:
        named = ", ".join(f"{column!r} as the {name}" for name, column in seen.columns.items())
        yield f"no layout fits, so columns are taken by name: {named}"
    else:
        yield f"layout {seen.layout}"
    if seen.keys:
        verifier, why = verifier_for(seen.keys)
        yield f"verifier {verifier}: {why}"
