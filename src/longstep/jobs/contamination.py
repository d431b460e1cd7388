"""Decontamination inside stage ``curate``: benchmarks by fingerprint or by text, a ledger, and every hit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from longstep.artifacts import sha256_file, sha256_json
from longstep.curate import AnyContamination, Decontaminate, Funnel
from longstep.curate.decontaminate import reason, scan
from longstep.curate.overlap import Index, Item, Match, Overlap
from longstep.curate.overlap.shipped import protected, shipped
from longstep.evaluate import Benchmark, resolve
from longstep.types import Problem

#: Stands in a dropped row for the text of a benchmark that must not be written anywhere.
WITHHELD = "(withheld: the text of a protected benchmark)"
Members = Sequence[str | Benchmark]


def by_fingerprint(member: str | Benchmark, rule: AnyContamination) -> bool:
    """Whether a benchmark's shipped hashes do; published rules compare words and need its text."""
    return isinstance(member, str) and member in shipped() and isinstance(rule, Overlap)


def decontaminated(
    funnel: Funnel, problems: Sequence[Problem], members: Members, how: Decontaminate
) -> tuple[list[Problem], dict[str, Any], list[dict[str, Any]]]:
    """The clean problems, the ledger, and every hit, those that are only reported too."""
    index, sources = _index(members, how.rule)
    matches = scan(index, [p.prompt for p in problems], [p.answer for p in problems])
    kept, dropped, hits = [], [], []
    for problem, found in zip(problems, matches, strict=True):
        worst = next((match for match in found if match.kind in how.remove), None)
        secret = any(protected(m.benchmark) and m.kind != "shared_template" for m in found)
        if worst is None:
            kept.append(problem)
        elif secret:
            dropped.append((replace(problem, prompt=WITHHELD, solution=None), reason(worst)))
        else:
            dropped.append((problem, reason(worst)))
        hits += _hits(problem, found, worst, secret)
    counts = Counter(f"{hit['benchmark']}, {hit['kind']}" for hit in hits)
    ledger = {
        **index.ledger(),
        "rule": how.rule.model_dump(mode="json"),
        "sources": sources,
        "compared": len(problems),
        "removed": len(dropped),
        "hits": dict(sorted(counts.items())),
    }
    return funnel.record("decontaminate", kept, dropped), ledger, hits


def _index(members: Members, rule: AnyContamination) -> tuple[Any, dict[str, str]]:
    """The benchmarks, and a hash of what each was read from."""
    items: list[Item] = []
    prints: list[Path] = []
    sources: dict[str, str] = {}
    for member in members:
        if isinstance(member, str) and by_fingerprint(member, rule):
            prints.append(shipped()[member])
            sources[member] = sha256_file(prints[-1])
            continue
        benchmark = resolve(member)
        texts = [(p.id, p.prompt, p.answer) for p in benchmark.questions()]
        sources[benchmark.name] = sha256_json(texts)
        items += [Item(benchmark.name, item, text, gold) for item, text, gold in texts]
    if not isinstance(rule, Overlap):
        return rule.build(items), sources
    parts = [Index.load(path) for path in prints]
    return rule.merged([*parts, *([rule.build(items)] if items else [])]), sources


def _hits(
    problem: Problem, found: Sequence[Match], worst: Match | None, secret: bool
) -> Iterator[dict[str, Any]]:
    """Every match, with the part of the row that it is about; a benchmark's own text stays where it is."""
    for match in found:
        start, end = match.span
        yield {
            "problem_id": problem.id,
            "benchmark": match.benchmark,
            "item": match.item,
            "kind": match.kind,
            "score": round(match.score, 4),
            "removed": match is worst,
            "text": None if secret else problem.prompt[start:end][:500],
        }
