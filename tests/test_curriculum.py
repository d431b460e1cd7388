"""Orders and samplers: what they ask for, what they learn, and that they resume exactly."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from longstep.artifacts import read_rows
from longstep.config import TypeAdapter, UserError
from longstep.curriculum import AdaRFT, AnyCurriculum, Ask, Curriculum, EasyToHard, Horizon, Outcome
from longstep.types import Problem

LEVELS = [3.0, 1.0, 5.0, 1.0, 2.0, 4.0]
#: Every member of the list: one that is added is tested by that alone.
KINDS = [member.model_fields["kind"].default for member in get_args(get_args(AnyCurriculum)[0])]
#: These follow their order or their target alone, so a problem may come twice in one step.
REPEATING = {"shuffle", "easy_to_hard", "adarft"}


def made(levels: Sequence[float]) -> list[Problem]:
    """Problems with all that a member may need."""
    return [
        Problem(str(i), "q", "1", source="ab"[i % 2], difficulty=level, pass_rate=level / 10)
        for i, level in enumerate(levels)
    ]


PROBLEMS = made(LEVELS)
MANY = made([float(i % 9) for i in range(40)])


def horizon(seed: int = 0) -> Horizon:
    return Horizon(steps=10, groups=4, seed=seed)


def picks(curriculum: Curriculum, n: int, step: int = 0) -> list[int]:
    asks = curriculum.pick(n, step)
    assert all(ask.use == "train" for ask in asks)
    return [ask.index for ask in asks]


def of(kind: str) -> Any:
    return TypeAdapter(AnyCurriculum).validate_python({"kind": kind})


def went(index: int, *correctness: float | None, step: int = 0) -> Outcome:
    return Outcome(index, "train", correctness, (1,) * len(correctness), 0, step)


def scripted(asks: Sequence[Ask], step: int) -> list[Outcome]:
    """An outcome that depends on problem, step and sample alone, now and then unscorable."""
    found = []
    for ask in asks:
        draw = random.Random(f"{ask.index}:{step}")
        correctness = tuple(draw.choice([0.0, 0.0, 1.0, None]) for _ in range(4))
        found.append(Outcome(ask.index, ask.use, correctness, (5,) * 4, 0, step))
    return found


def follow(curriculum: Curriculum, steps: range) -> list[list[Ask]]:
    """What a curriculum asks for while the scripted outcomes come in."""
    asked = []
    for step in steps:
        asks = curriculum.pick(4, step)
        asks += curriculum.pick(2, step)  # a refill
        curriculum.observe(scripted(asks, step))
        asked.append(asks)
    return asked


@pytest.mark.parametrize("problems", [PROBLEMS, MANY], ids=["six", "forty"])
@pytest.mark.parametrize("kind", KINDS)
def test_ten_steps_are_six_a_json_round_trip_and_four(kind: str, problems: list[Problem]) -> None:
    whole = of(kind).build(problems, horizon(7))
    asked = follow(whole, range(10))  # 60 picks: ten epochs of the six
    first = of(kind).build(problems, horizon(7))
    assert follow(first, range(6)) == asked[:6]
    second = of(kind).build(problems, horizon(7))
    second.restore(json.loads(json.dumps(first.state())))
    assert follow(second, range(6, 10)) == asked[6:]
    assert second.state() == whole.state() and second.metrics() == whole.metrics()
    state = first.state()
    follow(first, range(6, 10))  # what was saved is no window into what goes on
    assert state == json.loads(json.dumps(state)) and state != first.state()


@pytest.mark.parametrize("kind", KINDS)
def test_just_what_is_asked_for_and_by_seed_alone(kind: str) -> None:
    """Whatever the pool and the outcomes: n to train on, none twice in a pick that the pool can fill."""
    for size, n, refills in (
        (1, 3, 1),
        (5, 5, 1),
        (12, 7, 3),
        (40, 8, 2),
        (40, 40, 1),
        (12, 30, 1),
    ):
        problems = made([float(i % 9) for i in range(size)])
        try:
            one, two = (of(kind).build(problems, Horizon(20, n, 3)) for _ in range(2))
        except UserError:  # one problem has no two categories or levels
            assert size == 1
            continue
        random.seed(size)  # of no effect
        for step in range(20):
            drawn: list[Ask] = []
            for again in range(refills + 1):
                asks = one.pick(n if again == 0 else n // 2, step)
                assert asks == two.pick(n if again == 0 else n // 2, step)
                trained = [ask.index for ask in asks if ask.use == "train"]
                assert len(trained) == (n if again == 0 else n // 2)
                assert all(0 <= ask.index < size for ask in asks)
                if kind not in REPEATING and n <= size:
                    assert len({ask.index for ask in asks}) == len(asks)
                drawn += asks
            wanted = [ask.index for ask in drawn if ask.use == "train"]
            if kind not in REPEATING and len(wanted) <= size:  # a refill asks for others
                assert len(set(wanted)) == len(wanted)
            one.observe(scripted(drawn, step))
            two.observe(scripted(drawn, step))
            assert all(math.isfinite(value) for value in one.metrics().values())


@pytest.mark.parametrize("kind", KINDS)
def test_groups_of_fewer_than_two_scorable_answers_move_nothing(kind: str) -> None:
    told, untold = (of(kind).build(MANY, horizon(1)) for _ in range(2))
    for step in range(12):
        asks = told.pick(4, step)
        assert asks == untold.pick(4, step)
        one = 1.0 if kind != "adarft" else None  # its target follows answers, not groups
        told.observe(
            [Outcome(ask.index, ask.use, (one, None, None), (1,) * 3, 0, step) for ask in asks]
        )
        untold.observe([])
    assert told.metrics() == untold.metrics()


def test_an_ask_says_what_it_means() -> None:
    assert Ask(3) == Ask(3, "train", 0) and Ask(3, "rate", 2).samples == 2
    for wrong in ({"use": "rate"}, {"use": "train", "samples": 8}):
        with pytest.raises(ValueError, match="a rate needs samples"):
            Ask(3, **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("correctness", "signal"),
    [
        ((1.0, 0.0), "mixed"),
        ((1.0, None, 0.0, 0.0), "mixed"),
        ((1.0, 1.0, None), "right"),
        ((0.0, 0.0), "wrong"),
        ((1.0, None, None), "unscorable"),  # nothing to compare it with
        ((None, None), "unscorable"),
        ((), "unscorable"),
    ],
)
def test_what_a_group_teaches_is_read_from_correctness(correctness: Any, signal: str) -> None:
    assert went(0, *correctness).signal == signal
    assert went(0, *correctness).known_G == [c for c in correctness if c is not None]


def test_shuffle_is_without_replacement_and_seeded() -> None:
    config = TypeAdapter(AnyCurriculum).validate_python({"kind": "shuffle"})
    whole = config.build(PROBLEMS, horizon(1))
    order = picks(whole, 18)
    epochs = [order[0:6], order[6:12], order[12:18]]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    one_by_one = config.build(PROBLEMS, horizon(1))
    assert order == [picks(one_by_one, 1)[0] for _ in range(18)]
    assert order != picks(config.build(PROBLEMS, horizon(2)), 18)
    assert whole.metrics() == {"epochs": 3.0}


def test_easy_to_hard_by_difficulty_and_by_pass_rate() -> None:
    order = picks(EasyToHard().build(PROBLEMS, horizon()), 7)
    assert [LEVELS[i] for i in order] == [1, 1, 2, 3, 4, 5, 1]
    # a high pass rate is easy: the reverse here
    order = picks(EasyToHard(by="pass_rate").build(PROBLEMS, horizon()), 6)
    assert [LEVELS[i] for i in order] == [5, 4, 3, 2, 1, 1]
    ties = {tuple(picks(EasyToHard().build(PROBLEMS, horizon(seed)), 2)) for seed in range(10)}
    assert ties == {(1, 3), (3, 1)}
    bare = [Problem(id="x", prompt="q", answer="1")]
    with pytest.raises(UserError, match="problem x has no difficulty"):
        EasyToHard().build(bare, horizon())


@pytest.mark.parametrize("kind", [EasyToHard, AdaRFT])
def test_a_curriculum_without_its_numbers_says_what_to_do(kind: Any) -> None:
    problems = [Problem("a", "1 + 1", "2", difficulty=1.0)]
    with pytest.raises(UserError, match=r"problem a has no pass_rate.*rate: true"):
        kind(by="pass_rate").build(problems, horizon())


def test_adarft_moves_its_target_by_the_published_rule_once_a_step() -> None:
    pool = [Problem(id=str(i), prompt="q", answer="1", difficulty=float(i)) for i in range(101)]
    sampler = AdaRFT().build(pool, horizon())  # difficulties are 0..100 already
    assert picks(sampler, 4) == [0, 1, 2, 3]
    assert sampler.target == 0.0  # a pick moves nothing
    sampler.observe([went(index, 1.0, 1.0) for index in range(4)])
    # all right: 0 + 50 tanh(2 (1 - 0.5)) = 50 tanh(1) = 38.08
    assert sampler.target == pytest.approx(38.0797, abs=1e-4)
    assert picks(sampler, 3) == [38, 39, 37]  # distances 0.08, 0.92, 1.08
    sampler.observe([went(38, 1.0, 0.0)])  # half right: the target stays
    assert sampler.target == pytest.approx(38.0797, abs=1e-4)
    sampler.observe([went(38, 1.0, 0.0, 0.0, 0.0)])  # 50 tanh(2 (0.25 - 0.5)) = -23.1059
    assert sampler.target == pytest.approx(38.0797 - 23.1059, abs=1e-4)
    for _ in range(3):
        sampler.observe([went(0, 0.0)])
    assert sampler.target == 0.0  # clipped
    sampler.observe([went(0, None, None)])  # an unscorable group says nothing
    sampler.observe([])
    assert sampler.target == 0.0
    assert 50 * math.tanh(1) == pytest.approx(38.0797, abs=1e-4)


def test_adarft_cooldown_spreads_the_picks_and_zero_is_the_paper() -> None:
    pool = [Problem(id=str(i), prompt="q", answer="1", difficulty=float(i)) for i in range(40)]
    paper = AdaRFT(cooldown=0.0).build(pool, horizon())
    assert picks(paper, 4) == picks(paper, 4) == [0, 1, 2, 3]
    ours = AdaRFT(cooldown=0.25).build(pool, horizon())  # 10 picks of waiting
    counts = Counter(index for _ in range(10) for index in picks(ours, 4))
    assert len(counts) >= 10 and max(counts.values()) <= 4
    assert sorted(picks(AdaRFT().build(pool[:2], horizon()), 5)) in (
        [0, 0, 0, 1, 1],
        [0, 0, 1, 1, 1],
    )


class SortsEveryTime:
    """AdaRFT's rule said in one sort: who waits comes last, then the nearest, then the tie."""

    def __init__(self, config: AdaRFT, levels: list[float], seed: int) -> None:
        low, high = min(levels), max(levels)
        self.level = [100 * (x - low) / (high - low) for x in levels]
        self.tie = list(range(len(levels)))
        random.Random(seed).shuffle(self.tie)
        self.wait = int(config.cooldown * len(levels))
        self.count, self.last = 0, dict[int, int]()

    def pick(self, n: int, target: float) -> list[int]:
        def rank(i: int) -> tuple[bool, float, int]:
            waits = i in self.last and self.count - self.last[i] < self.wait
            return waits, abs(self.level[i] - target), self.tie[i]

        found: list[int] = []
        while len(found) < n:
            new = sorted(range(len(self.level)), key=rank)[: n - len(found)]
            for index in new:
                self.count += 1
                self.last[index] = self.count
            found += new
        return found


def test_adarft_picks_what_sorting_the_whole_pool_would_pick() -> None:
    draw, compared = random.Random(0), 0
    for seed in range(120):
        size, kinds = draw.choice([2, 3, 7, 20, 60]), draw.choice([1, 2, 5, 1000])
        config = AdaRFT(cooldown=draw.choice([0, 0.1, 0.25, 0.9]), start=draw.choice([0, 50, 33]))
        levels = [1.0, *(float(draw.randrange(kinds)) for _ in range(size - 2)), 0.0]
        pool = [Problem(str(i), "q", "1", difficulty=level) for i, level in enumerate(levels)]
        fast, slow = config.build(pool, horizon(seed)), SortsEveryTime(config, levels, seed)
        for step in range(20):
            n = draw.choice([1, 2, 4, 9, size, size + 3])
            expected = slow.pick(n, fast.target)
            assert picks(fast, n) == expected
            fast.observe([went(i, float(draw.random() < 0.5)) for i in expected])
            compared += 1
            if step == 11:
                stored = json.loads(json.dumps(fast.state()))
                fast = config.build(pool, horizon(seed))
                fast.restore(stored)
    assert compared == 2400


@pytest.mark.parametrize(
    "kind",
    ["adarft", "easy_to_hard", "gaussian", "e2h-gaussian", "e2h-cosine"],
)
def test_there_is_no_order_among_equals(kind: str) -> None:
    """A band so narrow that all pass rates are one would be a shuffled order under another name."""
    config = TypeAdapter(AnyCurriculum).validate_python({"kind": kind})
    pool = [Problem(str(i), "q", "1", difficulty=2.0, pass_rate=0.5) for i in range(3)]
    with pytest.raises(UserError, match=rf"curriculum {kind} finds all 3 problems equally hard by"):
        config.build(pool, horizon())
    assert [ask.index for ask in config.build(pool[:1], horizon()).pick(1, 0)] == [0]
    pool[2] = Problem("2", "q", "1", difficulty=3.0, pass_rate=0.25)
    assert len(config.build(pool, horizon()).pick(3, 0)) == 3


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("pass_rate", "NaN", "pass_rate nan is no share"),
        ("pass_rate", "1.5", "pass_rate 1.5 is no share"),
        ("pass_rate", "-0.1", "pass_rate -0.1 is no share"),
        ("difficulty", "NaN", "difficulty nan is no finite number"),
        ("difficulty", "Infinity", "difficulty inf is no finite number"),
    ],
)
def test_ratings_that_order_nothing_are_refused_with_their_line(
    tmp_path: Path, field: str, value: str, said: str
) -> None:
    good = '{"id": "a", "prompt": "q", "answer": "1", "pass_rate": 1.0, "difficulty": -3}'
    bad = f'{{"id": "b", "prompt": "q", "answer": "1", "{field}": {value}}}'
    (tmp_path / "problems.jsonl").write_text(f"{good}\n{bad}\n", encoding="utf-8")
    with pytest.raises(UserError, match=rf"problems\.jsonl:2:row: .*{said}"):
        list(read_rows(tmp_path / "problems.jsonl", Problem))
