"""Selection rules on small pools worked out by hand, and the distributions they promise."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from longstep.config import TypeAdapter, ValidationError
from longstep.curate.candidates import Candidate
from longstep.curate.chains import Trait, chain_scores
from longstep.curate.domains import CUES, domain_of
from longstep.curate.rules.balanced import fill
from longstep.curate.rules.domain_length import halving_rank
from longstep.curate.selection import (
    S1,
    AnySelection,
    AtRandom,
    Balanced,
    BestChains,
    BestRated,
    DomainLength,
    Hardest,
    InBand,
    LightR1Hard,
    LightR1Rl,
    Limo,
    Unsolved,
)
from longstep.run.runner import execute
from longstep.stages.select import FirstChain, first_chains
from longstep.types import Completion, Problem, Status, Verdict
from short_recipe import Setting, run_of


def candidate(
    id: str, rate: float | None = None, domain: str = "", length: int | None = None, **rates: float
) -> Candidate:
    return Candidate(Problem(id, "q", "1", pass_rate=rate), rates, domain, None, length)


def picked(rule: AnySelection, pool: list[Candidate], seed: int = 0) -> list[str]:
    reasons = rule.pick(pool, seed)
    assert len(reasons) == len(pool)
    return [each.problem.id for each, reason in zip(pool, reasons, strict=True) if not reason]


def test_the_family_lists_every_member():
    union = get_args(get_args(AnySelection)[0])
    assert len({member.model_fields["kind"].default for member in union}) == len(union) == 12
    kinds = [TypeAdapter(AnySelection).validate_python({"kind": k}).kind for k in ("band", "s1")]
    assert kinds == ["band", "s1"]


@pytest.mark.parametrize(
    "rule",
    [
        InBand(min=0.25, max=0.625),
        Limo(weak="weak", strong="strong", count=3),
        S1(count=5, raters=("weak",)),
        Unsolved(raters=("weak",)),
        DomainLength(count=5),
        BestRated(rater="weak", count=7),
        BestChains(count=4),
        Balanced(count=7, bins=3),
        Hardest(count=6),
        AtRandom(count=6),
    ],
    ids=lambda rule: rule.kind,
)
def test_a_pick_depends_on_the_set_and_the_seed_alone(rule: AnySelection):
    rng = random.Random(4)
    pool = []
    for n in range(60):
        each = candidate(
            f"p{n}", n % 9 / 8, "abc"[n % 3], 10 + n % 7, weak=n % 4 // 3, strong=1 / 32
        )
        pool.append(replace(each, chain="since we check " * (n % 5) + "perhaps so"))
    before = picked(rule, pool)
    assert before and len(before) < len(pool)
    for _ in range(3):
        rng.shuffle(pool)
        assert sorted(picked(rule, pool)) == sorted(before)
    copied = TypeAdapter(AnySelection).validate_python(rule.model_dump())
    assert copied == rule


def test_bands_by_rater_with_reasons():
    pool = [
        candidate("a", 0.25, r1=0.0),
        candidate("b", 0.625, r1=0.5),
        candidate("c", 0.7, r1=1.0),
        candidate("d", 0.1),
    ]
    assert InBand(min=0.25, max=0.625).pick(pool, 0) == [
        "", "", "above the band: pass rate 0.7", "below the band: pass rate 0.1",
    ]  # fmt: skip
    assert InBand(max=0.5, mixed=True, rater="r1").pick(pool, 0) == [
        "not mixed: pass rate 0 by r1", "", "above the band: pass rate 1 by r1", "no pass rate by r1",
    ]  # fmt: skip


def test_light_r1_by_name_is_its_band():
    pool = [candidate(str(rate), rate) for rate in (0.0, 0.125, 0.25, 0.4, 0.5, 0.625, 0.75, 1.0)]
    assert picked(LightR1Hard(), pool) == ["0.125", "0.25", "0.4"]
    assert picked(LightR1Rl(), pool) == ["0.25", "0.4", "0.5", "0.625"]


def test_limo_wants_weak_to_fail_and_strong_to_solve_seldom():
    pool = [
        candidate("kept", weak=0.0, strong=2 / 32),
        candidate("weak", weak=0.25, strong=2 / 32),
        candidate("often", weak=0.0, strong=4 / 32),
        candidate("never", weak=0.0, strong=0.0),
        candidate("unrated", weak=0.0),
    ]
    assert Limo(weak="weak", strong="strong", count=None).pick(pool, 0) == [
        "",
        "solved by weak: pass rate 0.25",
        "above the band: pass rate 0.125 by strong",
        "below the band: pass rate 0 by strong",
        "no pass rate by strong",
    ]
    assert Limo(weak="weak", strong="strong").pick(pool, 0)[0] == "no chain: nothing to score"


def test_limo_keeps_the_best_chains():
    chains = {"plain": "one two three four", "checks": "we check then verify", "long": "word " * 9}
    pool = [
        replace(candidate(id, weak=0.0, strong=1 / 32), chain=text) for id, text in chains.items()
    ]
    # Length in words 4, 4, 9: ranks .25, .25, 1. Checking 0, 2/4, 0: ranks .25, 1, .25. Others all tied: .5 each.
    # Scores: plain .3*.25+.2*.25+.25 = .375; checks .3*.25+.2*1+.25 = .525; long .3*1+.2*.25+.25 = .6
    assert chain_scores(list(chains.values())) == pytest.approx([0.375, 0.525, 0.6])
    rule = Limo(weak="weak", strong="strong", count=2)
    assert rule.pick(pool, 0) == ["chain not among the best 2: score 0.375", "", ""]
    assert chain_scores(["alone"]) == [0.0]


def test_halving_rank_inverts_the_truncated_geometric_distribution():
    # Of three ranks the chances are 4/7, 2/7, 1/7.
    edges = [0.0, 4 / 7 - 1e-9, 4 / 7 + 1e-9, 6 / 7 - 1e-9, 6 / 7 + 1e-9, 1 - 1e-12]
    assert [halving_rank(each, 3) for each in edges] == [0, 0, 1, 1, 2, 2]
    assert halving_rank(0.999999, 1) == 0
    assert halving_rank(1 - 2**-53, 5000) < 5000


def test_s1_draws_domains_evenly_and_long_traces_first():
    """Against the text of the paper, played literally: weights 2^-rank over what is left of a random domain."""
    lengths = {"a": [50, 40, 30, 20], "b": [9, 8], "c": [7]}
    pool = [
        candidate(f"{d}{n}", 0.0, d, length)
        for d, row in lengths.items()
        for n, length in enumerate(row)
    ]
    rounds = 4000
    ours, literal = Counter(), Counter()
    rng = random.Random(5)
    for seed in range(rounds):
        ours.update(picked(S1(count=3), pool, seed))
        left = {d: [f"{d}{n}" for n in range(len(row))] for d, row in lengths.items()}
        for _ in range(3):
            domain = rng.choice(sorted(left))
            chosen = rng.choices(left[domain], [2.0**-r for r in range(len(left[domain]))])[0]
            left[domain].remove(chosen)
            literal[chosen] += 1
            if not left[domain]:
                del left[domain]
    for each in pool:
        id = each.problem.id
        # Difference of two shares of 4,000: standard error below 0.0112; four of them.
        assert abs(ours[id] - literal[id]) / rounds < 0.045, id


def test_s1_drops_what_any_rater_solves_and_what_has_no_trace():
    pool = [
        candidate("a", 0.0, length=5, big=0.0),
        candidate("b", 0.5, length=5, big=0.0),
        candidate("c", 0.0, length=5, big=0.1),
        candidate("d", 0.0, big=0.0),
        candidate("e", None, length=5, big=0.0),
    ]
    assert S1(count=9, raters=("", "big")).pick(pool, 1) == [
        "", "solved: pass rate 0.5", "solved by big: pass rate 0.1", "no trace length", "no pass rate",
    ]  # fmt: skip


def test_unsolved_and_domain_length_one_after_the_other_are_s1():
    pool = [candidate(f"{d}{n}", domain=d, length=n, a=n % 3 / 2) for d in "xy" for n in range(9)]
    unsolved = [each for each in pool if each.rates["a"] == 0.0]
    assert picked(Unsolved(raters=("a",)), pool) == [each.problem.id for each in unsolved]
    assert len(unsolved) == 6
    rule = S1(raters=("a",), count=3)
    for seed in range(5):
        assert picked(rule, pool, seed) == picked(DomainLength(count=3), unsolved, seed)
    assert rule.reads() == {"domain", "length"} and rule.asked() == ("a",) and not rule.wants()
    assert Unsolved().wants() == {"pass_rate"} and S1(raters=()).asked() == ()
    assert DomainLength(count=1).pick([candidate("a"), candidate("b", length=1)], 0) == [
        "no trace length", "",
    ]  # fmt: skip
    with pytest.raises(ValidationError, match="raters"):
        Unsolved(raters=())


def test_best_rated_takes_the_highest_numbers():
    pool = [
        candidate("a", q=0.2),
        candidate("b", q=0.9),
        candidate("c", q=0.5),
        candidate("d"),
        candidate("e", q=0.6),
    ]
    assert BestRated(rater="q", count=2, least=0.3).pick(pool, 0) == [
        "below 0.3: rated 0.2", "", "not among the best rated", "no pass rate by q", "",
    ]  # fmt: skip
    assert picked(BestRated(rater="q", count=9, least=0.55), pool) == ["b", "e"]
    assert BestRated(count=1).wants() == {"pass_rate"} and BestRated(rater="q", count=1).asked()


def test_best_chains_score_by_what_is_declared():
    chains = {"plain": "so so so", "long": "and so on and on", "hedged": "wait so wait"}
    pool = [replace(candidate(id), chain=text) for id, text in chains.items()]
    # Words 3, 5, 3: ranks .25, 1, .25. Share of "wait" 0, 0, 2/3: ranks .25, .25, 1.
    # Scores 1 x length + 2 x waiting: .75, 1.5, 2.25.
    traits = (Trait(weight=1), Trait(weight=2, words=("wait",)))
    assert chain_scores(list(chains.values()), traits) == pytest.approx([0.75, 1.5, 2.25])
    assert BestChains(count=1, traits=traits).pick([*pool, candidate("bare")], 0) == [
        "chain not among the best 1: score 0.750",
        "chain not among the best 1: score 1.500",
        "",
        "no chain: nothing to score",
    ]


def test_fill_shares_evenly_and_gives_what_small_cells_lack_to_the_others():
    # 10 over cells of 1, 2 and 9: the first gives 1, the second 2, the third the other 7.
    assert fill({("a", 0): 9, ("b", 0): 1, ("c", 0): 2}, 10) == {
        ("b", 0): 1, ("c", 0): 2, ("a", 0): 7,
    }  # fmt: skip
    assert sum(fill({("a", 0): 5, ("b", 0): 5, ("c", 0): 5}, 7).values()) == 7
    assert fill({("a", 0): 2}, 10) == {("a", 0): 2}


def test_balanced_picks_have_equal_shares_of_domains_and_lengths():
    pool = [candidate(f"x{n}", None, "big", n) for n in range(80)]
    pool += [candidate(f"y{n}", None, "small", n) for n in range(40, 60)]
    ids = picked(Balanced(by=("domain",), count=30), pool)
    assert Counter(id[0] for id in ids) == {"x": 15, "y": 15}
    ids = picked(Balanced(by=("length",), bins=4, count=40), pool[:80])
    assert Counter(int(id[1:]) // 20 for id in ids) == {0: 10, 1: 10, 2: 10, 3: 10}
    reasons = Balanced(by=("length",), count=1).pick([candidate("a"), candidate("b", length=1)], 0)
    assert reasons == ["no trace length", ""]
    with pytest.raises(ValidationError, match="by"):
        Balanced(by=(), count=3)


def test_hardest_takes_the_lowest_rates_and_leaves_never_solved_ones_to_the_audit():
    pool = [
        candidate("a", 0.0),
        candidate("b", 0.1),
        candidate("c", 0.9),
        candidate("d", 0.2),
        candidate("e"),
    ]
    assert Hardest(count=2).pick(pool, 0) == [
        "never solved", "", "not among the hardest", "", "no pass rate",
    ]  # fmt: skip
    assert picked(Hardest(count=2, never_solved="keep"), pool) == ["a", "b"]


def test_random_control_is_even():
    pool = [candidate(str(n)) for n in range(10)]
    drawn = Counter(id for seed in range(2000) for id in picked(AtRandom(count=3), pool, seed))
    # Each is in 30 % of 2,000 draws: 600 with a standard deviation of 20.5; five of them.
    assert all(abs(drawn[str(n)] - 600) < 103 for n in range(10))
    assert picked(AtRandom(count=99), pool) == [str(n) for n in range(10)]


def test_domains_by_words():
    assert (
        domain_of("In triangle $ABC$ the altitude from $A$ meets the circumcircle again at $D$.")
        == "geometry"
    )
    assert domain_of("What is the remainder when $3^{100}$ is divided by 7?") == "number theory"
    assert (
        domain_of("A fair coin is flipped. What is the probability of heads?")
        == "counting and probability"
    )
    assert domain_of("??") == "algebra"
    assert {domain_of(prompt) for prompt in ("", "solve for x", "\\sin x")} <= set(CUES)


def test_a_chain_is_the_first_right_completion_and_keeps_its_text_only_for_a_rule_that_reads_it():
    def drawn(sample: int, text: str, status: Status, ids: tuple[int, ...] = ()) -> Completion:
        return Completion("p", sample, (), ids, text, "stop", verdict=Verdict(status, text))

    rows = [
        drawn(0, "wrong", "wrong", (1,)),
        drawn(1, "right", "correct", (1, 2)),
        drawn(2, "again", "correct", (1, 2, 3)),
    ]
    assert first_chains(rows, texts=True) == {"p": FirstChain(True, 2, "right")}
    assert first_chains(rows, texts=False) == {"p": FirstChain(True, 2, None)}
    assert first_chains(rows[:1], texts=False) == {"p": FirstChain(False, 1, None)}
    bare = drawn(0, "no ids", "wrong")
    assert first_chains([bare], texts=False) == {"p": FirstChain(False, 6, None)}


# -- what a selection cannot do ----------------------------------------------------------------------


@pytest.mark.parametrize("solved", [(0.5, 0.1), (-1.0, 0.5), (0.1, 3.0)])
def test_rates_that_are_no_band_are_refused_at_load(solved: tuple[float, float]):
    with pytest.raises(ValidationError, match="the lowest and the highest rate"):
        Limo(weak="a", strong="b", solved=solved)


ALL = """
name: all
stages:
  problems: {kind: curate, sources: [{kind: chain, count: 9, difficulty: [1, 2]}]}
  some: {kind: select, data: "@problems", rules: [{kind: random, count: COUNT}]}
"""


@pytest.mark.parametrize(("count", "told"), [(1000, True), (1, False)])
def test_a_rule_that_leaves_nothing_out_is_said(
    count: int, told: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    execute(run_of(tmp_path, Setting(text=ALL.replace("COUNT", str(count)))))
    there, kept = (
        (tmp_path / name / "out" / "problems.jsonl").read_text().count("\n")
        for name in ("problems", "some")
    )
    assert kept == min(there, count)
    assert ("some: the rule random leaves nothing out" in capsys.readouterr().err) is told
