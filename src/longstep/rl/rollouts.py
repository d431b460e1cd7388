"""One batch of rollouts: prompts from the curriculum, completions, verdicts, rewards, and what to say about them.

Correctness feeds the curriculum and the health rules; the shaped reward feeds the trainer. They never mix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from longstep.artifacts import AppendLog
from longstep.curriculum import Curriculum
from longstep.draw.drawing import verified
from longstep.generate import Generator, Prompt, Sampling
from longstep.generate.base import canonical
from longstep.losses.rewards import AnyReward, shaped_reward
from longstep.rl.stats import correctness_of, rollout_stats
from longstep.training.ranks import gather, rank, world
from longstep.types import Completion, Problem

SHOWN = 4


@dataclass
class Rollouts:
    """Draws and scores rollouts for one training run.

    Attributes:
        problems: the pool, in the curriculum's numbering.
        prompts: their rendered prompts, in the same order.
        curriculum: picks problems and learns how they went.
        generator: the engine over the model in training.
        rewards: shape the reward.
        group: completions per problem.
        max_tokens: longest completion.
        temperature: of the sampling.
        together: completions decoded together, ``None`` for all of a step.
        seed: of the sampling; each step derives its own.
        record: a few rollouts of each step, for the report.
        refresh: called before each step with its number, to bring a generator that draws from a copy up to date.
    """

    problems: Sequence[Problem]
    prompts: Sequence[Prompt]
    curriculum: Curriculum
    generator: Generator
    rewards: Sequence[AnyReward]
    group: int
    max_tokens: int
    temperature: float
    together: int | None
    seed: int
    record: AppendLog
    refresh: Callable[[int], None] = lambda step: None
    tokens: int = 0
    stats: dict[str, float] = field(default_factory=dict)

    def __call__(self, step: int, count: int) -> Mapping[str, list[Any]]:
        """Roll out ``count // group`` problems; see :func:`longstep.training.policy.train_grpo` for the columns.

        With several processes, each picks the problems of all, draws its own share and observes what all have drawn:
        so every process keeps the same curriculum.
        """
        self.refresh(step)
        share = count // self.group
        picked = self.curriculum.pick(share * world())
        groups = self._draw(step, picked, slice(rank() * share, (rank() + 1) * share))
        rows = [row for group in groups for row in group]
        shaped = self._shaped(rows)
        everyone = [group for part in gather(_slim(groups)) for group in part]
        for index, group in zip(picked, everyone, strict=True):
            self.curriculum.observe(index, [c for c in map(correctness_of, group) if c is not None])
        drawn = [row for group in everyone for row in group]
        self.tokens += sum(len(row.token_ids) for row in drawn)
        self.stats = rollout_stats(everyone, self._shaped(drawn))
        for row in rows[:SHOWN]:
            assert row.verdict is not None
            self.record.append(
                {
                    "step": step + 1,
                    "problem_id": row.problem_id,
                    "text": row.text,
                    "status": row.verdict.status,
                }
            )
        return {
            "prompt_ids": [list(row.prompt_ids) for row in rows],
            "completion_ids": [list(row.token_ids) for row in rows],
            "logprobs": [list(row.logprobs or ()) for row in rows],
            "shaped": shaped,
        }

    def state(self) -> dict[str, Any]:
        """What a checkpoint must keep."""
        return {"tokens": self.tokens}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from ``state()``."""
        self.tokens = int(state["tokens"])

    def _shaped(self, rows: Sequence[Completion]) -> list[float | None]:
        return [
            shaped_reward(self.rewards, correctness_of(row), len(row.token_ids), self.max_tokens)
            for row in rows
        ]

    def _draw(self, step: int, picked: Sequence[int], mine: slice) -> list[list[Completion]]:
        """Groups in the order picked; a problem picked twice in one step gets its own noise the second time."""
        asked: list[Prompt] = []
        seen: Counter[int] = Counter()
        for index in picked:
            prompt, again = self.prompts[index], seen[index]
            seen[index] += 1
            name = f"{prompt.problem_id}#{again}" if again else prompt.problem_id
            asked.append(replace(prompt, key=name))
        asked, picked = asked[mine], picked[mine]
        sampling = Sampling(
            temperature=self.temperature,
            top_p=1.0,
            max_tokens=self.max_tokens,
            samples=self.group,
            seed=self.seed + step,
            batch_size=self.together or max(1, len(asked) * self.group),
            logprobs=True,
        )
        completions = self.generator.draw(asked, sampling)
        drawn = {p.name: list(islice(completions, self.group)) for p in canonical(asked)}
        return [
            [verified(self.problems[index], completion) for completion in drawn[prompt.name]]
            for index, prompt in zip(picked, asked, strict=True)
        ]


def _slim(groups: Sequence[Sequence[Completion]]) -> list[list[Completion]]:
    """What the other processes need to know of these rollouts."""
    return [
        [replace(row, prompt_ids=(), text="", logprobs=None) for row in group] for group in groups
    ]
