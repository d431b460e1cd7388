"""Rewards against values worked out by hand."""

import math
from typing import Any

import pytest

from longstep.config import TypeAdapter, UserError, ValidationError
from longstep.draw.prompts import prompts_for
from longstep.losses import Dapo, Grpo, LightR1, MaxRl, Ppo
from longstep.losses.bonuses import AdaptiveEntropy
from longstep.losses.rewards import (
    AnyReward,
    ClippedCosine,
    Correctness,
    Cosine,
    Format,
    Graded,
    SoftOverlong,
    gain,
    shaped_reward,
    soft_overlong_punishment,
)
from longstep.models.tiny import build_tokenizer
from longstep.rl.toggle import toggled
from longstep.types import Problem


def test_cosine_by_hand():
    # right: 0.5 + 0.25 (1 + cos(pi L / 100)); L = 0: 1.0, 50: 0.75, 100: 0.5, and flat beyond
    for length, want in ((0, 1.0), (50, 0.75), (100, 0.5), (300, 0.5)):
        assert Cosine().score(Graded(1.0, length, 100)) == pytest.approx(want)
    # wrong: -0.5 - 0.25 (1 + cos(pi L / 100)); short and wrong is worst; cos(pi / 3) = 0.5 at L = 100 / 3
    for length, want in ((0, -1.0), (50, -0.75), (100, -0.5)):
        assert Cosine().score(Graded(0.0, length, 100)) == pytest.approx(want)
    assert Cosine().score(Graded(1.0, 40, 120)) == pytest.approx(0.5 + 0.25 * 1.5)


def test_clipped_cosine_has_no_bonus_below_the_floor():
    clipped = ClippedCosine(floor=0.5)
    # floor 50 of 100: 0.8 + 0.1 (1 + cos(pi / 2)) = 0.9 for every shorter right answer
    assert (
        clipped.score(Graded(1.0, 1, 100))
        == clipped.score(Graded(1.0, 50, 100))
        == pytest.approx(0.9)
    )
    assert clipped.score(Graded(1.0, 100, 100)) == pytest.approx(0.8)
    assert clipped.score(Graded(0.0, 0, 100)) == pytest.approx(-1.0)  # wrong answers have no floor


def test_soft_overlong_by_hand():
    # DAPO's constants: 0 until 16384, half-way 18432 -> -2048/4096, the end -1
    for length, want in ((1, 0.0), (16384, 0.0), (18432, -0.5), (20480, -1.0), (20481, -1.0)):
        assert soft_overlong_punishment(length, 20480, 4096) == pytest.approx(want)
        assert SoftOverlong().score(Graded(1.0, length, 20480)) == pytest.approx(want)
    assert soft_overlong_punishment(20480, 20480, 0) == 0.0


def test_overlong_agrees_with_trl():
    from trl.rewards import get_soft_overlong_punishment

    theirs = get_soft_overlong_punishment(100, 20)(completion_ids=[[0] * n for n in range(105)])
    assert [soft_overlong_punishment(n, 100, 20) for n in range(105)] == pytest.approx(theirs)


def test_unscorable_stays_unscorable_and_rewards_add_up():
    rewards = [Correctness(right=1.0, wrong=-1.0), SoftOverlong()]
    assert shaped_reward(rewards, Graded(1.0, 90, 100)) == pytest.approx(1.0 - 0.5)
    assert shaped_reward(rewards, Graded(0.0, 100, 100)) == pytest.approx(-2.0)
    assert shaped_reward(rewards, Graded(None, 100, 100)) is None
    assert shaped_reward([SoftOverlong()], Graded(None, 100, 100)) is None


def test_kind_chooses_the_reward():
    adapter = TypeAdapter(AnyReward)
    assert adapter.validate_python({"kind": "clipped-cosine"}) == ClippedCosine()
    assert adapter.validate_python({"kind": "cosine"}) == Cosine()


def test_format_asks_for_the_tags_of_the_mode():
    good, twice, open_ = "<think>a</think>b", "<think>a</think></think>b", "<think>a"
    on = {good: 1.0, "\n" + good: 1.0, twice: 0.0, open_: 0.0, "a</think>b": 0.0, "b": 0.0}
    on |= {"b<think>a</think>": 0.0, "</think><think>": 0.0, "<think>a<think>b</think>": 0.0}
    for text, want in on.items():
        assert Format().score(Graded(0.0, 3, 9, text)) == want
    for text in (*on, ""):
        want = 1.0 if text in ("b", "") else 0.0
        assert Format().score(Graded(1.0, 3, 9, text, thinking=False)) == want
    assert Format().score(Graded(None, 3, 9, good)) is None
    both = [Correctness(), Format(kept=0.25, broken=-0.5)]
    assert shaped_reward(both, Graded(1.0, 3, 9, twice)) == 0.5
    with pytest.raises(ValidationError, match=r"as low as -0\.5"):
        MaxRl(rewards=tuple(both))


def test_a_share_of_the_problems_is_asked_without_a_thought():
    tokenizer = build_tokenizer()
    problems = [Problem(f"p{n}", f"a={n}?", str(n)) for n in range(40)]
    mixed = toggled(tokenizer, problems, 0.5, 0)
    assert [prompt.problem_id for prompt in mixed] == [problem.id for problem in problems]
    for prompt in mixed:
        text = tokenizer.decode(prompt.prompt_ids)
        assert text.endswith("<think>" if prompt.prefix else "<think></think>")
    off = sum(not prompt.prefix for prompt in mixed)
    assert 10 <= off <= 30 and mixed == toggled(tokenizer, problems, 0.5, 0)
    assert mixed != toggled(tokenizer, problems, 0.5, 1)
    assert mixed[:7] == toggled(tokenizer, problems[:7], 0.5, 0)  # whoever else is in the pool
    assert toggled(tokenizer, problems, 0.0, 0) == prompts_for(tokenizer, problems)
    tokenizer.chat_template = "{{messages[0].content}}<think>"
    with pytest.raises(UserError, match="opens a thought also when it is asked for none"):
        toggled(tokenizer, problems, 0.5, 0)
    assert len(toggled(tokenizer, problems, 0.0, 0)) == 40


@pytest.mark.parametrize(
    "rewards",
    [
        [{"kind": "soft-overlong"}],
        [{"kind": "format"}, {"kind": "soft-overlong"}],
        [{"kind": "correctness", "right": 1, "wrong": 1}],
        [{"kind": "correctness", "right": 0, "wrong": 1}],
        [
            {
                "kind": "cosine",
                "right_short": -1,
                "right_long": -1,
                "wrong_short": 0,
                "wrong_long": 0,
            }
        ],
        [{"kind": "correctness"}, {"kind": "correctness", "right": -1, "wrong": 0}],
    ],
)
def test_a_right_answer_must_earn_more_than_a_wrong_one(rewards: list[dict[str, Any]]):
    for kind in (Grpo, Dapo, Ppo):
        with pytest.raises(ValidationError, match="a right answer earns no more than a wrong one"):
            kind.model_validate({"rewards": rewards})


def test_where_a_right_answer_earns_most_is_looked_for_at_every_length():
    """DAPO's 1 and -1 at any length; Light-R1's at none, where a right one counts as a quarter of the longest."""
    assert gain(Dapo().rewards) == 2.0
    assert gain(LightR1().rewards) == pytest.approx(0.9 + 0.1 * math.sqrt(0.5) + 1.0)
    assert gain([Cosine(right_short=0.0, right_long=1.0)]) == pytest.approx(1.5)  # 1 - -0.5


def test_settings_of_a_reward_that_do_nothing_are_refused():
    for given in ({"kept": 0.0}, {"kept": 0.0, "broken": 1.0}):
        with pytest.raises(ValidationError, match="must be above broken"):
            Format(**given)
    with pytest.raises(ValidationError):
        SoftOverlong(cache=0)
    with pytest.raises(ValidationError, match=r"start 0\.01 is above most 0\.005"):
        AdaptiveEntropy(start=0.01)
    # A share that is less than a token is one: the last token alone costs.
    assert [SoftOverlong(cache=0.01).score(Graded(1.0, n, 30)) for n in (29, 30)] == [0.0, -1.0]
