"""Strategies over scripted answers: trees that prune nothing are plain draws, shares and budgets by hand, counts."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from longstep.artifacts import read_json, write_rows
from longstep.config import Located, UserError, validate
from longstep.draw.engines import Opened
from longstep.generate import Continuation, Continued, FakeGenerator, Prompt, Sampling
from longstep.generate.fake import FakeFrontier
from longstep.run.recipe import Recipe, check
from longstep.scaling import AnyStrategy
from longstep.scaling.account import bill
from longstep.scaling.adaptive import AdaptiveConsistency, settled
from longstep.scaling.base import ROOT, Insert, Play, Strategy
from longstep.scaling.beam import BeamSearch
from longstep.scaling.budget import BudgetForcing
from longstep.scaling.cot_decoding import CotDecoding
from longstep.scaling.curtailed import StochasticCurtailment, stays
from longstep.scaling.drawn import tree_lines
from longstep.scaling.drive import Grower
from longstep.scaling.dvts import DiverseTrees
from longstep.scaling.esc import EarlyStopping
from longstep.scaling.picks.average import AnyAnswer
from longstep.scaling.picks.ballot import Ballot
from longstep.scaling.picks.base import Pick
from longstep.scaling.picks.best import BestScore
from longstep.scaling.picks.borda import BordaVote
from longstep.scaling.picks.majority import MajorityVote
from longstep.scaling.picks.oracle import OraclePick
from longstep.scaling.picks.weighted import WeightedVote
from longstep.scaling.rebase import Rebase, shares
from longstep.scaling.revise import SelfRevision
from longstep.scaling.samples import IndependentSamples
from longstep.scaling.shown import blocks_of
from longstep.scaling.store import (
    CHOICES,
    CURVES,
    PROTOCOL,
    Scaled,
    begin,
    finish,
    nodes_path,
    rescore,
    trees,
)
from longstep.scaling.tools import ToolUse
from longstep.scaling.tree import Trail, leaves, on_paths
from longstep.scaling.votes import SameAnswer, classes
from longstep.stages import Scale
from longstep.types import Problem, Segment, Verdict
from longstep.verify.keys import same_answer

STEP = (";",)
PROBLEMS = [Problem(f"p{n}", f"{n}?", str(n % 3), verifier="exact") for n in range(5)]


def said(prompt: Prompt, index: int) -> str:
    """A thought of one to five steps and a digit, from a hash of the stream."""
    digest = hashlib.sha256(f"{prompt.name}/{index}".encode()).hexdigest()
    rng = random.Random(digest)
    steps = "".join(
        f"{'x' * rng.randrange(1, 6)}={rng.randrange(10)};" for _ in range(rng.randrange(1, 6))
    )
    return f"{steps}</think>\\boxed{{{rng.randrange(3)}}}"


def chars(text: str) -> list[int]:
    return [ord(char) for char in text]


def turn(text: str) -> tuple[list[int], str]:
    """A turn of the user in a chat format of letters."""
    return chars(f"|{text}|<think>"), f"|{text}|<think>"


FAKE = FakeGenerator(said, chars)
HOW = Sampling(max_tokens=120, batch_size=64, logprobs=True)


def grower(strategy: Strategy, how: Sampling = HOW, fake: FakeGenerator = FAKE) -> Grower:
    return Grower(fake, chars, how, strategy, decode=lambda ids: "".join(map(chr, ids)), turn=turn)


def asked(problems: Sequence[Problem] = PROBLEMS) -> list[tuple[Problem, Prompt]]:
    return [(each, Prompt(each.id, (1, 2, 3), "<think>")) for each in problems]


def grown(strategy: Strategy, how: Sampling = HOW) -> list[list[Segment]]:
    return grower(strategy, how).wave(asked())


def plain(k: int) -> list[list[tuple[int, ...]]]:
    """Ids of k samples of each problem, drawn as everywhere else."""
    found: dict[str, list[tuple[int, ...]]] = {}
    how = HOW.model_copy(update={"samples": k})
    for row in FAKE.draw([prompt for _, prompt in asked()], how):
        found.setdefault(row.problem_id, []).append(row.token_ids)
    return [found[problem.id] for problem in PROBLEMS]


# -- where nothing is pruned, a tree is a plain draw ------------------------------------------------

WHOLE = {
    "samples": (IndependentSamples(n=4), 4),
    "rebase, one child each": (Rebase(n=4, temperature=1e9, step=STEP), 4),
    "one beam": (BeamSearch(keep=1, expand=1, step=STEP), 1),
    "three beams": (BeamSearch(keep=3, expand=1, step=STEP), 3),
    "three trees": (DiverseTrees(trees=3, expand=1, step=STEP), 3),
    "steps of two tokens": (BeamSearch(keep=2, expand=1, step=("never",), max_step=2, rounds=60), 2),
    "adaptive": (AdaptiveConsistency(most=4, first=4), 4),
    "curtailed": (StochasticCurtailment(most=4, first=4), 4),
    "windows": (EarlyStopping(most=4, window=2), 2),
    "a budget that is never spent": (BudgetForcing(most=119), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_a_tree_without_pruning_is_a_plain_draw_token_for_token(name: str):
    strategy, least = WHOLE[name]
    for tree, rows in zip(grown(strategy), plain(4), strict=True):
        found = sorted(leaf.ids for leaf in leaves(tree))
        assert len(found) >= least
        assert found == sorted(rows[: len(found)])
        assert bill(tree, 3).drawn == sum(map(len, found))  # nothing was drawn beside it
        assert {leaf.text for leaf in leaves(tree, "<think>")} == {
            "<think>" + "".join(map(chr, ids)) for ids in found
        }


def test_a_tree_depends_on_its_own_problem_only():
    for strategy in (
        Rebase(n=6, step=STEP),
        BeamSearch(keep=2, expand=3, step=STEP),
        DiverseTrees(step=STEP),
    ):
        alone = [grower(strategy).wave([each])[0] for each in asked()]
        assert alone == grown(strategy)
        assert alone == grown(strategy, HOW.model_copy(update={"batch_size": 5}))


def test_every_segment_has_noise_of_its_own():
    """Children of one parent differ, and equal paths of two problems do."""
    streams: list[tuple[str, int]] = []
    listening = FakeGenerator(lambda p, k: streams.append((p.name, k)) or said(p, k), chars)
    trees = grower(BeamSearch(keep=2, expand=3, step=STEP), fake=listening).wave(asked())
    by_parent: dict[tuple[str, int], list[Segment]] = {}
    for tree in trees:
        for each in tree:
            by_parent.setdefault((each.problem_id, each.parent), []).append(each)
    assert len(set(streams)) == sum(
        len(some) if parent < 0 else len(some) - 1 for (_, parent), some in by_parent.items()
    )


# -- the strategies ----------------------------------------------------------------------------------


class Insists(IndependentSamples):
    """Puts text after text in and draws none."""

    def play(self, same: SameAnswer) -> Play:
        """A chain of two thousand."""
        parent = ROOT
        for _ in range(2000):
            (seen,) = yield [Insert(parent, "a")]
            parent = seen.node


def test_texts_may_be_put_in_without_end():
    for tree in grown(Insists(n=1)):
        assert len(tree) == 2000 and {each.origin for each in tree} == {"forced"}


def score_of(tree: list[Segment], node: int) -> float:
    return tree[node].scores["logprob"]


class Scored(FakeGenerator):
    """As the script, with a log-probability that differs from stream to stream."""

    def frontier(self) -> FakeFrontier:
        class Other(FakeFrontier):
            def extend(self, asked: Sequence[Continuation], how: Sampling) -> list[Continued]:
                found = super().extend(asked, how)
                return [
                    replace(each, logprobs=tuple(-(token % 7) / 7 for token in each.token_ids))
                    for each in found
                ]

        return Other(self)


SCORED = Scored(said, chars)


def test_one_tree_is_greedy_best_of_m_at_every_step():
    trees = grower(DiverseTrees(trees=1, expand=3, step=STEP), fake=SCORED).wave(asked())
    for tree in trees:
        by_round: dict[int, list[Segment]] = {}
        for each in tree:
            by_round.setdefault(each.round, []).append(each)
        parent = -1
        for each in by_round.values():
            assert len(each) == 3 and {s.parent for s in each} == {parent}
            parent = max(each, key=lambda s: (s.scores["logprob"], -s.node)).node
        assert tree[parent].ended


def test_a_beam_keeps_the_best_and_one_that_is_over_keeps_its_place():
    for tree in grower(BeamSearch(keep=2, expand=3, step=STEP), fake=SCORED).wave(asked()):
        places, parents = 2, {-1}
        for number in range(tree[-1].round + 1):
            some = [each for each in tree if each.round == number]
            assert {each.parent for each in some} == parents
            assert len(some) == 3 * (2 if number == 0 else len(parents))
            best = sorted(some, key=lambda s: (-s.scores["logprob"], s.node))[:places]
            parents = {each.node for each in best if not each.ended}
            places -= len(best) - len(parents)
        assert not parents


def test_shares_sum_to_the_width_and_follow_the_scores():
    rng = random.Random(0)
    for _ in range(300):
        scores = [rng.uniform(-20, 5) for _ in range(rng.randrange(1, 9))]
        width = rng.randrange(0, 20)
        found = shares(scores, width, rng.choice([1e-3, 0.2, 1.0, 100.0]))
        assert sum(found) == width and min(found) >= 0
        ranked = [found[at] for at in sorted(range(len(scores)), key=lambda at: -scores[at])]
        # rounded up for the best first, so an earlier one never gets two fewer than a later one
        assert all(a >= b - 1 for a, b in pairwise(ranked))
    assert shares([0.0] * 4, 16, 0.2) == [4, 4, 4, 4]
    # weights 1, e^-1, e^-2 of 1.503: ceil(4 * 0.665) = 3, then ceil(1 * 0.731) = 1, then nothing is left
    assert shares([0.0, -1.0, -2.0], 4, 1.0) == [3, 1, 0]
    assert shares([0.0, -5000.0], 3, 0.2) == [3, 0]


def test_rebase_shares_what_is_left():
    for tree in grower(Rebase(n=6, step=STEP), fake=SCORED).wave(asked()):
        left = 6
        for number in range(tree[-1].round + 1):
            some = [each for each in tree if each.round == number]
            assert len(some) == left
            left -= sum(each.ended for each in some)
        assert left == 0 and len(leaves(tree)) == 6


def test_a_vote_is_settled_when_the_rest_is_a_matter_of_coins():
    # 4 of 4: P(at most 4 heads in 5 throws) = 31/32 = 0.969; 3 of 3: 15/16 = 0.9375
    assert settled([4], 0.95) and not settled([3], 0.95) and not settled([], 0.95)
    # 7 to 2: 10 throws, at most 7 heads: 1 - (45 + 10 + 1) / 1024 = 0.945; 8 to 2: 11 throws, 1 - (55 + 11 + 1) / 2048
    assert not settled([7, 2], 0.95) and settled([8, 2], 0.95)
    assert not settled([5, 5], 0.51)


def test_adaptive_draws_stop_at_the_first_look_that_is_settled():
    rows = plain(16)
    for tree, all_ids in zip(grown(AdaptiveConsistency(most=16, first=2)), rows, strict=True):
        drawn = leaves(tree)
        assert [leaf.ids for leaf in drawn] == all_ids[: len(drawn)]
        for n in range(2, len(drawn) + 1):
            votes = [len(g) for g in classes([leaf.answer for leaf in drawn[:n]], same_answer)]
            assert settled(votes, 0.95) == (n == len(drawn)) or n == 16


def test_a_vote_is_curtailed_when_the_rest_can_hardly_turn_it():
    # 3 to 1 and 2 to come: the second's share is Beta(2, 4), both go to it with 2 * 3 / (6 * 7) = 1/7, then it is a tie
    assert stays(3, 1, 4, 6) == pytest.approx(1 - 0.5 / 7)
    assert stays(5, 0, 5, 9) == 1.0  # four cannot turn five
    assert stays(2, 2, 4, 8) == 0.5
    assert stays(3, 1, 6, 9) == stays(3, 1, 4, 6)  # two of three to come go to one of the two
    rng = random.Random(0)
    wins = []
    for _ in range(
        20_000
    ):  # the same by throwing: a share from Beta(1 + 1, 4 + 1), then five votes
        p = rng.betavariate(2, 5)
        lead = 3 - sum(1 if rng.random() < p else -1 for _ in range(5))
        wins.append(1.0 if lead > 0 else 0.5 * (lead == 0))
    # four standard errors of a mean of 20,000 values in [0, 1]
    assert stays(4, 1, 5, 10) == pytest.approx(sum(wins) / len(wins), abs=4 * 0.5 / 20_000**0.5)
    rows = plain(16)
    for tree, all_ids in zip(grown(StochasticCurtailment(most=16)), rows, strict=True):
        drawn = leaves(tree)
        assert [leaf.ids for leaf in drawn] == all_ids[: len(drawn)]


def test_windows_stop_at_the_first_that_agrees():
    for tree in grown(EarlyStopping(most=24, window=2)):
        answers = [leaf.answer for leaf in leaves(tree)]
        pairs = list(zip(answers[::2], answers[1::2], strict=True))
        assert all(a != b for a, b in pairs[:-1])
        assert pairs[-1][0] == pairs[-1][1] or len(answers) == 24


def text_of(tree: Sequence[Segment]) -> list[str]:
    return [leaf.text for leaf in leaves(tree)]


def test_a_budget_closes_the_thought_and_asks_for_the_answer():
    for most in (1, 4, 9):
        for tree, (whole, *_) in zip(
            grown(BudgetForcing(most=most, answer="\\boxed{")), plain(1), strict=True
        ):
            text = "".join(map(chr, whole))
            thought = text.partition("</think>")[0]
            (found,) = text_of(tree)
            if len(thought) + len("</think>") <= most:  # the tag fits: nothing was forced
                assert found == text
            else:
                assert found.startswith(f"{text[:most]}</think>\\boxed{{")
                assert bill(tree, 3).forced == len("</think>\\boxed{")


def test_a_thought_that_must_go_on_is_not_closed():
    long = FakeGenerator(
        lambda p, k: (
            f"{'y' * 60 * (1 + p.name.count('/'))}</think>\\boxed{{{k}}}"
            if "\0" in p.name
            else said(p, k)
        ),
        chars,
    )
    for waits in (1, 2):
        how = HOW.model_copy(update={"max_tokens": 300})
        trees = grower(BudgetForcing(waits=waits), how, long).wave(asked())
        for tree, (whole, *_) in zip(trees, plain(1), strict=True):
            thought = "".join(map(chr, whole)).partition("</think>")[0]
            (found,) = text_of(tree)
            assert found.startswith(f"{thought}\nWait")
            assert found.count("</think>") == 1 and found.count("\nWait") == waits
            # the closing tags that were drawn and not used were paid for, and stand in the tree
            assert (
                bill(tree, 3).drawn == len(found) - len("\nWait") * waits + len("</think>") * waits
            )
            assert bill(tree, 3).forced == len("\nWait") * waits


def test_an_answer_ends_where_the_room_ends():
    for strategy in (
        IndependentSamples(n=2),
        BeamSearch(keep=1, expand=2, step=STEP),
        BudgetForcing(most=5, waits=1),
    ):
        for tree in grown(strategy, HOW.model_copy(update={"max_tokens": 7})):
            for leaf in leaves(tree):
                assert len(leaf.ids) <= 7 + len("</think>")
                if leaf.last.finish == "length":
                    assert leaf.last.verdict == Verdict("truncated", None, "cut at the token limit")


# -- what it costs -----------------------------------------------------------------------------------


def segment(node: int, parent: int, number: int, length: int, **more: object) -> Segment:
    given = {"origin": "model", "finish": "after", **more}
    return Segment("p", node, parent, number, token_ids=(0,) * length, text="", **given)  # pyright: ignore


def test_a_bill_by_hand():
    tree = [
        segment(0, -1, 0, 5, scores={"logprob": 0.0}),
        segment(1, -1, 0, 3, scores={"logprob": 0.0}),  # pruned
        segment(2, 0, 1, 2, origin="forced", finish="given"),
        segment(3, 2, 2, 4, finish="cut"),
        segment(4, 3, 2, 1),  # what ended the piece before, of the same request
        segment(5, 4, 3, 6, finish="stop"),
    ]
    found = bill(tree, 10)
    assert (found.drawn, found.forced, found.tool, found.tokens) == (19, 2, 0, 21)
    assert found.encoded == 12
    # requests: two at the prompt, one behind 10 + 5 + 2, one behind 10 + 5 + 2 + 5
    assert found.calls == 4 and found.encoded_again == 10 + 10 + 17 + 22
    assert (found.scored, found.scored_again) == (0, 0)  # no model read for these scores
    read = bill(tree, 10, {"logprob", "of nobody here"})
    assert (read.scored, read.scored_again) == (10 + 5 + 3, 15 + 13)
    tree[5] = replace(tree[5], scores={"other": 0.5})  # what leads to it was read with it
    read = bill(tree, 10, {"other"})
    assert (read.scored, read.scored_again) == (10 + 5 + 2 + 4 + 1 + 6, 28)
    assert found.depth == 4 and found.latency == 5 + 2 + 5 + 6
    assert on_paths(tree) == {0, 2, 3, 4, 5}


# -- picks -------------------------------------------------------------------------------------------


def answers(*rows: tuple[str | None, float, float | None]) -> list[Trail]:
    """Leaves with an answer, a log-probability and a correctness."""
    status = {1.0: "correct", 0.0: "incorrect", None: "timeout"}
    return [
        Trail(
            "",
            (
                segment(
                    node,
                    -1,
                    0,
                    1,
                    finish="stop",
                    logprobs=(logp,),
                    verdict=Verdict(status[right], answer),  # pyright: ignore
                ),
            ),
        )
        for node, (answer, logp, right) in enumerate(rows)
    ]


def expected(chosen_L: Sequence[float], leaves: Sequence[Trail]) -> float | None:
    """Expected correctness of one choice, answer by answer: what ``Subsets.value`` does for all subsets together."""
    pairs = [(p, leaf.correctness) for p, leaf in zip(chosen_L, leaves, strict=True) if p]
    judged = 1 - sum(p for p, right in pairs if right is None)
    if judged < 1e-9 or (leaves and all(leaf.correctness is None for leaf in leaves)):
        return None
    return sum(p * right for p, right in pairs if right is not None) / judged


ROWS = answers(
    ("1/2", -1.0, 1.0), ("7", -0.1, 0.0), ("0.5", -2.0, 1.0), ("9", -3.0, 0.0), (None, -0.01, 0.0)
)


@pytest.mark.parametrize(
    ("pick", "chosen"),
    [
        (AnyAnswer(), [0.2] * 5),
        (MajorityVote(), [0.5, 0, 0.5, 0, 0]),  # 1/2 and 0.5 are one answer, of two votes
        (WeightedVote(), [0, 1, 0, 0, 0]),  # e^-0.1 = 0.905 against e^-1 + e^-2 = 0.503
        (BestScore(), [0, 1, 0, 0, 0]),  # the best has no answer, so the second
        (BordaVote(power=1), [0.5, 0, 0.5, 0, 0]),  # 3 + 2 of 4 against 4
        (BordaVote(power=9), [0, 1, 0, 0, 0]),
        (OraclePick(), [0.5, 0, 0.5, 0, 0]),
        (BestScore(scorer={"kind": "agreement"}), [0.5, 0, 0.5, 0, 0]),  # pyright: ignore
        (WeightedVote(scorer={"kind": "oracle"}), [0.5, 0, 0.5, 0, 0]),  # pyright: ignore
    ],
)
def test_picks_by_hand(pick: Pick, chosen: list[float]):
    assert pick.pick(ROWS, same_answer) == pytest.approx(chosen)


def test_a_tie_is_a_matter_of_chance_and_no_answer_is_no_choice():
    two = answers(("1", -1.0, 1.0), ("2", -1.0, 0.0), (None, 0.0, 0.0))
    assert MajorityVote().pick(two, same_answer) == [0.5, 0.5, 0]
    assert BestScore().pick(two, same_answer) == [0.5, 0.5, 0]
    none = answers((None, 0.0, 0.0))
    assert MajorityVote().pick(none, same_answer) == [0.0]
    assert MajorityVote().at(Ballot(none, same_answer), 1) == 0.0
    unknown = answers(("1", 0.0, None), ("1", 0.0, 1.0))
    assert MajorityVote().at(Ballot(unknown, same_answer), 2) == 1.0
    assert MajorityVote().at(Ballot(answers(("1", 0.0, None)), same_answer), 1) is None


@pytest.mark.parametrize("pick", [AnyAnswer(), BestScore(), OraclePick()])
def test_a_smaller_budget_is_the_mean_over_all_subsets(pick: Pick):
    for n in range(1, 6):
        each = [
            expected(pick.pick(some, same_answer), some)
            for some in map(list, combinations(ROWS, n))
        ]
        mean = sum(value or 0.0 for value in each) / len(each)
        assert pick.at(Ballot(ROWS, same_answer), n) == pytest.approx(mean)


def test_votes_of_a_smaller_budget_are_a_mean_over_random_subsets():
    every = [
        expected(MajorityVote().pick(list(s), same_answer), list(s)) for s in combinations(ROWS, 3)
    ]
    mean = sum(value or 0.0 for value in every) / len(every)
    found = [MajorityVote().at(Ballot(ROWS, same_answer, str(s)), 3) or 0.0 for s in range(40)]
    # 2,000 subsets with values in [0, 1]: four standard errors are below 4 * 0.5 / sqrt(2000) = 0.045
    assert sum(found) / len(found) == pytest.approx(mean, abs=0.045)
    assert found[0] == MajorityVote().at(Ballot(ROWS, same_answer, "0"), 3)


# -- what survives -----------------------------------------------------------------------------------


class Dies(FakeGenerator):
    """Fails at the n-th request."""

    def __init__(self, left: int) -> None:
        super().__init__(said, chars)
        self.left = left

    def frontier(self) -> FakeFrontier:
        outer = self

        class Mortal(FakeFrontier):
            def extend(self, asked: Sequence[Continuation], how: Sampling) -> list[Continued]:
                outer.left -= 1
                if outer.left < 0:
                    raise KeyboardInterrupt
                return super().extend(asked, how)

        return Mortal(self)


@pytest.mark.parametrize(
    "strategy",
    [
        BeamSearch(keep=2, expand=2, step=STEP),
        Rebase(n=4, step=STEP),
        BudgetForcing(most=9, waits=1),
        CotDecoding(k=3),
        SelfRevision(rounds=2, review="?"),
        ToolUse(begin="=", end=";"),
    ],
    ids=["beam", "rebase", "budget", "cot-decoding", "revise", "tools"],
)
def test_what_was_interrupted_goes_on_to_the_same_bytes(strategy: Strategy, tmp_path: Path):
    how = HOW.model_copy(update={"batch_size": strategy.rows})  # a wave is one problem
    whole = list(grower(strategy, how).forest(asked(), tmp_path / "whole"))
    assert whole == [tree for each in asked() for tree in grower(strategy, how).wave([each])]
    cut = tmp_path / "cut"
    killed = 0
    for left in [0, 1, 0, 2, 0, 3] * 4:
        try:
            for _ in grower(strategy, how, Dies(left)).forest(asked(), cut):
                pass
        except KeyboardInterrupt:
            killed += 1
            if left % 2 and cut.stat().st_size:  # a torn tail, as a kill may leave
                cut.write_bytes(cut.read_bytes() + b'{"problem_id": "p')
    assert killed >= 5
    assert list(grower(strategy, how).forest(asked(), cut)) == whole
    assert cut.read_bytes() == (tmp_path / "whole").read_bytes()
    reading = Dies(0)
    assert list(grower(strategy, how, reading).forest(asked(), cut)) == whole


def stored(folder: Path) -> Path:
    """The folder of a stage over the script."""
    strategies: dict[str, AnyStrategy] = {
        "vote": IndependentSamples(n=6),
        "beam": BeamSearch(keep=2, expand=2, step=STEP),
        "budget": BudgetForcing(most=9),
        "ranked": CotDecoding(k=3),
        "revise": SelfRevision(rounds=2, review="?"),
        "calls": ToolUse(begin="=", end=";"),
    }
    begin(folder, PROBLEMS, [prompt for _, prompt in asked()])
    for name, strategy in strategies.items():
        forest = grower(strategy).forest(asked(), folder / f"{name}.journal")
        write_rows(nodes_path(folder, name), (each for tree in forest for each in tree))
    picks = (AnyAnswer(), MajorityVote(), WeightedVote(), BestScore(), OraclePick())
    named = tuple((pick.name, pick) for pick in picks)
    finish(
        folder,
        Scaled(strategies=tuple(strategies.items()), picks=named, seed=1, resamples=100, files={}),
    )
    return folder


def test_stored_trees_are_picked_and_counted_again_to_the_same_bytes(tmp_path: Path):
    folder = stored(tmp_path / "a")
    names = (PROTOCOL, CURVES, CHOICES)
    before = [(folder / name).read_bytes() for name in names]
    for name in (CURVES, CHOICES):
        (folder / name).unlink()
    rescore(folder)
    assert [(folder / name).read_bytes() for name in names] == before
    other = rescore(folder, [BordaVote()])
    assert {point["pick"] for point in other["points"]} == {"borda"}

    path = nodes_path(folder, "beam")
    text = path.read_text()
    path.write_text(text.replace("120, ", "121, ", 1))  # one x of one segment
    assert path.read_text() != text
    with pytest.raises(UserError, match=r"beam.jsonl: is not the file the stage wrote"):
        rescore(folder)
    path.unlink()
    with pytest.raises(UserError, match=r"beam.jsonl"):
        rescore(folder)
    with pytest.raises(UserError, match=r"not the out/ folder of a scale stage"):
        rescore(tmp_path)


def test_curves_say_what_was_stored(tmp_path: Path):
    folder = stored(tmp_path / "a")
    found = read_json(folder / CURVES)
    points = {(p["strategy"], p["pick"], p["budget"]): p for p in found["points"]}
    trees_ = dict(trees(folder, "vote"))
    right = [
        [leaf.correctness or 0.0 for leaf in leaves(trees_[problem.id])] for problem in PROBLEMS
    ]
    mean = sum(map(sum, right)) / sum(map(len, right))
    assert points["vote", "average", 1]["accuracy"] == pytest.approx(mean, abs=1e-6)
    assert points["vote", "oracle", 1]["accuracy"] == pytest.approx(mean, abs=1e-6)
    assert points["vote", "oracle", 6]["accuracy"] == sum(map(any, right)) / len(right)
    assert sorted(b for s, p, b in points if (s, p) == ("vote", "majority")) == [1, 2, 4, 6]
    drawn = sum(len(each.token_ids) for tree in trees_.values() for each in tree) / len(PROBLEMS)
    assert points["vote", "best", 6]["tokens"] == pytest.approx(drawn, abs=1e-5)
    assert points["vote", "best", 2]["tokens"] == pytest.approx(drawn / 3, abs=1e-5)
    assert found["bills"]["vote"]["drawn"] == pytest.approx(drawn, abs=1e-5)
    front = found["fronts"]["tokens"]
    assert [p["cost"] for p in front] == sorted(p["cost"] for p in front)
    assert all(p["pick"] != "oracle" for p in front)
    for p in front[1:]:  # five problems can show nothing
        assert not p["distinguishable"] and "not distinguishable" in p["sentence"]
    lines = list(tree_lines(dict(trees(folder, "beam"))["p0"]))
    assert len(lines) == len(dict(trees(folder, "beam"))["p0"])
    assert any(line.startswith("x") for line in lines)
    titles = [block.title for block in blocks_of(folder)]
    assert titles[0] == "Accuracy against tokens" and "What was paid, tokens a problem" in titles


# -- the stage ---------------------------------------------------------------------------------------

MODEL = {"kind": "model", "model": "longstep-tiny"}
VOTE = {"vote": {"kind": "samples", "n": 2}}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"benchmark": None}, "either data or benchmark"),
        ({"data": "somewhere"}, "either data or benchmark"),
        ({"benchmark": "chian"}, "did you mean 'chain'"),
        ({"by": {"kind": "reference"}}, "gives no token ids and cannot continue a text of its own"),
        (
            {"by": {"kind": "endpoint", "url": "http://127.0.0.1:9/v1", "model": "m"}},
            "cannot continue a text of its own",
        ),
        ({"strategies": {"a/b": {"kind": "samples"}}}, "becomes a file name"),
        ({"strategies": {}}, "strategies"),
        ({"strategies": {"b": {"kind": "beams"}}}, "beam"),
        ({"strategies": {"b": {"kind": "budget"}}}, "nothing is forced"),
        ({"strategies": {"b": {"kind": "budget", "most": 0}}}, "greater than or equal to 1"),
        ({"strategies": {"b": {"kind": "budget", "most": 9, "wait": "~"}}}, "without waits"),
        ({"strategies": {"b": {"kind": "budget", "waits": 1, "answer": "x"}}}, "without most"),
        ({"strategies": {"b": {"kind": "beam", "step": []}}}, "step"),
        ({"strategies": {"b": {"kind": "beam", "step": [""]}}}, "an empty text ends no step"),
        (
            {"strategies": {"b": {"kind": "rebase", "scorer": {"kind": "oracle"}}}},
            "oracle scores whole answers only",
        ),
        ({"picks": [{"kind": "majority"}, {"kind": "majority"}]}, "'majority' stands there twice"),
        ({"sampling": {"samples": 4}}, "sampling.samples: has no effect"),
        ({"sampling": {"seed": 4}}, "sampling.seed: has no effect"),
        ({"where": {"count": 3}}, "has no effect on a benchmark"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_drawn(
    changes: dict[str, object], sentence: str
):
    stage = {"kind": "scale", "by": MODEL, "benchmark": "chain", "strategies": VOTE, **changes}
    located = Located({"name": "x", "stages": {"s": stage}}, {})
    with pytest.raises(UserError, match="(?s)" + re.escape(sentence)):
        check(validate(Recipe, located), located)


def test_a_closing_tag_of_several_tokens_is_refused_before_anything_is_drawn(tmp_path: Path):
    stage = Scale.model_validate(
        {
            "by": {"kind": "model", "model": "m"},
            "benchmark": "chain",
            "strategies": {"forced": {"kind": "budget", "most": 9}},
        }
    )
    with pytest.raises(UserError, match=r"strategies.forced: .* </think> as 8 tokens"):
        stage.refuse_unfit(Opened(FAKE, encode=chars))
    stage.refuse_unfit(Opened(FAKE, encode=lambda text: [1]))


def test_a_plan_prices_every_strategy():
    """Whole answers of 100 tokens for one problem; a thought of at most 50 and an answer are 1.5 of them."""
    wanted: list[tuple[Strategy, float]] = [
        (IndependentSamples(n=8), 8),
        (AdaptiveConsistency(most=12), 12),
        (EarlyStopping(most=12), 12),
        (StochasticCurtailment(most=12), 12),
        (BeamSearch(keep=2, expand=3), 6),
        (DiverseTrees(trees=2, expand=3), 6),
        (Rebase(n=5), 5),
        (BudgetForcing(most=50), 1),
        (BudgetForcing(most=50, waits=1), 1.5),
        (BudgetForcing(waits=2), 3),
        (CotDecoding(k=7), 7),
        (SelfRevision(rounds=2), 3),
        (ToolUse(), 1),
    ]
    assert [each.answers(100.0) for each, _ in wanted] == [price for _, price in wanted]
