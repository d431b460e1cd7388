"""Value heads: steps and their truth by hand, AUCs by counting pairs, training, cards, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from longstep.artifacts import read_json, read_rows
from longstep.config import UserError
from longstep.generate.base import AnswerRead, ToRead
from longstep.models.load import shipped_folder
from longstep.models.pointer import weights_hash
from longstep.scaling.auc import auc, mean_with_interval, within_auc
from longstep.scaling.card import train_and_judge
from longstep.scaling.fit import Fitting, fit_head
from longstep.scaling.head import (
    FACTS,
    WEIGHTS,
    Card,
    Cutting,
    HeadFacts,
    ValueHead,
    features_of,
    read_head,
)
from longstep.scaling.lessons import Lesson, Lessons, Teacher, fold_of, make_lessons
from longstep.scaling.steps import cut_steps
from longstep.stages import ValueVerifier
from longstep.types import Completion, Problem, Segment, Verdict
from longstep.verify.steps import chain_step_truths, judge_steps
from short_recipe import Setting, finish


def decode(ids: Sequence[int]) -> str:
    return "".join(map(chr, ids))


def chars(text: str) -> tuple[int, ...]:
    return tuple(map(ord, text))


# -- steps and their truth ---------------------------------------------------------------------------

DIGITS = tuple(f"={digit}" for digit in range(10))


def test_an_answer_is_cut_where_a_search_would_cut_it_and_doubts_take_back():
    text = "a7b+9=6~b+9=6c+5=1</think>\\boxed{1}!"
    found = cut_steps(chars(text), True, decode, DIGITS, ("~",))
    assert found.texts == ("a7b+9=6", "~b+9=6", "c+5=1", "</think>\\boxed{1}!")
    assert "".join(found.texts) == text and found.ends[-1] == len(text)
    assert found.standing == (False, True, True, True)
    begun = cut_steps(chars("a7b+9=6~"), False, decode, DIGITS, ("~",))
    assert begun.texts == ("a7b+9=6",) and begun.standing == (False,)
    assert cut_steps(chars("a7b+9"), False, decode, DIGITS, ()).ends == ()
    assert cut_steps((), True, decode, DIGITS, ()).ends == ()
    assert cut_steps(chars("a=1"), True, decode, DIGITS, ()).ends == (3,)


@pytest.mark.parametrize(
    ("text", "truths"),
    [
        ("a7b+9=6c+5=1</think>\\boxed{1}", [1, 1, 1]),
        ("a7b+9=5c+5=0</think>\\boxed{0}", [0, 1, 1]),  # a wrong value that is carried on rightly
        ("a7b+9=5~b+9=6c+5=1</think>\\boxed{1}", [0, 1, 1, 1]),
        ("a7b+9=6~b+9=6c+5=2</think>\\boxed{1}", [1, 1, 0, 0]),  # the box is not what was computed
        ("a8b+9=7c+5=2</think>\\boxed{2}", [0, 1, 1]),
        ("a7c+5=2</think>\\boxed{2}", [0, 0]),  # leaves one out
        ("a7b+8=5c+5=0", [0, 1]),  # another number than the problem's
        ("nothing=1", [0]),
        ("b+9=9", [0]),
        ("a7b+9=6b+9=6", [1, 0]),
        (f"a7b+9={'9' * 5000}=1", [0]),
    ],
)
def test_chain_steps_are_judged_by_what_stands_before_them(text: str, truths: list[float]):
    problem = Problem("p", "a7b+9c+5?", "1")
    cut = cut_steps(chars(text), "</think>" in text, decode, DIGITS, ("~",))
    assert chain_step_truths(problem, cut.texts, cut.standing)[: len(truths)] == truths
    assert judge_steps("chain-steps", problem, cut.texts, cut.standing)[: len(truths)] == truths


def wrong_length(problem: Problem, steps: Sequence[str], standing: Sequence[bool]) -> list[float]:
    return [0.5] * len(steps)


def coin(problem: Problem, steps: Sequence[str], standing: Sequence[bool]) -> list[float]:
    """Labels that know nothing of the steps."""
    rng = random.Random(f"{problem.id}{len(steps)}")
    return [float(rng.random() < 0.5) for _ in steps]


def test_what_is_no_chain_says_nothing_and_what_is_no_label_is_refused():
    assert chain_step_truths(Problem("p", "How many?", "1"), ["x"], [True]) == [None]
    modulo = Problem("p", "a90b+9%97?", "2")
    assert chain_step_truths(modulo, ["a90b+9=2", "</think>\\boxed{2}"], [True, True]) == [1, 1]
    with pytest.raises(UserError, match=r"returned \[0.5\] for 1 steps of problem p"):
        judge_steps("test_verifier:wrong_length", modulo, ["x"], [True])


# -- AUCs --------------------------------------------------------------------------------------------


def pairs(scores: Sequence[float], right: Sequence[float]) -> float:
    rows = list(zip(scores, right, strict=True))
    won = [(a > b) + 0.5 * (a == b) for (a, x), (b, y) in product(rows, rows) if x and not y]
    return sum(won) / len(won)


def test_an_auc_is_the_share_of_pairs_in_the_right_order():
    assert auc([0.9, 0.1, 0.5], [1, 0, 1]) == 1.0
    assert auc([0.5, 0.5], [1, 0]) == 0.5
    assert auc([0.1, 0.9], [1, 1]) is None and auc([], []) is None
    rng = random.Random(1)
    for _ in range(50):
        scores = [rng.randrange(6) / 5 for _ in range(20)]
        right = [float(rng.random() < 0.4) for _ in range(19)] + [1.0]
        assert auc(scores, right) == pytest.approx(pairs(scores, right))


def test_a_score_that_knows_difficulty_alone_is_good_pooled_and_nothing_within():
    """Easy problems have right answers, and all answers of a problem have one score."""
    right = [[1, 1, 1, 0], [1, 0, 0, 0], [0, 0]]
    scores = [[0.9] * 4, [0.2] * 4, [0.1] * 2]
    assert within_auc(scores, right) == [0.5, 0.5]
    # 4 right ones against 6 wrong: 3 x (1 tie + 5 won), 1 x (1 lost + 3 ties + 2 won)
    assert auc(
        [s for own in scores for s in own], [r for own in right for r in own]
    ) == pytest.approx((3 * 5.5 + 3.5) / 24)
    assert mean_with_interval([], 1, 100) is None
    assert mean_with_interval([0.5, 0.5], 1, 100) is not None


# -- the head ----------------------------------------------------------------------------------------


def planted(
    rng: np.random.Generator, count: int, features: int = 6
) -> tuple[np.ndarray, np.ndarray]:
    """Right where the product of two features is positive: no line tells."""
    x_NF = rng.normal(size=(count, features)).astype(np.float32)
    x_NF[:, -1] = 3.0  # never changes
    return x_NF, (x_NF[:, 0] * x_NF[:, 1] > 0).astype(np.float32)


def test_a_head_learns_what_no_line_tells_and_equal_seeds_give_equal_weights():
    rng = np.random.default_rng(0)
    parts = [planted(rng, 800) for _ in range(3)]
    chunks = [lambda part=part: part for part in parts]
    how = Fitting(epochs=20, width=32)
    head, again = fit_head(chunks, how, 3), fit_head(chunks, how, 3)
    other = fit_head(chunks, how, 4)
    assert head is not None and again is not None and other is not None
    assert all(np.array_equal(head.arrays[name], again.arrays[name]) for name in head.arrays)
    assert not np.array_equal(head.arrays["w1"], other.arrays["w1"])
    fresh_NF, right_N = planted(rng, 500)
    assert (auc(head.values(fresh_NF), [float(r) for r in right_N]) or 0) > 0.9
    assert fit_head([lambda: planted(rng, 0)], how, 3) is None


def test_a_head_computes_what_torch_computes():
    import torch

    rng = np.random.default_rng(1)
    head = fit_head([lambda: planted(np.random.default_rng(2), 64)], Fitting(epochs=1, width=5), 1)
    assert head is not None
    x_NF = rng.normal(size=(7, 6)).astype(np.float32) * 100
    a = {name: torch.from_numpy(array) for name, array in head.arrays.items()}
    hidden = (torch.from_numpy(x_NF) - a["mean"]) / a["spread"]
    for layer in ("1", "2"):
        hidden = torch.nn.functional.silu(hidden @ a[f"w{layer}"] + a[f"b{layer}"])
    wanted = torch.sigmoid(hidden @ a["w3"] + a["b3"])[:, 0]
    assert head.values(x_NF) == pytest.approx(wanted.tolist(), rel=1e-4, abs=1e-6)
    assert head.values(x_NF[:0]) == []


CARD = Card(
    problems=9,
    mixed=8,
    steps=20,
    step_auc=0.9,
    within_auc=0.8,
    within_ci95=(0.7, 0.9),
    pooled_auc=0.85,
    logprob_within_auc=None,
)
DOUBTFUL = CARD.model_copy(update={"within_auc": 0.52, "within_ci95": (0.45, 0.6)})


def small_head(features: int, seed: int = 0) -> ValueHead:
    rng = np.random.default_rng(seed)
    shapes = {"w1": (features, 4), "b1": (4,), "w2": (4, 4), "b2": (4,), "w3": (4, 1), "b3": (1,)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    ones = np.ones(features, dtype=np.float32)
    return ValueHead({"mean": 0 * ones, "spread": ones, **arrays})


def facts(card: Card = CARD, weights: str = "none") -> HeadFacts:
    return HeadFacts(policy="m", weights=weights, labels="outcome", cutting=Cutting(), card=card)


def test_a_folder_is_read_back_and_a_damaged_one_refused(tmp_path: Path):
    head = small_head(3)
    head.save(tmp_path, facts())
    found, told = read_head(tmp_path)
    assert told == facts()
    assert all(np.array_equal(found.arrays[name], head.arrays[name]) for name in head.arrays)
    whole = (tmp_path / WEIGHTS).read_bytes()
    wrong = dict(head.arrays) | {"w2": np.zeros((3, 4), dtype=np.float32)}
    bad = dict(head.arrays) | {"b1": np.full(4, np.nan, dtype=np.float32)}
    for arrays in (wrong, bad, {"w1": head.arrays["w1"]}):
        ValueHead(arrays).save(tmp_path, facts())
        with pytest.raises(UserError, match="holds other weights than a value head's"):
            read_head(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(whole[:-9])
    with pytest.raises(UserError, match="cannot be read"):
        read_head(tmp_path)
    (tmp_path / FACTS).unlink()
    with pytest.raises(UserError, match="not the out/ folder of a verifier stage"):
        read_head(tmp_path)


def test_a_path_is_worth_what_its_standing_steps_are():
    values, standing = [0.5, 0.1, 0.8], [True, False, True]
    assert Cutting(over="product").path(values, standing) == pytest.approx(0.4)
    assert Cutting(over="min").path(values, standing) == 0.5
    assert Cutting(over="last").path(values, standing) == 0.8
    assert Cutting().path([], []) == 1.0 and Cutting().path([0.3], [False]) == 1.0


def test_features_by_hand():
    logps, entropies = np.log(np.array([0.5, 0.25, 0.125, 1.0])), np.array([1.0, 2.0, 3.0, 4.0])
    states, tokens = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [0.0, -1.0]])
    found = features_of(AnswerRead(logps, entropies, entropies, states, tokens), (1, 4))
    log2 = np.log(2)
    assert found == pytest.approx(
        np.array(
            [
                [-log2, -log2, -log2, 1, 1, 2, 5, 12],
                [0, -5 * log2 / 3, -3 * log2, 4, 3, 4, 0, -4],
            ]
        )
    )


def test_a_card_doubts_what_is_not_told_from_chance():
    assert CARD.doubt == ""
    assert "AUC 0.520 [0.450, 0.600], and 0.5 is chance" in DOUBTFUL.doubt
    nothing = CARD.model_copy(update={"within_auc": None, "within_ci95": None, "mixed": 0})
    assert "none of its problems has right and wrong answers" in nothing.doubt


# -- lessons and cards -------------------------------------------------------------------------------


class PlantedReader:
    """States in which the sign of one product says whether a token is ``r`` or ``w``, and noise."""

    def __init__(self, dies_after: int = 10**9) -> None:
        self.left = dies_after

    def text(self, ids: Sequence[int]) -> str:
        return decode(ids)

    def read(self, asked: Sequence[ToRead]) -> list[AnswerRead]:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return [self._read(ask) for ask in asked]

    def _read(self, ask: ToRead) -> AnswerRead:
        seed = [*ask.prompt_ids, *ask.ids]
        rng = np.random.default_rng(seed)
        signs = np.array([1.0 if chr(ask.ids[place - 1]) == "r" else -1.0 for place in ask.places])
        states = rng.normal(size=(len(ask.places), 4)).astype(np.float32)
        tokens = rng.normal(size=(len(ask.places), 4)).astype(np.float32)
        states[:, 0] = np.abs(states[:, 0]) + 0.2
        tokens[:, 0] = signs
        told = rng.normal(size=len(ask.ids)).astype(np.float32)
        return AnswerRead(-np.abs(told), np.abs(told), told, states, tokens)


def planted_answers(
    count: int = 120, each: int = 6, even: bool = True
) -> list[tuple[Problem, Completion]]:
    """Steps ``r.`` and ``w.``; an answer without a wrong one is right. ``even``: all of a problem have as many."""
    rng, found = random.Random(5), []
    for number in range(count):
        problem = Problem(f"p{number}", "?", "1")
        for index in range(each):
            length = 1 + number % 3 if even else rng.randrange(1, 4)
            steps = [rng.choice("rrw") for _ in range(length)]
            right = "w" not in steps
            ids = chars("".join(f"{index}{step}." for step in steps))
            verdict = Verdict("correct" if right else "incorrect", "1")
            row = Completion(problem.id, index, (1, number), ids, "", "stop", verdict=verdict)
            found.append((problem, row))
    return found


def labels_of(
    problem: Problem, steps: Sequence[str], standing: Sequence[bool]
) -> list[float | None]:
    return [float("w" not in step) if step.endswith(".") else None for step in steps]


CUTTING = Cutting(step=(".",))
QUICK = Fitting(epochs=6, width=16, batch=32)


def lessons(
    folder: Path, labels: str, reader: PlantedReader | None = None, even: bool = True
) -> Lessons:
    teacher = Teacher(reader or PlantedReader(), CUTTING, labels, 3)
    return make_lessons(folder, planted_answers(even=even), teacher, lambda done: None)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longstep.scaling.lessons.TOGETHER", 100)


def test_a_card_by_step_labels_by_outcomes_and_by_a_coin(tmp_path: Path, small_parts: None):
    """The same states; only what the head was taught differs."""
    cards = {}
    for name in ("test_verifier:labels_of", "outcome", "test_verifier:coin"):
        made = lessons(tmp_path / name.partition(":")[2], name)
        assert made.count == 8
        head, cards[name] = train_and_judge(made, CUTTING, QUICK, 3, (1, 500))
        assert len(head.arrays["mean"]) == 4 + 2 * 4
    taught, outcome, coined = cards.values()
    assert taught.problems == 120 and taught.mixed > 60
    assert taught.within_auc > 0.9 and outcome.within_auc > 0.7 and not taught.doubt
    assert not outcome.doubt and taught.within_auc > outcome.within_auc
    assert coined.doubt and coined.within_ci95[0] <= 0.5
    # log-probabilities are noise here: 0.5, with a standard error of 0.3 / sqrt(60) at most
    assert abs(taught.logprob_within_auc - 0.5) < 4 * 0.3 / 60**0.5


def test_a_head_that_only_counts_steps_is_doubted(tmp_path: Path, small_parts: None):
    """Where answers differ in length a product of senseless values tells short ones, which are right more often."""
    cards = {}
    for name in ("test_verifier:labels_of", "test_verifier:coin"):
        made = lessons(tmp_path / name.partition(":")[2], name, even=False)
        _, cards[name] = train_and_judge(made, CUTTING, QUICK, 3, (1, 500))
    taught, coined = cards.values()
    assert coined.within_ci95[0] > 0.5 and coined.fewer_within_auc > 0.6
    assert "tells no more than the number of steps does" in coined.doubt
    assert not taught.doubt and taught.beyond_ci95[0] > 0
    assert taught.fewer_within_auc == coined.fewer_within_auc


def test_lessons_that_were_interrupted_go_on_to_the_same_head(tmp_path: Path, small_parts: None):
    whole = lessons(tmp_path / "whole", "outcome")
    dying = PlantedReader(dies_after=3)
    with pytest.raises(KeyboardInterrupt):
        lessons(tmp_path / "cut", "outcome", dying)
    again = PlantedReader(dies_after=5)  # no more than what is left
    cut = lessons(tmp_path / "cut", "outcome", again)
    assert again.left == 0
    heads = [train_and_judge(each, CUTTING, QUICK, 3, (1, 100)) for each in (whole, cut)]
    for name in heads[0][0].arrays:
        assert np.array_equal(heads[0][0].arrays[name], heads[1][0].arrays[name])
    assert heads[0][1] == heads[1][1]


def test_no_problem_teaches_the_head_that_judges_it(tmp_path: Path, small_parts: None):
    made = lessons(tmp_path, "outcome")
    folds = {fold_of(f"p{n}", 3) for n in range(120)}
    assert folds == {0, 1, 2}
    for fold in folds:
        kept = sum(len(chunk()[1]) for chunk in made.outside(fold))
        inside = sum(int(each.counts_A[each.folds_A == fold].sum()) for each in made)
        assert kept + inside == sum(len(each.labels_S) for each in made)
    own = {
        int(n): int(f) for each in made for n, f in zip(each.problems_A, each.folds_A, strict=True)
    }
    assert own == {n: fold_of(f"p{n}", 3) for n in range(120)}


def test_unlabelled_steps_teach_nothing_and_unanswered_ones_are_no_choice():
    lesson = Lesson(
        features_SF=np.zeros((3, 2), dtype=np.float32),
        labels_S=np.array([1, np.nan, 0], dtype=np.float32),
        standing_S=np.ones(3, dtype=np.bool_),
        counts_A=np.array([1, 2]),
        problems_A=np.array([0, 1]),
        folds_A=np.array([0, 1]),
        right_A=np.array([1, np.nan], dtype=np.float32),
        logps_A=np.zeros(2, dtype=np.float32),
        tokens_A=np.ones(2, dtype=np.int64),
    )
    assert lesson.learned(None)[1].tolist() == [1, 0]
    assert lesson.learned(1)[1].tolist() == [1] and lesson.learned(0)[1].tolist() == [0]


def test_answers_without_ids_and_no_answers_are_refused(tmp_path: Path):
    teacher = Teacher(PlantedReader(), CUTTING, "outcome", 3)
    problem, row = planted_answers(1, 1)[0]
    with pytest.raises(UserError, match="is text alone, and a head reads token ids"):
        make_lessons(tmp_path, [(problem, replace(row, token_ids=()))], teacher, print)
    with pytest.raises(UserError, match="no answer is left to learn from"):
        make_lessons(tmp_path, [], teacher, print)


# -- the stage, and what scales with it --------------------------------------------------------------

STAGES = """
name: heads
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 24, difficulty: [1, 1]}]}
  own: {kind: sample, by: {kind: model, model: "@base"}, data: "@problems",
    sampling: {samples: 4, temperature: 1.0, max_tokens: 24, batch_size: 32}}
  head: {kind: verifier, model: "@base", data: "@own", folds: 2, resamples: 100, fit: {epochs: 2, width: 8},
    cutting: {step: ["{"]}}
  scaled: {kind: scale, by: {kind: model, model: "@base"}, data: "@problems", where: {count: 6}, resamples: 100,
    sampling: {max_tokens: 24, temperature: 1.0},
    strategies: {vote: {kind: samples, n: 3},
      trees: {kind: dvts, trees: 2, expand: 2, step: ["{"], scorer: {kind: head, head: "@head", force: true}}},
    picks: [{kind: majority}, {kind: weighted, scorer: {kind: head, head: "@head"}},
      {kind: borda, scorer: {kind: self-certainty}}]}
"""


#: A head that learns from the trees of the stage before it.
AGAIN = """
  again: {kind: verifier, model: "@base", trees: "@scaled", folds: 2, resamples: 100, fit: {epochs: 1, width: 8},
    cutting: {step: ["{"]}}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads") / "run"
    assert finish(folder, Setting(text=STAGES.rstrip() + AGAIN)) == "done"
    return folder


def test_a_head_is_trained_and_scores_what_is_drawn(run: Path):
    told = read_json(run / "head" / "out" / FACTS)
    assert told["weights"] == weights_hash(shipped_folder("longstep-tiny"))
    assert told["card"]["problems"] <= 24
    stage = ValueVerifier.model_validate({"model": "@base", "data": "@own"})
    titles = [block.title for block in stage.blocks(run / "head" / "out")]
    assert titles == ["Scorer card", "What the head may be used for"]
    for name, guided in (("vote", False), ("trees", True)):
        for row in read_rows(run / "scaled" / "out" / "nodes" / f"{name}.jsonl", Segment):
            wanted = {"head @head", *["self-certainty"] * row.ended}
            assert set(row.scores) == (wanted if row.ended or guided else set())
            assert 0 <= row.scores["head @head"] <= 1
    spent = read_json(run / "scaled" / "manifest.json")["cost"]
    assert spent["tokens_scored"] > spent["tokens_generated"] > 0
    bills = read_json(run / "scaled" / "out" / "curves.json")["bills"]
    assert bills["vote"]["scored_again"] > bills["vote"]["scored"] > bills["vote"]["drawn"]
    picks = {p["pick"] for p in read_json(run / "scaled" / "out" / "curves.json")["points"]}
    assert picks == {"majority", "weighted by head @head", "borda by self-certainty"}


def test_the_answers_of_stored_trees_teach_too(run: Path):
    from longstep.draw.prompts import prompts_for
    from longstep.generate import Prompt
    from longstep.models.load import load_tokenizer
    from longstep.scaling.harvest import stored_answers

    tokenizer = load_tokenizer(shipped_folder("longstep-tiny"))
    out = run / "scaled" / "out"
    found = list(stored_answers(out, lambda problems: prompts_for(tokenizer, problems)))
    ended = [
        row
        for name in ("vote", "trees")
        for row in read_rows(out / "nodes" / f"{name}.jsonl", Segment)
        if row.ended
    ]
    assert len(found) == len(ended) > 6 * 3
    assert len({(row.problem_id, row.sample_index) for _, row in found}) == len(found)
    for (problem, row), last in zip(found, ended, strict=True):
        assert row.problem_id == problem.id == last.problem_id and row.verdict == last.verdict
        assert row.token_ids[len(row.token_ids) - len(last.token_ids) :] == last.token_ids
        assert str(tokenizer.decode(list(row.token_ids))).startswith(
            row.text.removeprefix("<think>")[:5]
        )
    card = read_json(run / "again" / "out" / FACTS)["card"]
    assert card["steps"] >= len(found)
    with pytest.raises(UserError, match="this model renders 1; take the model that grew the trees"):
        list(stored_answers(out, lambda problems: [Prompt(p.id, (1,)) for p in problems]))


def test_stored_scores_are_picked_by_again_without_a_model(run: Path, tmp_path: Path):
    import shutil

    from longstep.scaling.picks.best import BestScore
    from longstep.scaling.picks.weighted import WeightedVote
    from longstep.scaling.scorers.head import HeadScorer
    from longstep.scaling.store import CHOICES, CURVES, PROTOCOL, rescore

    folder = tmp_path / "out"
    shutil.copytree(run / "scaled" / "out", folder)
    before = [(folder / name).read_bytes() for name in (PROTOCOL, CURVES, CHOICES)]
    rescore(folder)
    assert [(folder / name).read_bytes() for name in (PROTOCOL, CURVES, CHOICES)] == before
    with pytest.raises(UserError, match=r"'head elsewhere': problem \w+ has no such score stored"):
        rescore(folder, [WeightedVote(scorer=HeadScorer(head="elsewhere"))])
    shutil.rmtree(folder)
    shutil.copytree(run / "scaled" / "out", folder)
    protocol = read_json(folder / PROTOCOL)
    protocol["readers"]["head @head"] = "it tells nothing"
    (folder / PROTOCOL).write_text(json.dumps(protocol))
    by_head = BestScore(scorer=HeadScorer(head="@head"))
    with pytest.raises(UserError, match="--pick: best chooses by head @head alone, and it tells"):
        rescore(folder, [by_head])
    rescore(folder, [BestScore(scorer=HeadScorer(head="@head", force=True))])


SCALED = """
name: refused
stages:
  scaled: {kind: scale, by: {kind: model, model: longstep-tiny}, resamples: 100, sampling: {max_tokens: 12},
    benchmark: {name: few, source: {kind: chain, count: 2}}, strategies: {a: STRATEGY}, picks: [PICK]}
"""
SAMPLES = "{kind: samples, n: 2}"


def scaled(folder: Path, card: Card, weights: str, strategy: str, pick: str) -> str:
    head = folder / "head"
    small_head(4 + 2 * 64).save(head, facts(card, weights))
    text = SCALED.replace("STRATEGY", strategy).replace("PICK", pick)
    return finish(folder / "run", Setting(text=text.replace("HEAD", f"kind: head, head: {head}")))


@pytest.mark.parametrize(
    ("card", "strategy", "pick", "said"),
    [
        (DOUBTFUL, SAMPLES, "{kind: best, scorer: {HEAD}}", "best chooses by head"),
        (DOUBTFUL, "{kind: beam, scorer: {HEAD}}", "{kind: majority}", "beam chooses by head"),
        (DOUBTFUL, SAMPLES, "{kind: best, scorer: {HEAD, force: true}}", ""),
        (DOUBTFUL, SAMPLES, "{kind: weighted, scorer: {HEAD}}", ""),
        (CARD, "{kind: beam, scorer: {HEAD}}", "{kind: best, scorer: {HEAD}}", ""),
    ],
    ids=["best", "search", "forced", "vote", "accepted"],
)
def test_a_head_that_failed_its_card_chooses_nothing_alone_unless_forced(
    tmp_path: Path, card: Card, strategy: str, pick: str, said: str
):
    weights = weights_hash(shipped_folder("longstep-tiny"))
    found = scaled(tmp_path, card, weights, strategy, pick)
    if not said:
        assert found == "done"
        return
    assert said in found and "AUC 0.520" in found and "force: true" in found
    assert not (tmp_path / "run" / "scaled" / "out" / "nodes").exists()


def test_a_head_that_knows_other_steps_than_a_search_is_refused(tmp_path: Path):
    """It would give 1 to every path without a step of its own, and the search would prune by nothing."""
    weights = weights_hash(shipped_folder("longstep-tiny"))
    search = "{kind: beam, step: ['=1'], scorer: {HEAD}}"
    found = scaled(tmp_path, CARD, weights, search, "{kind: majority}")
    assert "asks for scores behind '=1'" in found and "steps that end behind '\\n\\n'" in found
    assert not (tmp_path / "run" / "scaled" / "out" / "nodes").exists()


def test_a_head_of_another_policy_is_refused_before_anything_is_drawn(tmp_path: Path):
    found = scaled(tmp_path, CARD, "another", SAMPLES, "{kind: weighted, scorer: {HEAD}}")
    assert "reads the states of m, and another model draws here" in found


def test_a_head_for_another_model_is_refused_before_either_stage_runs(tmp_path: Path):
    other = STAGES.replace('verifier, model: "@base"', "verifier, model: longstep-tiny-rater")
    found = finish(tmp_path / "run", Setting(text=other))
    assert "@head reads the states of another model than @base, which draws here" in found
    assert not (tmp_path / "run" / "base").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ("labels: chain-step", "did you mean 'chain-steps'"),
        ("cutting: {step: []}", "step"),
        ("cutting: {step: ['']}", "an empty text ends no step"),
        ("cutting: {undo: ['']}", "takes none back"),
        ("trees: '@scaled'", "either data or trees"),
        ("folds: 1", "greater than or equal to 2"),
        ("epochs: 3", "fit.epochs"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_load(tmp_path: Path, changes: str, sentence: str):
    from longstep.config import Located, validate
    from longstep.run.recipe import Recipe, check
    from longstep.yaml12 import parse

    text = STAGES.replace('data: "@own", folds: 2, ', f'data: "@own", {changes}, ')
    text = text.replace('\n    cutting: {step: ["{"]}', "") if "cutting" in changes else text
    with pytest.raises(UserError) as found:
        located = Located(parse(text)[0])
        check(validate(Recipe, located), located)
    assert sentence in str(found.value)
