"""What reinforcement learning costs here: a step beside TRL's own GRPO, the engine as its floor, curricula at 100,000.

Run: ``PYTHONPATH=src python bench/curricula.py [part ...]`` with parts of ``step``, ``signal``, ``throughput`` and
``own``; all of them by default, about ten minutes on two idle cores. Model, prompts, number of answers, length,
optimiser and rate are the same on both sides, and so is the verifier. Sides take turns; a table has medians over
turns. Seconds are given twice: those of a clock, and those of the processor, which other work on the machine changes
less. THREADS threads on both sides (2 by default).

TRL samples with ``generate`` and scores every answer at the width of the longest. Both sides draw by chance of their
own, so lengths differ by a little: that is why the first table counts per token.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args
from unittest.mock import patch

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from longstep.artifacts import AppendLog, write_rows
from longstep.config import TypeAdapter
from longstep.context import Context
from longstep.curriculum import AnyCurriculum, Ask, Horizon, Outcome, Shuffle
from longstep.curriculum.gates import All
from longstep.curriculum.guides import NoGuide
from longstep.draw.prompts import engine, prompts_for
from longstep.generate import Generator, Sampling
from longstep.losses.rewards import Correctness
from longstep.models.load import load_model, load_tokenizer, shipped_folder
from longstep.problems.chain import Chain
from longstep.progress import Progress
from longstep.rl.drawing import Drawer
from longstep.rl.guiding import Hints
from longstep.rl.rollouts import Rollouts
from longstep.stages.rl import Rl
from longstep.types import Problem
from longstep.verify import judge

GROUPS, GROUP, LONGEST = 64, 8, 80
#: What a curriculum is told here: batches that are small enough for a rating to fall into the steps that are looked at.
TOLD: dict[str, dict[str, Any]] = {"adcl": {"batches": 99}}
#: The shipped model that solves chains of one to three steps now and then, and no longer ones.
MODEL = shipped_folder("longstep-tiny-rater")
Seconds = tuple[float, float]
"""By the clock, and of the processor."""


def now() -> Seconds:
    """Both clocks."""
    return time.perf_counter(), time.process_time()


def since(start: Seconds) -> Seconds:
    """What both say since then."""
    return time.perf_counter() - start[0], time.process_time() - start[1]


@dataclass
class Side:
    """One training: what each step took, drew and earned.

    Attributes:
        seconds: of each step.
        tokens: drawn for it.
        reward: share of right answers among all that were drawn.
    """

    seconds: list[Seconds] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)


class Clock(TrainerCallback):
    """Times the steps of a trainer."""

    def __init__(self, side: Side) -> None:
        """Write into a side."""
        self.side = side

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start."""
        self.start = now()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Stop."""
        self.side.seconds.append(since(self.start))


def theirs(problems: Sequence[Problem], steps: int, rate: float) -> Side:
    """TRL's trainer with its own sampling and loss."""
    side, tokenizer = Side(), load_tokenizer(MODEL)
    prompts = prompts_for(tokenizer, problems)
    texts = [tokenizer.decode(list(prompt.prompt_ids)) for prompt in prompts]
    assert tokenizer(texts[0])["input_ids"] == list(prompts[0].prompt_ids)
    known = {text: (p, q.prefix) for text, p, q in zip(texts, problems, prompts, strict=True)}

    def reward(
        prompts: list[str], completions: list[str], completion_ids: Any, **_: Any
    ) -> list[float]:
        found = [
            judge(known[asked][0], known[asked][1] + said).correctness or 0.0
            for asked, said in zip(prompts, completions, strict=True)
        ]
        side.tokens.append(sum(map(len, completion_ids)))
        side.reward.append(statistics.fmean(found))
        return found

    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder, max_steps=steps, per_device_train_batch_size=GROUPS * GROUP,
            num_generations=GROUP, max_completion_length=LONGEST, temperature=1.0, beta=0.0, loss_type="grpo",
            learning_rate=rate, lr_scheduler_type="constant", adam_beta2=0.95, use_cpu=True, bf16=False,
            gradient_checkpointing=False, report_to=[], save_strategy="no", logging_steps=steps, disable_tqdm=True,
            seed=0,
        )  # fmt: skip
        rows = Dataset.from_list([{"prompt": text} for text in texts])
        trainer = GRPOTrainer(
            load_model(MODEL),
            [cast(Any, reward)],
            config,
            rows,
            processing_class=tokenizer,
            callbacks=[Clock(side)],
        )
        trainer.train()
    return side


def ours(problems: Sequence[Problem], steps: int, rate: float, **settings: Any) -> Side:
    """The stage ``rl``."""
    side, folder = Side(), Path(tempfile.mkdtemp())
    (folder / "data").mkdir()
    write_rows(folder / "data/problems.jsonl", problems)
    stage = Rl.model_validate({
        "model": str(MODEL), "data": str(folder / "data"), "algorithm": {"kind": "grpo"}, "group": GROUP,
        "batch": GROUPS * GROUP, "steps": steps, "max_tokens": LONGEST, "max_length": 2 * LONGEST,
        "optimizer": {"kind": "adamw", "lr": rate}, "schedule": "constant", "log_every": 1, "save_every": steps,
        **settings,
    })  # fmt: skip
    with timed(side):
        stage.run(context(folder))
    metrics = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in metrics]
    purposes = ("trained", "discarded", "carried")
    sums = [sum(int(row[f"tokens/{name}"]) for name in purposes) for row in rows]
    side.tokens = [after - before for before, after in zip([0, *sums], sums, strict=False)]
    side.reward = [row["correct"] for row in rows]
    shutil.rmtree(folder)
    return side


def context(folder: Path) -> Context:
    """Of a stage on its own."""
    quiet = lambda label, total, unit: Progress(label, total, unit, write=lambda text: None)  # noqa: E731
    return Context("rl", folder, 0, {}, quiet, lambda what, facts: None)


@contextmanager
def timed(side: Side) -> Iterator[None]:
    """While it lasts, every trainer gets a clock."""
    made = GRPOTrainer.__init__

    def with_clock(trainer: Any, *args: Any, **kwargs: Any) -> None:
        made(trainer, *args, **kwargs)
        trainer.add_callback(Clock(side))

    with patch.object(GRPOTrainer, "__init__", with_clock):
        yield


def chains(count: int, low: int, high: int) -> list[Problem]:
    """Problems whose every step is judged."""
    return [
        *Chain(kind="chain", count=count, difficulty=(low, high), verifier="chain-steps").load(0)
    ]


# -- parts ----------------------------------------------------------------------------------------


def step(turns: int = 3, steps: int = 4) -> None:
    """A step of 64 x 8 answers, and what drawing them takes the engine alone."""
    problems = chains(640, 1, 6)
    per: dict[str, list[tuple[float, float, float]]] = {
        "TRL": [],
        "longstep": [],
        "engine alone": [],
    }
    for _ in range(turns):
        for name, side in (
            ("TRL", theirs(problems, steps, 1e-5)),
            ("longstep", ours(problems, steps, 1e-5)),
        ):
            per[name] += warm(side)
        per["engine alone"] += warm(drawn(problems, steps)[1])
    print(
        f"\n{GROUPS} x {GROUP} answers of at most {LONGEST} tokens, medians of {len(per['TRL'])} steps\n"
    )
    print("| | s a step | processor s | tokens a step | us a token | x TRL | by processor |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    base = medians(per["TRL"])
    for name, found in per.items():
        clock, processor, tokens = medians(found)
        each, others = clock / tokens, base[0] / base[2]
        ratio = processor / tokens / (base[1] / base[2])
        print(
            f"| {name} | {clock:.2f} | {processor:.2f} | {tokens:.0f} | {each * 1e6:.1f} | {each / others:.2f} | "
            f"{ratio:.2f} |"
        )


def warm(side: Side) -> list[tuple[float, float, float]]:
    """Seconds and tokens of each step but the first."""
    return [(*took, float(tokens)) for took, tokens in zip(side.seconds, side.tokens, strict=True)][
        1:
    ]


def medians(found: Sequence[tuple[float, float, float]]) -> list[float]:
    """Column by column."""
    return [statistics.median(column) for column in zip(*found, strict=True)]


class Noted:
    """Draws, and remembers what was asked."""

    def __init__(self, generator: Generator) -> None:
        """Stand before a generator."""
        self.generator = generator

    def draw(self, asked: Any, how: Any) -> Iterator[Any]:
        """As it does."""
        self.asked = list(asked), how
        return self.generator.draw(*self.asked)


def drawn(problems: Sequence[Problem], steps: int) -> tuple[Side, Side]:
    """Batches of rollouts without a trainer, and after each the same draw by the engine alone."""
    whole, bare, tokenizer = Side(), Side(), load_tokenizer(MODEL)
    generator = engine(load_model(MODEL).eval(), tokenizer)
    noted, horizon = Noted(generator), Horizon(steps, GROUPS, 0)
    sampling = Sampling(temperature=1.0, top_p=1.0, max_tokens=LONGEST, seed=0, logprobs=True)
    with tempfile.TemporaryDirectory() as folder:
        rolls = Rollouts(
            problems=problems,
            prompts=prompts_for(tokenizer, problems),
            curriculum=Shuffle().build(problems, horizon),
            gate=All().build(GROUP, horizon),
            guide=NoGuide().build(problems, horizon),
            drawer=Drawer(noted, sampling),  # pyright: ignore
            hints=Hints(tokenizer, LONGEST, LONGEST),
            rewards=(Correctness(),),
            group=GROUP,
            record=AppendLog(Path(folder) / "rollouts.jsonl"),
        )
        for number in range(steps):
            start = now()
            rolls(number, GROUPS * GROUP)
            whole.seconds.append(since(start))
            start = now()
            rows = list(generator.draw(*noted.asked))
            bare.seconds.append(since(start))
            bare.tokens.append(sum(len(row.token_ids) for row in rows))
    whole.tokens = bare.tokens  # the same draws
    return whole, bare


def throughput(steps: int = 12) -> None:
    """Rollouts (pick, draw, judge, gate, observe, weigh) beside the engine alone."""
    whole, bare = (warm(side) for side in drawn(chains(640, 1, 6), steps))
    ratios = [[b[clock] / w[clock] for w, b in zip(whole, bare, strict=True)] for clock in (0, 1)]
    clock, processor = (statistics.median(each) for each in ratios)
    print(
        f"\nrollouts: {clock:.0%} of the engine's tokens a second ({processor:.0%} by "
        f"processor), medians of {steps - 1}"
    )


def signal(steps: int = 24, rate: float = 1e-3) -> None:
    """The same reward, on a pool where half of the groups carry no signal: chains too long to be solved."""
    problems = [*chains(480, 1, 2), *chains(480, 7, 8)]
    random.Random(0).shuffle(problems)
    half = GROUPS * GROUP // 2
    sides = {
        "TRL, 64 groups": lambda: theirs(problems, steps, rate),
        "longstep, gate all, 64 groups": lambda: ours(problems, steps, rate),
        "longstep, gate mixed, 32 kept": lambda: ours(
            problems, steps, rate, batch=half, gate={"kind": "mixed"}
        ),
    }
    found = {name: side() for name, side in sides.items()}
    goal = smooth(found["TRL, 64 groups"].reward)[-1]
    base: Seconds | None = None
    print(
        f"\nuntil the average share of right answers among all drawn is {goal:.3f} (TRL's after {steps} steps)\n"
    )
    print("| | steps | s | processor s | tokens | x TRL | by processor | at the end |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, side in found.items():
        rewards = smooth(side.reward)
        count = next((n for n, reward in enumerate(rewards, 1) if reward >= goal), None)
        if count is None:
            print(f"| {name} | never | | | | | | {rewards[-1]:.3f} |")
            continue
        clock, processor = (sum(each) for each in zip(*side.seconds[:count], strict=True))
        base = base or (clock, processor)
        print(
            f"| {name} | {count} | {clock:.1f} | {processor:.1f} | {sum(side.tokens[:count])} | "
            f"{clock / base[0]:.2f} | {processor / base[1]:.2f} | {rewards[-1]:.3f} |"
        )


def smooth(rewards: Sequence[float]) -> list[float]:
    """Means over up to five steps."""
    return [statistics.fmean(rewards[max(0, end - 5) : end]) for end in range(1, len(rewards) + 1)]


def own(count: int = 100_000, steps: int = 40) -> None:
    """What each curriculum itself does for a step of 64 groups, with so many problems."""
    _, bare = drawn(chains(640, 1, 6), 4)
    floor = statistics.median(processor for _, processor in bare.seconds[1:])
    made = random.Random(0)
    problems = [
        Problem(
            f"p{i}",
            "?",
            "1",
            source="abcde"[i % 5],
            difficulty=made.random(),
            pass_rate=made.randrange(9) / 8,
        )
        for i in range(count)
    ]
    print(
        f"\nown work at {count:,} problems, processor ms; share of what the engine takes for a step, {floor:.2f} s\n"
    )
    print("| curriculum | build | a step, mean | largest | share | checkpoint |")
    print("|---|--:|--:|--:|--:|--:|")
    for member in get_args(get_args(AnyCurriculum)[0]):
        kind = member.model_fields["kind"].default
        start = time.process_time()
        live = (
            TypeAdapter(AnyCurriculum)
            .validate_python({"kind": kind, **TOLD.get(kind, {})})
            .build(problems, Horizon(steps, GROUPS, 0))
        )
        built, taken = time.process_time() - start, list[float]()
        for number in range(steps):
            start = time.process_time()
            asks = live.pick(GROUPS, number)
            picked = time.process_time() - start
            outcomes = [outcome(ask, number) for ask in asks]  # the draw's part
            start = time.process_time()
            live.observe(outcomes)
            live.metrics()
            taken.append(picked + time.process_time() - start)
        start = time.process_time()
        json.dumps(live.state())
        kept, mean = time.process_time() - start, statistics.fmean(taken)
        print(
            f"| {kind} | {1e3 * built:.0f} | {1e3 * mean:.2f} | {1e3 * max(taken):.1f} | {mean / floor:.2%} | "
            f"{1e3 * kept:.0f} |"
        )


def outcome(ask: Ask, step: int) -> Outcome:
    """Made up: right more or less often, by problem."""
    chance = random.Random(f"{ask.index}:{step}")
    correctness = tuple(float(chance.random() < ask.index % 9 / 8) for _ in range(GROUP))
    return Outcome(ask.index, ask.use, correctness, (30,) * GROUP, 0, step)


PARTS: dict[str, Callable[[], None]] = {
    "step": step,
    "throughput": throughput,
    "own": own,
    "signal": signal,
}

if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("THREADS", "2")))
    for named in sys.argv[1:] or PARTS:
        PARTS[named]()
