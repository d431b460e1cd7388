"""Evaluation: benchmarks, reducers over stored samples, their uncertainty, comparisons."""

from longstep.evaluate.benchmarks import (
    BENCHMARKS,
    Asked,
    Benchmark,
    benchmark,
    benchmark_faults,
    resolve,
    unloadable,
)
from longstep.evaluate.diff import Flip, diff, found_by, summary
from longstep.evaluate.published import PUBLISHED, PublishedScore, published, tolerance
from longstep.evaluate.reducers import REDUCERS, Sample, Samples, avg_at, collect, maj_at, pass_at
from longstep.evaluate.score import Protocol, score, score_samples
from longstep.evaluate.statistics import Comparison, compare, sample_size_sentence, samples_needed
from longstep.evaluate.store import completions_path, problems_path, rescore, store

__all__ = [
    "BENCHMARKS",
    "PUBLISHED",
    "REDUCERS",
    "Asked",
    "Benchmark",
    "Comparison",
    "Flip",
    "Protocol",
    "PublishedScore",
    "Sample",
    "Samples",
    "avg_at",
    "benchmark",
    "benchmark_faults",
    "collect",
    "compare",
    "completions_path",
    "diff",
    "found_by",
    "maj_at",
    "pass_at",
    "problems_path",
    "published",
    "rescore",
    "resolve",
    "sample_size_sentence",
    "samples_needed",
    "score",
    "score_samples",
    "store",
    "summary",
    "tolerance",
    "unloadable",
]
