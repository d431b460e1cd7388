"""Evaluation: benchmarks, reducers over stored samples, their uncertainty, comparisons."""

from longstep.evaluate.benchmarks import (
    BENCHMARKS,
    Asked,
    Benchmark,
    benchmark,
    benchmark_faults,
    refuse_unreadable,
    resolve,
    unloadable,
)
from longstep.evaluate.diff import Difference, Flip, diff, sentences
from longstep.evaluate.published import PUBLISHED, PublishedScore, published, tolerance
from longstep.evaluate.reducers import REDUCERS, Sample, Samples, avg_at, collect, maj_at, pass_at
from longstep.evaluate.score import Protocol, score, score_samples
from longstep.evaluate.sides import Side, evaluation_in, notes
from longstep.evaluate.statistics import Comparison, compare, sample_size_sentence, samples_needed
from longstep.evaluate.store import completions_path, problems_path, rescore, store

__all__ = [
    "BENCHMARKS",
    "PUBLISHED",
    "REDUCERS",
    "Asked",
    "Benchmark",
    "Comparison",
    "Difference",
    "Flip",
    "Protocol",
    "PublishedScore",
    "Sample",
    "Samples",
    "Side",
    "avg_at",
    "benchmark",
    "benchmark_faults",
    "collect",
    "compare",
    "completions_path",
    "diff",
    "evaluation_in",
    "maj_at",
    "notes",
    "pass_at",
    "problems_path",
    "published",
    "refuse_unreadable",
    "rescore",
    "resolve",
    "sample_size_sentence",
    "samples_needed",
    "score",
    "score_samples",
    "sentences",
    "store",
    "tolerance",
    "unloadable",
]
