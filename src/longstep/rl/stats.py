"""What is said about one batch of rollouts: shares and means, and what the health rules make of them."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from longstep.artifacts import AppendLog
from longstep.rl.health import Health, StepStats
from longstep.types import Completion


def correctness_of(row: Completion) -> float | None:
    """0 or 1 from the verdict; ``None`` where the verdict says nothing about the model."""
    assert row.verdict is not None
    return row.verdict.correctness


def rollout_stats(
    groups: Sequence[Sequence[Completion]], shaped: Sequence[float | None]
) -> dict[str, float]:
    """Shares and means over one batch of rollouts, for metric lines and health rules."""
    rows = [row for group in groups for row in group]
    statuses = Counter(row.verdict.status for row in rows if row.verdict)
    flat, start = 0, 0
    for group in groups:
        known = [value for value in shaped[start : start + len(group)] if value is not None]
        flat += len(known) < 2 or max(known) - min(known) < 1e-9
        start += len(group)
    correct = [c for c in map(correctness_of, rows) if c is not None]
    repeated = sum(len(group) - len({row.token_ids for row in group}) for group in groups)
    return {
        "correct": statistics.fmean(correct) if correct else 0.0,
        "truncated_share": statuses["truncated"] / len(rows),
        "unparseable_share": statuses["unparseable"] / len(rows),
        "unscorable_share": (statuses["timeout"] + statuses["bad_gold"]) / len(rows),
        "zero_variance_share": flat / len(groups),
        "duplicate_share": repeated / len(rows),
        "mean_length": statistics.fmean(len(row.token_ids) for row in rows),
    }


def observe_health(
    health: Health, log: AppendLog, row: Mapping[str, Any], updates: int
) -> list[str]:
    """Apply the rules to one metric line; returns the causes that stop the run.

    ``updates`` is the number of optimiser steps that train on one batch of rollouts.
    """
    stats = StepStats(
        step=row["step"],
        rollout=(row["step"] - 1) // updates,
        grad_norm=row.get("grad_norm"),
        truncated_share=row["truncated_share"],
        zero_variance_share=row["zero_variance_share"],
        unparseable_share=row["unparseable_share"],
        unscorable_share=row["unscorable_share"],
        duplicate_share=row["duplicate_share"],
        entropy=row.get("entropy"),
        kl=row.get("kl"),
        mean_length=row["mean_length"],
    )
    notes = health.observe(stats)
    for note in notes:
        log.append(asdict(note))
    return [f"{note.cause}; {note.remedy}" for note in notes if note.level == "stop"]
