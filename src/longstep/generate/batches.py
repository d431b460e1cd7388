"""How completions are grouped for decoding: a pure plan, so that finished ones can be skipped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Protocol, TypeVar

from longstep.generate.base import Generator, Headway, Prompt, Sampling, Watch, canonical, unwatched
from longstep.generate.seals import Sealed
from longstep.types import Completion

R = TypeVar("R")


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


def rows_of(ordered: Iterable[Prompt], samples: int) -> Iterator[Row]:
    """Every completion of prompts in canonical order."""
    return (Row(prompt, index) for prompt in ordered for index in range(samples))


def plan_batches(prompts: Iterable[Prompt], sampling: Sampling) -> Iterator[Batch]:
    """Cut prompts times samples, in canonical order, into batches of ``sampling.batch_size`` rows.

    The plan depends on the set of prompts and on the sampling only. Sorting by prompt length
    keeps padding small, and the samples of one problem stay together,
    so that its prompt is encoded once. Batches are cut as they are asked for.
    """
    return _cut(rows_of(canonical(prompts), sampling.samples), sampling.batch_size)


def _cut(rows: Iterator[Row], size: int) -> Iterator[Batch]:
    index = 0
    while batch := tuple(islice(rows, size)):
        yield Batch(index, batch)
        index += 1


class Batched(Generator, Protocol):
    """A generator in this process: it makes batch after batch, and its journal seals each as it is done."""

    def check(self, prompts: Sequence[Prompt], sampling: Sampling) -> None:
        """Refuse, before anything is made, what cannot be continued."""

    def run_batch(self, batch: Batch, sampling: Sampling) -> Sequence[Completion]:
        """Make one batch of the plan; the result depends on nothing outside of the batch."""
        ...

    def draw(
        self,
        asked: Iterable[Prompt],
        how: Sampling,
        journal: Path | None = None,
        watch: Watch = unwatched,
    ) -> Iterator[Completion]:
        """Make what the journal lacks; see ``Generator.draw``."""
        prompts = canonical(asked)
        self.check(prompts, how)
        return self._drawn(prompts, how, journal, watch)

    def _drawn(
        self, prompts: Sequence[Prompt], how: Sampling, journal: Path | None, watch: Watch
    ) -> Iterator[Completion]:
        batches = plan_batches(prompts, how)
        make = partial(self.run_batch, sampling=how)
        if journal is None:
            yield from chain.from_iterable(map(make, batches))
            return
        with closing(Sealed(journal, Completion, plan_of(prompts, how))) as sealed:
            yield from kept(batches, make, sealed, Headway(0, len(prompts) * how.samples), watch)


def kept(
    batches: Iterable[Batch],
    make: Callable[[Batch], Sequence[R]],
    sealed: Sealed[R],
    begin: Headway,
    watch: Watch,
) -> Iterator[R]:
    """Rows of all batches: those that are sealed are read back, the others made and sealed.

    Args:
        batches: in their order.
        make: makes one.
        sealed: the file.
        begin: where the count begins.
        watch: told after each batch.
    """
    done, replayed = begin.done, begin.replayed
    for batch in batches:
        rows = sealed.next()
        if rows is None:
            rows = make(batch)
            sealed.append(rows)
        else:
            replayed += len(rows)
        done += len(rows)
        watch(replace(begin, done=done, replayed=replayed))
        yield from rows


def plan_of(prompts: Iterable[Prompt], how: Sampling) -> str:
    """A hash of everything that the completions of one model depend on, made without a text of it all."""
    digest = hashlib.sha256(how.model_dump_json().encode())
    for prompt in prompts:
        named = prompt.problem_id, prompt.name, prompt.prompt_ids, prompt.text
        # Only where there are some: journals of draws without are older than these.
        digest.update(repr((*named, *prompt.stops)).encode())
    return digest.hexdigest()
