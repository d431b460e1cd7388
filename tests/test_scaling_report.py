"""Picks of all subsets together, axes by hand, accounts against what an engine counts, the choice by difficulty, pages."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from longstep.artifacts import read_json, sha256_file
from longstep.cli.scaling import scaling
from longstep.costs.arithmetic import FORWARD, token_flops
from longstep.costs.decoder import Shape
from longstep.evaluate.statistics import value_intervals, wilson
from longstep.generate import Continuation, Continued, FakeGenerator, Sampling
from longstep.generate.fake import FakeFrontier
from longstep.scaling import verdicts
from longstep.scaling.account import Bill, bill
from longstep.scaling.adaptive import AdaptiveConsistency
from longstep.scaling.axes import DrawnAnswers, Prices, Work, axes_of, load, of_fewer
from longstep.scaling.base import Strategy
from longstep.scaling.beam import BeamSearch
from longstep.scaling.budget import BudgetForcing
from longstep.scaling.drawn import tree_block
from longstep.scaling.drive import Grower
from longstep.scaling.dvts import DiverseTrees
from longstep.scaling.optimal import PROBE, Arms, _best, _judged, by_difficulty
from longstep.scaling.picks.ballot import SUBSETS, Ballot
from longstep.scaling.picks.base import Pick
from longstep.scaling.picks.best import BestScore
from longstep.scaling.picks.borda import BordaVote
from longstep.scaling.picks.majority import MajorityVote
from longstep.scaling.picks.oracle import OraclePick
from longstep.scaling.picks.weighted import WeightedVote
from longstep.scaling.rebase import Rebase
from longstep.scaling.samples import IndependentSamples
from longstep.scaling.scorers.agreement import AgreementScorer
from longstep.scaling.shown import blocks_of
from longstep.scaling.store import CHOICES, CURVES, rescore
from longstep.scaling.tally import Grown, StrategyTally
from longstep.scaling.tree import Trail
from longstep.verify.keys import same_answer
from test_scaling import (
    HOW,
    PROBLEMS,
    SCORED,
    STEP,
    answers,
    asked,
    chars,
    grower,
    said,
    segment,
    stored,
)

# -- picks of all subsets together --------------------------------------------------------------------


def many(seed: int, count: int) -> list[Trail]:
    """Answers of a few kinds, some missing, some that nobody can judge."""
    rng = random.Random(seed)
    kinds = [("1/2", 1.0), ("0.5", 1.0), ("3", 0.0), ("4", 0.0), (None, 0.0), ("5", None)]
    rows = [rng.choice(kinds) for _ in range(count)]
    return answers(*((answer, -rng.randrange(1, 5) / 2, right) for answer, right in rows))


def one_by_one(pick: Pick, some: Sequence[Trail]) -> list[float]:
    """Another way to the same choice: by loops over the answers, as the pick says it in words."""
    groups: list[list[int]] = []
    for at, leaf in enumerate(some):
        if leaf.answer is None:
            continue
        home = next((g for g in groups if same_answer(some[g[0]].answer or "", leaf.answer)), None)
        if home is None:
            groups.append([at])
        else:
            home.append(at)
    voting = [at for group in groups for at in group]
    scores = {at: s.score(list(some))[at] for s in pick.scorers() for at in voting}
    match pick:
        case BestScore():
            best = [at for at in voting if scores[at] == max(scores.values())]
            return [1 / len(best) if at in best else 0.0 for at in range(len(some))]
        case WeightedVote():
            weights = {at: pick.scorer.weight(scores[at]) for at in voting}
        case BordaVote():
            weights = {
                at: (
                    sum(scores[b] < scores[at] for b in voting)
                    + (1 + sum(scores[b] == scores[at] for b in voting)) / 2
                )
                ** pick.power
                for at in voting
            }
        case _:
            weights = dict.fromkeys(voting, 1.0)
    sums = [sum(weights[at] for at in group) for group in groups]
    heaviest = [g for g, w in zip(groups, sums, strict=True) if w > max(sums) - 1e-9]
    chosen = [0.0] * len(some)
    for group in heaviest:
        for at in group:
            chosen[at] = 1 / len(heaviest) / len(group)
    return chosen


PICKS = [
    MajorityVote(),
    WeightedVote(),
    WeightedVote(scorer=AgreementScorer()),
    BordaVote(),
    BordaVote(power=3),
    BestScore(),
    BestScore(scorer=AgreementScorer()),
]


@pytest.mark.parametrize("pick", PICKS, ids=lambda pick: f"{pick.name} {pick.model_dump_json()}")
def test_subsets_together_are_subsets_one_by_one(pick: Pick):
    for seed, count in ((0, 5), (1, 9), (2, 14)):
        trails = many(seed, count)
        ballot = Ballot(trails, same_answer, str(seed))
        for n in (1, 2, 3, count):
            subsets = ballot.subsets(n)
            for places, chosen in zip(
                subsets.places_SN.tolist(), pick.chosen_SN(ballot, subsets).tolist(), strict=True
            ):
                assert chosen == pytest.approx(one_by_one(pick, [trails[at] for at in places]))
        assert pick.pick(trails, same_answer) == pytest.approx(one_by_one(pick, trails))


def test_every_answer_stands_in_as_many_subsets_as_any_other():
    for count, n in ((12, 5), (64, 8), (64, 33), (70, 2)):
        places_SN = Ballot(many(0, count), same_answer, "a").subsets(n).places_SN
        assert len(places_SN) >= SUBSETS and places_SN.shape[1] == n
        assert all(len(set(row)) == n for row in places_SN.tolist())
        assert set(np.bincount(places_SN.ravel(), minlength=count).tolist()) == {
            places_SN.size // count
        }
    few = Ballot(many(0, 6), same_answer).subsets(3).places_SN
    assert sorted(map(tuple, few.tolist())) == list(combinations(range(6), 3))


def test_an_oracle_of_n_is_pass_at_n_exactly():
    for seed in range(5):
        rights = [leaf.correctness for leaf in many(seed, 9) if leaf.correctness is not None]
        ballot = Ballot(many(seed, 9), same_answer)
        for n in range(1, len(rights) + 1):
            every = [any(part) for part in combinations(rights, n)]
            assert OraclePick().at(ballot, n) == pytest.approx(sum(every) / len(every), abs=1e-12)


def test_intervals_of_many_means_are_those_of_each_resampled_by_itself():
    rng = np.random.default_rng(3)
    value_PK = rng.random((40, 3))
    value_PK[:, 1] = 1.0
    found = value_intervals(value_PK, seed=5, resamples=400)
    drawn_RP = np.random.default_rng(5).integers(0, 40, size=(400, 40))
    for k in (0, 2):
        means_R = value_PK[:, k][drawn_RP].mean(axis=1)
        assert found[k] == pytest.approx(np.percentile(means_R, [2.5, 97.5]), abs=1e-12)
    assert found[1] == wilson(1.0, 40)


# -- axes ---------------------------------------------------------------------------------------------

TREE = [
    segment(0, -1, 0, 5, scores={"value": 0.0}),
    segment(1, -1, 0, 3, scores={"value": 0.0}),  # pruned
    segment(2, 0, 1, 2, origin="forced", finish="given"),
    segment(3, 2, 2, 6, finish="stop"),
]


def span(first: int, last: int) -> int:
    return sum(range(first, last + 1))


def test_what_tokens_look_back_to_by_hand():
    found = load(TREE, 10)
    # prompt 1..10; two answers begin at 11; forced 16, 17; the rest 18..23
    own = span(1, 10) + span(11, 15) + span(11, 13) + span(16, 17) + span(18, 23)
    assert found.places == own
    # requests: two at the prompt, one behind 10 + 5 + 2
    assert found.places_again == 2 * span(1, 10) + span(11, 15) + span(11, 13) + span(1, 23)
    read = load(TREE, 10, {"value"})
    assert read.places - found.places == span(1, 10) + span(11, 15) + span(11, 13)
    assert read.places_again - found.places_again == span(1, 15) + span(1, 13)


def test_axes_by_hand():
    prices = Prices(drawn=2.0, read=1.0, reread=0.1, step=0.5)
    found = axes_of(load(TREE, 10, {"value"}), prices, None)
    # drawn 14, forced 2; encoded 10 + 2 and again 10 + 10 + 17; scored 10 + 5 + 3 and again 15 + 13
    assert found["tokens"] == 16
    assert found["processed"] == 14 + 12 + 18
    assert found["processed again"] == 14 + 37 + 28
    assert found["latency"] == 5 + 2 + 6 and found["seconds"] == 6.5
    assert found["dollars"] == pytest.approx((2.0 * 14 + 1.0 * (12 + 18)) / 1e3)
    assert found["dollars again"] == pytest.approx(found["dollars"] + 0.1 * (37 + 28 - 30) / 1e3)
    assert "flops" not in found and "seconds" not in axes_of(load(TREE, 10), Prices(), None)


def test_operations_are_those_of_a_row_of_as_many_tokens():
    shape = Shape(3, width=64, inner=256, heads=4, kv_heads=2, vocab=100, tied=True)
    one = load([segment(0, -1, 0, 90, finish="stop")], 10)
    work = Work.of(shape)
    row = 100 * token_flops(
        shape, 101, FORWARD
    )  # tokens of a row look back to half of it and themselves
    assert axes_of(one, Prices(), work)["flops"] == pytest.approx(row)


def test_fewer_answers_take_the_mean_over_all_subsets():
    lengths = [4, 9, 1, 6]
    whole = [segment(n, -1, 0, k, finish="stop", scores={"v": 1.0}) for n, k in enumerate(lengths)]
    for readers in (set(), {"v"}):
        drawn = DrawnAnswers(7, len(readers), lengths)
        for n in range(1, 5):
            parts = []
            for places in combinations(range(4), n):
                tree = [replace(whole[at], node=k) for k, at in enumerate(places)]
                parts.append(load(tree, 7, readers))
            found = of_fewer(load(whole, 7, readers), drawn, n)
            for name in Bill.__dataclass_fields__:
                mean = sum(getattr(part.bill, name) for part in parts) / len(parts)
                assert getattr(found.bill, name) == pytest.approx(mean), name
            assert found.places == pytest.approx(sum(p.places for p in parts) / len(parts))
            again = sum(part.places_again for part in parts) / len(parts)
            assert found.places_again == pytest.approx(again)


# -- accounts -----------------------------------------------------------------------------------------


class Counting(FakeGenerator):
    """Counts what is asked of it, as a server would bill it."""

    def __init__(self, left: int = 10**9) -> None:
        super().__init__(said, chars)
        self.calls = self.drawn = self.read_again = 0
        self.left = left

    def frontier(self) -> FakeFrontier:
        outer = self

        class Counted(FakeFrontier):
            def extend(self, asked: Sequence[Continuation], how: Sampling) -> list[Continued]:
                outer.left -= 1
                if outer.left < 0:
                    raise KeyboardInterrupt
                found = super().extend(asked, how)
                outer.calls += len(asked)
                outer.drawn += sum(len(each.token_ids) for each in found)
                outer.read_again += sum(len(a.prompt.prompt_ids) + len(a.ids) for a in asked)
                return found

        return Counted(self)


STRATEGIES: dict[str, Strategy] = {
    "beam": BeamSearch(keep=2, expand=3, step=STEP),
    "trees": DiverseTrees(trees=2, expand=2, step=STEP),
    "rebase": Rebase(n=5, step=STEP),
    "most": BudgetForcing(most=7, answer="\\boxed{"),
    "waits": BudgetForcing(most=30, waits=2, wait="hm"),
    "adaptive": AdaptiveConsistency(most=8),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_accounts_recomputed_from_segments_are_what_the_engine_counted(name: str, tmp_path: Path):
    """Pruned and forced tokens included; and what was stored when it was killed and continued says the same."""
    strategy, forced = STRATEGIES[name], []

    def encode(text: str) -> list[int]:
        ids = chars(text)
        if text != "</think>":  # asked for to cut the tag off, too
            forced.append(len(ids))
        return ids

    engine = Counting()
    how = HOW.model_copy(update={"batch_size": strategy.rows})
    trees = list(Grower(engine, encode, how, strategy).forest(asked(), tmp_path / "a"))
    bills = [bill(tree, 3) for tree in trees]
    assert sum(each.drawn for each in bills) == engine.drawn
    assert sum(each.calls for each in bills) == engine.calls
    assert sum(each.encoded_again for each in bills) == engine.read_again
    closed = sum(
        len(s.token_ids)
        for tree in trees
        for s in tree
        if s.origin == "forced" and s.text == "</think>"
    )
    assert sum(each.forced for each in bills) == sum(forced) + closed
    for left in (1, 3, 2, 4) * 6:
        with contextlib.suppress(KeyboardInterrupt):
            list(Grower(Counting(left), chars, how, strategy).forest(asked(), tmp_path / "b"))
    again = list(Grower(Counting(), chars, how, strategy).forest(asked(), tmp_path / "b"))
    assert [bill(tree, 3) for tree in again] == bills


# -- verdicts that stand ------------------------------------------------------------------------------


def test_answers_are_judged_again_by_another_verifier_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = stored(tmp_path / "a")
    before = [(folder / name).read_bytes() for name in (CURVES, CHOICES)]
    judged: list[int] = []
    real = verdicts.judge_all
    monkeypatch.setattr(
        verdicts, "judge_all", lambda items: judged.append(len(items)) or real(items)
    )
    rescore(folder)
    assert not judged
    monkeypatch.setattr("longstep.scaling.store.verifier_code", lambda: "another")
    rescore(folder)
    strategies = list((folder / "nodes").iterdir())
    assert len(judged) == len(strategies) * len(PROBLEMS)
    assert [(folder / name).read_bytes() for name in (CURVES, CHOICES)] == before


@pytest.mark.parametrize("name", ["vote", "beam", "budget"])
def test_one_edited_token_of_one_segment_is_found(name: str, tmp_path: Path):
    folder = stored(tmp_path / "a")
    path = folder / "nodes" / f"{name}.jsonl"
    lines = path.read_text().splitlines()
    line = next(line for line in reversed(lines) if '"token_ids": []' not in line)
    token = line[line.index('"token_ids": [') :].split("[")[1].split(",")[0].rstrip("]")
    edited = line.replace(f'"token_ids": [{token}', f'"token_ids": [{int(token) + 1}', 1)
    path.write_text(path.read_text().replace(line, edited))
    found = CliRunner().invoke(scaling, ["score", str(folder)])
    assert found.exit_code != 0 and "is not the file the stage wrote" in str(found.exception)


# -- the choice by difficulty -------------------------------------------------------------------------


def arms(value_PA: np.ndarray, level_P: np.ndarray) -> Arms:
    names = [f"arm {n}" for n in range(value_PA.shape[1])]
    fold_P = np.arange(len(level_P)) % 5
    return Arms(names, np.arange(1.0, value_PA.shape[1] + 1), value_PA, level_P, fold_P)


def test_a_choice_by_difficulty_finds_what_is_there():
    level_P = np.arange(200) % 2
    # arm 0 is right on level 0, arm 1 on level 1, arm 2 on three of four
    value_PA = np.stack([level_P == 0, level_P == 1, np.arange(200) % 4 != 3], 1).astype(float)
    found = _judged(arms(value_PA, level_P), np.arange(3))
    assert found.choice == {-1: 2, 0: 0, 1: 1}
    assert found.outside_P.mean() == found.inside_P.mean() == 1.0
    assert found.single_P.mean() == found.hindsight_P.mean() == 0.75
    assert arms(value_PA, level_P).within(2.0).tolist() == [0, 1]


def test_a_choice_among_equals_flatters_itself_and_not_out_of_fold():
    """Arms that are coins: what was best on a problem's own level is above one half, on others it is not."""
    inside, outside = [], []
    for seed in range(40):
        value_PA = np.random.default_rng(seed).integers(0, 2, (200, 6)).astype(float)
        found = _judged(arms(value_PA, np.arange(200) % 5), np.arange(6))
        inside.append(found.inside_P.mean() - 0.5)
        outside.append(found.outside_P.mean() - 0.5)
    # a mean of 40 x 200 coins has a standard error of 0.0056; the best of six means of 40 coins is 1.27 deviations of
    # 0.079 up, 0.10
    assert np.mean(inside) == pytest.approx(0.10, abs=0.02)
    assert np.mean(outside) == pytest.approx(0.0, abs=0.02)


def test_a_level_with_few_problems_takes_the_best_of_all():
    value_PA = np.zeros((100, 2))
    value_PA[:, 0] = 1.0
    level_P = np.zeros(100, dtype=np.int64)
    level_P[:3], value_PA[:3] = 1, (0.0, 1.0)
    assert _best(arms(value_PA, level_P), np.arange(2), np.arange(100)) == {-1: 0, 0: 0, 1: 0}


def test_the_difficulty_is_paid_for():
    """Arms of another strategy cost their own tokens and those of the answers that the difficulty is guessed from."""
    tallies = []
    for name, strategy in {
        "vote": IndependentSamples(n=8),
        "trees": DiverseTrees(step=STEP),
    }.items():
        tally = StrategyTally(name, strategy, {"majority": MajorityVote()})
        for tree, (_, prompt) in zip(grower(strategy).wave(asked()), asked(), strict=True):
            found = [Trail("", (each,)) for each in tree if each.ended]
            tally.add(Grown(tree, len(prompt.prompt_ids), Ballot(found, same_answer)))
        tallies.append(tally)
    points = [
        {
            "strategy": tally.name,
            "pick": "majority",
            "budget": budget,
            "answers": budget,
            "tokens": tally.load("majority", budget).bill.tokens,
        }
        for tally in tallies
        for budget in tally.budgets
    ]
    found = by_difficulty(tallies, points, seed=1, resamples=100)
    assert found is not None and found["probe"] == "vote" and found["answers"] == PROBE
    assert [row["answers"] for row in found["budgets"]] == [8]  # of 4 there is one arm
    dearest = tallies[1].load("majority", tallies[1].budgets[-1]).bill.tokens
    dearest += tallies[0].load("majority", PROBE).bill.tokens
    named = [row["single"]["arm"] for row in found["budgets"] if row["tokens"] < dearest]
    assert all(name.startswith("vote") for name in named)
    assert by_difficulty(tallies[1:], points[-1:], seed=1, resamples=100) is None


# -- what is shown ------------------------------------------------------------------------------------


def test_a_tree_shows_what_was_pruned(tmp_path: Path):
    tree = grower(BeamSearch(keep=2, expand=3, step=STEP), fake=SCORED).wave(asked())[0]
    block = tree_block(tree, "t", "n")
    assert len(block.branches) == len(tree)
    shades = [each.score for each in block.branches]
    assert min(shades) == 0.0 and max(shades) == 1.0  # pyright: ignore
    assert any(not each.kept for each in block.branches)
    assert [each.depth for each in block.branches][:2] in ([0, 1], [0, 0])


def test_a_report_of_a_folder_is_printed_and_written(tmp_path: Path):
    folder = stored(tmp_path / "a")
    run: Callable[..., object] = CliRunner().invoke
    page, picture = tmp_path / "r.html", tmp_path / "r.png"
    found = run(scaling, ["report", str(folder), "--out", str(page)])
    assert found.exit_code == 0, found.output  # pyright: ignore
    html = page.read_text(encoding="utf-8")
    assert (
        html.count("<svg") == 1 and "The choice by difficulty" in html and 'class="pruned"' in html
    )
    digest = sha256_file(page)
    for axis in (
        ["--cost", "processed"],
        ["--cost", "processed", "--again"],
        ["--cost", "latency"],
    ):
        found = run(scaling, ["report", str(folder), *axis, "--out", str(picture)])
        assert found.exit_code == 0  # pyright: ignore
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size < 200_000
    run(scaling, ["report", str(folder), "--out", str(page)])
    assert sha256_file(page) == digest
    for arguments, sentence in (
        (["--cost", "flops"], "flops need the model's shape"),
        (["--cost", "money"], "'money' is not known"),
        (["--out", "x.pdf"], "ends in .html or .png"),
    ):
        found = run(scaling, ["report", str(folder), *arguments])
        assert found.exit_code != 0 and sentence in str(found.exception)  # pyright: ignore


def test_every_axis_has_a_front_and_a_curve(tmp_path: Path):
    folder = stored(tmp_path / "a")
    found = read_json(folder / CURVES)
    assert list(found["axes"]) == ["latency", "processed", "processed again", "tokens"]
    for axis, front in found["fronts"].items():
        costs = [point["cost"] for point in front]
        rights = [point["accuracy"] for point in front]
        assert costs == sorted(costs) and rights == sorted(rights)
        methods = [p for p in found["points"] if not p["bound"]]
        for p in methods:  # nothing that is cheaper than a point of the front is as good
            assert all(
                p["costs"][axis] >= f["cost"] or p["accuracy"] < f["accuracy"] for f in front
            )
        assert any(getattr(block, "sure", False) for block in blocks_of(folder, axis))
    assert "strata" in found and set(found["strata"]["vote"]) == {
        "plurality right",
        "plurality wrong",
    }
