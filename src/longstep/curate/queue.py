"""The queue for a person: rows that machines disagree about, with everything needed to decide.

One line of ``queue.jsonl`` per problem. Nothing in it was dropped because it is here; a stage that drops such rows
says so and keeps them in ``dropped.jsonl``.

This file and ``audit`` are all there is about suspect keys: ``audit`` finds them, ``curate``, ``sample`` and ``select``
write them here, and ``select`` alone sets them aside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from longstep.curate.audit import Suspect
from longstep.types import ABSENT, UNSCORABLE, Completion, Problem, Verdict

FILE = "queue.jsonl"
_LONGEST = 200
_MOST_ANSWERS = 8


@dataclass(frozen=True, slots=True)
class Doubt:
    """One problem to look at.

    Attributes:
        problem_id: the problem.
        prompt: its question.
        gold: its gold answer.
        answers: ``{answer, count}`` of what was answered instead, the most frequent first.
        why: every reason, each beginning with its kind and a colon.
    """

    problem_id: str
    prompt: str
    gold: str
    answers: tuple[Mapping[str, Any], ...]
    why: tuple[str, ...]


def queue(
    problems: Sequence[Problem],
    suspects: Iterable[Suspect] = (),
    completions: Iterable[Completion] = (),
    second: Callable[[Completion], Verdict] | None = None,
) -> list[Doubt]:
    """Collect every reason to look at a problem, in the order of ``problems``.

    Args:
        problems: the rows.
        suspects: keys that look wrong.
        completions: verified samples, read once; ``bad_gold`` and ``timeout`` verdicts are reasons.
        second: what another verifier says of a completion; where one calls correct what the other does not, that is
            a reason.
    """
    why: dict[str, list[str]] = {}
    answers: dict[str, list[tuple[str, int]]] = {}
    for suspect in suspects:
        why.setdefault(suspect.problem.id, []).append(suspect.reason)
        answers.setdefault(suspect.problem.id, list(suspect.answers))
    given: dict[str, Counter[str]] = {}
    reasons: dict[str, Counter[str]] = {}
    for row in completions:
        if row.verdict is None:
            continue
        if row.verdict.answer is not None:
            given.setdefault(row.problem_id, Counter())[row.verdict.answer] += 1
        other = None if second is None else second(row)
        for reason in _reasons(row.verdict, other):
            reasons.setdefault(row.problem_id, Counter())[reason] += 1
    for problem_id, counted in reasons.items():
        texts = [f"{reason} ({count} samples)" for reason, count in counted.most_common()]
        why.setdefault(problem_id, []).extend(texts)
        answers.setdefault(problem_id, given.get(problem_id, Counter()).most_common())
    return [
        Doubt(
            problem.id,
            problem.prompt,
            problem.answer,
            tuple({"answer": a, "count": n} for a, n in answers[problem.id][:_MOST_ANSWERS]),
            tuple(why[problem.id]),
        )
        for problem in problems
        if problem.id in why
    ]


def doubt_of(problem: Problem, reason: str) -> Doubt | None:
    """What there is to look at in a row that was dropped, if it was because of its key.

    That is: conflicting golds, and a gold that does not verify.
    """
    if reason.startswith(("conflicting golds", "gold does not verify")):
        return Doubt(problem.id, problem.prompt, problem.answer, (), (reason,))
    return None


def merged(
    problems: Iterable[Problem], earlier: Iterable[Doubt], new: Iterable[Doubt]
) -> list[Doubt]:
    """Doubts of an earlier stage and new ones, one row per problem of ``problems``, in their order."""
    doubts: dict[str, Doubt] = {}
    for doubt in (*earlier, *new):
        known = doubts.get(doubt.problem_id)
        if known is not None:
            reasons = tuple(dict.fromkeys(known.why + doubt.why))
            doubt = replace(known, why=reasons, answers=known.answers or doubt.answers)
        doubts[doubt.problem_id] = doubt
    return [doubts[problem.id] for problem in problems if problem.id in doubts]


def suspected(doubts: Iterable[Doubt]) -> dict[str, str]:
    """Why a key is suspect, by problem id; a timeout or a disagreement of verifiers does not speak against it."""
    kinds = ("suspect key:", "conflicting golds:", "bad_gold:")
    first = {d.problem_id: next((r for r in d.why if r.startswith(kinds)), "") for d in doubts}
    return {problem_id: reason for problem_id, reason in first.items() if reason}


def _reasons(verdict: Verdict, other: Verdict | None) -> Iterable[str]:
    if verdict.status in UNSCORABLE and verdict.rung != ABSENT:
        yield f"{verdict.status}: {verdict.reason}"
    if other is None or UNSCORABLE & {verdict.status, other.status}:
        return
    if verdict.correctness != other.correctness:
        yield f"verifiers differ: {verdict.answer!r} is {verdict.status}, the second says {other.status}"


def queue_table(rows: Iterable[Mapping[str, Any]], first: int = 20) -> list[list[str]]:
    """Header and the first rows of a queue for a page or a terminal; whatever the file holds becomes short text."""
    table = [["problem", "question", "gold", "answers", "why"]]
    for row in rows:
        if len(table) > first:
            break
        answers = row.get("answers")
        counted = [
            f"{each.get('count')} x {each.get('answer')}"
            for each in (answers if isinstance(answers, list) else [])
            if isinstance(each, Mapping)
        ]
        why = row.get("why")
        table.append(
            [
                _short(row.get("problem_id")),
                _short(row.get("prompt")),
                _short(row.get("gold")),
                _short("; ".join(counted)),
                _short("; ".join(map(str, why)) if isinstance(why, list) else why),
            ]
        )
    return table


def _short(value: object) -> str:
    text = " ".join(str("" if value is None else value).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "\u2026"
