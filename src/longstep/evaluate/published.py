"""Published scores as data, each with its source and protocol, to set ours beside.

Numbers are as printed by their authors (percent, pass@1 as avg@k); nothing here was measured by
longstep. A reproduction is only asked to come within the sampling noise of two runs, see
:func:`tolerance`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt

from longstep.evaluate.statistics import Z95, sampling_error

#: Problems in each benchmark, for the noise of a published score.
NUM_PROBLEMS: Mapping[str, int] = {
    "aime24": 30,
    "aime25": 30,
    "math500": 500,
    "gpqa_diamond": 198,
    "amc23": 40,
    "minerva": 272,
    "olympiad": 674,
}


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """One printed number.

    Attributes:
        table: group of rows that belong together.
        model: model or stage as the authors name it.
        benchmark: name in ``BENCHMARKS`` where there is one.
        value: percent.
        samples: k of avg@k, or ``None`` when the source does not say.
        source: where it is printed.
    """

    table: str
    model: str
    benchmark: str
    value: float
    samples: int | None
    source: str


_LIGHT_R1 = "Light-R1, arXiv 2503.10460 v4"
_DEEPSCALER = "DeepScaleR README (agentica-project/rllm)"
_FASTCURL = "FastCuRL README (nick7nlp/FastCuRL)"

_STAGES = """
Qwen2.5-32B-Instruct  16.6 13.6 48.8 24.6
+ SFT1                69.0 57.4 64.3 42.9
+ SFT2                73.0 64.3 60.6 42.0
+ DPO                 75.8 63.4 61.8 -
+ merge               76.6 64.6 61.8 44.7
"""
_DISTILLED = """
DeepSeek-R1-Distill-Qwen-7B    55.5 39.2 49.1 34.6
Light-R1-7B-DS                 59.1 44.3 49.4 38.4
DeepSeek-R1-Distill-Qwen-14B   69.7 50.2 59.1 52.9
+ 3k SFT                       72.3 58.9 60.3 55.9
+ GRPO epoch 1                 72.3 57.8 - 56.6
+ GRPO epoch 2                 73.4 60.5 - 56.5
+ GRPO epoch 3                 74.0 60.2 61.7 56.0
DeepSeek-R1-Distill-Qwen-32B   72.6 54.9 62.1 58.8
Light-R1-32B-DS                78.1 65.9 68.0 66.1
"""
_REPRODUCED = """
DeepSeek-R1-Distill-Qwen-32B  72.3
DeepSeek-R1-Distill-Qwen-14B  69.3
DeepSeek-R1-Distill-Qwen-7B   54.0
QwQ-32B                       78.5
"""
_SMALL_BASE = """
DeepSeek-R1-Distill-Qwen-1.5B  28.8 82.8 62.9 26.5 43.3
Still-1.5B                     32.5 84.4 66.7 29.0 45.4
DeepScaleR-1.5B-Preview        43.1 87.8 73.6 30.2 50.0
"""
_SMALL_CURRICULUM = """
FastCuRL-1.5B-Preview  43.1 88.0 74.2 31.6 50.4
FastCuRL-1.5B-V2       47.5 89.3 77.0 32.8 53.3
FastCuRL-1.5B-V3       49.6 90.5 78.5 34.7 54.5
"""
_LONG = ("aime24", "aime25", "gpqa_diamond", "livecodebench")
_SHORT = ("aime24", "math500", "amc23", "minerva", "olympiad")


def _rows(
    table: str, text: str, benchmarks: tuple[str, ...], samples: int | None, source: str
) -> Iterator[PublishedScore]:
    """Read a printed table: the last columns are numbers, ``-`` where the authors print none."""
    for line in text.strip().splitlines():
        words = line.split()
        model = " ".join(words[: -len(benchmarks)])
        for benchmark, word in zip(benchmarks, words[-len(benchmarks) :], strict=True):
            if word != "-":
                yield PublishedScore(table, model, benchmark, float(word), samples, source)


#: Every published number we set ours beside.
PUBLISHED: tuple[PublishedScore, ...] = (
    *_rows("light-r1", _STAGES, _LONG, 64, _LIGHT_R1),
    *_rows("light-r1-ds", _DISTILLED, _LONG, 64, _LIGHT_R1),
    *_rows(
        "light-r1-reproductions",
        _REPRODUCED,
        _LONG[:1],
        64,
        f"{_LIGHT_R1}, their runs of others' models",
    ),
    *_rows("deepscaler", _SMALL_BASE, _SHORT, 16, _DEEPSCALER),
    *_rows("fastcurl", _SMALL_CURRICULUM, _SHORT, 16, _FASTCURL),
)


def published(table: str) -> list[PublishedScore]:
    """The rows of one published table, in printed order; empty when there is no such table."""
    return [row for row in PUBLISHED if row.table == table]


def tolerance(row: PublishedScore, k: int, spread: float = 0.15) -> float | None:
    """Half width in points of the 95 % interval of our avg@k minus theirs, for equal models.

    Counts the sampling noise of both runs on the same problems, with mean p(1-p) = ``spread``, and
    nothing else: it is what is left when template, engine and verifier agree. ``None`` where the
    size of the benchmark or their number of samples is not known.
    """
    num_problems = NUM_PROBLEMS.get(row.benchmark)
    if num_problems is None or row.samples is None:
        return None
    theirs = sampling_error(spread, num_problems, row.samples)
    ours = sampling_error(spread, num_problems, k)
    return 100 * Z95 * sqrt(theirs**2 + ours**2)
