"""How a stage of reinforcement learning ended, written down: in its facts, in the report's notes and in a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from longstep.artifacts import AppendLog, write_json
from longstep.context import Context
from longstep.foresight import Ahead
from longstep.losses import Algorithm
from longstep.merge.checks import check_tokenizers
from longstep.models.lora import Lora
from longstep.report.blocks import Block, Table
from longstep.report.read import Reader, number, words
from longstep.rl.rollouts import Rollouts

#: In the stage's folder.
ENDED = "ended.json"
#: Column -> fact, a form for its value.
_COLUMNS = {
    "correct": ("correct", "{:.1%}"),
    "tokens": ("length", "{:.1f}"),
    "cut": ("truncated", "{:.1%}"),
    "entropy": ("entropy", "{:.3f}"),
}


def reference_complaints(
    reference: str | None, model: str, algorithm: Algorithm, lora: Lora | None
) -> Iterator[str]:
    """A reference model that nothing would compare with, or that a stage with adapters does not keep."""
    if reference is None:
        return
    if "reference" not in algorithm.needs():
        yield "reference: has no effect: the algorithm has no penalty; set algorithm.penalty, or leave it out"
    elif lora is not None and reference != model:
        yield "reference: with lora the penalty compares with the start, the adapters switched off; leave it out"


def reference_misfits(ahead: Ahead, model: str, reference: str | None) -> Iterator[str]:
    """A reference that is no model, or has other tokens."""
    if reference is not None and reference != model:
        yield from ahead.model("reference", reference)
        yield from ahead.together("reference", model, reference, check_tokenizers)


def ending(
    context: Context, rollouts: Rollouts, notes: AppendLog, steps: int, updates: int
) -> dict[str, object]:
    """Write down when the training ended and why; gives the facts for the card.

    Args:
        context: of the stage.
        rollouts: of the training that ended.
        notes: the log of health notes.
        steps: the most there could have been.
        updates: optimiser steps on one batch of rollouts.
    """
    last = rollouts.until.history[-1]
    done, why = min(steps, last.step + updates), rollouts.ended
    answers = sum(each.answers for each in rollouts.until.history)
    write_json(
        context.folder / ENDED, {**asdict(last), "step": done, "of": steps, "why": why or "steps"}
    )
    if why:
        context.event("ended early", {"step": done, "why": why})
        # As step 0, which a resumed run cuts off: it ends once more.
        said = f"ended after step {done} of {steps} by its own rules; {why}"
        note = {"step": 0, "level": "note", "rule": "ended early", "cause": said, "remedy": ""}
        notes.append(note)
    return {
        "answers drawn to train on": answers,
        "steps": done,
        **({"ended early": why} if why else {}),
    }


def confess(
    notes: AppendLog, algorithm: Algorithm, warnings: Iterable[tuple[str, str]] = ()
) -> dict[str, str]:
    """Say what the method lacks, in the report's notes and in the card; and warn of a pool, by cause and remedy."""
    for cause, remedy in warnings:
        notes.append({"step": 0, "level": "warn", "rule": "pool", "cause": cause, "remedy": remedy})
    lacks = algorithm.lacks()
    for cause in lacks:
        remedy = "read the results as those of the method without it"
        notes.append(
            {"step": 0, "level": "note", "rule": "method", "cause": cause, "remedy": remedy}
        )
    return {"missing from the method": "; ".join(lacks)} if lacks else {}


def ended_blocks(folder: Path) -> Iterator[Block]:
    """One row: the step, the reason, and what the last rollouts were like. Phases stand below each other."""
    facts = Reader(folder).object(folder / ENDED)
    if not facts:
        return
    values = {column: (number(facts.get(key)), form) for column, (key, form) in _COLUMNS.items()}
    row = (
        number(facts.get("step")) or 0.0,
        number(facts.get("of")) or 0.0,
        words(facts.get("why")),
        *("" if value is None else form.format(value) for value, form in values.values()),
    )
    about = "The last columns are of the last batch of rollouts that was drawn."
    yield Table(
        "How training ended", ("last step", "of", "because of", *_COLUMNS), (row,), about=about
    )
