"""Scores of one evaluation stage: from ``results.json`` to the table and the headline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from longstep.report.read import mapping, number, sequence, words

#: Above this share of truncated answers a score measures the token budget, so the page warns.
TRUNCATION_WARNING = 0.05


@dataclass(frozen=True, slots=True)
class WithInterval:
    """A value in [0, 1] and its 95 % interval (``None`` when the file has none)."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Score:
    """What one model scored on one slice of one benchmark.

    Shares are in [0, 1]; ``unscorable`` counts samples without usable verdict (timeout, bad gold).
    """

    problems: int
    samples: int
    avg: WithInterval | None
    se_within: float | None
    se_between: float | None
    passes: tuple[tuple[int, WithInterval], ...]
    majority: tuple[tuple[int, WithInterval], ...]
    truncated: float | None
    no_answer: float | None
    unscorable: float | None
    finished_avg: float | None
    tokens_mean: float | None

    @property
    def last_pass(self) -> tuple[int, WithInterval] | None:
        """Pass@k with the largest k: whether a problem is solved at all."""
        return self.passes[-1] if self.passes else None

    @property
    def last_majority(self) -> tuple[int, WithInterval] | None:
        """The majority vote of the most samples."""
        return self.majority[-1] if self.majority else None

    @property
    def often_cut(self) -> bool:
        """Whether so many answers were cut that the score measures the budget."""
        return self.truncated is not None and self.truncated > TRUNCATION_WARNING


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on one slice, paired by problem; ``delta`` is b - a."""

    a: str
    b: str
    benchmark: str
    slice: str
    delta: WithInterval | None
    distinguishable: bool
    sentence: str


Column = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Scores:
    """Everything one evaluation stage measured.

    Attributes:
        stage: the evaluation stage.
        protocol: for each benchmark, how it was sampled and sliced, in words.
        columns: (benchmark, slice), a benchmark's "all" before its other slices.
        models: the evaluated models in the order of the protocol.
        origins: the stage of this run that made a model; a model from elsewhere is not in it.
        cells: a score for each (model, column) that was measured.
        comparisons: paired comparisons, in the order of the file.
    """

    stage: str
    protocol: tuple[str, ...]
    columns: tuple[Column, ...]
    models: tuple[str, ...]
    origins: Mapping[str, str]
    cells: Mapping[tuple[str, Column], Score]
    comparisons: tuple[Comparison, ...]


def read_scores(
    stage: str, results: Mapping[str, Any], origins: Mapping[str, str] | None = None
) -> Scores:
    """Scores of one evaluation stage.

    Args:
        stage: name of the evaluation stage.
        results: the content of its ``results.json``.
        origins: the stage that made a model, for models of the run.
    """
    models, protocol = mapping(results.get("models")), mapping(results.get("protocol"))
    cells = {
        (words(model), (words(benchmark), words(part))): _score(mapping(entry))
        for model, benchmarks in models.items()
        for benchmark, parts in mapping(benchmarks).items()
        for part, entry in mapping(parts).items()
    }
    named = [words(name) for name in sequence(protocol.get("models"))]
    place = {name: index for index, name in enumerate(named)}
    comparisons = (mapping(entry) for entry in sequence(results.get("comparisons")))
    return Scores(
        stage=stage,
        protocol=tuple(_asked(name, mapping(asked)) for name, asked in _benchmarks(protocol)),
        columns=tuple(sorted({column for _, column in cells}, key=_column_key)),
        models=tuple(
            sorted(map(words, models), key=lambda name: (place.get(name, len(place)), name))
        ),
        origins=origins or {},
        cells=cells,
        comparisons=tuple(map(_comparison, comparisons)),
    )


def _benchmarks(protocol: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted(mapping(protocol.get("benchmarks")).items())


def _asked(name: str, asked: Mapping[str, Any]) -> str:
    """``chain: max_tokens 120, samples 16, temperature 0.6, top_p 0.95, easy 1 to 4``."""
    facts = [f"{words(key)} {words(value)}" for key, value in asked.items() if key != "slices"]
    parts = [f"{words(key)} {_range(value)}" for key, value in mapping(asked.get("slices")).items()]
    return f"{words(name)}: {', '.join(facts + parts)}"


def _range(value: object) -> str:
    bounds = [number(bound) for bound in sequence(value)]
    return " to ".join(words(bound) if bound is None else f"{bound:g}" for bound in bounds)


def _column_key(column: Column) -> tuple[str, bool, str]:
    return column[0], column[1] != "all", column[1]


def _score(entry: Mapping[str, Any]) -> Score:
    avg = mapping(entry.get("avg"))
    return Score(
        problems=int(number(entry.get("problems")) or 0),
        samples=int(number(entry.get("samples")) or 0),
        avg=_estimate(avg),
        se_within=number(avg.get("se_within")),
        se_between=number(avg.get("se_between")),
        passes=_by_k(entry.get("pass")),
        majority=_by_k(entry.get("maj")),
        truncated=number(entry.get("truncated")),
        no_answer=number(entry.get("no_answer")),
        unscorable=number(entry.get("unscorable")),
        finished_avg=number(entry.get("finished_avg")),
        tokens_mean=number(entry.get("tokens_mean")),
    )


def _estimate(entry: Mapping[str, Any]) -> WithInterval | None:
    value = number(entry.get("value"))
    if value is None:
        return None
    interval = [number(bound) for bound in sequence(entry.get("ci95"))]
    low, high = interval if len(interval) == 2 else (None, None)
    return WithInterval(value, low, high)


def _by_k(entry: object) -> tuple[tuple[int, WithInterval], ...]:
    found = ((key, _estimate(mapping(value))) for key, value in mapping(entry).items())
    return tuple(
        sorted((int(key), estimate) for key, estimate in found if estimate and key.isdecimal())
    )


def _comparison(entry: Mapping[str, Any]) -> Comparison:
    return Comparison(
        a=words(entry.get("a")),
        b=words(entry.get("b")),
        benchmark=words(entry.get("benchmark")),
        slice=words(entry.get("slice")),
        delta=_estimate({"value": entry.get("delta"), "ci95": entry.get("ci95")}),
        distinguishable=entry.get("distinguishable") is True,
        sentence=words(entry.get("sentence")),
    )


def column_name(column: Column) -> str:
    """``chain`` for the whole benchmark, ``chain hard`` for a slice."""
    return column[0] if column[1] == "all" else f"{column[0]} {column[1]}"


def cell_text(score: Score | None) -> str:
    """``78.9 [76.2, 81.4]`` in percent; a dash when not measured, a star when many were cut."""
    if score is None or score.avg is None:
        return "-"
    avg = score.avg
    interval = (
        ""
        if avg.low is None or avg.high is None
        else f" [{100 * avg.low:.1f}, {100 * avg.high:.1f}]"
    )
    return f"{100 * avg.value:.1f}{interval}{'*' if score.often_cut else ''}"


def samples_text(scores: Iterable[Score]) -> str:
    """``avg@16``, or ``avg@8-16`` when the cells differ in their number of samples."""
    counts = sorted({score.samples for score in scores})
    if not counts:
        return "avg"
    return f"avg@{counts[0]}" if len(counts) == 1 else f"avg@{counts[0]}-{counts[-1]}"


def problems_text(scores: Iterable[Score]) -> str:
    """``n=150``, or ``n=140-150`` when the cells differ in their number of problems."""
    counts = sorted({score.problems for score in scores})
    if not counts:
        return "n=0"
    return f"n={counts[0]}" if len(counts) == 1 else f"n={counts[0]}-{counts[-1]}"


def legend(scores: Iterable[Scores]) -> str:
    """What a star means, where some cell has one."""
    if any(cell.often_cut for each in scores for cell in each.cells.values()):
        share = f"{100 * TRUNCATION_WARNING:g} %"
        return f"* more than {share} of the answers were cut at the length limit, so the score measures that limit too"
    return ""


def narrowed(scores: Scores) -> tuple[str, ...]:
    """Where a model is right more often than one before it, and on fewer problems: on whole benchmarks, in words.

    That is what sharpening looks like: answers that were found sometimes are found mostly, and others no longer.
    """
    found: list[str] = []
    for entry in key_comparisons(scores):
        column = (entry.benchmark, entry.slice)
        before, after = scores.cells.get((entry.a, column)), scores.cells.get((entry.b, column))
        if before and after and (sentence := _narrowed(entry, before, after)):
            found.append(sentence)
    return tuple(found)


def _narrowed(entry: Comparison, before: Score, after: Score) -> str:
    passes = before.last_pass, after.last_pass
    if not (before.avg and after.avg and passes[0] and passes[1]) or passes[0][0] != passes[1][0]:
        return ""
    (k, first), (_, last) = passes[0], passes[1]
    if not (after.avg.value > before.avg.value and last.value < first.value):
        return ""
    apart = first.low is not None and last.high is not None and last.high < first.low
    sure = "" if apart else "; the intervals of the latter overlap"
    return (
        f"{entry.benchmark}: from {entry.a} to {entry.b} the average rises from {100 * before.avg.value:.1f} to "
        f"{100 * after.avg.value:.1f}, while pass@{k} falls from {100 * first.value:.1f} to {100 * last.value:.1f}: "
        f"more answers are right, and to fewer of the {after.problems} problems any of {k} answers is{sure}."
    )


def headline(scores: Scores) -> tuple[str, ...]:
    """First against last model of the run on the first benchmark, with intervals and a verdict.

    The last model is not always the best one; a second sentence then says which is.
    """
    for column in scores.columns:
        row = [
            (model, score)
            for model in scores.models
            if (score := scores.cells.get((model, column))) and score.avg
        ]
        if mine := [entry for entry in row if entry[0] in scores.origins] or row:
            return _headline(scores, column, mine)
    return ("No scores were measured.",)


def _headline(scores: Scores, column: Column, row: list[tuple[str, Score]]) -> tuple[str, ...]:
    (first, before), (last, after) = row[0], row[-1]
    name, metric = column_name(column), samples_text(score for _, score in row)
    if first == last:
        return (f"{first} scores {_plain(before)} {metric} on {name}.",)
    text = f"{first} {_plain(before)} → {last} {_plain(after)} {metric} on {name}"
    text += _verdict(scores, column, first, last) + "."
    best, top = max(row, key=lambda entry: entry[1].avg.value if entry[1].avg else 0.0)
    if top.avg and after.avg and top.avg.value > after.avg.value:
        return text, f"The highest score is not the last: {best} has {_plain(top)}."
    return (text,)


def _verdict(scores: Scores, column: Column, first: str, last: str) -> str:
    for entry in scores.comparisons:
        if (entry.a, entry.b, (entry.benchmark, entry.slice)) == (
            first,
            last,
            column,
        ) and entry.delta:
            verdict = "" if entry.distinguishable else ": not distinguishable"
            return f", a difference of {points_text(entry.delta)} points{verdict}"
    return ""


def points_text(delta: WithInterval) -> str:
    """``+66.6 [60.2, 71.9]`` in points."""
    interval = (
        ""
        if delta.low is None or delta.high is None
        else f" [{100 * delta.low:+.1f}, {100 * delta.high:+.1f}]"
    )
    return f"{100 * delta.value:+.1f}{interval}"


def key_comparisons(scores: Scores) -> tuple[Comparison, ...]:
    """What a reader asks for first: each model with its predecessor, and the last with the first.

    Only on whole benchmarks; with m models there are m (m - 1) / 2 pairs on every slice.
    """
    pairs = list(zip(scores.models, scores.models[1:], strict=False))
    if len(pairs) > 1:
        pairs.append((scores.models[0], scores.models[-1]))
    chosen = [
        entry
        for entry in scores.comparisons
        if entry.slice == "all" and (entry.a, entry.b) in pairs
    ]
    return tuple(
        sorted(chosen, key=lambda entry: (entry.benchmark, pairs.index((entry.a, entry.b))))
    )


def _plain(score: Score) -> str:
    return cell_text(score).rstrip("*")
