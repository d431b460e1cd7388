"""Gates on small pools, worked out by hand: who is kept, what is carried, what happens when a step stays short."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from longstep.curriculum import Horizon, Outcome
from longstep.curriculum.base import spread_of
from longstep.curriculum.gates import All, GateConfig, Mixed, Replace, Screen, Spread, Variance
from longstep.curriculum.gates.screen import ScreenGate
from longstep.curriculum.gates.spread import spread_rows
from longstep.curriculum.groups import DrawnGroup, DrawnRow
from longstep.generate import Prompt
from longstep.losses import Dapo
from longstep.stages.rl import Rl
from longstep.types import Completion, Verdict
from test_rollouts import by_problem, engine, logged, pool, rollouts, spent, train

HORIZON = Horizon(10, 2, 0)
STATUS = {1.0: "correct", 0.0: "incorrect", None: "timeout"}


def row(correctness: float | None, sample: int = 0) -> DrawnRow:
    verdict = Verdict(STATUS[correctness], None)  # pyright: ignore[reportArgumentType]
    return DrawnRow(Completion("p", sample, (), (7, 8), "", "stop", (-1.0, -1.0), verdict))


def group(key: str, *correctness: float | None, step: int = 0) -> DrawnGroup:
    outcome = Outcome(0, "train", correctness, (2,) * len(correctness), 0, step)
    return DrawnGroup(key, outcome, tuple(row(c, i) for i, c in enumerate(correctness)))


def shown(columns: Any) -> list[int]:
    """The problem of each row; it is the last id of the prompt."""
    return [ids[2] for ids in columns["prompt_ids"]]


# -- mixed ----------------------------------------------------------------------------------------


def test_a_whole_refill_carries_its_surplus_and_says_how_old_it_is(tmp_path: Path) -> None:
    """Order: wrong, mixed, mixed, mixed, right; batches of 2. A group costs 4, 5, 5, 5, 6 tokens.

    Step 0 draws p0 p1 (one kept) and p2 p3 (three kept): trains p1 p2, carries p3, discards p0.
    Step 1 needs one, draws p4 p0 (none kept), then p1 p2: trains p3 p1, carries p2, discards p4 p0.
    """
    rolls = rollouts(tmp_path, by_problem("WMMMR"), pool(5), gate=Mixed(refill="whole"))
    first = rolls(0, 4)
    assert shown(first) == [1, 1, 2, 2] and "weight" not in first
    assert spent(rolls) == {"trained": 10, "carried": 5, "discarded": 4, "seen": 10}
    assert rolls.stats["refused/wrong"] == 1
    assert rolls.stats["gate/carried"] == 1 and rolls.stats["gate/batches"] == 2
    second = rolls(1, 4)
    assert shown(second) == [3, 3, 1, 1]
    assert second["weight"] == ["behaviour", "behaviour", "own", "own"]
    assert spent(rolls) == {"trained": 20, "carried": 5, "discarded": 14, "seen": 20}
    names = [name for name, _ in engine(rolls).asked]
    assert names == ["p0", "p1", "p2", "p3", "p0", "p4", "p1", "p2"]  # sorted within a draw


def test_a_dropped_surplus_is_discarded(tmp_path: Path) -> None:
    gate = Mixed(refill="whole", surplus="drop")
    rolls = rollouts(tmp_path, by_problem("WMMMR"), pool(5), gate=gate)
    assert shown(rolls(0, 4)) == [1, 1, 2, 2]
    assert spent(rolls) == {"trained": 10, "discarded": 9, "seen": 10}
    assert shown(rolls(1, 4)) == [1, 1, 2, 2]  # p4 p0, then p1 p2
    assert spent(rolls) == {"trained": 20, "discarded": 19, "seen": 20}


def test_an_exact_refill_draws_what_is_missing_and_leaves_nothing(tmp_path: Path) -> None:
    """p0 p1 (one kept), p2 (none), p3 (two)."""
    rolls = rollouts(tmp_path, by_problem("WMWMM"), pool(5), gate=Mixed())
    assert shown(rolls(0, 4)) == [1, 1, 3, 3]
    assert [name for name, _ in engine(rolls).asked] == ["p0", "p1", "p2", "p3"]
    assert spent(rolls) == {"trained": 10, "discarded": 8, "seen": 10}
    assert rolls.stats["gate/batches"] == 2 and rolls.stats["gate/short_steps"] == 0


def test_carried_groups_can_fill_a_step_without_a_draw(tmp_path: Path) -> None:
    """3 of 3 draws of a batch of 3 pass where one was missing; then a step of one group needs none."""
    rolls = rollouts(tmp_path, by_problem("WMMMMM"), pool(6), gate=Mixed(refill="whole"))
    rolls(0, 6)  # p0 p1 p2, then p3 p4 p5: trains p1 p2 p3, carries p4 p5
    assert shown(rolls(1, 4)) == [4, 4, 5, 5]
    assert len(engine(rolls).asked) == 6 and rolls.stats["gate/batches"] == 0


SHORT = "1 of 2 groups passed the gate, after 2 batches of problems (limit 2)"


def short(tmp_path: Path, when_short: Any, kinds: str = "RWUM") -> Any:
    """p0 p1 are refused, p2 too, p3 passes: the bound of two batches is reached with one of two groups."""
    gate = Mixed(limit=2, when_short=when_short)
    return rollouts(tmp_path, by_problem(kinds.replace("U", "W")), pool(4), gate=gate)


def test_a_short_step_trains_on_fewer(tmp_path: Path) -> None:
    rolls = short(tmp_path, "train-fewer")
    columns = rolls(0, 4)
    assert columns["shaped"] == [1.0, 0.0, None, None]
    assert columns["loss_mask"] == [[1, 1, 1], [1, 1], [0], [0]]
    assert rolls.stats["missing_groups"] == 1 and rolls.stats["short"] == SHORT
    assert rolls.stats["gate/short_steps"] == 1 and rolls.ended == ""


def test_a_short_step_is_padded_with_what_was_refused_in_the_order_drawn(tmp_path: Path) -> None:
    rolls = short(tmp_path, "pad")
    columns = rolls(0, 4)
    assert shown(columns) == [3, 3, 0, 0] and columns["shaped"] == [1.0, 0.0, 1.0, 1.0]
    assert "loss_mask" not in columns  # its tokens count in the mean
    assert rolls.stats["missing_groups"] == 0 and rolls.stats["effective_groups"] == 1
    assert rolls.stats["short"] == SHORT and rolls.ended == ""
    assert spent(rolls) == {"trained": 11, "discarded": 8, "seen": 11}


def test_padding_that_cannot_be_scored_comes_last() -> None:
    gate = Mixed(when_short="pad").build(2, HORIZON)
    gate.more(0, 3, 0)
    refused = [group("u", None, None), group("r", 1.0, 1.0), group("w", 0.0, 0.0)]
    chosen = gate.choose([group("m", 1.0, 0.0)], refused, 3)
    assert [each.key for each in chosen.groups] == ["m", "r", "w"] and chosen.short


def test_a_short_step_can_be_the_last(tmp_path: Path) -> None:
    rolls = short(tmp_path, "stop")
    assert rolls(0, 4)["loss_mask"] == [[1, 1, 1], [1, 1], [0], [0]]
    assert rolls.ended == SHORT == rolls.state()["ended"]


@pytest.mark.parametrize("when_short", ["train-fewer", "pad", "stop"])
def test_a_pool_without_signal_ends_in_no_exception(tmp_path: Path, when_short: Any) -> None:
    gate = Mixed(limit=3, when_short=when_short)
    rolls = rollouts(tmp_path, by_problem("W"), pool(1), gate=gate)
    for step in range(5):
        columns = rolls(step, 4)
        assert len(columns["shaped"]) == 4 and rolls.stats["effective_groups"] == 0
    assert len(engine(rolls).asked) == 5 * 3 * 2 and rolls.stats["gate/short_steps"] == 5


def test_a_gate_that_draws_and_chooses_nothing_still_gives_rows(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, by_problem("M"), pool(1), gate=All())
    rolls.gate.more = lambda kept, wanted, drawn: 0
    choose = rolls.gate.choose
    rolls.gate.choose = lambda *given: replace(choose(*given), short="shut")
    columns = rolls(0, 4)
    assert columns["loss_mask"] == [[0]] * 4 and columns["shaped"] == [None] * 4
    assert columns["prompt_ids"] == [[1, 2, 0]] * 4 and columns["completion_ids"] == [[0]] * 4
    assert spent(rolls) == {} and rolls.stats["missing_groups"] == 2


def test_rows_without_a_record_cannot_be_weighted_by_it(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, by_problem("M"), pool(1), gate=All())
    choose = rolls.gate.choose

    def forgetful(*given: Any) -> Any:
        found = choose(*given)
        rows = [
            replace(r, weight="behaviour", completion=replace(r.completion, logprobs=None))
            for r in found.groups[0].rows
        ]
        return replace(found, groups=[replace(found.groups[0], rows=tuple(rows))])

    rolls.gate.choose = forgetful
    with pytest.raises(ValueError, match="what the sampler recorded, and nobody recorded"):
        rolls(0, 2)


def test_hopeless_groups_pass_for_a_guide_to_mend(tmp_path: Path) -> None:
    gate = Mixed(hopeless="keep")
    rolls = rollouts(tmp_path, by_problem("WRMM"), pool(4), gate=gate)
    assert shown(rolls(0, 4)) == [0, 0, 2, 2]
    assert gate.drops() == {"right", "unscorable"} and "wrong" in Mixed().drops()


# -- variance -------------------------------------------------------------------------------------


def test_the_variance_of_a_group_is_a_share_of_the_largest_one() -> None:
    of = lambda right, wrong: spread_of([1.0] * right + [0.0] * wrong)  # noqa: E731
    assert [of(k, 8 - k) for k in range(9)] == [x / 16 for x in (0, 7, 12, 15, 16, 15, 12, 7, 0)]
    assert [of(k, 5 - k) for k in range(6)] == [0, 4 / 6, 1, 1, 4 / 6, 0]  # an odd number
    assert of(0, 0) == of(1, 0) == of(0, 1) == 0


def test_a_high_threshold_comes_later_and_is_told_apart() -> None:
    """Of 4 answers 1 right gives .75, 2 give 1; unscorable ones do not count."""
    gate = Variance(after=3).build(4, HORIZON)
    one, two = (1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 1.0, 0.0)
    asked = lambda step, *given: gate.admits(group("g", *given, step=step).outcome, 0)  # noqa: E731
    assert [asked(step, *one) for step in (0, 2, 3, 9)] == ["", "", "low variance", "low variance"]
    assert [asked(step, *two) for step in (0, 3)] == ["", ""]
    assert asked(3, 1.0, None, 0.0, None) == ""  # 1 of 2
    assert (
        asked(0, 1.0, 1.0, 1.0, 1.0) == "right" and asked(0, None, None, None, 0.0) == "unscorable"
    )


def test_low_variance_is_drawn_again(tmp_path: Path) -> None:
    """Right answers of 4: 1, 2, 0, 2; from the first step on the high threshold."""
    rights = (1, 2, 0, 2)
    says = lambda prompt, sample, key: sample < rights[int(prompt.problem_id[1:])]  # noqa: E731
    rolls = rollouts(tmp_path, says, pool(4), gate=Variance(after=0), group=4)
    assert shown(rolls(0, 8)) == [1] * 4 + [3] * 4
    assert rolls.stats["refused/low variance"] == rolls.stats["refused/wrong"] == 1
    assert spent(rolls) == {"trained": 20, "discarded": 9 + 8, "seen": 20}


# -- replace --------------------------------------------------------------------------------------


def test_what_teaches_stands_in_the_places_of_what_does_not(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, by_problem("WMRMM"), pool(5), gate=Replace())
    columns = rolls(0, 10)
    assert shown(columns) == [n for n in (1, 3, 4, 1, 3) for _ in range(2)]
    assert rolls.stats["effective_groups"] == 3 and rolls.stats["gate/repeated"] == 2
    assert "short" not in rolls.stats and "loss_mask" not in columns
    assert spent(rolls) == {"trained": 15, "discarded": 10, "seen": 25}  # drawn once, seen twice
    assert len(engine(rolls).asked) == 5


def test_too_few_are_not_repeated(tmp_path: Path) -> None:
    """One of four is less than a third; with a lower threshold it stands in all places."""
    rolls = rollouts(tmp_path, by_problem("WMRW"), pool(4), gate=Replace())
    columns = rolls(0, 8)
    assert columns["shaped"] == [1.0, 0.0] + [None] * 6
    assert rolls.stats["short"].startswith("1 of 4 groups have right and wrong answers")
    low = rollouts(tmp_path, by_problem("WMRW"), pool(4), gate=Replace(least=0.25))
    assert shown(low(0, 8)) == [1] * 8
    none = rollouts(tmp_path, by_problem("WWRW"), pool(4), gate=Replace(least=0))
    assert none(0, 8)["shaped"] == [None] * 8


# -- spread ---------------------------------------------------------------------------------------


def test_no_choice_of_answers_varies_more() -> None:
    """Against every subset; the first of each kind, in the order drawn."""
    draw = random.Random(0)
    for _ in range(60):
        given = [draw.choice([0.0, 0.0, 1.0, None]) for _ in range(draw.randint(3, 9))]
        count = draw.randint(2, len(given))
        picked = spread_rows([row(c, i) for i, c in enumerate(given)], count)
        places = [each.completion.sample_index for each in picked]
        assert places == sorted(set(places)) and len(places) == count
        known = [each.correctness for each in picked if each.correctness is not None]
        most = min(count, sum(each is not None for each in given))
        assert len(known) == most
        scored = [each for each in given if each is not None]
        best = max((_spread(each) for each in itertools.combinations(scored, most)), default=0.0)
        assert _spread(known) == pytest.approx(best)
        for value in (0.0, 1.0, None):
            of_kind = [i for i, each in enumerate(given) if each == value]
            taken = [i for i in places if given[i] == value]
            assert taken == of_kind[: len(taken)]


def _spread(values: Sequence[float]) -> float:
    if not values:
        return 0.0
    mean = sum(values) / len(values)
    return sum((each - mean) ** 2 for each in values)


def test_many_are_drawn_and_few_trained_on(tmp_path: Path) -> None:
    """6 answers for groups of 4: p0 has one right (the last), p1 has all right; odd ones are wrong."""
    says = lambda prompt, sample, key: prompt.problem_id == "p1" or sample == 5  # noqa: E731
    seen: list[Any] = []
    rolls = rollouts(tmp_path, says, pool(2), gate=Spread(drawn=6), group=4)
    observe = rolls.curriculum.observe
    rolls.curriculum.observe = lambda outcomes: (seen.extend(outcomes), observe(outcomes))[1]
    columns = rolls(0, 8)
    assert columns["shaped"] == [0.0, 0.0, 0.0, 1.0] + [1.0] * 4
    assert [len(outcome.correctness_G) for outcome in seen] == [6, 6]
    assert spent(rolls) == {"trained": 9 + 12, "discarded": 4 + 6, "seen": 21}
    odd = spread_rows([row(c) for c in (1.0, 1.0, 1.0, 0.0, 0.0, 0.0)], 3)
    assert [each.correctness for each in odd] == [1.0, 0.0, 0.0]


# -- screen ---------------------------------------------------------------------------------------


def test_a_screen_draws_the_rest_of_what_is_right_and_wrong(tmp_path: Path) -> None:
    """Right answers of 4, drawn 2 and 2: p0 both rounds wrong; p1 one in each; p2 right; p3 only in the first."""
    rights = {"p0": {}, "p1": {0, 2}, "p2": {0, 1, 2, 3}, "p3": {1}}

    def says(prompt: Prompt, sample: int, key: str) -> bool:
        # The second round of a problem is a draw of its own, numbered from 0.
        second = counted.get(prompt.problem_id, 0) >= 2
        counted[prompt.problem_id] = counted.get(prompt.problem_id, 0) + 1
        return sample + 2 * second in rights[prompt.problem_id]

    counted: dict[str, int] = {}
    rolls = rollouts(tmp_path, says, pool(4), gate=Screen(first=2), group=4)
    columns = rolls(0, 8)
    assert shown(columns) == [1] * 4 + [3] * 4
    assert columns["shaped"] == [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
    assert engine(rolls).asked == [("p0", 2), ("p1", 2), ("p1", 2), ("p2", 2), ("p3", 2), ("p3", 2)]
    assert rolls.stats["refused/screened wrong"] == rolls.stats["refused/screened right"] == 1
    assert rolls.stats["gate/screened_correct"] == 0.5 and rolls.stats["gate/later_correct"] == 0.25
    assert spent(rolls) == {"trained": 19, "discarded": 4 + 6, "seen": 19}

    counted.clear()
    rolls = rollouts(tmp_path, says, pool(4), gate=Screen(first=2, trains="later"), group=2)
    columns = rolls(0, 4)
    assert columns["shaped"] == [1.0, 0.0, 0.0, 0.0]  # p3 passes: a second look would bias again
    assert spent(rolls) == {"trained": 9, "discarded": 4 + 6 + 5 + 5, "seen": 9}


class Bernoulli:
    """A learner that is right with chance p, and ``grad log`` of an answer of r is ``r - p``."""

    def __init__(self, p: float, seed: int) -> None:
        self.p, self.draw = p, random.Random(seed)

    def answers(self, count: int) -> list[float]:
        return [float(self.draw.random() < self.p) for _ in range(count)]


def passed(gate: ScreenGate, learner: Bernoulli, wanted: int) -> tuple[list[DrawnGroup], int]:
    """Groups that pass a screen, as the loop draws them, and how many were screened for them."""
    found: list[DrawnGroup] = []
    screened = 0
    while len(found) < wanted:
        screened += 1
        answers = learner.answers(gate.rounds[0])
        if gate.admits(group("g", *answers).outcome, 0):
            continue
        answers += learner.answers(gate.rounds[1])
        if not gate.admits(group("g", *answers).outcome, 1):
            found.append(group(f"g{screened}", *answers))
    gate.more(wanted, wanted, screened)
    return list(gate.choose(found, [], wanted).groups), screened


def expected(p: float, first: int, size: int) -> tuple[float, float, float]:
    """Exact: share that passes; mean of a group that does; its update ``sum (r - mean)(r - p)``, by enumeration."""
    chance = lambda n, k: math.comb(n, k) * p**k * (1 - p) ** (n - k)  # noqa: E731
    share = mean = update = 0.0
    for screened in range(1, first):
        for later in range(size - first + 1):
            weight = chance(first, screened) * chance(size - first, later)
            right = screened + later
            share += weight
            mean += weight * right / size
            update += weight * right * (size - right) / size
    return share, mean / share, update / share


@pytest.mark.parametrize("p", [0.05, 0.2, 0.5, 0.9])
def test_a_screen_biases_what_it_trains_on_by_as_much_as_the_page_says(p: float) -> None:
    """4 and 12 answers of a learner with a known pass rate, within five standard errors of the exact expectation."""
    count, first, size = 3000, 4, 16
    share, mean, update = expected(p, first, size)
    screen_mean = (p - p**4) / (1 - p**4 - (1 - p) ** 4)
    assert share == pytest.approx(1 - p**4 - (1 - p) ** 4)
    assert mean == pytest.approx((4 * screen_mean + 12 * p) / 16)

    gate = Screen().build(size, HORIZON)
    groups, screened = passed(gate, Bernoulli(p, 1), count)
    means = [sum(each.outcome.known_G) / size for each in groups]
    error = 5 / math.sqrt(count)
    assert count / screened == pytest.approx(share, abs=error * math.sqrt(share * (1 - share)))
    assert sum(means) / count == pytest.approx(mean, abs=error * math.sqrt(p * (1 - p)))
    updates = [size * each * (1 - each) for each in means]
    assert sum(updates) / count == pytest.approx(update, abs=error * 1.5)
    told = gate.metrics()
    assert told["screened_correct"] == pytest.approx(screen_mean, abs=error * 0.5)
    assert told["later_correct"] == pytest.approx(p, abs=error * 0.5)

    fair = Screen(trains="later").build(size, HORIZON)
    groups, _ = passed(fair, Bernoulli(p, 2), count)
    means = [sum(r.correctness or 0.0 for r in each.rows) / size for each in groups]
    assert all(len(each.rows) == size for each in groups)
    assert sum(means) / count == pytest.approx(p, abs=error * math.sqrt(p * (1 - p) / size))
    updates = [size * each * (1 - each) for each in means]
    assert sum(updates) / count == pytest.approx((size - 1) * p * (1 - p), abs=error * 1.5)


def test_the_page_of_screen_has_the_numbers_of_its_example() -> None:
    share, mean, _ = expected(0.05, 4, 16)
    assert (round(share, 2), round(mean, 3)) == (0.19, 0.105)
    assert expected(0.5, 4, 16)[1] == pytest.approx(0.5)


# -- in the stage ---------------------------------------------------------------------------------

RL: dict[str, Any] = {"model": "m", "data": "d", "max_tokens": 8, "max_length": 16, "steps": 1}


def complaints(**given: Any) -> list[str]:
    return list(Rl.model_validate({**RL, **given}).check())


def test_a_method_brings_its_gate_and_the_stage_may_name_another() -> None:
    rl = lambda **given: Rl.model_validate({**RL, **given})  # noqa: E731
    assert rl(algorithm={"kind": "dapo"}).selection == Mixed() and Dapo().lacks() == ()
    assert rl(algorithm={"kind": "dapo"}, gate={"kind": "all"}).selection == All()
    assert rl(algorithm={"kind": "dapo", "gate": {"kind": "spread"}}).selection == Spread()
    for kind in ("grpo", "light-r1", "cispo", "rloo"):
        assert rl(algorithm={"kind": kind}).selection == All()
    assert complaints(
        algorithm={"kind": "dapo", "gate": {"kind": "all"}}, gate={"kind": "all"}
    ) == ["gate: is set here and in algorithm; set it in one place"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"gate": {"kind": "spread", "drawn": 8}}, "gate.drawn: 8 answers leave nothing to choose"),
        ({"gate": {"kind": "screen"}, "group": 4, "batch": 8}, "gate.first: 4 answers leave no"),
        (
            {"algorithm": {"kind": "grpo", "gate": {"kind": "spread", "drawn": 3}}},
            "algorithm.gate.drawn: 3 answers",
        ),
        ({"guide": {"kind": "egsr", "replaced": 8}}, "guide.replaced: 8 answers leave none"),
        (
            {"guide": {"kind": "egsr", "replaced": 5}},
            "guide.replaced: 5 answers of a group, where 4",
        ),
        (
            {"gate": {"kind": "mixed", "hopeless": "keep"}},
            "gate: mixed keeps groups without a right answer for a guide, and there is none",
        ),
        # Of 4 answers one right has 3 / (2 x 2), and of 3 or 2 all there can be.
        (
            {"gate": {"kind": "variance", "later": 0.75}, "group": 4, "batch": 8, "steps": 30},
            "gate.least: a right answer among 4 has variance 0.75 already",
        ),
        (
            {"gate": {"kind": "variance"}, "group": 2, "batch": 8},
            "gate.least: a right answer among",
        ),
        (
            {"guide": {"kind": "prefix"}, "gate": {"kind": "mixed"}},
            "guide: prefix would see no group without a right answer, because gate mixed drops them",
        ),
        (
            {"temperature": 0.8, "gate": {"kind": "mixed", "refill": "whole"}},
            "temperature: 0.8, but gate mixed compares with what the sampler recorded",
        ),
        (
            {"temperature": 0.8, "guide": {"kind": "egsr"}},
            "temperature: 0.8, but guide egsr compares",
        ),
        (
            {"algorithm": {"kind": "grpo", "epsilon_high": 0.28}},
            "algorithm.epsilon_high: has no effect: with one update from each batch of rollouts all ratios are 1",
        ),
        (
            {"algorithm": {"kind": "cispo", "ceiling": 2.0, "minibatches": 1}},
            "algorithm.ceiling: has no effect",
        ),
        (
            {"gate": {"kind": "variance", "after": 30}, "group": 4, "batch": 8, "steps": 30},
            "gate.after: there are 30 steps, so that later: 0.8 never holds",
        ),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(given: dict[str, Any], said: str) -> None:
    assert [each[: len(said)] for each in complaints(**given)] == [said]


@pytest.mark.parametrize(
    "given",
    [
        {"guide": {"kind": "egsr"}, "gate": {"kind": "mixed", "hopeless": "keep"}},
        {"guide": {"kind": "egsr", "samples": 2, "replaced": 2}},
        {"gate": {"kind": "variance"}, "group": 4, "batch": 8},
        {"guide": {"kind": "expert", "when": "always"}, "gate": {"kind": "mixed"}},
        {"gate": {"kind": "screen", "trains": "later"}, "group": 4, "batch": 8},
        {"temperature": 0.8, "gate": {"kind": "mixed"}},
        {"temperature": 0.8, "gate": {"kind": "mixed", "refill": "whole", "surplus": "drop"}},
        {"temperature": 0.8, "guide": {"kind": "egsr", "weight": "own"}},
        {"algorithm": {"kind": "grpo", "epsilon_high": 0.28}, "iterations": 2},
        {"algorithm": {"kind": "grpo", "epsilon_high": 0.28, "minibatches": 2}},
        {"gate": {"kind": "variance", "after": 29}, "group": 4, "batch": 8, "steps": 30},
    ],
)
def test_what_can_work_is_not_refused(given: dict[str, Any]) -> None:
    assert complaints(**given) == []


def test_a_plan_counts_what_a_gate_draws_for_each_answer_it_trains_on() -> None:
    found: dict[str, GateConfig] = {
        "all": All(),
        "mixed": Mixed(),
        "spread": Spread(),
        "later": Screen(trains="later"),
        "screen": Screen(),
    }
    assert {name: gate.answers(8) for name, gate in found.items()} == {
        "all": 8,
        "mixed": 8,
        "spread": 32,
        "later": 12,
        "screen": 8,
    }
    assert "at most 10 batches" in Mixed().foretold() and All().foretold() == ""


def test_a_training_ends_where_a_step_stays_short_and_keeps_what_it_learned(
    finished: Path, tmp_path: Path
) -> None:
    """Half right, half wrong in both groups of a single draw: soon a step stays short, and is the last of twelve.

    Killed after its last checkpoint it takes the weights from there, and not a step more.
    """
    gate = {"kind": "variance", "least": 1.0, "limit": 1, "when_short": "stop"}
    run = lambda: train(tmp_path / "run", finished, Rl, gate=gate, steps=12, save_every=1)  # noqa: E731
    context, rows = run(), logged(tmp_path / "run")
    assert 1 <= len(rows) < 12 and rows[-1]["short"].endswith("(limit 1)")
    assert all("short" not in row for row in rows[:-1])
    card = (tmp_path / "run" / "out" / "README.md").read_text("utf-8")
    assert "ended early" in card and rows[-1]["short"] in card
    model = (tmp_path / "run" / "out" / "model.safetensors").read_bytes()
    again = run()
    assert logged(tmp_path / "run") == rows
    assert again.cost.tokens_generated == context.cost.tokens_generated > 0
    assert (tmp_path / "run" / "out" / "model.safetensors").read_bytes() == model
