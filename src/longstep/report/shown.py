"""Blocks from files that several stages write: a funnel, pass rates, verdicts, rows for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from longstep.context import CHOSEN
from longstep.curate import queue_table
from longstep.report.blocks import Bars, Block, Meter, Table, Text
from longstep.report.read import Reader, mapping, number, sequence, visible, words

#: What a stage that samples counted.
COUNTS = "counts.json"
#: Title of what a person should decide; the page gives it a section of its own.
LOOK = "For a person to look at"
#: Share of a rater's majorities that must be the key, for one that is not to speak against a key.
BELIEVED = 0.8
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
    counts = mapping(Reader(out).object(out / COUNTS).get("verdicts"))
    ranked = sorted(((_count(counts, key), words(key)) for key in counts), reverse=True)
    if ranked:
        said = tuple(f"{status} {count:,}" for count, status in ranked)
        yield Table("Verdicts on sampled answers", ("verdicts",), ((said,),))


def queue(out: Path) -> Iterator[Block]:
    """The first rows of ``queue.jsonl``; keys that only a rater contradicts which is mostly wrong are just counted."""
    reader, gold, other = Reader(out), *_majorities(out)
    believed = gold >= BELIEVED * (gold + other)
    told: list[dict[str, Any]] = []
    asked = aside = 0
    for row in reader.rows(out / "queue.jsonl"):
        if not believed and _only_suspected(row):
            aside += 1
            continue
        asked += 1
        told += [row] if len(told) < _QUEUED else []
    header, *rows = queue_table(told, _QUEUED)
    if rows:
        yield Table(
            LOOK,
            tuple(header),
            tuple(tuple(map(visible, row)) for row in rows),
            f"{asked:,} rows" if asked == len(rows) else f"the first {len(rows)} of {asked:,} rows",
            about="Rows that machines disagree about: keys that look wrong, golds that contradict each other or do not "
            "verify. All of them are in each stage's queue.jsonl.",
        )
    if aside:
        yield Text(
            LOOK,
            f"{aside:,} keys that only the rater contradicts are not listed: where its samples agree, they agree on "
            f"the key {gold:,} times and on something else {other:,} times, which says more about the rater than "
            "about the keys. They are in queue.jsonl.",
        )


def _majorities(out: Path) -> tuple[int, int]:
    """How often a rater's samples agreed on the key, and on something else."""
    audit = mapping(Reader(out).object(out / COUNTS).get("audit"))
    majorities = mapping(audit.get("majorities"))
    return _count(majorities, "gold"), _count(majorities, "other")


def _only_suspected(row: Mapping[str, Any]) -> bool:
    """Whether nothing but the rater speaks against a key: no other verdict, and no other row with the same question."""
    why = list(map(words, sequence(row.get("why"))))
    return all(each.startswith("suspect key:") and "as the gold of" not in each for each in why)


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
