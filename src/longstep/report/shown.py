"""Blocks from files that several stages write: a funnel, pass rates, verdicts, rows for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from longstep.context import CHOSEN
from longstep.curate import queue_table
from longstep.report.blocks import Bars, Block, Meter, Table
from longstep.report.read import Reader, mapping, number, visible, words

_QUEUED = 12
_REASONS = 6


def funnel(out: Path) -> Iterator[Block]:
    """``funnel.json``: what each step kept and dropped, and why."""
    steps = [mapping(step) for step in Reader(out).array(out / "funnel.json")]
    if not steps:
        return
    start = max(1, _count(steps[0], "kept") + _count(steps[0], "dropped"))
    yield Table(
        "What was kept",
        ("step", "of all", "kept", "dropped", "why"),
        tuple(
            (
                words(step.get("step")),
                Meter((_count(step, "kept") / start, _count(step, "dropped") / start)),
                float(_count(step, "kept")),
                float(_count(step, "dropped")),
                _reasons(step),
            )
            for step in steps
        ),
        f"{start:,} rows in, {_count(steps[-1], 'kept'):,} kept",
    )


def _reasons(step: Mapping[str, Any]) -> tuple[str, ...]:
    counts = mapping(step.get("reasons"))
    ranked = Counter({words(key): _count(counts, key) for key in counts}).most_common()
    shown = tuple(f"{reason} {count:,}" for reason, count in ranked[:_REASONS])
    more = len(ranked) - len(shown)
    return (*shown, f"and {more} more reasons") if more else shown


def _count(row: Mapping[str, Any], key: str) -> int:
    return int(number(row.get(key)) or 0)


def pass_rates(out: Path) -> Iterator[Block]:
    """Pass rates in ``problems.jsonl``, by tenths; a rate of 1 is in the last."""
    tenths = [0] * 10
    for row in Reader(out).rows(out / "problems.jsonl"):
        rate = number(row.get("pass_rate"))
        if rate is not None and 0 <= rate <= 1:
            tenths[min(int(rate * 10), 9)] += 1
    if not any(tenths):
        return
    ticks = tuple((10 * share, f"{share:.2f}") for share in (0, 0.25, 0.5, 0.75, 1))
    yield Bars(
        "Pass rates",
        tuple(map(float, tenths)),
        ticks,
        f"{sum(tenths):,} problems",
        "Problems by the share of a rater's samples that were verified correct. Only problems between the ends carry "
        "a signal for reinforcement learning.",
    )


def verdicts(out: Path) -> Iterator[Block]:
    """Verdicts in ``counts.json``, over all that was drawn, kept or not."""
    counts = mapping(Reader(out).object(out / "counts.json").get("verdicts"))
    ranked = sorted(((_count(counts, key), words(key)) for key in counts), reverse=True)
    if ranked:
        said = tuple(f"{status} {count:,}" for count, status in ranked)
        yield Table("Verdicts on sampled answers", ("verdicts",), ((said,),))


def queue(out: Path) -> Iterator[Block]:
    """The first rows of ``queue.jsonl``."""
    header, *rows = queue_table(Reader(out).rows(out / "queue.jsonl"), _QUEUED)
    if rows:
        yield Table(
            "For a person to look at",
            tuple(header),
            tuple(tuple(map(visible, row)) for row in rows),
            about="Rows that machines disagree about: keys that look wrong, golds that contradict each other or do not "
            "verify. All of them are in each stage's queue.jsonl.",
        )


def chosen(folder: Path) -> Iterator[Block]:
    """``chosen.json`` in a stage's folder: what its ``where`` left of the problems."""
    facts = Reader(folder).object(folder / CHOSEN)
    if not facts:
        return
    edge = number(facts.get("mean_chars"))
    mean = "" if edge is None else f"{edge:,.1f}"
    kept, of = (float(_count(facts, name)) for name in ("kept", "of"))
    header = ("where", "kept", "of", "characters of the mean prompt")
    yield Table("Problems chosen", header, ((words(facts.get("where")), kept, of, mean),))
