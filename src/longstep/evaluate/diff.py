"""Why do two evaluations disagree? Names the problems whose score flipped, and the cause of each.

Causes are looked for in the order in which they explain away the rest: another gold answer, another
prompt (a template or suffix changed), the same text judged otherwise (the verifier changed), one
answer cut off (token limit), and only then other sampled text.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from longstep.artifacts import read_rows
from longstep.config import UserError
from longstep.evaluate.score import extraction
from longstep.evaluate.store import completions_path, problems_path, read_protocol
from longstep.types import Completion, Problem

#: Causes in order of precedence, each with its explanation.
CAUSES: Mapping[str, str] = {
    "gold": "the gold answer of the problem differs",
    "prompt": "the prompt differs (chat template, suffix or system text changed)",
    "verifier": "the same text got another verdict (the verifier changed)",
    "truncation": "one of the two answers was cut off (token limit or stop token)",
    "samples": "one side has samples the other lacks",
    "sampled": "other text was sampled",
}


@dataclass(frozen=True, slots=True)
class Flip:
    """One problem whose score differs; ``causes`` counts the differing samples by cause."""

    benchmark: str
    model_a: str
    model_b: str
    problem_id: str
    score_a: float | None
    score_b: float | None
    why: str
    causes: dict[str, int]
    sentence: str


@dataclass(frozen=True, slots=True)
class _Fact:
    """What is compared of one completion; two files are held at once, so texts and ids are hashes."""

    correctness: float | None
    finish_reason: str
    prompt: bytes
    text: bytes


Rows = dict[int, _Fact]


def diff(folder_a: Path, folder_b: Path, models: tuple[str, str] | None = None) -> list[Flip]:
    """Problems whose score differs between two evaluations, in stored order, with the reason.

    A problem is also named when its score is equal but the same text is judged otherwise.

    Args:
        folder_a: an evaluation folder.
        folder_b: another one, or the same one to compare two of its models.
        models: one model of each folder; without it, every model the two have in common.

    Raises:
        UserError: the two folders share no model, or no benchmark.
    """
    a, b = read_protocol(folder_a), read_protocol(folder_b)
    pairs = [models] if models else [(name, name) for name in a.models if name in b.models]
    if not pairs and len(a.models) == len(b.models) == 1:
        pairs = [(a.models[0], b.models[0])]
    if not pairs:
        raise UserError(
            f"{folder_a} and {folder_b} share no model: one has {', '.join(a.models)}, the other "
            f"{', '.join(b.models)}; name one of each"
        )
    benchmarks = [name for name in a.benchmarks if name in b.benchmarks]
    if not benchmarks:
        raise UserError(
            f"{folder_a} and {folder_b} share no benchmark: there is nothing to compare"
        )
    return [
        flip
        for names in pairs
        for benchmark in benchmarks
        for flip in _flips((folder_a, folder_b), names, benchmark)
    ]


def found_by(folder_a: Path, folder_b: Path) -> list[str]:
    """Say of each benchmark that two evaluations share how answers were found in them, and that they differ."""
    a, b = read_protocol(folder_a), read_protocol(folder_b)
    sentences = []
    for benchmark in (name for name in a.benchmarks if name in b.benchmarks):
        ways = [
            extraction(read_rows(problems_path(folder, benchmark), Problem))
            for folder in (folder_a, folder_b)
        ]
        if ways[0] != ways[1]:
            sentences.append(
                f"{benchmark}: answers are found by {ways[0]} in {folder_a} and by {ways[1]} in {folder_b}, so the two "
                "scores do not say which model is better; score both under one protocol"
            )
        else:
            sentences.append(f"{benchmark}: answers are found by {ways[0]} in both")
    return sentences


def _flips(folders: tuple[Path, Path], models: tuple[str, str], benchmark: str) -> list[Flip]:
    golds = [
        {p.id: p.answer for p in read_rows(problems_path(folder, benchmark), Problem)}
        for folder in folders
    ]
    rows_a, rows_b = (
        _by_problem(completions_path(folder, model, benchmark))
        for folder, model in zip(folders, models, strict=True)
    )
    flips = []
    for problem_id in [*golds[0], *(new for new in golds[1] if new not in golds[0])]:
        a, b = rows_a.get(problem_id, {}), rows_b.get(problem_id, {})
        gold_differs = golds[0].get(problem_id) != golds[1].get(problem_id) and bool(a and b)
        causes = _causes(a, b, gold_differs)
        scores = _score(a), _score(b)
        if scores[0] != scores[1] or causes["verifier"] or causes["gold"]:
            flips.append(_flip((benchmark, *models, problem_id), scores, causes))
    return flips


def _by_problem(path: Path) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for row in read_rows(path, Completion):
        if row.verdict is None:
            raise UserError(
                f"{path}: problem {row.problem_id} has no verdict yet; run `eval score` first"
            )
        found.setdefault(row.problem_id, {})[row.sample_index] = _Fact(
            row.verdict.correctness, row.finish_reason, _hash(repr(row.prompt_ids)), _hash(row.text)
        )
    return found


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _score(rows: Rows) -> float | None:
    scored = [row.correctness for row in rows.values() if row.correctness is not None]
    return sum(scored) / len(scored) if scored else None


def _causes(a: Rows, b: Rows, gold_differs: bool) -> Counter[str]:
    causes: Counter[str] = Counter()
    for index in sorted(a.keys() | b.keys()):
        if index not in a or index not in b:
            causes["samples"] += 1
        elif a[index].correctness != b[index].correctness:
            causes["gold" if gold_differs else _cause(a[index], b[index])] += 1
    return causes


def _cause(a: _Fact, b: _Fact) -> str:
    if a.prompt != b.prompt:
        return "prompt"
    if a.text == b.text and a.finish_reason == b.finish_reason:
        return "verifier"
    return "truncation" if a.finish_reason != b.finish_reason else "sampled"


def _flip(
    place: tuple[str, str, str, str],
    scores: tuple[float | None, float | None],
    causes: Counter[str],
) -> Flip:
    why = next(cause for cause in CAUSES if causes[cause])
    benchmark, model_a, model_b, problem_id = place
    names = model_a if model_a == model_b else f"{model_a} -> {model_b}"
    told = "; ".join(f"{causes[cause]} x {text}" for cause, text in CAUSES.items() if causes[cause])
    sentence = (
        f"{benchmark} {problem_id} ({names}): {_text(scores[0])} -> {_text(scores[1])}: {told}"
    )
    ordered = {cause: causes[cause] for cause in CAUSES if causes[cause]}
    return Flip(*place, *scores, why, ordered, sentence)


def _text(score: float | None) -> str:
    return "not scored" if score is None else f"{score:.3f}"


def summary(flips: Sequence[Flip]) -> str:
    """One sentence over all flips: how many, and how many for each main reason."""
    if not flips:
        return "no problem flipped"
    counts = Counter(flip.why for flip in flips)
    reasons = ", ".join(
        f"{counts[why]} because {text}" for why, text in CAUSES.items() if counts[why]
    )
    return f"{len(flips)} problem{'s' if len(flips) > 1 else ''} flipped: {reasons}"
