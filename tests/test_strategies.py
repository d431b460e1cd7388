"""Turns of the user behind an answer, ranked first tokens, margins of answers, and budgets that are none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from longstep.artifacts import read_json
from longstep.config import UserError
from longstep.generate import FakeGenerator, Prompt, Sampling
from longstep.run.runner import execute
from longstep.scaling.account import bill
from longstep.scaling.base import Extend, Play
from longstep.scaling.budget import BudgetForcing, thought_tokens
from longstep.scaling.cot_decoding import CotDecoding
from longstep.scaling.dial import Dial, slope
from longstep.scaling.drive import Grower
from longstep.scaling.picks.best import BestScore
from longstep.scaling.picks.weighted import WeightedVote
from longstep.scaling.revise import SelfRevision
from longstep.scaling.samples import IndependentSamples
from longstep.scaling.scorers.margin import MARGIN, MarginScorer, answer_margin
from longstep.scaling.shown import blocks_of, tree_lines
from longstep.scaling.store import CHOICES, CURVES, PROTOCOL, rescore, trees
from longstep.scaling.tree import Trail, leaves, on_paths
from longstep.scaling.votes import SameAnswer
from longstep.types import Problem, Segment, Verdict
from longstep.verify.keys import same_answer
from short_recipe import Setting, run_of

PROBLEM = Problem("p", "?", "1/2", verifier="math")
PROMPT = Prompt("p", (1,), "<think>")
HOW = Sampling(max_tokens=200, batch_size=8)


def chars(text: str) -> list[int]:
    return [ord(char) for char in text]


def turn(text: str) -> tuple[list[int], str]:
    said = f"[USER]{text}[MODEL]<think>"
    return chars(said), said


# -- revision ----------------------------------------------------------------------------------------


def revised(answers: Sequence[str], rounds: int = 3, most: int = 200) -> list[Segment]:
    """The tree of a model that gives these answers, one a turn."""

    class Turns(FakeGenerator):
        def written(self, ask):
            said = answers["".join(map(chr, ask.ids)).count("[USER]")]
            return said, tuple(chars(said))

    fake = Turns(lambda prompt, index: "", chars)
    strategy = SelfRevision(rounds=rounds, review="sure?")
    how = HOW.model_copy(update={"max_tokens": most})
    return Grower(fake, chars, how, strategy, turn=turn).wave([(PROBLEM, PROMPT)])[0]


def boxed(answer: str) -> str:
    return f"x</think>\\boxed{{{answer}}}"


def test_reviews_end_when_two_answers_in_a_row_are_one():
    tree = revised([boxed("3"), boxed("0.5"), boxed("1/2"), boxed("9")])
    assert [s.origin for s in tree] == ["model", "forced", "model", "forced", "model"]
    assert [s.verdict.status for s in tree if s.verdict] == ["incorrect", "correct", "correct"]
    (leaf,) = leaves(tree, "<think>")  # the last answer is the one that is given
    assert leaf.last.node == 4 and leaf.answer == "1/2" and leaf.correctness == 1.0
    assert leaf.text.count("[USER]sure?[MODEL]<think>") == 2
    assert on_paths(tree) == {0, 1, 2, 3, 4}
    found = bill(tree, 1)
    assert found.forced == 2 * len(turn("sure?")[0]) and found.depth == 5
    assert found.drawn == len(boxed("3") + boxed("0.5") + boxed("1/2"))


def test_reviews_are_bounded_by_rounds_and_by_room():
    assert len(leaves(revised([boxed(str(n)) for n in range(9)], rounds=2))) == 1
    tree = revised([boxed(str(n)) for n in range(9)], rounds=2)
    assert sum(s.origin == "forced" for s in tree) == 2
    first = revised([boxed("3")], most=4)
    assert [s.finish for s in first] == ["length"]  # nothing is asked behind an answer that was cut
    (leaf,) = leaves(revised([boxed("3"), boxed("4")], most=30), "<think>")
    assert leaf.last.finish == "length" and leaf.correctness == 0.0


def test_answers_that_are_none_are_not_equal():
    tree = revised(["x</think>", "y</think>", boxed("1/2"), boxed("0.5")])
    assert sum(s.origin == "model" for s in tree) == 4


def test_an_engine_that_cannot_do_it_is_refused_before_anything_is_drawn():
    fake = FakeGenerator({}, chars)
    with pytest.raises(UserError, match="strategy revise: asks again behind an answer"):
        Grower(fake, chars, HOW, SelfRevision())
    with pytest.raises(UserError, match="strategy cot-decoding: needs the text of every token"):
        Grower(fake, chars, HOW, CotDecoding())

    def refusing(text: str) -> tuple[list[int], str]:
        raise UserError("no turn can follow")

    with pytest.raises(UserError, match="no turn can follow"):
        Grower(fake, chars, HOW, SelfRevision(), turn=refusing)


# -- ranked first tokens -----------------------------------------------------------------------------


def test_each_answer_begins_with_the_token_of_its_rank():
    asked: list[int | None] = []

    class Listening(FakeGenerator):
        def written(self, ask):
            asked.append(ask.rank)
            return super().written(ask)

    fake = Listening(lambda prompt, index: boxed(str(index)), chars)
    decode = "".join(map(chr, range(128))).__getitem__
    grower = Grower(
        fake, chars, HOW, CotDecoding(k=4), decode=lambda ids: "".join(map(decode, ids))
    )
    tree = grower.wave([(PROBLEM, PROMPT)])[0]
    assert asked == [0, 1, 2, 3]
    # the script's margins are 1 / (1 + rank) everywhere
    assert [s.scores[MARGIN] for s in tree] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])


def test_a_margin_is_the_mean_over_the_answers_tokens_and_no_others():
    pieces = ["<think>", "so 1", "2", "</think>", "It is ", "\\boxed{", "1", "2/", "7}", " ok 1"]
    margins = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.95]

    def decode(ids: Sequence[int]) -> str:
        return "".join(pieces[token] for token in ids)

    ids = list(range(len(pieces)))
    # "12/7" in braces: tokens "1", "2/" and "7}", which holds its last digit
    assert answer_margin(margins, ids, "12/7", decode) == pytest.approx((0.3 + 0.2 + 0.1) / 3)
    # in braces nowhere: where it stands last
    assert answer_margin(margins, ids, "1", decode) == pytest.approx(0.95)
    assert answer_margin(margins, ids, "12", decode) == pytest.approx((0.3 + 0.2) / 2)
    assert answer_margin(margins, ids, "so 12", decode) == pytest.approx((0.8 + 0.7) / 2)
    assert answer_margin(margins, ids, "absent", decode) == 0.0
    assert answer_margin(margins, ids, None, decode) == 0.0


def answers(*rows: tuple[str, float | None]) -> list[Trail]:
    return [
        Trail("", (Segment("p", n, -1, 0, "model", (0,), "", "stop", None, scores, verdict),))
        for n, (answer, margin) in enumerate(rows)
        for scores in ([{} if margin is None else {MARGIN: margin}])
        for verdict in [Verdict("correct", answer)]
    ]


def test_margins_of_equal_answers_add_up():
    rows = answers(("7", 0.6), ("1/2", 0.35), ("0.5", 0.3), ("9", -0.5))
    by = MarginScorer()
    assert WeightedVote(scorer=by).pick(rows, same_answer) == [0, 0.5, 0.5, 0]
    assert BestScore(scorer=by).pick(rows, same_answer) == [1, 0, 0, 0]
    # answers of a strategy that keeps none are votes of equal weight
    assert WeightedVote(scorer=by).pick(answers(("7", None), ("1/2", None), ("0.5", None)), same_answer) == [0, 0.5, 0.5]  # fmt: skip


# -- what a budget is worth ----------------------------------------------------------------------------


def test_control_scaling_and_performance_by_hand():
    fake = FakeGenerator(lambda prompt, index: "abcdefghijklmn</think>\\boxed{1}", chars)
    dial = Dial()
    for most, tokens in ((3, 3), (6, 6), (60, 14)):
        strategy = BudgetForcing(most=most)
        tree = Grower(fake, chars, HOW, strategy).wave([(PROBLEM, PROMPT)])[0]
        (leaf,) = leaves(tree, "<think>")
        assert thought_tokens(leaf) == tokens
        dial.add("all", strategy, [leaf])
        dial.add("none", IndependentSamples(), [leaf])
        dial.add("half", BudgetForcing(most=6), [leaf])  # 3 and 6 tokens keep it, 14 do not
    points = [
        {"strategy": name, "pick": pick, "tokens": tokens, "accuracy": share, "bound": False}
        for pick, factor in (("average", 1.0), ("best", 0.5))
        for name, tokens, share in (("all", 10, 0.2 * factor), ("half", 30, 0.5 * factor), ("none", 90, 0.9))
    ]  # fmt: skip
    found = dial.read(points)
    assert found["control"] == {"all": 1.0, "half": 2 / 3}
    assert found["scaling"] == pytest.approx(0.3 / 20) and found["performance"] == 0.5
    # slopes of the three pairs: 0.2 / 10, 0.1 / 10, 0.3 / 20
    assert slope([(10, 0.2), (30, 0.5), (20, 0.4)]) == pytest.approx((0.02 + 0.01 + 0.015) / 3)
    assert slope([(10, 0.2), (10, 0.9), (20, 0.4)]) == pytest.approx((0.02 - 0.05) / 2)
    assert slope([(10, 0.2)]) is None and Dial().read(points) == {}


# -- budgets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [0, -1, -1000])
def test_a_budget_of_nothing_is_refused(most: int):
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        BudgetForcing(most=most)


def test_a_budget_that_a_wait_used_up_closes_the_thought():
    """s1's own loop goes on with a budget of 0 or below; here what is left is never asked for."""
    fake = FakeGenerator(lambda prompt, index: "ab</think>\\boxed{1}", chars)
    strategy = BudgetForcing(most=10, waits=3, wait="WAITWAIT")
    tree = Grower(fake, chars, HOW, strategy).wave([(PROBLEM, PROMPT)])[0]
    assert [s.text for s in tree if s.origin == "forced"] == ["WAITWAIT", "</think>"]
    # "ab" and the tag, then a wait: 2 + 8 tokens of 10 are spent
    assert leaves(tree)[0].text.startswith("abWAITWAIT</think>")


class Asked(BudgetForcing):
    """Writes down how much is asked for."""

    seen: list[int | None] = []

    def play(self, same: SameAnswer) -> Play:
        inner = super().play(same)
        wants = next(inner, ())
        while wants:
            self.seen.extend(want.most for want in wants if isinstance(want, Extend))
            try:
                wants = inner.send((yield wants))
            except StopIteration:
                return


@pytest.mark.parametrize("wait", ["~", "WAIT"])
def test_no_budget_ever_asks_for_nothing(wait: str):
    fake = FakeGenerator(lambda prompt, index: "abcdefg</think>\\boxed{1}" * 3, chars)
    for most in range(1, 30):
        strategy = Asked(most=most, waits=3, wait=wait, seen=[])
        tree = Grower(fake, chars, HOW, strategy).wave([(PROBLEM, PROMPT)])[0]
        assert strategy.seen and all(each is None or each >= 1 for each in strategy.seen)
        (leaf,) = leaves(tree)
        thought = leaf.text.partition("</think>")[0]
        # a wait that stands over the edge is written to its end, and nothing is drawn behind it
        assert len(thought) < most + len(wait)


# -- the stage, on a model -----------------------------------------------------------------------------

RECIPE = """
name: dials
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  scaled:
    kind: scale
    by: {kind: model, model: "@base"}
    benchmark: {name: few, source: {kind: chain, count: 4, difficulty: [1, 2], split: heldout}}
    sampling: {temperature: 0.6, max_tokens: 60, batch_size: 8}
    strategies:
      vote: {kind: samples, n: 2}
      again: {kind: revise, rounds: 2, review: "~"}
      first: {kind: cot-decoding, k: 3}
      calls: {kind: tools, begin: "=", end: "1"}
      short: {kind: budget, most: 4, answer: "\\\\boxed{"}
    picks: [{kind: average}, {kind: weighted, scorer: {kind: margin}}, {kind: oracle}]
    resamples: 100
"""


def test_the_strategies_on_a_model_are_stored_shown_and_scored_again(tmp_path: Path):
    execute(run_of(tmp_path / "run", Setting(text=RECIPE)))
    out = tmp_path / "run" / "scaled" / "out"
    names = (CURVES, CHOICES, PROTOCOL)
    before = [(out / name).read_bytes() for name in names]
    rescore(out)
    assert [(out / name).read_bytes() for name in names] == before

    found = read_json(out / CURVES)
    for name in ("again", "first", "calls", "short"):
        for _, tree in trees(out, name):
            assert list(tree_lines(tree))
    for _, tree in trees(out, "again"):
        assert {s.origin for s in tree} == {"model", "forced"} and len(leaves(tree)) == 1
        assert "<|user|>~<|assistant|><think>" in "".join(s.text for s in tree)
    for _, tree in trees(out, "first"):
        ids = [leaf.ids[0] for leaf in leaves(tree)]
        assert len(set(ids)) == 3 and all(MARGIN in s.scores for s in tree)
    drawn = {
        name: sum(len(s.token_ids) for _, tree in trees(out, name) for s in tree) / 4
        for name in ("again", "first", "calls", "short")
    }
    tokens = {p["strategy"]: p["tokens"] for p in found["points"] if p["pick"] == "average"}
    assert {name: tokens[name] for name in drawn} == pytest.approx(drawn)
    assert found["dial"]["control"] == {"short": 1.0}
    assert "Control, answers within their bound: short 100 %" in str(list(blocks_of(out)))
