"""One step of reinforcement learning up to the update: what is asked, drawn, refused, mended, paid and resumed."""

from __future__ import annotations

import json
import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from longstep.artifacts import AppendLog, read_rows, write_rows
from longstep.config import Strict, TypeAdapter
from longstep.context import Context
from longstep.curriculum import AnyCurriculum, EasyToHard, Horizon, Shuffle
from longstep.curriculum.gates import All, AnyGate
from longstep.curriculum.groups import packed, unpacked
from longstep.curriculum.guides import AnyGuide, Guidance, NoGuide
from longstep.generate import Prompt, Sampling, worked
from longstep.generate.base import canonical
from longstep.generate.noise import row_key
from longstep.losses.rewards import Correctness, Format
from longstep.models.load import load_model
from longstep.models.tiny import build_tokenizer
from longstep.progress import Progress
from longstep.rl.drawing import Drawer
from longstep.rl.guiding import Hints
from longstep.rl.rollouts import Rollouts
from longstep.stages.rl import Rl
from longstep.types import Completion, Problem
from rl_members import Help, Mixed, Probing, WithOurs
from test_curriculum import KINDS

Says = Callable[[Prompt, int, str], bool]
"""(prompt, sample, noise key) -> whether the answer is right."""

TOKENIZER = build_tokenizer()
GROUP = 2


class Scripted:
    """Three tokens when right, two when wrong; remembers what was asked."""

    def __init__(self, says: Says) -> None:
        self.says, self.tokens = says, 0
        self.asked: list[tuple[str, int]] = []
        self.keys: list[tuple[int, str, int]] = []

    def draw(self, prompts: Sequence[Prompt], sampling: Sampling) -> Iterator[Completion]:
        for prompt in canonical(prompts):
            self.asked.append((prompt.problem_id, sampling.samples))
            for sample in range(sampling.samples):
                key = (sampling.seed, prompt.name, sample)
                self.keys.append(key)
                right = self.says(prompt, sample, repr(key))
                answer = prompt.problem_id[1:] if right else "x"
                ids = (7, 8, 9) if right else (7, 8)
                self.tokens += len(ids)
                text = f"{prompt.prefix}</think>\\boxed{{{answer}}}"
                yield Completion(
                    prompt.problem_id,
                    sample,
                    prompt.prompt_ids,
                    ids,
                    text,
                    "stop",
                    (-1.0,) * len(ids),
                )

    def describe(self) -> dict[str, Any]:
        return {"engine": "scripted"}


def pool(count: int) -> list[Problem]:
    """Problem ``p3`` has answer 3, and solutions that the tiny tokenizer can write."""
    return [
        Problem(
            f"p{i}",
            f"a{i}?",
            str(i),
            solution=f"a={i}",
            difficulty=float(i),
            pass_rate=1 - i % 9 / 8,
            source="ab"[i % 2],
        )
        for i in range(count)
    ]


def rollouts(folder: Path, says: Says, problems: list[Problem], **members: Any) -> Rollouts:
    given = {"curriculum": EasyToHard(), "gate": All(), "guide": NoGuide(), "seed": 0, **members}
    horizon = Horizon(10, 2, given["seed"])
    sampling = Sampling(temperature=1, top_p=1, max_tokens=8, seed=given["seed"], logprobs=True)
    return Rollouts(
        problems=problems,
        prompts=[Prompt(p.id, (1, 2, i), "<think>") for i, p in enumerate(problems)],
        curriculum=given["curriculum"].build(problems, horizon),
        gate=given["gate"].build(given.get("group", GROUP), horizon),
        guide=given["guide"].build(problems, horizon),
        drawer=Drawer(Scripted(says), sampling),
        hints=Hints(TOKENIZER, given.get("room", 40), 40),
        rewards=(Correctness(),),
        group=given.get("group", GROUP),
        record=AppendLog(folder / "rollouts.jsonl"),
    )


def engine(rolls: Rollouts) -> Scripted:
    generator = rolls.drawer.generator
    assert isinstance(generator, Scripted)
    return generator


def by_problem(kinds: str) -> Says:
    """A letter for each problem: Right, Wrong, or Mixed (the first of two is right)."""

    def says(prompt: Prompt, sample: int, key: str) -> bool:
        return {"R": True, "W": False, "M": sample == 0}[kinds[int(prompt.problem_id[1:])]]

    return says


def chance(prompt: Prompt, sample: int, key: str) -> bool:
    return random.Random(key).random() < 0.4


def spent(rolls: Rollouts) -> dict[str, float]:
    paid = rolls.spent.metrics()
    assert paid["tokens/discarded"] >= 0 and rolls.spent.drawn == engine(rolls).tokens
    return {name.removeprefix("tokens/"): value for name, value in paid.items() if value}


# -- the loop -------------------------------------------------------------------------------------


def test_without_gate_and_guide_a_step_trains_on_what_it_asked_for(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, by_problem("WMRM"), pool(4))
    columns = rolls(0, 4)
    assert columns == {
        "prompt_ids": [[1, 2, 0]] * 2 + [[1, 2, 1]] * 2,
        "completion_ids": [[7, 8], [7, 8], [7, 8, 9], [7, 8]],
        "logprobs": [[-1.0] * 2, [-1.0] * 2, [-1.0] * 3, [-1.0] * 2],
        "shaped": [0.0, 0.0, 1.0, 0.0],
        "correctness": [0.0, 0.0, 1.0, 0.0],
    }
    assert spent(rolls) == {"trained": 9, "seen": 9}
    assert rolls.stats["all_wrong_share"] == rolls.stats["zero_variance_share"] == 0.5
    assert rolls.stats["all_right_share"] == rolls.stats["unscorable_group_share"] == 0.0
    assert rolls.stats["effective_groups"] == 1 and rolls.stats["missing_groups"] == 0
    assert rolls.stats["curriculum/epochs"] == 0.5 and rolls.stats["correct"] == 0.25
    rows = [json.loads(line) for line in (tmp_path / "rollouts.jsonl").read_text().splitlines()]
    assert [(row["step"], row["problem_id"]) for row in rows] == [
        (1, p) for p in ("p0", "p0", "p1", "p1")
    ]


def test_a_gate_draws_on_and_carries_its_surplus(tmp_path: Path) -> None:
    """Order: wrong, mixed, mixed, mixed, right; batches of 2. A group costs 4, 5, 5, 5, 6 tokens.

    Step 0 draws p0 p1 (one kept) and p2 p3 (three kept): trains p1 p2, carries p3, discards p0.
    Step 1 needs one, draws p4 p0 (none kept), then p1 p2: trains p3 p1, carries p2, discards p4 p0.
    """
    rolls = rollouts(tmp_path, by_problem("WMMMR"), pool(5), gate=Mixed(refill="whole"))
    first = rolls(0, 4)
    assert [ids[2] for ids in first["prompt_ids"]] == [1, 1, 2, 2]
    assert spent(rolls) == {"trained": 10, "carried": 5, "discarded": 4, "seen": 10}
    assert rolls.stats["refused/wrong"] == 1 and rolls.stats["gate/carried"] == 1
    assert rolls.stats["zero_variance_share"] == 0.25 and rolls.stats["effective_groups"] == 2
    second = rolls(1, 4)
    assert [ids[2] for ids in second["prompt_ids"]] == [3, 3, 1, 1]
    assert spent(rolls) == {"trained": 20, "carried": 5, "discarded": 14, "seen": 20}
    assert engine(rolls).asked == [(f"p{i}", GROUP) for i in (0, 1, 2, 3, 0, 4, 1, 2)]


def test_an_exact_refill_draws_only_what_is_missing(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, by_problem("WMWMM"), pool(5), gate=Mixed())
    assert [ids[2] for ids in rolls(0, 4)["prompt_ids"]] == [1, 1, 3, 3]
    assert [name for name, _ in engine(rolls).asked] == ["p0", "p1", "p2", "p3"]
    assert spent(rolls) == {"trained": 10, "discarded": 8, "seen": 10}


def test_a_step_that_stays_short_is_filled_with_rows_that_no_loss_sees(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, by_problem("WWWM"), pool(4), gate=Mixed(limit=2))
    columns = rolls(0, 4)
    assert columns["shaped"] == columns["correctness"] == [1.0, 0.0, None, None]
    assert columns["loss_mask"] == [[1, 1, 1], [1, 1], [0], [0]]
    assert (
        rolls.stats["missing_groups"] == 1 and rolls.stats["short"] == "1 mixed groups in 2 draws"
    )
    hopeless = rollouts(tmp_path, by_problem("W"), pool(1), gate=Mixed())
    assert hopeless(0, 4)["loss_mask"] == [[0]] * 4
    assert spent(hopeless) == {"discarded": 24}  # 3 draws of 2 groups of 2 answers of 2 tokens


def test_a_gate_of_two_rounds_draws_the_second_for_those_that_passed_the_first(
    tmp_path: Path,
) -> None:
    class Screening(Mixed):
        def build(self, group: int, horizon: Horizon) -> Any:
            gate = super().build(group, horizon)
            gate.admits = lambda outcome, round: "" if max(outcome.known_G) else "screened"
            return gate

    seen: list[Any] = []
    rolls = rollouts(tmp_path, by_problem("WMRW"), pool(4), gate=Screening(screen=1))
    observe = rolls.curriculum.observe
    rolls.curriculum.observe = lambda outcomes: (seen.extend(outcomes), observe(outcomes))[1]
    columns = rolls(0, 4)
    assert engine(rolls).asked == [("p0", 1), ("p1", 1), ("p1", 1), ("p2", 1), ("p2", 1)]
    assert [(o.index, len(o.correctness_G)) for o in seen] == [(0, 1), (1, 2), (2, 2)]
    assert len(columns["shaped"]) == 4 and rolls.stats["refused/screened"] == 1
    assert spent(rolls) == {"trained": 12, "discarded": 2, "seen": 12}


def test_ratings_come_first_are_observed_and_never_trained_on(tmp_path: Path) -> None:
    """Batches of 4 in pool order; in step 1 p4 to p7 are rated, so that step 2 begins with the solved p6 and p7."""
    rolls = rollouts(tmp_path, by_problem("MMMMWWRRMM"), pool(10), curriculum=Probing())
    rolls(0, 4)
    rolls(1, 4)
    assert [name for name, _ in engine(rolls).asked[2:]] == ["p4", "p5", "p6", "p7", "p2", "p3"]
    assert spent(rolls) == {"trained": 20, "probe": 2 * 4 + 2 * 6, "seen": 20}
    assert [ids[2] for ids in rolls(2, 4)["prompt_ids"]] == [6, 6, 7, 7]


def test_the_curriculum_sees_every_own_group_once_in_the_order_asked(tmp_path: Path) -> None:
    calls: list[list[int]] = []
    rolls = rollouts(tmp_path, by_problem("WMWMM"), pool(5), gate=Mixed(), guide=Help())
    rolls.curriculum.observe = lambda outcomes: calls.append([o.index for o in outcomes])
    rolls(0, 4)
    rolls(1, 4)
    assert calls == [[0, 1, 2, 3], [4, 0, 1]]


# -- guides ---------------------------------------------------------------------------------------


def hopeless(prompt: Prompt, sample: int, key: str) -> bool:
    """Right only with help: under another prompt than the problem's own, and then in the second sample."""
    return prompt.prompt_ids[:2] != (1, 2) and sample == 1


def test_a_hinted_answer_trains_under_the_plain_prompt(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, hopeless, pool(2), guide=Help())
    columns = rolls(0, 4)
    assert columns["prompt_ids"] == [[1, 2, 0]] * 2 + [[1, 2, 1]] * 2
    assert columns["completion_ids"] == [[7, 8], [7, 8, 9]] * 2
    assert columns["shaped"] == [0.0, 1.0] * 2 and columns.keys() == {
        "prompt_ids",
        "completion_ids",
        "correctness",
        "logprobs",
        "shaped",
    }
    # own: 2 x 4 drawn, one wrong answer of each replaced; guided: 2 x (2 + 3) drawn, one of 3 trained
    assert spent(rolls) == {"trained": 4, "discarded": 4, "guided": 10, "seen": 10}
    assert rolls.stats["all_wrong_share"] == 1.0 and rolls.stats["correct"] == 0.0
    assert rolls.stats["effective_groups"] == 2 and rolls.stats["guide/taken"] == 2


def test_a_forced_beginning_is_part_of_the_answer_and_no_loss_sees_it(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, hopeless, pool(1), guide=Help(how="forced"))
    columns = rolls(0, 2)
    forced = TOKENIZER("a=0", add_special_tokens=False)["input_ids"]
    assert columns["completion_ids"] == [[7, 8], [*forced, 7, 8, 9]]
    assert columns["loss_mask"] == [[1, 1], [0] * len(forced) + [1] * 3]
    assert columns["logprobs"][1] == [0.0] * len(forced) + [-1.0] * 3
    assert spent(rolls)["guided"] == 5


def test_a_given_answer_costs_no_draw(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, hopeless, pool(1), guide=Help(how="given"))
    columns = rolls(0, 2)
    whole = columns["completion_ids"][1]
    text = TOKENIZER.decode(whole, skip_special_tokens=False)
    assert text.startswith("a=0</think>\\boxed{0}") and whole[-1] == TOKENIZER.eos_token_id
    assert columns["shaped"] == [0.0, 1.0]
    assert len(columns["logprobs"][1]) == len(whole) and all(
        map(math.isnan, columns["logprobs"][1])
    )
    assert spent(rolls) == {"trained": 2, "discarded": 2, "seen": 2 + len(whole)}
    assert worked(pool(1)[0]).endswith(text.removesuffix(TOKENIZER.eos_token))


def test_a_hint_without_room_is_not_drawn(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, hopeless, pool(1), guide=Help(), room=2)
    assert rolls(0, 2)["shaped"] == [0.0, 0.0]
    assert spent(rolls) == {"trained": 4, "seen": 4}


def test_guidance_is_one_thing() -> None:
    for wrong in ({}, {"shown": "a", "forced": "b"}):
        with pytest.raises(ValueError, match="one of shown, forced and given"):
            Guidance(**wrong)


# -- what members may not do ----------------------------------------------------------------------


def test_a_curriculum_that_asks_for_too_few_is_named(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, chance, pool(4))
    rolls.curriculum.pick = lambda n, step: []
    with pytest.raises(ValueError, match="step 0: the curriculum asked for 0 of 2 problems"):
        rolls(0, 4)


def test_a_gate_that_leaves_groups_out_must_say_why(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, by_problem("WM"), pool(2), gate=Mixed(limit=1))
    choose = rolls.gate.choose
    rolls.gate.choose = lambda *given: type(found := choose(*given))(found.groups)
    with pytest.raises(ValueError, match="chose 1 groups, 2 were wanted, and gives no reason"):
        rolls(0, 4)


# -- state ----------------------------------------------------------------------------------------


def kinds(family: Any) -> list[str]:
    """Every member of a list: one that is added is tested by that alone."""
    return [member.model_fields["kind"].default for member in get_args(get_args(family)[0])]


#: What a member must be told for groups of two.
TINY: dict[str, dict[str, Any]] = {
    "mixed": {"refill": "whole"},  # so that there is something to carry
    "screen": {"first": 2, "trains": "later", "refill": "whole", "limit": 3},
    "spread": {"drawn": 5},
    "egsr": {"template": "{answer}{solution}{prompt}"},
    "adcl": {"batches": 4, "samples": 2},  # so that it comes to a rating
}


def member(family: Any, kind: str) -> Strict:
    return TypeAdapter(family).validate_python({"kind": kind, **TINY.get(kind, {})})


COMBINATIONS: list[dict[str, Strict]] = [
    *({"curriculum": member(AnyCurriculum, kind)} for kind in kinds(AnyCurriculum)),
    *({"gate": member(AnyGate, kind)} for kind in kinds(AnyGate)),
    *({"guide": member(AnyGuide, kind)} for kind in kinds(AnyGuide)),
    {"gate": Mixed(refill="whole")},
    {"curriculum": Probing(), "gate": Mixed(), "guide": Help()},
    {"curriculum": Shuffle(), "guide": Help(how="forced")},
    {"gate": All(), "guide": NoGuide()},
]


def stored(rolls: Rollouts) -> Any:
    parts = [rolls.curriculum, rolls.gate, rolls.guide, rolls, rolls.until]
    return json.loads(json.dumps([part.state() for part in parts]))


@pytest.mark.parametrize(
    "members", COMBINATIONS, ids=lambda m: "+".join(x.kind for x in m.values())
)
def test_ten_steps_are_six_a_json_round_trip_and_four(
    tmp_path: Path, members: dict[str, Strict]
) -> None:
    def says(prompt: Prompt, sample: int, key: str) -> bool:
        return chance(prompt, sample, key) and prompt.problem_id not in ("p1", "p3")

    def fresh() -> Rollouts:
        return rollouts(tmp_path, says, pool(11), **members)

    whole, first, second = fresh(), fresh(), fresh()
    steps = [whole(step, 6) for step in range(10)]
    assert [first(step, 6) for step in range(6)] == steps[:6]
    for part, state in zip(
        [second.curriculum, second.gate, second.guide, second, second.until],
        stored(first),
        strict=True,
    ):
        part.restore(state)
    assert [second(step, 6) for step in range(6, 10)] == steps[6:]
    assert stored(second) == stored(whole) and second.stats == whole.stats
    assert whole.spent.drawn == engine(whole).tokens


def test_carried_groups_survive_json(tmp_path: Path) -> None:
    rolls = rollouts(tmp_path, by_problem("WMMM"), pool(4), gate=Mixed(refill="whole"))
    rolls(0, 4)
    carried = rolls.gate.choose([], [], 0).carried
    assert [row.completion.token_ids for group in carried for row in group.rows] == [
        (7, 8, 9),
        (7, 8),
    ]
    assert unpacked(json.loads(json.dumps(packed(carried)))) == carried


def test_no_two_draws_of_neighbouring_seeds_share_their_noise(tmp_path: Path) -> None:
    """Rounds, refills, ratings, hints and a problem asked twice in one draw, over the steps of four runs."""
    keys: list[int] = []
    for seed in range(4):
        gate = Mixed(refill="whole", limit=4)
        rolls = rollouts(
            tmp_path, chance, pool(7), curriculum=Probing(), gate=gate, guide=Help(), seed=seed
        )
        for step in range(12):
            rolls(step, 16)
        screened = rollouts(tmp_path, chance, pool(3), gate=Mixed(screen=1), seed=seed)
        screened.gate.admits = lambda outcome, round: ""
        for step in range(12, 20):
            screened(step, 16)
        keys += [row_key(*key) for key in engine(rolls).keys + engine(screened).keys]
    assert len(keys) > 2000 and len(set(keys)) == len(keys)


def test_draws_are_counted_by_problem(tmp_path: Path) -> None:
    """A pool smaller than a batch: each repetition of a problem in one draw has noise of its own."""
    rolls = rollouts(tmp_path, chance, pool(2))
    rolls(0, 12)
    assert Counter(name for name, _ in engine(rolls).asked) == {"p0": 3, "p1": 3}
    assert len(set(engine(rolls).keys)) == 12


# -- several processes ----------------------------------------------------------------------------


class TwoProcesses:
    """Two threads that think they are the processes of one run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.me, self.barrier, self.said = threading.local(), threading.Barrier(2), [None, None]
        for name in ("longstep.rl.drawing.world", "longstep.rl.rollouts.world"):
            monkeypatch.setattr(name, lambda: 2)
        monkeypatch.setattr("longstep.rl.drawing.rank", lambda: self.me.rank)
        monkeypatch.setattr("longstep.rl.drawing.gather", self.gather)

    def gather(self, mine: Any) -> list[Any]:
        self.said[self.me.rank] = mine
        self.barrier.wait(10)
        everyone = list(self.said)
        self.barrier.wait(10)
        return everyone

    def run(self, work: Callable[[], Any]) -> list[Any]:
        def one(rank: int) -> Any:
            self.me.rank = rank
            return work()

        with ThreadPoolExecutor(2) as threads:
            return list(threads.map(one, range(2)))


@pytest.mark.parametrize(
    "members", COMBINATIONS, ids=lambda m: "+".join(x.kind for x in m.values())
)
def test_two_processes_decide_and_train_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, members: dict[str, Strict]
) -> None:
    """Refills of 1 and 3 problems leave one of the two without work; still both know all that was drawn."""
    alone = rollouts(tmp_path, chance, pool(11), **members)
    expected = [alone(step, 8) for step in range(5)]

    def work() -> tuple[list[Any], Any]:
        rolls = rollouts(tmp_path, chance, pool(11), **members)
        return [rolls(step, 4) for step in range(5)], stored(rolls)

    (first, known), (second, known_too) = TwoProcesses(monkeypatch).run(work)
    for whole, mine, theirs in zip(expected, first, second, strict=True):
        assert whole.keys() == mine.keys() == theirs.keys()
        assert all(whole[name] == mine[name] + theirs[name] for name in whole)
    for part in (known, known_too):  # another's answers come without prompt and text
        for group in part[1].get("kept", part[1].get("carried", [])):
            for row in group["rows"]:
                row["completion"].update(text="", prompt_ids=[])
    assert known == known_too and known[3:] == stored(alone)[3:]


def test_a_reward_of_the_form_reads_what_the_other_process_drew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second problem is asked for no thought, so that the closing tag of its answers breaks the form."""

    def formed() -> Rollouts:
        rolls = rollouts(tmp_path, chance, pool(11), gate=Mixed(spare=1))
        rolls.rewards = (Format(kept=1.0, broken=-1.0),)
        rolls.prompts = [
            Prompt(p.problem_id, p.prompt_ids, p.prefix * (i % 2))
            for i, p in enumerate(rolls.prompts)
        ]
        return rolls

    def rewarded(rolls: Rollouts, count: int) -> list[tuple[int, float | None]]:
        columns = [rolls(step, count) for step in range(4)]
        return [
            (prompt[2], reward)
            for each in columns
            for prompt, reward in zip(each["prompt_ids"], each["shaped"], strict=True)
        ]

    alone = rewarded(formed(), 8)
    assert all(reward == (1.0 if place % 2 else -1.0) for place, reward in alone)
    first, second = TwoProcesses(monkeypatch).run(lambda: rewarded(formed(), 4))
    assert sorted(first + second) == sorted(alone)


# -- the stage ------------------------------------------------------------------------------------


def train(folder: Path, finished: Path, stage: type[Rl] = WithOurs, **fields: Any) -> Context:
    """Run the stage on the short recipe's model, which is right now and then."""
    given = {
        "model": str(finished / "merged" / "out"),
        "data": str(finished / "pool" / "out"),
        "algorithm": {"kind": "dapo", "minibatches": 1},
        "gate": {"kind": "all"},
        "group": 4,
        "batch": 8,
        "max_tokens": 32,
        "max_length": 96,
        "optimizer": {"kind": "adamw", "lr": 1e-3},
        "save_every": 2,
        "log_every": 1,
        **fields,
    }
    quiet = lambda label, total, unit: Progress(label, total, unit, write=lambda text: None)  # noqa: E731
    context = Context("rl", folder, 7, {}, quiet, lambda what, facts: None)
    folder.mkdir(exist_ok=True)
    stage.model_validate(given).run(context)
    return context


OURS = {
    "curriculum": {"kind": "probing"},
    "gate": {"kind": "mixed", "spare": 1, "takes": ["mixed", "wrong"]},
    "guide": {"kind": "help"},
    "steps": 4,
}


def logged(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{k: v for k, v in row.items() if k not in ("seconds", "step_time")} for row in rows]


@pytest.mark.parametrize("minibatches", [1, 3])
def test_members_of_one_file_and_one_line_train_and_resume(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minibatches: int
) -> None:
    """Probes, carried groups and hints in the real stage; stopped at its fourth draw, it goes on from a checkpoint."""
    ours = {
        **OURS,
        "algorithm": {"kind": "dapo", "minibatches": minibatches},
        "steps": 4 * minibatches,
    }
    whole = resumes(tmp_path, finished, monkeypatch, 3 * minibatches, ours)
    rows = logged(tmp_path / "whole")
    assert rows[-1]["tokens/probe"] > 0 and rows[-1]["tokens/guided"] > 0
    assert rows[1]["gate/carried"] > 0  # so that the checkpoint after step 2 must hold some
    assert whole.cost.tokens_probe == rows[-1]["tokens/probe"]
    purposes = ("trained", "discarded", "carried", "probe", "guided")
    assert whole.cost.tokens_generated == sum(rows[-1][f"tokens/{name}"] for name in purposes)


def test_carried_groups_and_hinted_rows_resume_at_their_weights(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published ones: ratios against what the sampler recorded a step before, or under a question that told more."""
    ours = {
        "gate": {"kind": "mixed", "refill": "whole", "hopeless": "keep"},
        "guide": {"kind": "egsr", "template": "{answer}{solution}{prompt}", "copies": "take"},
        "algorithm": {"kind": "dapo", "minibatches": 2},
        "group": 2,  # so that some are all right, and refused
        "steps": 8,
        "stage": Rl,
    }
    resumes(tmp_path, finished, monkeypatch, 6, ours)
    rows = logged(tmp_path / "whole")
    assert max(row["gate/carried"] for row in rows) > 0 and rows[-1]["guide/taken"] > 0
    assert max(row["ratio_max"] for row in rows) > 1


def resumes(
    tmp_path: Path,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    ours: dict[str, Any],
) -> Context:
    """A run, after one that was stopped at a step went on to the same metrics, costs and weights."""
    whole = train(tmp_path / "whole", finished, **ours)
    step = Rollouts.__call__

    def stop_there(rolls: Rollouts, number: int, count: int) -> Any:
        if number == at:
            raise KeyboardInterrupt
        return step(rolls, number, count)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Rollouts, "__call__", stop_there)
        train(tmp_path / "cut", finished, **ours)
    again = train(tmp_path / "cut", finished, **ours)
    assert again.cost == whole.cost and logged(tmp_path / "cut") == logged(tmp_path / "whole")
    weights = [(tmp_path / run / "out/model.safetensors").read_bytes() for run in ("whole", "cut")]
    assert weights[0] == weights[1]
    return whole


@pytest.mark.parametrize("kind", KINDS)
def test_every_curriculum_takes_two_steps_in_the_stage(
    finished: Path, tmp_path: Path, kind: str
) -> None:
    """The problems have one source, so the bandit is told to look at their difficulty; batches of ADCL are small, so
    that it comes to the second one."""
    told_more = {"sec": {"by": "difficulty"}, "adcl": {"batches": 99}}
    curriculum = {"kind": kind, **told_more.get(kind, {})}
    context = train(tmp_path / "run", finished, Rl, curriculum=curriculum, steps=2)
    rows = logged(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2]
    told = {name for name in rows[-1] if name.startswith("curriculum/")}
    assert told and all(isinstance(rows[-1][name], float) for name in told)
    assert (context.cost.tokens_probe > 0) == (kind == "adcl")  # the only one that rates again


STAGED = [*(("gate", kind) for kind in kinds(AnyGate)), *(("guide", k) for k in kinds(AnyGuide))]


@pytest.mark.parametrize(("family", "kind"), STAGED)
def test_every_gate_and_guide_takes_two_steps_in_the_stage(
    finished: Path, tmp_path: Path, family: str, kind: str
) -> None:
    """Groups of 4: half of them in the screen, 6 drawn for 4. Traces of chains have one right way, so copies count."""
    told = {
        "screen": {"first": 2, "limit": 3},
        "spread": {"drawn": 6},
        "egsr": {"template": "{answer}{solution}{prompt}", "copies": "take"},
        "expert": {"when": "always"},
    }
    given = {family: {"kind": kind, **told.get(kind, {})}}
    context = train(tmp_path / "run", finished, Rl, steps=2, **given)
    rows = logged(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2]
    silent = kind in ("all", "none", "spread")
    assert silent or any(name.startswith(f"{family}/") for name in rows[-1])
    purposes = ("trained", "discarded", "carried", "probe", "guided")
    assert context.cost.tokens_generated == sum(rows[-1][f"tokens/{name}"] for name in purposes)
    if family == "guide" and kind != "none":
        assert rows[-1]["guide/groups"] > 0


def test_given_answers_train_in_the_stage(finished: Path, tmp_path: Path) -> None:
    """Worked solutions in hopeless groups: they are trained on, and cost no draw."""
    context = train(tmp_path / "run", finished, guide={"kind": "help", "how": "given"}, steps=3)
    last = logged(tmp_path / "run")[-1]
    assert last["guide/taken"] > 0 and last["tokens/seen"] > last["tokens/trained"]
    assert context.cost.tokens_generated == last["tokens/trained"] + last["tokens/discarded"]
    assert context.cost.tokens_trained == last["tokens/seen"]


def test_rows_of_a_short_step_move_no_weight(finished: Path, tmp_path: Path) -> None:
    """The gate refuses every group after one answer, so each row only fills the trainer's batch."""
    shut = {"kind": "mixed", "limit": 1, "screen": 1}  # one answer is never right and wrong
    train(tmp_path / "run", finished, gate=shut, steps=2)
    start = load_model(finished / "merged" / "out", "float32").state_dict()
    ended = load_model(tmp_path / "run" / "out", "float32").state_dict()
    assert all(start[name].equal(ended[name]) for name in start)
    assert logged(tmp_path / "run")[-1]["missing_groups"] == 2


def test_a_horizon_is_counted_in_the_steps_that_a_curriculum_is_asked_by(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two updates from each draw: it is asked at steps 0 and 2 of 4, so step / steps is the share done."""
    build, told = Shuffle.build, list[Any]()

    class Listening:
        def __init__(self, problems: Sequence[Problem], horizon: Horizon) -> None:
            told.append(horizon)
            self.order = build(Shuffle(), problems, horizon)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.order, name)

        def pick(self, n: int, step: int) -> Any:
            told.append((n, step))
            return self.order.pick(n, step)

    with monkeypatch.context() as patched:
        patched.setattr(Shuffle, "build", lambda self, *given: Listening(*given))
        dapo = {"kind": "dapo", "minibatches": 2}
        train(tmp_path / "run", finished, algorithm=dapo, steps=4)
    assert told == [Horizon(steps=4, groups=4, seed=7, updates=2), (4, 0), (4, 2)]


def test_what_a_run_left_out_stands_in_its_notes_and_its_card(
    finished: Path, tmp_path: Path
) -> None:
    """Two updates a draw and three in all; the longest prompts have no room; a pool smaller than a batch."""
    problems = [*read_rows(finished / "pool" / "out" / "problems.jsonl", Problem)]
    few = [problems[0], replace(problems[1], prompt=f"{problems[1].prompt[:-1]}{'+1-1' * 20}?")]
    write_rows(tmp_path / "few.jsonl", few)
    two = {"algorithm": {"kind": "dapo", "minibatches": 2}, "steps": 3}
    train(tmp_path / "run", finished, Rl, data=str(tmp_path / "few.jsonl"), **two)
    notes = [json.loads(line) for line in (tmp_path / "run/health.jsonl").open(encoding="utf-8")]
    said = [note["cause"] for note in notes if note["rule"] == "pool"]
    assert said[0].startswith("1 of 2 prompts are longer than the 64 tokens that max_length")
    assert said[1].startswith("a batch asks for 4 problems and there are 1, so")
    assert said[2].startswith(
        "the last batch of rollouts makes 2 updates and the stage ends 1 before"
    )
    card = (tmp_path / "run/out/README.md").read_text("utf-8")
    assert "prompts longer than 64 tokens: 1" in card
    assert "answers drawn to train on: 32" in card  # two draws of 2 updates of 8
