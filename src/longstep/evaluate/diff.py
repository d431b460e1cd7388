"""Why do two evaluations disagree? Question by question: what was gained and lost, by how much, and the cause of each.

Causes are looked for in the order in which they explain away the rest: another gold answer, another
prompt (a template or suffix changed), the same text judged otherwise (the verifier changed), one
answer cut off (token limit), and only then other sampled text.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longstep.artifacts import read_rows
from longstep.config import UserError
from longstep.evaluate import statistics
from longstep.evaluate.sides import Side, titles
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

#: Characters of a question or key, and number of answers, that one line shows.
_LONGEST, _ANSWERS = 160, 3


@dataclass(frozen=True, slots=True)
class Flip:
    """One problem whose score differs, or which is judged otherwise.

    Attributes:
        problem_id: of the problem.
        question: its prompt, in the second evaluation where the two differ.
        gold: its key, likewise.
        score_a: mean correctness over the scorable samples of the first side; ``None`` without any.
        score_b: of the second side.
        answers_a: answer -> how often it was given, the most frequent one first; ``""`` stands for none.
        answers_b: of the second side.
        causes: cause -> how many of the samples differ because of it, in the order of ``CAUSES``.
    """

    problem_id: str
    question: str
    gold: str
    score_a: float | None
    score_b: float | None
    answers_a: dict[str, int]
    answers_b: dict[str, int]
    causes: dict[str, int]

    @property
    def why(self) -> str:
        """The main cause."""
        return next(iter(self.causes))

    @property
    def change(self) -> float:
        """How much was gained; 0 where one side has no score."""
        if self.score_a is None or self.score_b is None:
            return 0.0
        return self.score_b - self.score_a


@dataclass(frozen=True, slots=True)
class Difference:
    """One model against another on one benchmark, paired by problem.

    Attributes:
        benchmark: its name.
        model_a: a model of the first evaluation.
        model_b: one of the second.
        problems: those that both sides can be scored on; scores and changes are over these.
        unscored: problems that only one of the two evaluations has, or has a scorable sample of.
        score_a: mean over ``problems``.
        score_b: of the second side.
        delta: b minus a.
        ci95: of ``delta``, both sides resampled on the same problems.
        distinguishable: whether the interval leaves zero out.
        gained: problems whose score rose.
        lost: problems whose score fell.
        sentence: all of this in words.
        flips: the problems that differ, in stored order.
    """

    benchmark: str
    model_a: str
    model_b: str
    problems: int
    unscored: int
    score_a: float
    score_b: float
    delta: float
    ci95: tuple[float, float]
    distinguishable: bool
    gained: int
    lost: int
    sentence: str
    flips: tuple[Flip, ...]


@dataclass(frozen=True, slots=True)
class _Fact:
    """What is compared of one completion; two files are held at once, so texts and ids are hashes."""

    correctness: float | None
    answer: str
    finish_reason: str
    prompt: bytes
    text: bytes


Rows = dict[int, _Fact]


def diff(a: Side, b: Side, models: tuple[str, str] | None = None) -> list[Difference]:
    """Compare two evaluations, or two models of one, benchmark by benchmark.

    Args:
        a: an evaluation.
        b: another one, or the same one to compare two of its models.
        models: one model of each; without it, every model the two have in common.

    Raises:
        UserError: they share no model, no benchmark, or no problem of one that both are scored on.
    """
    pairs = list(_pairs(a, b, models))
    benchmarks = [name for name in a.benchmarks if name in b.benchmarks]
    if not benchmarks:
        raise UserError(
            f"{a.called} and {b.called} share no benchmark: one has {', '.join(a.benchmarks)}, the "
            f"other {', '.join(b.benchmarks)}"
        )
    return [_difference(a, b, names, name) for names in pairs for name in benchmarks]


def _pairs(a: Side, b: Side, models: tuple[str, str] | None) -> Iterator[tuple[str, str]]:
    if models is not None:
        a.require(models[0])
        b.require(models[1])
        yield models
        return
    shared = [(name, name) for name in a.models if name in b.models]
    if not shared and len(a.models) == len(b.models) == 1:
        shared = [(a.models[0], b.models[0])]
    if not shared:
        raise UserError(
            f"{a.called} and {b.called} share no model: one has {', '.join(a.models)}, the other "
            f"{', '.join(b.models)}; name one of each: --models X,Y"
        )
    yield from shared


@dataclass(frozen=True, slots=True)
class _Pair:
    """One problem as the two sides have it."""

    problem_a: Problem | None
    problem_b: Problem | None
    a: Rows
    b: Rows

    @property
    def problems(self) -> list[Problem]:
        """The problem where a side has it."""
        return [each for each in (self.problem_a, self.problem_b) if each is not None]

    @property
    def scored(self) -> bool:
        """Whether both sides have a sample that says something about the model."""
        return _score(self.a) is not None and _score(self.b) is not None


def _difference(a: Side, b: Side, models: tuple[str, str], benchmark: str) -> Difference:
    paired = _paired(a, b, models, benchmark)
    scored = [each for each in paired if each.scored]
    if not scored:
        raise UserError(
            f"{benchmark}: {a.called} and {b.called} have no problem in common that both are scored on; are these two "
            "files of one name?"
        )
    counts_a, counts_b = _counts(each.a for each in scored), _counts(each.b for each in scored)
    protocol = a.protocol
    found = statistics.compare(
        counts_a, counts_b, titles(a, b, models), protocol.seed, protocol.resamples
    )
    scores_a, scores_b = counts_a[0] / counts_a[1], counts_b[0] / counts_b[1]
    gained, lost = int((scores_b > scores_a).sum()), int((scores_b < scores_a).sum())
    return Difference(
        benchmark=benchmark,
        model_a=models[0],
        model_b=models[1],
        problems=len(scored),
        unscored=len(paired) - len(scored),
        score_a=float(scores_a.mean()),
        score_b=float(scores_b.mean()),
        delta=found.delta,
        ci95=found.ci95,
        distinguishable=found.distinguishable,
        gained=gained,
        lost=lost,
        sentence=f"{benchmark}: {found.sentence}",
        flips=tuple(flip for each in paired if (flip := _flip(each)) is not None),
    )


def _paired(a: Side, b: Side, models: tuple[str, str], benchmark: str) -> list[_Pair]:
    problems_a, problems_b = a.problems(benchmark), b.problems(benchmark)
    rows_a = _by_problem(a.completions(models[0], benchmark))
    rows_b = _by_problem(b.completions(models[1], benchmark))
    return [
        _Pair(
            problems_a.get(each), problems_b.get(each), rows_a.get(each, {}), rows_b.get(each, {})
        )
        for each in dict.fromkeys([*problems_a, *problems_b])
    ]


def _by_problem(path: Path) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    answers: dict[str, str] = {}
    for row in read_rows(path, Completion):
        if row.verdict is None:
            raise UserError(
                f"{path}: problem {row.problem_id} has no verdict yet; run `eval score` first"
            )
        answer = row.verdict.answer or ""
        found.setdefault(row.problem_id, {})[row.sample_index] = _Fact(
            row.verdict.correctness,
            answers.setdefault(answer, answer),  # equal answers are one text in memory
            row.finish_reason,
            _hash(repr(row.prompt_ids)),
            _hash(row.text),
        )
    return found


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _score(rows: Rows) -> float | None:
    scored = [row.correctness for row in rows.values() if row.correctness is not None]
    return sum(scored) / len(scored) if scored else None


def _counts(rows_P: Iterable[Rows]) -> tuple[statistics.Counts, statistics.Counts]:
    """(correct_P, samples_P) over the scorable samples."""
    marks = [
        [row.correctness for row in rows.values() if row.correctness is not None] for rows in rows_P
    ]
    return np.array([int(sum(each)) for each in marks]), np.array([len(each) for each in marks])


def _flip(pair: _Pair) -> Flip | None:
    """What is to be said of a problem; ``None`` where the score is equal and no verdict contradicts another."""
    causes = _causes(pair)
    score_a, score_b = _score(pair.a), _score(pair.b)
    if score_a == score_b and not causes["verifier"] and not causes["gold"]:
        return None
    shown = pair.problems[-1]
    return Flip(
        problem_id=shown.id,
        question=shown.prompt,
        gold=shown.answer,
        score_a=score_a,
        score_b=score_b,
        answers_a=_answers(pair.a),
        answers_b=_answers(pair.b),
        causes={cause: causes[cause] for cause in CAUSES if causes[cause]},
    )


def _answers(rows: Rows) -> dict[str, int]:
    return dict(Counter(row.answer for row in rows.values()).most_common())


def _causes(pair: _Pair) -> Counter[str]:
    causes: Counter[str] = Counter()
    other_gold = len({each.answer for each in pair.problems}) > 1
    other_prompt = len({each.prompt for each in pair.problems}) > 1
    for index in sorted(pair.a.keys() | pair.b.keys()):
        if index not in pair.a or index not in pair.b:
            causes["samples"] += 1
        elif pair.a[index].correctness != pair.b[index].correctness:
            cause = _cause(pair.a[index], pair.b[index], other_prompt)
            causes["gold" if other_gold else cause] += 1
    return causes


def _cause(a: _Fact, b: _Fact, other_prompt: bool) -> str:
    if other_prompt or a.prompt != b.prompt:
        return "prompt"
    if a.text == b.text and a.finish_reason == b.finish_reason:
        return "verifier"
    return "truncation" if a.finish_reason != b.finish_reason else "sampled"


# -- in words -------------------------------------------------------------------------------------


def sentences(found: Difference, limit: int) -> Iterator[str]:
    """The comparison, then the problems gained, lost and otherwise judged, the largest changes first.

    Args:
        found: the comparison.
        limit: how many problems of each of the three; 0 names all.
    """
    yield found.sentence
    same = found.problems - found.gained - found.lost
    left = f"; {found.unscored} not scored on both sides" if found.unscored else ""
    yield (
        f"  {100 * found.score_a:.1f} -> {100 * found.score_b:.1f} over {found.problems} problems: "
        f"{found.gained} gained, {found.lost} lost, {same} with the same score{left}"
    )
    yield f"  {summary(found.flips)}"
    for word, chosen in (
        ("gained", [flip for flip in found.flips if flip.change > 0]),
        ("lost", [flip for flip in found.flips if flip.change < 0]),
        ("changed", [flip for flip in found.flips if flip.change == 0]),
    ):
        shown = sorted(chosen, key=lambda flip: -abs(flip.change))[: limit or None]
        yield from (f"  {word}: {told(flip)}" for flip in shown)
        if len(shown) < len(chosen):
            yield f"  ... and {len(chosen) - len(shown)} more {word} (--limit 0 names all)"


def told(flip: Flip) -> str:
    """``3+4? (key 7): 0.25 -> 1.00; answers 3 x 5, 1 x 7 -> 4 x 7; 3 x other text was sampled``."""
    causes = "; ".join(f"{number} x {CAUSES[cause]}" for cause, number in flip.causes.items())
    return (
        f"{_short(flip.question)} (key {_short(flip.gold)}): {_text(flip.score_a)} -> {_text(flip.score_b)}; answers "
        f"{_given(flip.answers_a)} -> {_given(flip.answers_b)}; {causes}"
    )


def _short(text: str) -> str:
    """On one line, the end of a long text left out."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def _given(answers: Mapping[str, int]) -> str:
    most = list(answers.items())[:_ANSWERS]
    more = sum(answers.values()) - sum(number for _, number in most)
    said = [f"{number} x {_short(answer) or 'none'}" for answer, number in most]
    return ", ".join([*said, *([f"{more} others"] if more else [])]) or "nothing"


def _text(score: float | None) -> str:
    return "not scored" if score is None else f"{score:.2f}"


def summary(flips: Sequence[Flip]) -> str:
    """One sentence over all flips: how many, and how many for each main reason."""
    if not flips:
        return "no problem flipped"
    counts = Counter(flip.why for flip in flips)
    reasons = ", ".join(
        f"{counts[why]} because {text}" for why, text in CAUSES.items() if counts[why]
    )
    return f"{len(flips)} problem{'s' if len(flips) > 1 else ''} flipped: {reasons}"
