"""Orders and samplers: what they pick, what they learn, and that they resume exactly."""

from __future__ import annotations

import json
import math
from collections import Counter

import pytest

from longstep.config import TypeAdapter
from longstep.curriculum import AdaRFT, AnyCurriculum, EasyToHard
from longstep.types import Problem

LEVELS = [3.0, 1.0, 5.0, 1.0, 2.0, 4.0]
PROBLEMS = [
    Problem(id=str(i), prompt="q", answer="1", difficulty=level, pass_rate=level / 10)
    for i, level in enumerate(LEVELS)
]
KINDS = ["shuffle", "easy_to_hard", "adarft"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_curriculum_continues_exactly(kind: str) -> None:
    config = TypeAdapter(AnyCurriculum).validate_python({"kind": kind})
    one = config.build(PROBLEMS, 7)
    for _ in range(5):  # 5 * 4 = 20 picks: in the middle of the fourth epoch
        for index in one.pick(4):
            one.observe(index, [1.0, 0.0, 1.0])
    saved = json.loads(json.dumps(one.state()))
    two = config.build(PROBLEMS, 7)
    two.restore(saved)
    for _ in range(5):
        picked = one.pick(4)
        assert picked == two.pick(4)
        one.observe(picked[0], [0.0])
        two.observe(picked[0], [0.0])
    assert one.state() == two.state()


def test_shuffle_is_without_replacement_and_seeded() -> None:
    config = TypeAdapter(AnyCurriculum).validate_python({"kind": "shuffle"})
    order = config.build(PROBLEMS, 1).pick(18)
    epochs = [order[0:6], order[6:12], order[12:18]]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    one_by_one = config.build(PROBLEMS, 1)
    assert order == [one_by_one.pick(1)[0] for _ in range(18)]
    assert order != config.build(PROBLEMS, 2).pick(18)


def test_easy_to_hard_by_difficulty_and_by_pass_rate() -> None:
    order = EasyToHard().build(PROBLEMS, 0).pick(7)
    assert [LEVELS[i] for i in order] == [1, 1, 2, 3, 4, 5, 1]
    # a high pass rate is easy: the reverse here
    order = EasyToHard(by="pass_rate").build(PROBLEMS, 0).pick(6)
    assert [LEVELS[i] for i in order] == [5, 4, 3, 2, 1, 1]
    ties = {tuple(EasyToHard().build(PROBLEMS, seed).pick(2)) for seed in range(10)}
    assert ties == {(1, 3), (3, 1)}
    bare = [Problem(id="x", prompt="q", answer="1")]
    with pytest.raises(ValueError, match="problem x has no difficulty"):
        EasyToHard().build(bare, 0)


def test_adarft_moves_its_target_by_the_published_rule() -> None:
    pool = [Problem(id=str(i), prompt="q", answer="1", difficulty=float(i)) for i in range(101)]
    sampler = AdaRFT().build(pool, 0)  # difficulties are 0..100 already
    assert sampler.pick(4) == [0, 1, 2, 3]
    for index in range(4):
        sampler.observe(index, [1.0, 1.0])
    # all right: 0 + 50 tanh(2 (1 - 0.5)) = 50 tanh(1) = 38.08
    assert sampler.pick(3) == [38, 39, 37]  # distances 0.08, 0.92, 1.08
    assert sampler.target == pytest.approx(38.0797, abs=1e-4)
    sampler.observe(38, [1.0, 0.0])  # half right: the target stays
    sampler.pick(1)
    assert sampler.target == pytest.approx(38.0797, abs=1e-4)
    sampler.observe(38, [1.0, 0.0, 0.0, 0.0])  # 50 tanh(2 (0.25 - 0.5)) = -23.1059
    sampler.pick(1)
    assert sampler.target == pytest.approx(38.0797 - 23.1059, abs=1e-4)
    for _ in range(3):
        sampler.observe(0, [0.0])
        sampler.pick(1)
    assert sampler.target == 0.0  # clipped
    sampler.observe(0, [])  # an unscorable group says nothing
    sampler.pick(1)
    assert sampler.target == 0.0
    assert 50 * math.tanh(1) == pytest.approx(38.0797, abs=1e-4)


def test_adarft_cooldown_spreads_the_picks_and_zero_is_the_paper() -> None:
    pool = [Problem(id=str(i), prompt="q", answer="1", difficulty=float(i)) for i in range(40)]
    paper = AdaRFT(cooldown=0.0).build(pool, 0)
    assert paper.pick(4) == paper.pick(4) == [0, 1, 2, 3]
    ours = AdaRFT(cooldown=0.25).build(pool, 0)  # 10 picks of waiting
    counts = Counter(index for _ in range(10) for index in ours.pick(4))
    assert len(counts) >= 10 and max(counts.values()) <= 4
    assert sorted(AdaRFT().build(pool[:2], 0).pick(5)) in ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1])
