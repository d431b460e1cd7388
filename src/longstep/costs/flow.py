"""How many rows flow through a plan: known sizes of data sets, and what a selection leaves."""

from __future__ import annotations

from dataclasses import dataclass

from longstep.context import Where
from longstep.costs.decoder import Shape

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
#: Share of prompts at most as long as the mean: 24,976 of the 40,315 of DeepScaleR, as FastCuRL released them.
SHORT = 0.62
#: Share of problems with both a right trace and a wrong answer of the model's own.
PAIRED = 0.5
#: Share of positions that pass LightReasoner's KL gate (paper, appendix: about a fifth exceed 0.4).
KEPT = 0.2


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


def share(where: Where, given: Flow) -> float:
    """Share of problems inside ``where``: pass rates evenly spread, every difficulty inside."""
    kept = MIXED if where.mixed else 1.0
    left = inside(where, given.rates)
    if given.rates is not None and left is not None and given.rates[1] > given.rates[0]:
        kept *= (left[1] - left[0]) / (given.rates[1] - given.rates[0])
    if where.prompt_chars is not None:
        kept *= SHORT if where.prompt_chars.side == "short" else 1 - SHORT
    if where.count is not None and given.problems:
        kept = min(kept, where.count / given.problems)
    return kept


def inside(where: Where, rates: tuple[float, float] | None) -> tuple[float, float] | None:
    """Pass rates that are left after a selection; an empty one leaves its nearest edge."""
    if rates is None or where.pass_rate is None:
        return rates
    low = min(max(rates[0], where.pass_rate[0]), rates[1])
    return low, max(low, min(rates[1], where.pass_rate[1]))
