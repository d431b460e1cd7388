"""Strategies, picks and folders that cannot be right: each is refused in one sentence, or said where it shows late."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from longstep.artifacts import read_json, read_rows, write_rows
from longstep.config import Located, UserError, validate
from longstep.draw.engines import Opened
from longstep.generate import FakeGenerator, Prompt, Sampling
from longstep.run.early import refuse_early
from longstep.run.recipe import Recipe, check
from longstep.run.runner import execute
from longstep.scaling import AnyStrategy
from longstep.scaling.answering import PickedAnswers
from longstep.scaling.axes import Prices
from longstep.scaling.base import Strategy
from longstep.scaling.beam import BeamSearch
from longstep.scaling.budget import BudgetForcing
from longstep.scaling.drawn import example
from longstep.scaling.drive import Grower
from longstep.scaling.picks import AnyPick
from longstep.scaling.picks.ballot import Ballot
from longstep.scaling.picks.best import BestScore
from longstep.scaling.picks.borda import BordaVote
from longstep.scaling.picks.majority import MajorityVote
from longstep.scaling.picks.weighted import WeightedVote
from longstep.scaling.revise import SelfRevision
from longstep.scaling.samples import IndependentSamples
from longstep.scaling.scorers.head import HeadScorer
from longstep.scaling.scorers.margin import MarginScorer
from longstep.scaling.scorers.reward import RewardScorer
from longstep.scaling.shown import blocks_of
from longstep.scaling.store import (
    CHOICES,
    CURVES,
    PROBLEMS,
    PROMPTS,
    PROTOCOL,
    Begun,
    Scaled,
    begin,
    finish,
    nodes_path,
    rescore,
)
from longstep.scaling.toolbox.base import Tool
from longstep.scaling.tools import ToolUse
from longstep.scaling.tree import Trail
from longstep.scaling.verdicts import EqualAnswers, classes_path
from longstep.stages import Scale
from longstep.types import Problem, Segment, Verdict
from longstep.verify.keys import same_answer
from short_recipe import Setting, run_of

MODEL = {"kind": "model", "model": "longstep-tiny"}


def chars(text: str) -> list[int]:
    return [ord(char) for char in text]


def plain_letters(text: str) -> list[int]:
    """As a small vocabulary does: what it lacks is refused, and blanks are nothing."""
    if not text.isascii():
        raise UserError(f"the tokenizer has no token for it in {text!r}")
    return chars(text.replace(" ", ""))


# -- settings that cannot be -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "sentence"),
    [
        # the flat prior is never 95 % sure of two answers: P = 7/8; of four, 31/32 < 99 %
        ({"kind": "adaptive", "most": 2}, "most: no vote of fewer than 2 answers is settled"),
        ({"kind": "adaptive", "most": 4, "sure": 0.99}, "no vote of fewer than 4 answers"),
        ({"kind": "curtailed", "most": 1}, "no vote of fewer than 1 answers"),
        ({"kind": "esc", "most": 8, "window": 64}, "window: 64 of 8 answers"),
        ({"kind": "esc", "most": 8, "window": 8}, "nothing to stop before"),
        ({"kind": "esc", "most": 8, "window": 1}, "one answer always agrees with itself"),
        ({"kind": "budget", "most": 4096}, "most: a thought of 4096 tokens leaves no room"),
        ({"kind": "budget", "most": 9, "answer": "</think>"}, "answer: holds <think> or </think>"),
        ({"kind": "budget", "waits": 1, "wait": "</think>"}, "wait: holds <think> or </think>"),
        ({"kind": "budget", "most": 9, "answer": "\\boxed{5}"}, "is a whole answer"),
        ({"kind": "budget", "most": 9, "answer": "The answer is 5."}, "is a whole answer"),
        ({"kind": "budget", "most": 1, "waits": 1}, "wait: takes 1 tokens"),
        ({"kind": "tools", "begin": "<tool>", "end": "tool>"}, "and none inside of it"),
    ],
)
def test_a_strategy_that_can_do_nothing_is_refused(strategy: dict[str, object], sentence: str):
    assert sentence in " ".join(complaints({"strategies": {"s": strategy}}))


def complaints(changes: Mapping[str, object]) -> list[str]:
    """What is said of a recipe of one stage before anything runs."""
    stage = {
        "kind": "scale",
        "by": MODEL,
        "benchmark": "chain",
        "strategies": {"s": {"kind": "samples", "n": 2}},
        **changes,
    }
    located = Located({"name": "x", "stages": {"s": stage}}, {})
    try:
        check(validate(Recipe, located), located)
    except UserError as error:
        return [str(error)]
    return []


def test_a_budget_that_leaves_room_for_one_token_may_be_asked_for():
    for most, fine in ((78, True), (79, False)):
        changes = {
            "strategies": {"b": {"kind": "budget", "most": most}},
            "sampling": {"max_tokens": 80},
        }
        assert (not complaints(changes)) is fine


@pytest.mark.parametrize("greedy", [{"temperature": 0}, {"top_k": 1}])
@pytest.mark.parametrize(
    ("strategy", "clones"),
    [
        ({"kind": "samples", "n": 2}, True),
        ({"kind": "samples", "n": 1}, False),
        ({"kind": "adaptive"}, True),
        ({"kind": "adaptive", "first": 1, "each": 1}, True),
        ({"kind": "esc"}, True),
        ({"kind": "beam"}, True),
        ({"kind": "beam", "keep": 1, "expand": 1}, False),
        ({"kind": "dvts"}, True),
        ({"kind": "rebase"}, True),
        ({"kind": "budget", "most": 9}, False),
        ({"kind": "cot-decoding"}, False),
        ({"kind": "revise"}, False),
        ({"kind": "tools"}, False),
    ],
)
def test_a_vote_of_clones_is_refused(
    strategy: dict[str, object], clones: bool, greedy: dict[str, object]
):
    said = " ".join(complaints({"strategies": {"s": strategy}, "sampling": greedy}))
    assert ("without chance" in said) is clones


def test_a_margin_that_nobody_stores_is_refused():
    picks = [{"kind": "best", "scorer": {"kind": "margin"}}]
    assert "no strategy does that" in " ".join(complaints({"picks": picks}))
    ranked = {"strategies": {"s": {"kind": "cot-decoding"}}}
    assert not complaints({"picks": picks, **ranked})


# -- models and prompts that cannot be ---------------------------------------------------------------


def stage(strategy: dict[str, object], most: int = 200) -> Scale:
    given = {"by": MODEL, "benchmark": "chain", "strategies": {"s": strategy}}
    return Scale.model_validate({**given, "sampling": {"max_tokens": most}})


def encode_tags(text: str) -> list[int]:
    head, tag, rest = text.partition("</think>")
    return plain_letters(head) + [1] * bool(tag) + plain_letters(rest)


@pytest.mark.parametrize(
    ("strategy", "most", "sentence"),
    [
        ({"kind": "budget", "waits": 1, "wait": "wait\u20ac"}, 200, "has no token for it"),
        ({"kind": "budget", "waits": 1, "wait": "  "}, 200, "no token for anything of '  '"),
        ({"kind": "budget", "most": 9, "answer": "\u20ac"}, 200, "has no token for it"),
        # 40 of the thought, the tag, 9 of what follows it
        ({"kind": "budget", "most": 40, "answer": "Answer is "}, 49, "leaves no room"),
        ({"kind": "budget", "most": 4, "waits": 1, "wait": "Wait"}, 200, "wait: takes 4 tokens"),
        ({"kind": "revise", "review": "a" * 50}, 50, "review: takes 50 tokens"),
        ({"kind": "tools", "before": "\u20ac"}, 200, "has no token for it"),
    ],
)
def test_texts_that_a_model_cannot_be_given_are_refused(
    strategy: dict[str, object], most: int, sentence: str
):
    with pytest.raises(UserError, match=r"strategies.s: .*" + re.escape(sentence)):
        stage(strategy, most).refuse_unfit(Opened(FakeGenerator({}), encode=encode_tags))


def test_a_thought_that_is_over_before_it_begins_is_refused():
    opened = Opened(FakeGenerator({}), encode=encode_tags)
    strategy: dict[str, object] = {"kind": "budget", "most": 9}
    stage(strategy).refuse_unfit(opened, [Prompt("p", (1,), "<think>")])
    with pytest.raises(UserError, match="the prompt opens none"):
        stage(strategy).refuse_unfit(opened, [Prompt("p", (1,), "")])


def test_the_longest_prompt_is_looked_at_before_the_first_answer():
    opened = Opened(FakeGenerator({}), encode=encode_tags, context=210)
    prompts = [Prompt("short", (1,) * 10, "<think>"), Prompt("long", (1,) * 11, "<think>")]
    stage({"kind": "samples"}).refuse_unfit(opened, prompts[:1])
    with pytest.raises(UserError, match=r"problem 'long' has 11 tokens, .* leaves 10 beside"):
        stage({"kind": "samples"}).refuse_unfit(opened, prompts)


def test_a_chat_gets_no_vote_of_clones_and_no_thought_without_an_answer():
    def answers(strategy: AnyStrategy, how: Sampling) -> object:
        fake = FakeGenerator({"q": ["x</think>\\boxed{1}"]}, chars)
        served = PickedAnswers(fake, encode_tags, strategy, MajorityVote())
        return served.answer([Prompt("q", (1,), "<think>")], how)

    assert answers(IndependentSamples(n=2), Sampling(max_tokens=40))
    with pytest.raises(UserError, match="without chance"):
        answers(IndependentSamples(n=2), Sampling(max_tokens=40, temperature=0))
    with pytest.raises(UserError, match="leaves no room"):
        answers(BudgetForcing(most=20), Sampling(max_tokens=20))


class Foreign(Tool):
    """Answers what no small tokenizer can write."""

    def answer(self, call: str) -> str:
        return f"{call}\u20ac"


def test_what_a_tool_says_and_a_model_cannot_read_is_an_error_it_can_read():
    def written(ask):
        said = "a<tool>2</tool>" if not ask.ids else "b"
        return said, tuple(chars(said))

    fake = FakeGenerator({}, chars)
    fake.written = written  # pyright: ignore[reportAttributeAccessIssue]
    strategy = ToolUse.model_construct(**{**ToolUse().__dict__, "tool": Foreign()})
    grower = Grower(fake, plain_letters, Sampling(max_tokens=90), strategy)
    (tree,) = grower.wave([(Problem("p", "?", "1"), Prompt("p", (1,), "<think>"))])
    assert [each.text for each in tree if each.origin == "tool"] == [
        "error: the answer cannot be written"
    ]


# -- problems that cannot be -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("problems", "sentence"),
    [
        (
            [Problem("p", "1+1?", "2"), Problem("p", "1+2?", "3")],
            "2 problems have the id 'p'",
        ),
        (
            [Problem("p", "1+1?", "\\frac{"), Problem("q", "1+2?", "")],
            "2 of 2 keys cannot be read",
        ),
    ],
)
def test_problems_that_nothing_can_be_told_of_are_refused_before_a_model_is_loaded(
    problems: Sequence[Problem], sentence: str, tmp_path: Path
):
    write_rows(tmp_path / "p.jsonl", problems)
    recipe = f"""
name: x
stages:
  s:
    kind: scale
    by: {{kind: model, model: longstep-tiny}}
    data: {tmp_path / "p.jsonl"}
    strategies: {{vote: {{kind: samples, n: 2}}}}
    sampling: {{max_tokens: 24}}
"""
    with pytest.raises(UserError, match=re.escape(sentence)):
        execute(run_of(tmp_path / "run", Setting(text=recipe)))


# -- what shows late is said -------------------------------------------------------------------------

ASKED = [Problem(f"p{n}", f"{n}?", str(n % 3)) for n in range(8)]
HOW = Sampling(max_tokens=60, batch_size=64)


def folder_of(
    folder: Path,
    strategies: dict[str, AnyStrategy],
    picks: Sequence[AnyPick] = (MajorityVote(),),
    logprobs: bool = False,
    count: int = len(ASKED),
) -> Path:
    """The folder of a stage over one script: a thought of two steps, and an answer that is often right."""

    def said(prompt: Prompt, index: int) -> str:
        return f"x=1;y=2;</think>\\boxed{{{(int(prompt.problem_id[1:]) + index // 2) % 3}}}"

    fake = FakeGenerator(said, chars)
    asked = [(each, Prompt(each.id, (1, 2, 3), "<think>")) for each in ASKED[:count]]
    begin(folder, ASKED[:count], [prompt for _, prompt in asked])
    how = HOW.model_copy(update={"logprobs": logprobs})
    for name, strategy in strategies.items():
        forest = Grower(fake, chars, how, strategy).forest(asked, folder / f"{name}.journal")
        write_rows(nodes_path(folder, name), (each for tree in forest for each in tree))
    named = tuple((pick.name, pick) for pick in picks)
    scaled = Scaled(
        strategies=tuple(strategies.items()), picks=named, seed=1, resamples=100, files={}
    )
    finish(folder, scaled)
    return folder


@pytest.mark.parametrize(
    ("strategy", "sentence"),
    [
        (BeamSearch(keep=1, expand=2), r"no step ended behind a text of step ('\n\n')"),
        (BeamSearch(keep=1, expand=2, step=(";",)), ""),
        (
            BeamSearch(keep=1, expand=2, step=(";",), rounds=2),
            "no answer to 8 of 8 problems came to an end",
        ),
        (BudgetForcing(waits=1, most=3), "the model never wrote </think> by itself"),
        (BudgetForcing(waits=1), ""),
        (BudgetForcing(most=3), ""),
        (ToolUse(), "the model never wrote '<tool>' and '</tool>' behind it"),
        (ToolUse(begin="#", end=";"), "the model never wrote '#' and ';' behind it"),
        (ToolUse(begin="x=", end=";"), ""),
        (IndependentSamples(n=2), ""),
    ],
)
def test_what_a_strategy_waited_for_and_never_came_is_said(
    strategy: AnyStrategy, sentence: str, tmp_path: Path
):
    folder = folder_of(tmp_path, {"s": strategy}, logprobs=True)
    remarks = read_json(folder / CURVES)["remarks"]
    assert len(remarks) == bool(sentence)
    assert sentence in "".join(remarks)
    shown = [block.title for block in blocks_of(folder)]
    assert ("What did not happen" in shown) is bool(sentence)


# -- stored folders ----------------------------------------------------------------------------------


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in (PROTOCOL, CURVES, CHOICES)}


REWARD = RewardScorer(url="http://127.0.0.1:9", model="rm")


@pytest.mark.parametrize(
    ("picks", "sentence"),
    [
        ([MajorityVote(), MajorityVote()], "'majority' stands there twice"),
        ([BordaVote(power=2), BordaVote(power=2.0)], "'borda 2' stands there twice"),
        ([BestScore()], "p0 was drawn without log-probabilities"),
        ([WeightedVote()], "p0 was drawn without log-probabilities"),
        ([BordaVote()], "p0 was drawn without log-probabilities"),
        ([WeightedVote(scorer=MarginScorer())], "no strategy does that"),
        ([WeightedVote(scorer=HeadScorer(head="@h"))], "no such score stored"),
    ],
)
def test_a_pick_that_cannot_be_leaves_the_folder_as_it_was(
    picks: Sequence[AnyPick], sentence: str, tmp_path: Path
):
    folder = folder_of(tmp_path, {"vote": IndependentSamples(n=4)})
    before = bytes_of(folder)
    with pytest.raises(UserError, match=re.escape(sentence)):
        rescore(folder, picks)
    assert bytes_of(folder)[PROTOCOL] == before[PROTOCOL]
    rescore(folder)
    assert bytes_of(folder) == before


def test_stored_scores_are_not_those_of_a_scorer_with_other_settings(tmp_path: Path):
    folder = folder_of(tmp_path, {"vote": IndependentSamples(n=4)})
    path = nodes_path(folder, "vote")
    rows = [replace(each, scores={REWARD.name: 0.5}) for each in read_rows(path, Segment)]
    write_rows(path, rows)
    named = ((MajorityVote().name, MajorityVote()),)
    read = {"readers": {REWARD.name: ""}, "scorers": (REWARD,)}
    strategies = (("vote", IndependentSamples(n=4)),)
    finish(
        folder,
        Scaled.model_validate(
            {"strategies": strategies, "picks": named, "seed": 1, "resamples": 100, "files": {}}
            | read
        ),
    )
    # How it is asked changes no score; who is asked does, and what is made of several numbers has another name.
    rescore(folder, [WeightedVote(scorer=REWARD.model_copy(update={"timeout": 1.0}))])
    with pytest.raises(UserError, match="two scorers are called 'reward rm' and differ"):
        rescore(folder, [WeightedVote(scorer=REWARD.model_copy(update={"url": "http://other:1"}))])
    with pytest.raises(UserError, match="'reward rm product': problem p0 has no such score stored"):
        rescore(folder, [WeightedVote(scorer=REWARD.model_copy(update={"over": "product"}))])


def test_two_of_a_kind_that_differ_have_two_names():
    """So both stand on one table."""
    assert [BordaVote(power=p).name for p in (0.5, 1, 2)] == ["borda", "borda 1", "borda 2"]
    for one, other in (("numbers", "logit"), ("over", "last")):
        assert REWARD.model_copy(update={one: other}).name == f"reward rm {other}"
    both = {"picks": [{"kind": "borda", "power": p} for p in (1, 2)]}
    assert not complaints(both)


def test_a_copy_with_other_keys_is_judged_by_them(tmp_path: Path):
    folder = folder_of(tmp_path / "a", {"vote": IndependentSamples(n=2)})
    copy = shutil.copytree(folder, tmp_path / "b")
    # Both answers to problem n are n modulo 3, which its key is: right everywhere, then nowhere.
    assert rescore(folder)["points"][-1]["accuracy"] == 1.0
    write_rows(copy / PROBLEMS, [replace(each, answer="7") for each in ASKED])
    assert rescore(copy)["points"][-1]["accuracy"] == 0.0


def test_a_copy_that_lacks_something_is_refused_or_made_good(tmp_path: Path):
    folder = folder_of(tmp_path / "a", {"vote": IndependentSamples(n=4)})
    before = bytes_of(folder)

    def copied(name: str) -> Path:
        return shutil.copytree(folder, tmp_path / name)

    copy = copied("b")
    write_rows(copy / PROBLEMS, ASKED[:-1])
    with pytest.raises(UserError, match="has no problem 'p7', whose trees are stored"):
        rescore(copy)
    for rows in (ASKED[:-1], [*ASKED[:-1], replace(ASKED[-1], id="q")]):
        copy = copied(f"c{rows[-1].id}")
        write_rows(copy / PROMPTS, [Begun(each.id, 3, "<think>") for each in rows])
        with pytest.raises(UserError, match=r"prompts.jsonl: is not the file the stage wrote"):
            rescore(copy)
    # Which answers are one answer can be asked again.
    copy = copied("d")
    rows = list(read_rows(classes_path(copy, "vote"), EqualAnswers))
    write_rows(classes_path(copy, "vote"), rows[:-1])
    rescore(copy)
    assert bytes_of(copy) == before


def test_trees_of_a_problem_that_is_not_there_are_not_shown(tmp_path: Path):
    folder = folder_of(tmp_path, {"vote": IndependentSamples(n=2)})
    assert len(list(example(folder, "p3"))) == 1
    with pytest.raises(UserError, match="no problem has the id 'p33'"):
        list(example(folder, "p33"))


def test_what_every_strategy_waits_for_is_said_by_itself():
    """A member that waits for nothing says nothing, whatever its segments ended with."""
    silent: list[Strategy] = [IndependentSamples(), SelfRevision(), BudgetForcing(most=9)]
    for strategy in silent:
        assert strategy.unmet({}) == strategy.unmet({"stop": 3, "cut": 1}) == ""


# -- numbers -----------------------------------------------------------------------------------------


def answer(place: int, said: str | None, logp: float, right: float | None) -> Trail:
    verdict = Verdict("timeout" if right is None else "correct" if right else "incorrect", said)
    return Trail(
        "",
        (
            Segment(
                problem_id="p",
                node=place,
                parent=-1,
                round=0,
                origin="model",
                token_ids=(1,),
                text="",
                finish="stop",
                logprobs=(logp,),
                verdict=verdict,
            ),
        ),
    )


def test_weights_may_be_tiny_and_still_differ():
    """A product over forty steps is: e^-46 is 1e-20, and three times that outweighs one."""
    rows = [answer(0, "a", -46.0, 0.0), answer(1, "b", -46.0 + math.log(3), 1.0)]
    assert WeightedVote().pick(rows, same_answer) == [0.0, 1.0]
    # Two of a kind weigh twice as much as one, and three as much as the other.
    rows.append(answer(2, "a", -46.0 + math.log(2), 0.0))
    assert WeightedVote().pick(rows, same_answer) == [0.25, 0.5, 0.25]


def test_the_best_of_one_is_any_answer_where_some_cannot_be_judged():
    """One that nobody can judge says nothing; drawn alone it is left out, whether it answers or not."""
    rows = [answer(0, None, -1.0, None), answer(1, "a", -2.0, 1.0), answer(2, "a", -3.0, 1.0)]
    ballot = Ballot(rows, same_answer)
    assert BestScore().at(ballot, 1) == MajorityVote().at(ballot, 1) == 1.0
    # Of two: {none, a} twice and {a, a}, right each time.
    assert BestScore().at(ballot, 2) == 1.0


def test_a_choice_by_difficulty_that_nothing_judges_is_not_shown(tmp_path: Path):
    """One problem lies in one fold: no other problem chose for it, so its accuracy is not 0 but unknown."""
    picks = (MajorityVote(), BestScore())
    folder = folder_of(tmp_path, {"vote": IndependentSamples(n=4)}, picks, logprobs=True, count=1)
    assert read_json(folder / CURVES)["difficulty"] is None
    assert not any("difficulty" in block.title for block in blocks_of(folder))


def test_a_closing_tag_in_other_tokens_stays_whole():
    """The answer goes on behind it, and no token is torn from its text."""
    said = "xx</think>ok"

    def encode(text: str) -> list[int]:
        return [1] if text == "</think>" else chars(text)

    fake = FakeGenerator(lambda prompt, index: said, chars)
    for strategy in (BudgetForcing(most=20), BudgetForcing(waits=1)):
        grower = Grower(fake, encode, Sampling(max_tokens=60), strategy)
        (tree,) = grower.wave([(Problem("p", "?", "1"), Prompt("p", (1,), "<think>"))])
        assert [(each.text, each.finish) for each in tree] == [
            ("xx</think>", "after"),
            ("ok", "stop"),
        ]
        assert all("".join(map(chr, each.token_ids)) == each.text for each in tree)


def test_prices_that_nothing_is_reckoned_with_are_refused():
    assert [said.partition(":")[0] for said in Prices(read=1, reread=1).check()] == [
        "read",
        "reread",
    ]
    assert not [*Prices(drawn=1, read=1).check()] and not [*Prices().check()]


# -- heads of other models ---------------------------------------------------------------------------

HEADS = """
name: x
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 8, difficulty: [1, 2]}]}
  own: {kind: sample, by: {kind: model, model: "@base"}, data: "@problems", sampling: {max_tokens: 24}}
  worked: {kind: sample, by: {kind: reference}, data: "@problems"}
  other: {kind: sft, model: "@base", data: "@worked", steps: 2}
  trees: {kind: scale, by: {kind: model, model: "@base"}, data: "@problems", strategies: {vote: {kind: samples}}, sampling: {max_tokens: 24}}
  head: {kind: verifier, model: "@MODEL", WHERE}
"""


@pytest.mark.parametrize("source", ["data: '@own'", "trees: '@trees'"])
def test_a_head_of_another_models_answers_is_refused_before_they_are_drawn(
    source: str, tmp_path: Path
):
    def refuse(model: str) -> None:
        text = HEADS.replace("MODEL", model).replace("WHERE", source)
        run = run_of(tmp_path, Setting(text=text))
        refuse_early(run.recipe, run.located, run.recipe.order())

    refuse("base")
    with pytest.raises(UserError, match="a head scores answers of its own model alone"):
        refuse("other")
