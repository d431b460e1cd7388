"""What a plan says that a strategy costs: bounds by hand, and that nothing which is drawn exceeds them."""

from __future__ import annotations

import pytest

from longstep.costs.estimate import Estimator, Fleet
from longstep.costs.flow import Flow
from longstep.costs.planning import Planning
from longstep.draw.samplers import ByEndpoint, ByModel
from longstep.generate import Sampling
from longstep.scaling.account import bill
from longstep.scaling.adaptive import AdaptiveConsistency
from longstep.scaling.base import Strategy
from longstep.scaling.beam import BeamSearch
from longstep.scaling.budget import BudgetForcing
from longstep.scaling.dvts import DiverseTrees
from longstep.scaling.esc import EarlyStopping
from longstep.scaling.rebase import Rebase
from longstep.scaling.samples import IndependentSamples
from longstep.stages import Scale
from test_scaling import HOW, SCORED, STEP, asked, grower

#: strategy, the fewest and the most whole answers of 100 tokens that it draws for a problem
BOUNDS: list[tuple[Strategy, float, float]] = [
    (IndependentSamples(n=8), 8, 8),
    # 4 of 4 are the first that are sure to 0.95 (31 / 32); 5 of 5 the first of 2, 5, 8; 6 of 6 to 0.99 (127 / 128)
    (AdaptiveConsistency(most=12), 4, 12),
    (AdaptiveConsistency(most=12, each=3), 5, 12),
    (AdaptiveConsistency(most=12, sure=0.99), 6, 12),
    (AdaptiveConsistency(most=3), 3, 3),  # nothing is settled before the end
    (AdaptiveConsistency(most=2, first=8), 2, 2),
    (EarlyStopping(most=12, window=5), 5, 12),
    (EarlyStopping(most=3, window=5), 3, 3),
    (BeamSearch(keep=2, expand=3), 6, 6),
    (BeamSearch(keep=2, expand=3, rounds=5, max_step=10), 3, 3),  # a path has 50 tokens at most
    (DiverseTrees(trees=2, expand=3), 6, 6),
    (Rebase(n=5, rounds=1, max_step=20), 1, 1),
    (BudgetForcing(most=50), 1, 1),
    (BudgetForcing(most=50, waits=1), 1.5, 1.5),
    (BudgetForcing(waits=2), 3, 3),
]


@pytest.mark.parametrize(("strategy", "fewest", "most"), BOUNDS, ids=lambda each: str(each)[:40])
def test_bounds_by_hand(strategy: Strategy, fewest: float, most: float):
    assert strategy.fewest(100.0) == pytest.approx(fewest)
    assert strategy.answers(100.0) == pytest.approx(most)


@pytest.mark.parametrize(
    "strategy",
    [
        IndependentSamples(n=5),
        AdaptiveConsistency(most=9),
        EarlyStopping(most=9, window=2),
        BeamSearch(keep=2, expand=3, step=STEP),
        BeamSearch(keep=3, expand=2, step=("never",), max_step=4, rounds=3),
        DiverseTrees(trees=2, expand=3, step=STEP),
        Rebase(n=6, step=STEP),
        BudgetForcing(most=9, waits=2, wait="~"),
        BudgetForcing(waits=3, wait="~"),
    ],
    ids=lambda each: str(each)[:40],
)
@pytest.mark.parametrize("longest", [5, 12, 120])
def test_nothing_draws_more_than_the_worst_that_is_said(strategy: Strategy, longest: int):
    """What is drawn of a closing tag and not used is the model's, too; its tokens here are eight characters."""
    how = HOW.model_copy(update={"max_tokens": longest})
    tags = strategy.waits * len("</think>") if isinstance(strategy, BudgetForcing) else 0
    bound = strategy.worst(longest) + tags
    for tree in grower(strategy, how, SCORED).wave(asked()):
        assert bill(tree, 3).drawn <= bound + 1e-9


def test_the_worst_of_a_search_by_hand():
    """Two kept steps of one token a round, and six drawn of as many as fit: 6 * (4 + 4 + 3 + 2 + 1) of 5."""
    assert BeamSearch(keep=2, expand=3, max_step=4).worst(5) == 6 * 14
    assert BeamSearch(keep=2, expand=3, max_step=4, rounds=2).worst(5) == 6 * 8
    assert Rebase(n=4).worst(0) == IndependentSamples(n=4).worst(0) == 0
    assert IndependentSamples(n=4).worst(7) == 28 and AdaptiveConsistency(most=3).worst(7) == 21
    assert BudgetForcing(most=2, waits=3).worst(7) == 9


def estimate_of(by: ByModel | ByEndpoint, strategies: dict[str, Strategy]):
    given = Estimator(
        "dial",
        "scale",
        Planning(prompt_tokens=20, trace_tokens=100),
        Fleet(1),
        {"@in": Flow(problems=40)},
        [],
    )
    stage = Scale.model_validate(
        {"by": by, "data": "@in", "strategies": strategies, "sampling": Sampling(max_tokens=400)}
    )
    return stage.estimate(given).plan, given.remarks


def test_a_stage_counts_every_strategy_at_its_most_and_says_where_it_may_be_less():
    by = ByEndpoint(model="m", url="http://127.0.0.1:9/v1", tokenizer="longstep-tiny")
    strategies: dict[str, Strategy] = {
        "vote": IndependentSamples(n=8),
        "early": AdaptiveConsistency(most=12),
        "beam": BeamSearch(keep=2, expand=3),
        "short": BudgetForcing(most=50, waits=1),
    }
    plan, remarks = estimate_of(by, strategies)
    # 40 problems, 100 tokens an answer: 8 + 12 + 6 + 1.5 answers
    assert plan.tokens_generated == pytest.approx(40 * 100 * 27.5)
    assert plan.dollars == pytest.approx(40 * 100 * 27.5 * 2.19 / 1e6)
    assert (
        "dial: early stops early and draws 16,000 to 48,000 tokens; the most is counted" in remarks
    )
    assert not any("vote stops early" in each for each in remarks)
    assert any("what it reads not counted" in each for each in remarks)
    # 8 and 12 of 400; six of at most 40 steps of at most 256; a thought of 50 and an answer of 400
    searched = 6 * sum(min(256, 400 - n) for n in range(40))
    worst = 40 * (8 * 400 + 12 * 400 + searched + 450)
    assert any(f"draw {worst:,.0f} tokens at worst" in each for each in remarks)
    each = [estimate_of(by, {name: one})[0] for name, one in strategies.items()]
    assert plan.tokens_generated == pytest.approx(sum(one.tokens_generated for one in each))


def test_the_memory_of_a_stage_is_that_of_its_largest_strategy():
    by = ByModel(model="Qwen/Qwen2.5-0.5B")
    small, large = IndependentSamples(n=1), IndependentSamples(n=64)
    one, many = estimate_of(by, {"a": small})[0], estimate_of(by, {"a": large})[0]
    both = estimate_of(by, {"a": small, "b": large})[0]
    assert one.memory and many.memory and one.hours and many.hours and both.hours
    assert both.memory == many.memory >= one.memory
    assert both.hours == pytest.approx(one.hours + many.hours)
