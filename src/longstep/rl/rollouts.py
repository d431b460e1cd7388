"""One step of reinforcement learning up to the update: pick, draw, judge, gate, observe, guide, weigh.

Correctness feeds curriculum, gate, guide and health rules; the shaped reward feeds the trainer. They never mix.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from longstep.artifacts import AppendLog
from longstep.config import UserError
from longstep.curriculum import Ask, Curriculum, Outcome
from longstep.curriculum.gates import Chosen, Gate
from longstep.curriculum.groups import DrawnGroup, DrawnRow
from longstep.curriculum.guides import Guide
from longstep.curriculum.outside import complete, storable
from longstep.curriculum.until import Steps, Watched
from longstep.generate import Prompt
from longstep.losses.rewards import AnyReward, Graded, shaped_reward
from longstep.rl.drawing import Asked, Drawer, by_samples, part
from longstep.rl.exam import EXAM_TOKENS
from longstep.rl.guiding import Hints, guided
from longstep.rl.health import Health
from longstep.rl.spent import TokensSpent
from longstep.rl.stats import effective_groups, rollout_stats
from longstep.training.checkpoints import Side
from longstep.training.ranks import world
from longstep.types import Completion, Problem

SHOWN = 4


@dataclass
class StepDraws:
    """All that one step has drawn, in the order asked.

    Attributes:
        outcomes: of every ask, ratings too.
        groups: drawn to be trained on.
        passed: those among them that the gate refused in no round.
        refused: reasons, with how many groups each stopped.
        probed: tokens of ratings.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    groups: list[DrawnGroup] = field(default_factory=list)
    passed: list[DrawnGroup] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    probed: int = 0

    def left(self) -> list[DrawnGroup]:
        """Groups that did not pass, in the order drawn."""
        passed = {group.key for group in self.passed}
        return [group for group in self.groups if group.key not in passed]


@dataclass
class Rollouts:
    """Gives the trainer the rows of each step.

    Attributes:
        problems: the pool, in the curriculum's numbering.
        prompts: their rendered prompts, in the same order.
        curriculum: asks for problems and learns how they went.
        gate: chooses among the groups drawn.
        guide: mends groups without a right answer.
        drawer: draws and judges.
        hints: renders guidance.
        rewards: shape the reward.
        group: completions per problem.
        record: a few rollouts of each step, for the report.
        until: may end the training by how the draws went.
        exam: held-out problems, asked before a step's draws; told the step and the tokens drawn so far.
        spent: tokens so far.
        stats: numbers for the metric line of the last step.
        ended: why the gate or the rule ends the training after the last step.
    """

    problems: Sequence[Problem]
    prompts: Sequence[Prompt]
    curriculum: Curriculum
    gate: Gate
    guide: Guide
    drawer: Drawer
    hints: Hints
    rewards: Sequence[AnyReward]
    group: int
    record: AppendLog
    until: Watched = field(default_factory=lambda: Watched(Steps()))
    exam: Callable[[int, int], Mapping[str, float]] = lambda step, drawn: {}
    spent: TokensSpent = field(default_factory=TokensSpent)
    stats: dict[str, Any] = field(default_factory=dict)
    ended: str = ""

    def __post_init__(self) -> None:
        """Members from outside may lack something; say so before anything is drawn."""
        complete(self.curriculum, Curriculum)
        complete(self.gate, Gate)
        complete(self.guide, Guide)

    def __call__(self, step: int, count: int) -> Mapping[str, list[Any]]:
        """Give ``count`` rows; see :func:`longstep.training.policy.train_policy` for the columns.

        With several processes, each asks for the problems of all, draws its own part and decides on what all have
        drawn: so every process keeps the same curriculum, gate and guide, and trains its own part of the groups.
        """
        self.drawer.begin(step)
        sat = self.exam(step, self.spent.drawn)
        self.spent.exam += int(sat.get(EXAM_TOKENS, 0))
        wanted = count // self.group * world()
        draws = self._draw_on(step, wanted)
        chosen = self.gate.choose(draws.passed, draws.left(), wanted)
        self.curriculum.observe(draws.outcomes)
        mended = guided(self.guide, chosen.groups, self.problems, self.hints, self.drawer)
        groups = mended.groups
        self._refuse_misfits(groups, wanted, chosen.short)
        self._account(draws, groups, chosen, mended.tokens)
        self._tell(draws, groups, chosen, wanted)
        if mended.unhelped:
            self.stats["guide/unhelped"] = mended.unhelped
        self.stats.update(sat)
        if not self.until.history:  # after the first step, when a state is no longer empty
            for member in (self.curriculum, self.gate, self.guide):
                storable(member)
        said = self.until.observe(step, draws.groups, self.spent.drawn)
        self.ended = chosen.ends or said
        filled = [*groups, *self._fillers(wanted - len(groups))]
        return self._columns(filled, part(wanted))

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep."""
        return {"spent": asdict(self.spent), "ended": self.ended}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from ``state()``."""
        self.spent, self.ended = TokensSpent(**state["spent"]), state["ended"]

    # -- pick, draw, judge, gate --------------------------------------------------------------------

    def _draw_on(self, step: int, wanted: int) -> StepDraws:
        """Ask and draw until the gate has enough, or wants no more."""
        draws = StepDraws()
        while (need := self.gate.more(len(draws.passed), wanted, len(draws.groups))) > 0:
            asks = self.curriculum.pick(need, step)
            if odd := [ask.index for ask in asks if not 0 <= ask.index < len(self.problems)]:
                raise UserError(
                    f"curriculum: it asked for problem {odd[0]} at step {step}, and there are 0 to "
                    f"{len(self.problems) - 1}"
                )
            if (found := sum(ask.use == "train" for ask in asks)) != need:
                raise ValueError(
                    f"step {step}: the curriculum asked for {found} of {need} problems"
                )
            rated = self._rate(asks, draws)
            trained = iter(self._train([ask for ask in asks if ask.use == "train"], draws))
            for place, ask in enumerate(asks):
                draws.outcomes.append(rated[place] if ask.use == "rate" else next(trained).outcome)
        return draws

    def _rate(self, asks: Sequence[Ask], draws: StepDraws) -> dict[int, Outcome]:
        """Outcomes of the ratings among some asks, by place."""
        found: dict[int, Outcome] = {}
        for samples, places in by_samples([ask.samples for ask in asks]):
            chosen = [asks[place] for place in places]
            _, answers = self.drawer.draw([self._asked(ask) for ask in chosen], samples)
            for place, ask, rows in zip(places, chosen, answers, strict=True):
                found[place] = _outcome(ask, rows, self.drawer.step)
                draws.probed += sum(found[place].lengths_G)
        return found

    def _train(self, asks: Sequence[Ask], draws: StepDraws) -> list[DrawnGroup]:
        """Groups of the asked problems, drawn in the gate's rounds; what a round refuses is drawn no further."""
        groups: dict[int, DrawnGroup] = {}
        going = list(range(len(asks)))
        for number, samples in enumerate(self.gate.rounds):
            keys, answers = self.drawer.draw(
                [self._asked(asks[i]) for i in going], samples, any(r.texts for r in self.rewards)
            )
            if not draws.groups and number == 0:
                self._show(answers[part(len(going))])
            for i, key, rows in zip(going, keys, answers, strict=True):
                groups[i] = self._longer(groups.get(i), asks[i], key, rows)
            refused = [self.gate.admits(groups[i].outcome, number) for i in going]
            draws.refused.update(filter(None, refused))
            going = [i for i, reason in zip(going, refused, strict=True) if not reason]
        draws.passed += [groups[i] for i in going]
        draws.groups += groups.values()
        return list(groups.values())

    def _longer(
        self, before: DrawnGroup | None, ask: Ask, key: str, rows: Sequence[Completion]
    ) -> DrawnGroup:
        """A group with the answers of one more round, numbered on."""
        if before is not None:
            key, old = before.key, [row.completion for row in before.rows]
            rows = [*old, *(replace(r, sample_index=r.sample_index + len(old)) for r in rows)]
        return DrawnGroup(
            key, _outcome(ask, rows, self.drawer.step), tuple(DrawnRow(row) for row in rows)
        )

    def _asked(self, ask: Ask) -> Asked:
        return Asked(self.problems[ask.index], self.prompts[ask.index])

    # -- weigh --------------------------------------------------------------------------------------

    def _fillers(self, missing: int) -> list[DrawnGroup]:
        """Groups that no loss sees, because the trainer's batch has a fixed number of rows.

        A token after the first prompt: there may be no answer to copy, and every process must fill up alike.
        """
        prompt = self.prompts[0]
        answer = Completion(prompt.problem_id, 0, (), prompt.prompt_ids[-1:], "", "length", (0.0,))
        row = DrawnRow(answer, mask=(0,))
        outcome = Outcome(0, "train", (), (), 0, self.drawer.step)
        return [DrawnGroup("", outcome, (row,) * self.group)] * missing

    def _columns(self, groups: Sequence[DrawnGroup], mine: slice) -> dict[str, list[Any]]:
        own = [(group.outcome.index, row) for group in groups[mine] for row in group.rows]
        rows = [row for _, row in own]
        columns: dict[str, list[Any]] = {
            # Never the prompt that a row was drawn under: that may have shown the answer.
            "prompt_ids": [list(self.prompts[index].prompt_ids) for index, _ in own],
            "completion_ids": [list(row.completion.token_ids) for row in rows],
            "logprobs": [list(_record(row) or (math.nan,) * row.length) for row in rows],
            "correctness": [
                row.correctness if row.own and not _unseen(row) else None for row in rows
            ],
            "shaped": [self._shaped(self.prompts[index], row) for index, row in own],
        }
        # The trainers of all processes must get the same columns, so the rows of all are asked.
        everyone = [row for group in groups for row in group.rows]
        if any(row.mask for row in everyone):
            columns["loss_mask"] = [list(row.mask or (1,) * row.length) for row in rows]
        if any(row.weight != "own" for row in everyone):
            columns["weight"] = [row.weight for row in rows]
        if any(row.advantage is not None for row in everyone):
            columns["advantage"] = [row.advantage for row in rows]
        return columns

    def _refuse_misfits(self, groups: Sequence[DrawnGroup], wanted: int, short: str) -> None:
        """What a gate or a guide may not do, said before the trainer stumbles over it."""
        sizes = {len(group.rows) for group in groups} - {self.group}
        if sizes:
            raise ValueError(
                f"groups of {sorted(sizes)} rows come from gate or guide, not {self.group}"
            )
        if len(groups) > wanted or (len(groups) < wanted and not short):
            raise ValueError(
                f"the gate chose {len(groups)} groups, {wanted} were wanted, and gives no reason"
            )
        if any(_without_record(row) for group in groups for row in group.rows):
            raise ValueError(
                "a row is weighted by what the sampler recorded, and nobody recorded anything"
            )

    def _shaped(self, prompt: Prompt, row: DrawnRow) -> float | None:
        """The reward; ``None`` for a row that no loss sees."""
        if _unseen(row):
            return None
        longest, text = self.drawer.sampling.max_tokens, row.completion.text
        # A prompt that opens a thought has a part of the answer in it; one that asks for none has nothing.
        thinking = bool(prompt.prefix)
        return shaped_reward(
            self.rewards, Graded(row.correctness, row.length, longest, text, thinking)
        )

    # -- say ----------------------------------------------------------------------------------------

    def _account(
        self, draws: StepDraws, groups: Sequence[DrawnGroup], chosen: Chosen, helped: int
    ) -> None:
        drawn = sum(row.length for group in draws.groups for row in group.rows)
        self.spent.probe += draws.probed
        self.spent.guided += helped
        self.spent.settle(drawn, groups, chosen.carried)

    def _tell(
        self, draws: StepDraws, groups: Sequence[DrawnGroup], chosen: Chosen, wanted: int
    ) -> None:
        self.stats = {
            **rollout_stats(draws.groups),
            "effective_groups": (effective := effective_groups(groups)),
            "effective_group_share": effective / wanted,
            "missing_groups": wanted - len(groups),
            **{f"refused/{reason}": count for reason, count in draws.refused.items()},
            **self.spent.metrics(),
            **{f"curriculum/{k}": v for k, v in self.curriculum.metrics().items()},
            **{f"gate/{k}": v for k, v in self.gate.metrics().items()},
            **{f"guide/{k}": v for k, v in self.guide.metrics().items()},
        }
        if chosen.short:
            self.stats["short"] = chosen.short

    def _show(self, groups: Sequence[Sequence[Completion]]) -> None:
        """Record this process's first answers of a step."""
        rows = [row for group in groups for row in group]
        for row in rows[:SHOWN]:
            assert row.verdict is not None
            self.record.append(
                {
                    "step": self.drawer.step + 1,
                    "problem_id": row.problem_id,
                    "text": row.text,
                    "status": row.verdict.status,
                }
            )


def _record(row: DrawnRow) -> tuple[float, ...] | None:
    """What the sampler recorded, where the trainer may compare with it; a correction leaves other rows as they are.

    Text that nobody sampled has no record. An answer drawn under a question that told more has one of another prompt,
    which only ``behaviour`` asks for; after a forced beginning, which is masked, it is the right one.
    """
    told_more = row.origin == "guided" and not row.mask and row.weight != "behaviour"
    return None if told_more else row.completion.logprobs


def _unseen(row: DrawnRow) -> bool:
    """Whether no loss sees it, as a filler, which was never judged."""
    return bool(row.mask) and not any(row.mask)


def _without_record(row: DrawnRow) -> bool:
    return row.weight == "behaviour" and not row.completion.logprobs


def _outcome(ask: Ask, rows: Sequence[Completion], step: int) -> Outcome:
    verdicts = [row.verdict for row in rows if row.verdict is not None]
    return Outcome(
        ask.index,
        ask.use,
        tuple(verdict.correctness for verdict in verdicts),
        tuple(len(row.token_ids) for row in rows),
        sum(verdict.status == "truncated" for verdict in verdicts),
        step,
    )


def sides(rollouts: Rollouts, health: Health) -> dict[str, Side]:
    """What a checkpoint must carry beside the trainer's own state."""
    return {
        "curriculum.json": Side(rollouts.curriculum.state, rollouts.curriculum.restore),
        "health.json": Side(health.state, health.restore),
        "gate.json": Side(rollouts.gate.state, rollouts.gate.restore),
        "guide.json": Side(rollouts.guide.state, rollouts.guide.restore),
        "rollouts.json": Side(rollouts.state, rollouts.restore),
        "until.json": Side(rollouts.until.state, rollouts.until.restore),
    }
