"""What is said about one batch of rollouts: shares and means, and what the health rules make of them."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from longstep.artifacts import AppendLog
from longstep.curriculum.base import signal_of
from longstep.curriculum.groups import DrawnGroup
from longstep.rl.health import Health, StepStats


def rollout_stats(groups: Sequence[DrawnGroup]) -> dict[str, float]:
    """Shares and means over all groups drawn for one step, for metric lines and health rules.

    A group teaches something when it has right and wrong answers. That is asked of correctness: shaped rewards differ
    by length within nearly every group, also in a hopeless one.
    """
    if not groups:  # all that is trained on was carried
        return {}
    rows = [row.completion for group in groups for row in group.rows]
    statuses = Counter(row.verdict.status for row in rows if row.verdict)
    signals = Counter(group.outcome.signal for group in groups)
    correct = [each for group in groups for each in group.outcome.known_G]
    repeated = sum(
        len(group.rows) - len({row.completion.token_ids for row in group.rows}) for group in groups
    )
    return {
        # Where nothing can be scored nobody knows; 0 would say that all were wrong.
        **({"correct": statistics.fmean(correct)} if correct else {}),
        "truncated_share": statuses["truncated"] / len(rows),
        "unparseable_share": statuses["unparseable"] / len(rows),
        "unscorable_share": (statuses["timeout"] + statuses["bad_gold"]) / len(rows),
        "all_right_share": signals["right"] / len(groups),
        "all_wrong_share": signals["wrong"] / len(groups),
        "unscorable_group_share": signals["unscorable"] / len(groups),
        "zero_variance_share": 1 - signals["mixed"] / len(groups),
        "duplicate_share": repeated / len(rows),
        "mean_length": statistics.fmean(len(row.token_ids) for row in rows),
    }


def effective_groups(trained: Sequence[DrawnGroup]) -> int:
    """How many of the groups that are trained on have right and wrong answers: the batch that really teaches.

    A group that stands in two places counts once.
    """
    once = {group.key: group for group in trained}.values()
    signals = [signal_of([row.correctness for row in group.rows]) for group in once]
    return signals.count("mixed")


def observe_health(
    health: Health, log: AppendLog, row: Mapping[str, Any], updates: int
) -> list[str]:
    """Apply the rules to one metric line; returns the causes that stop the run.

    ``updates`` is the number of optimiser steps that train on one batch of rollouts.
    """
    known = {each.name: row[each.name] for each in fields(StepStats) if each.name in row}
    stats = StepStats(**known, rollout=(row["step"] - 1) // updates)
    notes = health.observe(stats)
    for note in notes:
        log.append(asdict(note))
    return [f"{note.cause}; {note.remedy}" for note in notes if note.level == "stop"]
