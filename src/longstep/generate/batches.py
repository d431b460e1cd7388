"""How completions are grouped for decoding: a pure plan, so that finished ones can be skipped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from longstep.generate.base import Prompt, Sampling, canonical


@dataclass(frozen=True, slots=True)
class Row:
    """One completion to draw."""

    prompt: Prompt
    sample_index: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows decoded together; ``index`` is its place in the plan."""

    index: int
    rows: tuple[Row, ...]


def plan_batches(prompts: Iterable[Prompt], sampling: Sampling) -> list[Batch]:
    """Cut prompts times samples, in canonical order, into batches of ``sampling.batch_size`` rows.

    The plan depends on the set of prompts and on the sampling only. Sorting by prompt length
    keeps padding small, and the samples of one problem stay together,
    so that its prompt is encoded once.
    """
    rows = [Row(prompt, i) for prompt in canonical(prompts) for i in range(sampling.samples)]
    size = sampling.batch_size
    return [
        Batch(index, tuple(rows[start : start + size]))
        for index, start in enumerate(range(0, len(rows), size))
    ]
