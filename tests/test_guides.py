"""Guides: what is shown, what is taken, what leaks, and what a row that is not all the policy's own weighs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from longstep.config import TypeAdapter, UserError
from longstep.curriculum import Horizon, Outcome
from longstep.curriculum.groups import DrawnGroup, DrawnRow
from longstep.curriculum.guides import AnyGuide, Egsr, Expert, Guidance, Prefix
from longstep.curriculum.guides.prefix import beginning
from longstep.draw.prompts import prompts_for
from longstep.losses import Cispo, Dapo, Grpo, Tokens, token_logps
from longstep.losses.corrections import Truncated
from longstep.models.tiny import build_model
from longstep.rl.guiding import Hints, refuse_helpless
from longstep.types import Completion, Problem, Verdict
from test_policy import GROUP, PROMPT, SPEC, Script, metrics
from test_policy import train as train_pico
from test_rollouts import TOKENIZER, hopeless, pool, rollouts, spent

HORIZON = Horizon(10, 2, 0)
PROBLEM = Problem("p", "What is {x} + 1?", "7", solution="x is 6,\nso it is 7.")


def row(correctness: float | None, text: str = "", origin: Any = "own") -> DrawnRow:
    status = {1.0: "correct", 0.0: "incorrect", None: "timeout"}[correctness]
    verdict = Verdict(status, None)  # pyright: ignore[reportArgumentType]
    return DrawnRow(
        Completion("p", 0, (), (7, 8), text, "stop", (-1.0, -2.0), verdict), origin, "behaviour"
    )


def group(*correctness: float | None) -> DrawnGroup:
    outcome = Outcome(0, "train", correctness, (2,) * len(correctness), 0, 0)
    rows = tuple(replace(row(c), weight="own") for c in correctness)
    return DrawnGroup("g", outcome, rows)


def guide(given: Any, *problems: Problem) -> Any:
    return given.build(problems or (PROBLEM,), HORIZON)


def test_only_rows_that_took_a_place_are_counted() -> None:
    """An all-right group has no wrong answer to replace, and one wrong answer makes room for one of two rows."""
    for right, replaced, want in (((1.0, 1.0), 1, 0), ((1.0, 0.0), 2, 1), ((0.0, 0.0, 0.0), 2, 2)):
        always = guide(Egsr(replaced=replaced, copies="take", marks=()))
        words = [row(1.0, f"<think>{n} of my own</think>\\boxed{{7}}", "guided") for n in "ab"]
        mended = always.admit(group(*right), words)
        assert sum(not each.own for each in mended.rows) == want == always.metrics()["taken"]
        assert always.metrics()["mended"] == bool(want)


# -- what is shown --------------------------------------------------------------------------------


def test_egsr_tells_the_key_or_the_solution_and_the_key() -> None:
    told = guide(Egsr()).guidance(PROBLEM, 4).shown
    assert told.startswith("What is {x} + 1?") and "x is 6,\nso it is 7." in told
    assert "answer is 7." in told
    answer = guide(Egsr(show="answer")).guidance(PROBLEM, 4).shown
    assert "answer is 7." in answer and "x is 6" not in answer
    mine = guide(Egsr(show="answer", template="{answer}>{prompt}")).guidance(PROBLEM, 4).shown
    assert mine == "7>What is {x} + 1?"
    # A question that holds the name of a place is not filled in.
    odd = replace(PROBLEM, prompt="Why {answer}?")
    assert guide(Egsr(show="answer", template="{prompt}{answer}")).guidance(odd, 1).shown == (
        "Why {answer}?7"
    )


def test_guides_ask_for_help_where_all_that_can_be_scored_is_wrong() -> None:
    egsr, always = guide(Egsr(samples=3)), guide(Expert(when="always"))
    for correctness, wanted in (
        ((0.0, 0.0), 3),
        ((0.0, 0.0, None), 3),
        ((0.0, None), 0),
        ((1.0, 0.0), 0),
        ((1.0, 1.0), 0),
    ):
        outcome = group(*correctness).outcome
        assert egsr.wanted(outcome) == wanted and always.wanted(outcome) == 1


def test_without_a_solution_there_is_no_help() -> None:
    bare = replace(PROBLEM, solution=None)
    for given in (Egsr(), Expert(), Prefix()):
        assert guide(given).guidance(bare, 1) is None
        assert given.wants() == {"solution"}
    assert guide(Egsr(show="answer")).guidance(bare, 1) is not None
    assert Egsr(show="answer").wants() == frozenset()


def test_a_template_must_hold_what_it_shows() -> None:
    said = lambda **given: [*Egsr(**given).check()]  # noqa: E731
    assert said() == said(show="answer") == said(template="{prompt}{answer}{solution}") == []
    assert said(marks=("hint", " "))[0].startswith("marks: an empty one stands in every answer")
    assert said(template="{prompt}{answer}")[0].startswith("template: lacks {solution}; with show")
    assert said(show="answer", template="{solution}")[0].startswith("template: lacks {prompt}, {a")
    given = {"show": "answer", "template": "{prompt}{answer}{solution}"}
    assert "does not tell" in said(**given)[0]


@pytest.mark.parametrize(
    ("solution", "share", "want"),
    [
        ("a3b+4=7c-2=5", 0.5, "a3b+4="),  # no place to cut better
        ("one two three four", 0.5, "one two "),
        ("one two three four", 0.4, "one two"),  # ends with the word
        ("first\nsecond line\nthird", 0.6, "first\n"),
        ("<think>one two three</think>\\boxed{7}", 0.99, "one two "),
        ("x", 0.5, ""),
        ("", 0.5, ""),
    ],
)
def test_a_beginning_ends_with_a_line_or_a_word(solution: str, share: float, want: str) -> None:
    assert beginning(solution, share) == want


# -- what is taken --------------------------------------------------------------------------------

OWN_WORDS = "<think>One more than six: seven.</think>\\boxed{7}"


def taken(given: Any, *texts: str, correctness: float = 1.0) -> tuple[DrawnGroup, dict[str, float]]:
    live = guide(given)
    found = [row(correctness, text, "guided") for text in texts]
    return live.admit(group(0.0, 0.0, 0.0), found), live.metrics()


def test_the_first_right_answer_takes_the_place_of_the_last_wrong_one() -> None:
    mended, told = taken(Egsr(), OWN_WORDS, OWN_WORDS + " ")
    assert [each.origin for each in mended.rows] == ["own", "own", "guided"]
    assert mended.rows[2].completion.text == OWN_WORDS and mended.outcome == group(0, 0, 0).outcome
    assert told == {"groups": 1, "mended": 1, "taken": 1, "leaks": 0}
    both, _ = taken(Egsr(replaced=2), OWN_WORDS, OWN_WORDS, OWN_WORDS)
    assert [each.origin for each in both.rows] == ["own", "guided", "guided"]
    same, told = taken(Egsr(), OWN_WORDS, correctness=0.0)
    assert same == group(0.0, 0.0, 0.0) and told["mended"] == told["leaks"] == 0


def test_what_cannot_be_scored_keeps_its_place_while_there_are_wrong_ones() -> None:
    live = guide(Egsr())
    mended = live.admit(group(0.0, 0.0, None), [row(1.0, OWN_WORDS, "guided")])
    assert [each.origin for each in mended.rows] == ["own", "guided", "own"]
    # An expert that always comes in spares right answers.
    always = guide(Expert(when="always"))
    mended = always.admit(group(0.0, 1.0, 1.0), [row(1.0, OWN_WORDS, "expert")])
    assert [each.origin for each in mended.rows] == ["expert", "own", "own"]
    solved = group(1.0, 1.0)
    assert always.admit(solved, [row(1.0, OWN_WORDS, "expert")]) == solved


@pytest.mark.parametrize(
    ("text", "leaks"),
    [
        (OWN_WORDS, False),
        ("<think>x is 6,\nso it is 7.</think>\\boxed{7}", True),  # the solution
        ("<think>Well: x  is 6, so it\nis 7. Done.</think>\\boxed{7}", True),  # and a frame
        ("<think>7</think>\\boxed{7}", True),  # the key, and nothing else
        ("<think></think>\\boxed{7}", True),
        ("<think>$7$.</think>\n\\boxed{7}", True),
        ("<think>As The Reference says, x is six.</think>\\boxed{7}", True),
        ("<think>The given answer is seven, so x is six.</think>\\boxed{7}", True),
        ("<think>6 + 1 = 7</think>\\boxed{7}", False),
    ],
)
def test_an_answer_that_shows_the_help_is_refused_and_counted(text: str, leaks: bool) -> None:
    mended, told = taken(Egsr(), text)
    assert (mended.rows[-1].origin == "own") == leaks and told["leaks"] == leaks


def test_the_guard_can_be_told_what_counts() -> None:
    copied = "<think>x is 6,\nso it is 7.</think>\\boxed{7}"
    assert taken(Egsr(copies="take"), copied)[0].rows[-1].origin == "guided"
    assert taken(Egsr(show="answer"), copied)[0].rows[-1].origin == "guided"  # it was not shown
    named = "<think>Per the hint, 6 + 1.</think>\\boxed{7}"
    assert taken(Egsr(), named)[0].rows[-1].origin == "guided"
    assert taken(Egsr(marks=("hint",)), named)[0].rows[-1].origin == "own"
    assert taken(Egsr(marks=("hint",), copies="take"), named)[0].rows[-1].origin == "own"


# -- in a step ------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", ["behaviour", "own", "shaped"])
def test_a_hinted_answer_trains_under_the_plain_prompt_at_its_weight(
    tmp_path: Path, weight: Any
) -> None:
    """Own: two wrong answers of 2 tokens; with help the second of 2 is right, of 3 tokens, recorded at -1 each."""
    given = Egsr(samples=2, weight=weight, template="{answer}{solution}{prompt}", copies="take")
    rolls = rollouts(tmp_path, hopeless, pool(1), guide=given)
    columns = rolls(0, 2)
    assert columns["prompt_ids"] == [[1, 2, 0]] * 2
    assert columns["completion_ids"] == [[7, 8], [7, 8, 9]] and columns["shaped"] == [0.0, 1.0]
    recorded = columns["logprobs"][1]
    if weight == "behaviour":
        assert recorded == [-1.0] * 3
    else:  # what was recorded under another prompt is compared with nothing
        assert all(map(math.isnan, recorded))
    assert columns.get("weight", ["own", "own"]) == ["own", weight]
    assert spent(rolls) == {"trained": 2, "discarded": 2, "guided": 5, "seen": 5}
    assert rolls.stats["guide/taken"] == 1 and rolls.stats["all_wrong_share"] == 1.0


def test_a_guided_answer_may_leave_the_policys_own_alone(tmp_path: Path) -> None:
    """By the group's mean .5 both rows are worth something; by their own they stay worth nothing."""
    given = Egsr(samples=2, template="{answer}{solution}{prompt}", copies="take", baseline="own")
    columns = rollouts(tmp_path, hopeless, pool(1), guide=given)(0, 2)
    assert columns["advantage"] == [0.0, 1.0] and columns["correctness"] == [0.0, None]
    nobody = rollouts(tmp_path, lambda *_: False, pool(1), guide=given)(0, 2)
    assert "advantage" not in nobody  # no answer was right with help either
    forced = rollouts(tmp_path, hopeless, pool(1), guide=Prefix(share=0.7, baseline="own"))
    assert forced(0, 2)["advantage"] == [0.0, 1.0]


def test_an_expert_row_costs_no_draw_and_is_shaped(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, hopeless, pool(1), guide=Expert())
    columns = rolls(0, 2)
    whole = columns["completion_ids"][1]
    assert TOKENIZER.decode(whole).startswith("a=0</think>\\boxed{0}")
    assert columns["weight"] == ["own", "shaped"] and columns["shaped"] == [0.0, 1.0]
    assert spent(rolls) == {"trained": 2, "discarded": 2, "seen": 2 + len(whole)}
    # A solution that is a whole turn already is taken as it is.
    full = [replace(pool(1)[0], solution="<think>so it is</think>\\boxed{0}")]
    columns = rollouts(tmp_path, hopeless, full, guide=Expert())(0, 2)
    assert TOKENIZER.decode(columns["completion_ids"][1]).startswith("so it is</think>\\boxed{0}")


def test_a_forced_beginning_is_masked_and_keeps_its_record(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, hopeless, pool(1), guide=Prefix(samples=2, share=0.7))
    columns = rolls(0, 2)
    forced = TOKENIZER("a=", add_special_tokens=False)["input_ids"]
    assert columns["completion_ids"][1] == [*forced, 7, 8, 9]
    assert columns["loss_mask"][1] == [0, 0, 1, 1, 1] and "weight" not in columns
    assert columns["logprobs"][1] == [0.0, 0.0, -1.0, -1.0, -1.0]


def test_the_curriculum_never_sees_a_guided_answer(tmp_path: Path) -> None:
    seen: list[Outcome] = []
    given = Egsr(samples=2, template="{answer}{solution}{prompt}", copies="take")
    rolls = rollouts(tmp_path, hopeless, pool(1), guide=given)
    rolls.curriculum.observe = lambda outcomes: seen.extend(outcomes)
    rolls(0, 2)
    assert [each.correctness_G for each in seen] == [(0.0, 0.0)]


# -- what a row weighs ----------------------------------------------------------------------------


def hand(**given: Any) -> Tokens:
    """Three answers of one token, each with probability .5 under the plain prompt and advantage 2.

    The first was drawn by the policy itself; the second with help, where it had .8; the third by somebody else.
    """
    logps = torch.full((3, 1), math.log(0.5), dtype=torch.float64, requires_grad=True)
    old = torch.tensor([[math.log(0.5)], [math.log(0.8)], [math.log(0.5)]], dtype=torch.float64)
    return Tokens(
        logps_BT=logps,
        old_BT=old,
        advantages_BT=torch.full((3, 1), 2.0, dtype=torch.float64),
        mask_BT=torch.ones(3, 1),
        shaped_B1=torch.tensor([[False], [False], [True]]),
        **given,
    )


def gradients(algorithm: Any, tokens: Tokens) -> list[float]:
    """Of each row's loss on its log-probability, without the mean."""
    out = algorithm.loss(tokens, 1.0)
    (found,) = torch.autograd.grad(out.loss, tokens.logps_BT)
    return found.flatten().tolist()


def test_weights_of_guided_rows_are_those_worked_out_by_hand() -> None:
    """Own: ratio 1. Behaviour: .5 / .8 = .625. Shaped: .5 / .6, and 0.1 x .5 / .36 for its gradient. Times A = 2."""
    tokens = hand()
    out = Grpo().loss(tokens, 3.0)
    assert out.loss.item() == pytest.approx(-2 * (1 + 0.625 + 0.5 / 0.6) / 3)
    assert gradients(Grpo(), tokens) == pytest.approx([-2, -2 * 0.625, -2 * 0.05 / 0.36])
    # A loss that has no clip treats the shaped row alike; its own rows are its own.
    assert gradients(Cispo(), tokens) == pytest.approx([-2, -2 * 0.625, -2 * 0.05 / 0.36])


def test_a_row_drawn_with_help_is_clipped_like_any_other() -> None:
    """Where help made a token unlikely (.3 against .5, ratio 1.67 above 1.28) dapo lets it grow no further."""
    tokens = hand()
    old = tokens.old_BT.clone()
    old[1, 0] = math.log(0.3)
    assert gradients(Dapo(), replace(tokens, old_BT=old)) == pytest.approx(
        [-2, 0, -2 * 0.05 / 0.36]
    )


def test_shaping_pushes_unlikely_tokens_most_and_hopeless_ones_little() -> None:
    """0.1 p / (p + 0.1)^2 is largest, .25, at p = .1."""
    for p, want in ((0.001, 0.0098), (0.1, 0.25), (0.5, 0.1389), (1.0, 0.0826)):
        logps = torch.full((1, 1), math.log(p), dtype=torch.float64, requires_grad=True)
        tokens = Tokens(
            logps_BT=logps,
            old_BT=logps.detach(),
            advantages_BT=torch.ones(1, 1, dtype=torch.float64),
            mask_BT=torch.ones(1, 1),
            shaped_B1=torch.tensor([[True]]),
        )
        assert gradients(Grpo(), tokens) == pytest.approx([-want], abs=1e-4)


def test_a_correction_leaves_rows_by_somebody_else_as_they_are() -> None:
    """Nobody recorded the third row; the second was compared with its record already: trainer over sampler is 1."""
    recorded = torch.tensor([[math.log(0.4)], [math.log(0.8)], [math.nan]], dtype=torch.float64)
    found = gradients(Grpo(correction=Truncated()), hand(behaviour_BT=recorded))
    assert found == pytest.approx([-2 * 1.25, -2 * 0.625, -2 * 0.05 / 0.36])


class Weighted(Script):
    """Rollouts in which some rows are not the policy's own."""

    weights = ("own", "behaviour", "shaped", "own", "own", "own", "behaviour", "own")

    def __call__(self, step: int, count: int) -> dict[str, list[Any]]:
        columns = super().__call__(step, count)
        columns["weight"] = [self.weights[n % 8] for n in range(count)]
        for n, weight in enumerate(columns["weight"]):
            if weight == "shaped":
                columns["logprobs"][n] = [math.nan] * len(columns["logprobs"][n])
        return columns


@pytest.mark.parametrize("micro", [None, 2])
def test_the_trainer_gives_each_row_its_weight(tmp_path: Path, micro: int | None) -> None:
    """The loss and the gradient norm of the first step, made again row by row; recorded at -4.9 a token."""
    start = build_model(SPEC, 0)
    drawn = Weighted(recorded=-4.9)(0, 8)
    total, tokens, most = torch.zeros(()), sum(map(len, drawn["completion_ids"])), 0.0
    for n, ids in enumerate(drawn["completion_ids"]):
        whole = torch.tensor([[*PROMPT, *ids]])
        logps = token_logps(start(whole).logits[:, 1:-1], whole[:, 2:])
        mean = sum(drawn["shaped"][n // GROUP * GROUP :][:GROUP]) / GROUP
        advantage = drawn["shaped"][n] - mean
        if drawn["weight"][n] == "shaped":
            costs = -advantage * logps.exp() / (logps.exp() + 0.1)
        else:
            against = logps.detach() if drawn["weight"][n] == "own" else torch.tensor(-4.9)
            ratios = (logps - against).exp()
            clipped, most = ratios.clamp(0.8, 1.28), max(most, ratios.max().item())
            costs = -torch.minimum(ratios * advantage, clipped * advantage)
        total = total + costs.sum() / tokens
    total.backward()
    norm = torch.cat([p.grad.flatten() for p in start.parameters()]).norm()
    dapo = Dapo(minibatches=1, scale_rewards="none")
    train_pico(tmp_path, dapo, Weighted(recorded=-4.9), 1, micro_batch=micro)
    (first,) = metrics(tmp_path)
    assert first["loss"] == pytest.approx(total.item(), abs=1e-5)
    assert first["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)
    assert most > 1.28  # so that the clip had something to do


def test_weights_follow_their_rows_through_the_shuffle_of_minibatches(tmp_path: Path) -> None:
    """Two updates from 16 rows: in both together 4 rows by record and 2 by shape, each with the tokens of its row."""
    found: list[tuple[str, int]] = []

    class Seen(Dapo):
        def loss(self, tokens: Tokens, total: float) -> Any:
            assert tokens.shaped_B1 is not None
            for shaped, mask, old, logps in zip(
                tokens.shaped_B1, tokens.mask_BT, tokens.old_BT, tokens.logps_BT, strict=True
            ):
                kind = "shaped" if shaped else "own" if old[0] != -0.25 else "behaviour"
                found.append((kind, int(mask.sum())))
                assert (kind == "behaviour") == bool((old[mask.bool()] == -0.25).all())
                assert logps.requires_grad
            return super().loss(tokens, total)

    train_pico(tmp_path, Seen(minibatches=2), Weighted(recorded=-0.25), 2)
    drawn = Weighted()(0, 16)
    want = [(w, len(ids)) for w, ids in zip(drawn["weight"], drawn["completion_ids"], strict=True)]
    assert sorted(found) == sorted(want)


def test_every_guide_is_built_from_its_kind_alone() -> None:
    for kind in ("none", "egsr", "expert", "prefix"):
        given = TypeAdapter(AnyGuide).validate_python({"kind": kind})
        assert guide(given).state() == guide(given).state() and [*given.check()] == []


def test_help_comes_after_the_turns_before_the_question() -> None:
    """Else a forced answer would be drawn under another prompt than the one it trains under."""
    talked = replace(pool(2)[1], before=(("user", "a0?"), ("assistant", "\\boxed{0}")))
    (asked,) = prompts_for(TOKENIZER, [talked])
    (alone,) = prompts_for(TOKENIZER, [replace(talked, before=())])
    assert len(asked.prompt_ids) > len(alone.prompt_ids)
    hints = Hints(TOKENIZER, 99, 99)
    forced = hints.prompt(talked, Guidance(forced="a="))
    assert forced is not None and forced[0].prompt_ids[: -forced[1]] == asked.prompt_ids
    shown = hints.prompt(talked, Guidance(shown=talked.prompt))
    assert shown is not None and shown[0].prompt_ids == asked.prompt_ids


# -- a guide that cannot help ---------------------------------------------------------------------


def test_a_group_without_help_is_counted(tmp_path: Path) -> None:
    """Both groups want help: one problem has no solution, and the other one's question no room for it."""
    problems = [replace(each, solution=s) for each, s in zip(pool(2), (None, "a=1"), strict=True)]
    rolls = rollouts(tmp_path, hopeless, problems, guide=Egsr(), room=3)
    rolls(0, 4)
    assert rolls.stats["guide/unhelped"] == 2 and rolls.stats["guide/groups"] == 0
    assert spent(rolls) == {"trained": 8, "seen": 8}
    helped = rollouts(tmp_path, hopeless, problems, guide=Prefix())
    helped(0, 4)
    assert helped.stats["guide/unhelped"] == 1 and helped.stats["guide/groups"] == 1


def test_a_guide_that_can_help_nowhere_is_refused_before_a_draw() -> None:
    def refused(given: Any, problems: list[Problem], prompt: int = 60, answer: int = 40) -> str:
        hints = Hints(TOKENIZER, prompt, answer)
        try:
            refuse_helpless(given.build(problems, HORIZON), problems, hints, "rl")
        except UserError as error:
            return str(error)
        return ""

    two = [replace(pool(2)[0], solution=None), pool(2)[1]]
    for given in (Egsr(template="{prompt}{answer}{solution}"), Prefix(share=0.9), Expert()):
        assert refused(given, two) == ""
        assert (
            refused(given, two[:1])
            == "rl: guide: it has no help for any of 1 problems; leave it out"
        )
        assert "with each of 1 problems; raise max_length" in refused(given, two, 2, 3)
    # A whole answer by somebody else that is wrong would never be taken.
    wrong = replace(two[1], solution="<think>a=1</think>\\boxed{2}")
    assert "or wrong, with each of 2 problems" in refused(Expert(), [wrong, wrong])
    assert refused(Expert(), [wrong, two[1]]) == ""
