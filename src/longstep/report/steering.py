"""Where an expert's reasoning was steered: facts of a ``contrast`` stage and rollouts with the KL of each token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longstep.report.completions import shorten
from longstep.report.read import Reader, mapping, number, sequence, words

_ROLLOUTS = 4
_TOKENS = 400
#: Nats at which a token is coloured fully.
_FULL = 2.0


@dataclass(frozen=True, slots=True)
class SteeredToken:
    """One token: how strongly it is coloured (0 to 1), its KL, and the target when one was kept there."""

    text: str
    strength: float
    kl: float
    target: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class SteeredRollout:
    """One rollout of the expert."""

    problem_id: str
    prompt: str
    tokens: tuple[SteeredToken, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Steering:
    """What a contrast stage found.

    Attributes:
        facts: sentences: positions, share kept, agreement, KL when both prefer the same token or not.
        edges: upper ends of the KL bins in nats; the last bin is open.
        counts: positions in each bin.
        rollouts: a few of them.
    """

    facts: tuple[tuple[str, str], ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    rollouts: tuple[SteeredRollout, ...]


def read_steering(reader: Reader, folder: Path) -> Steering | None:
    """The steering of a stage's folder; ``None`` when it holds none."""
    facts = reader.object(folder / "out" / "contrast.json") if _has(reader, folder) else {}
    return steering(facts, reader.rows(folder / "steered.jsonl"))


def steering(facts: Mapping[str, object], rows: Iterable[dict[str, Any]]) -> Steering | None:
    """The same from the facts and rows themselves."""
    edges = tuple(filter(None, map(number, sequence(facts.get("kl_edges")))))
    counts = tuple(int(number(each) or 0) for each in sequence(facts.get("kl_histogram")))
    if len(counts) != len(edges) + 1:
        edges, counts = (), ()
    rollouts = tuple(_rollout(row) for _, row in zip(range(_ROLLOUTS), rows, strict=False))
    sentences = tuple(_sentences(facts))
    return Steering(sentences, edges, counts, rollouts) if sentences or rollouts else None


def _has(reader: Reader, folder: Path) -> bool:
    return reader.exists(folder / "out" / "contrast.json")


def _sentences(facts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    shown = {
        "rollouts": "{:,.0f}",
        "positions": "{:,.0f}",
        "kept": "{:,.0f}",
        "kept_share": "{:.1%}",
        "one_hot_share": "{:.1%}",
        "agreement": "{:.1%}",
        "kl_mean": "{:.3f} nats",
        "kl_when_agreed": "{:.3f} nats",
        "kl_when_apart": "{:.3f} nats",
        "discarded_mass": "{:.2g}",
    }
    for key, form in shown.items():
        value = number(facts.get(key))
        if value is not None:
            yield key.replace("_", " "), form.format(value)


def _rollout(row: dict[str, object]) -> SteeredRollout:
    entries = [mapping(entry) for entry in sequence(row.get("tokens"))]
    tokens = []
    for entry in entries[:_TOKENS]:
        kl = max(0.0, number(entry.get("kl")) or 0.0)
        pairs = [sequence(pair) for pair in sequence(entry.get("target"))]
        target = tuple((words(pair[0]), number(pair[1]) or 0.0) for pair in pairs if len(pair) == 2)
        tokens.append(SteeredToken(words(entry.get("text")), min(1.0, kl / _FULL), kl, target))
    return SteeredRollout(
        problem_id=words(row.get("problem_id")),
        prompt=shorten(words(row.get("prompt")), 1500),
        tokens=tuple(tokens),
        left_out=max(0, len(entries) - _TOKENS),
    )
