"""How many rows flow through a plan: known sizes of data sets, and what a selection leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from longstep.config import dump
from longstep.context import Where
from longstep.costs.planning import Planning
from longstep.costs.shapes import Shape
from longstep.evaluate import Benchmark
from longstep.problems.hub import HubDataset
from longstep.problems.jsonl import JsonlFile
from longstep.problems.source import Generated

#: Problems of published data sets and benchmarks, from their hub pages.
DATASETS = {
    "open-r1/OpenR1-Math-220k": 93_733,
    "agentica-org/DeepScaleR-Preview-Dataset": 40_315,
    "open-thoughts/OpenThoughts-114k": 113_957,
    "SynthLabsAI/Big-Math-RL-Verified": 251_122,
    "HuggingFaceH4/aime_2024": 30,
    "math-ai/aime25": 30,
    "math-ai/amc23": 40,
    "HuggingFaceH4/MATH-500": 500,
    "fingertap/GPQA-Diamond": 198,
    "openai/gsm8k": 1319,
}
UNKNOWN_ROWS = 50_000
UNKNOWN_QUESTIONS = 500
#: Share of problems that are neither always nor never solved.
MIXED = 0.8

Counted = tuple[float, str]
"""A number of rows, and a remark when it was only assumed."""


@dataclass(frozen=True)
class Flow:
    """What a stage hands on.

    Attributes:
        problems: how many.
        rates: lowest and highest pass rate among them; ``None`` while they are not rated.
        completions: how many.
        tokens: mean tokens of a completion.
        shape: of the model.
    """

    problems: float = 0.0
    rates: tuple[float, float] | None = None
    completions: float = 0.0
    tokens: float = 0.0
    shape: Shape | None = None


def of_source(source: Any, plan: Planning) -> Counted:
    """Problems of a source of a curate stage."""
    if isinstance(source, Generated):
        return source.count, ""
    if isinstance(source, HubDataset):
        count, remark = _known(source.name, plan)
    elif isinstance(source, JsonlFile):
        count, remark = of_path(str(source.path), plan)
        if remark and source.path.is_file():
            with source.path.open("rb") as file:
                count, remark = sum(1 for _ in file), ""
    else:
        return UNKNOWN_ROWS, f"source {source.kind}: {UNKNOWN_ROWS:,} problems assumed"
    return (source.limit, "") if source.limit and source.limit <= count else (count, remark)


def of_path(path: str, plan: Planning) -> Counted:
    """Rows of an artifact or file made elsewhere."""
    return _known(path, plan)


def of_benchmark(benchmark: Benchmark, plan: Planning) -> Counted:
    """Questions of a benchmark."""
    source = dump(benchmark.source)
    if "count" in source:
        return source["count"], ""
    key = str(source.get("name", source.get("path", benchmark.name)))
    return _known(key, plan, UNKNOWN_QUESTIONS)


def _known(key: str, plan: Planning, otherwise: int = UNKNOWN_ROWS) -> Counted:
    known = plan.rows.get(key, DATASETS.get(key))
    if known is not None:
        return known, ""
    return otherwise, f"{key}: {otherwise:,} rows assumed; set plan.rows to say how many it holds"


def share(where: Where, given: Flow) -> float:
    """Share of problems inside ``where``: pass rates evenly spread, every difficulty inside."""
    kept = MIXED if where.mixed else 1.0
    left = inside(where, given.rates)
    if given.rates is not None and left is not None and given.rates[1] > given.rates[0]:
        kept *= (left[1] - left[0]) / (given.rates[1] - given.rates[0])
    if where.count is not None and given.problems:
        kept = min(kept, where.count / given.problems)
    return kept


def inside(where: Where, rates: tuple[float, float] | None) -> tuple[float, float] | None:
    """Pass rates that are left after a selection; an empty one leaves its nearest edge."""
    if rates is None or where.pass_rate is None:
        return rates
    low = min(max(rates[0], where.pass_rate[0]), rates[1])
    return low, max(low, min(rates[1], where.pass_rate[1]))
