"""What inference-time scaling costs: a step search against plain draws, held caches, picking again, ten strategies.

Run: ``OMP_NUM_THREADS=1 PYTHONPATH=src python bench/scaling.py [rounds] [part ...]``; parts are ``search``, ``pick``
and ``ten``, all without any. The references: plain sampling of the very same tokens by the same engine, and the same
search by a frontier that holds nothing and encodes every prefix again. Rounds take turns, the tables have medians, all
of CPU seconds of one thread, which other work on the machine moves least.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch
from weakref import WeakSet

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from longstep.artifacts import write_rows
from longstep.draw.prompts import engine, prompts_for
from longstep.generate import Prompt, Sampling
from longstep.generate.base import canonical
from longstep.generate.encoded import EncodedFrontier
from longstep.generate.engine import TransformersEngine
from longstep.generate.prefilled import Prefilled
from longstep.models.chat import encode_text
from longstep.models.load import load_model, load_tokenizer, shipped_folder
from longstep.problems.chain import Chain
from longstep.scaling.adaptive import AdaptiveConsistency
from longstep.scaling.base import Strategy
from longstep.scaling.beam import BeamSearch
from longstep.scaling.budget import BudgetForcing
from longstep.scaling.drive import Grower
from longstep.scaling.dvts import DiverseTrees
from longstep.scaling.esc import EarlyStopping
from longstep.scaling.picks import AnyPick
from longstep.scaling.picks.average import AnyAnswer
from longstep.scaling.picks.best import BestScore
from longstep.scaling.picks.borda import BordaVote
from longstep.scaling.picks.majority import MajorityVote
from longstep.scaling.picks.oracle import OraclePick
from longstep.scaling.picks.weighted import WeightedVote
from longstep.scaling.rebase import Rebase
from longstep.scaling.samples import IndependentSamples
from longstep.scaling.scorers.agreement import AgreementScorer
from longstep.scaling.store import Scaled, begin, finish, nodes_path, rescore
from longstep.types import Problem, Segment
from longstep.verify import judge

STEP = tuple(f"={digit}" for digit in range(10))
#: A step of a chain is four to seven tokens long.
STEPS = {"step": STEP, "max_step": 12, "rounds": 40}
HOW = Sampling(temperature=1.0, top_p=1.0, max_tokens=96, seed=0, batch_size=256, logprobs=True)
TEN: dict[str, Strategy] = {
    "samples 16": IndependentSamples(n=16),
    "adaptive": AdaptiveConsistency(most=16, each=2),
    "windows": EarlyStopping(most=16),
    "beam 4 x 4": BeamSearch(keep=4, expand=4, **STEPS),
    "beam 2 x 4": BeamSearch(keep=2, expand=4, **STEPS),
    "trees 4 x 4": DiverseTrees(trees=4, expand=4, **STEPS),
    "rebase 8": Rebase(n=8, **STEPS),
    "rebase 16": Rebase(n=16, **STEPS),
    "budget 16": BudgetForcing(most=16, answer="\\boxed{"),
    "one wait": BudgetForcing(waits=1, wait="~"),
}


class Again(TransformersEngine):
    """Holds nothing."""

    def frontier(self) -> EncodedFrontier:
        """Encode every prefix again."""
        return EncodedFrontier(self)


def bed(
    count: int,
) -> tuple[TransformersEngine, Callable[[str], Sequence[int]], list[tuple[Problem, Prompt]]]:
    """The shipped rater, which writes steps, on chains of six to eight of them."""
    folder = shipped_folder("longstep-tiny-rater")
    tokenizer = load_tokenizer(folder)
    problems = {p.id: p for p in Chain(kind="chain", count=count, difficulty=(6, 8)).load(0)}
    prompts = canonical(prompts_for(tokenizer, list(problems.values())))
    asked = [(problems[prompt.problem_id], prompt) for prompt in prompts]
    return engine(load_model(folder).eval(), tokenizer), lambda t: encode_text(tokenizer, t), asked


def wide(
    count: int,
) -> tuple[TransformersEngine, Callable[[str], Sequence[int]], list[tuple[Problem, Prompt]]]:
    """The same prompts before a wider model of random weights, in which the model itself takes the time."""
    small, encode, asked = bed(count)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=small.model.config.vocab_size,
        hidden_size=256,
        intermediate_size=1024,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=512,
    )
    outside = {config.vocab_size}  # never drawn, so that all answers are equally long
    return (
        TransformersEngine(Qwen2ForCausalLM(config).eval(), small.tokenizer, outside),
        encode,
        asked,
    )


def search(rounds: int) -> None:
    """Answers as one plain draw, step by step, step by step with every prefix encoded again."""
    even = BeamSearch(keep=4, expand=1, step=("never there",), max_step=6)
    uneven = BeamSearch(keep=4, expand=1, step=("7",), max_step=64)
    _search(
        "shipped model, steps of chains, 64 problems",
        bed(64),
        BeamSearch(keep=4, expand=1, **STEPS),
        rounds,
    )
    _search("four layers of width 256, steps of six tokens, 24 problems", wide(24), even, rounds)
    _search("the same, steps of one to 64 tokens", wide(24), uneven, rounds)


def _search(
    title: str,
    made: tuple[TransformersEngine, Callable[[str], Sequence[int]], list[tuple[Problem, Prompt]]],
    steps: Strategy,
    rounds: int,
) -> None:
    plain, encode, asked = made
    again = Again(plain.model, plain.tokenizer, plain.stop_ids)
    again.unknown_U = plain.unknown_U
    prompts, four = [prompt for _, prompt in asked], HOW.model_copy(update={"samples": 4})
    ways: dict[str, Callable[[], list[list[tuple[int, ...]]]]] = {
        "plain draw": lambda: [[row.token_ids for row in plain.draw(prompts, four)]],
        "step search": lambda: _ids(Grower(plain, encode, HOW, steps).wave(asked)),
        "prefixes again": lambda: _ids(Grower(again, encode, HOW, steps).wave(asked)),
    }
    seconds, seen = _turns(ways, rounds)
    base = seconds["plain draw"]
    print(f"{title}, 4 answers, medians of {rounds}; peak: keys and values held at a time")
    print("| | tokens | segments | passes | rows in them | CPU s | plain / it | peak, x plain |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for name, took in seconds.items():
        it, peak = seen[name], seen[name].peak / seen["plain draw"].peak
        counts = f"{it.tokens} | {it.segments} | {it.passes} | {it.rows}"
        print(f"| {name} | {counts} | {took:.3f} | {base / took:.2f} | {peak:.2f} |")
    ratio = seconds["prefixes again"] / seconds["step search"]
    print(f"prefixes again / step search: {ratio:.2f}", flush=True)


def _ids(trees: Sequence[Sequence[Segment]]) -> list[list[tuple[int, ...]]]:
    return [[each.token_ids for each in tree] for tree in trees]


@dataclass
class Seen:
    """What one way does: passes of the model, rows in all of them, the most numbers that all caches hold at a time."""

    tokens: int = 0
    segments: int = 0
    passes: int = 0
    rows: int = 0
    peak: int = 0


def _turns(
    ways: dict[str, Callable[[], list[list[tuple[int, ...]]]]], rounds: int
) -> tuple[dict[str, float], dict[str, Seen]]:
    seen = {name: _watched(way) for name, way in ways.items()}  # which warms up, too
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.process_time()
            way()
            taken[name].append(time.process_time() - start)
    return {name: statistics.median(some) for name, some in taken.items()}, seen


def _watched(way: Callable[[], list[list[tuple[int, ...]]]]) -> Seen:
    alive: WeakSet[Prefilled] = WeakSet()
    seen, forward, take = Seen(), Prefilled._forward, Prefilled.taken

    def passed(self: Prefilled, ids_BT: torch.Tensor, positions_BT: torch.Tensor) -> None:
        forward(self, ids_BT, positions_BT)
        alive.add(self)
        held = [layer for each in alive for layer in each.cache.layers if layer.is_initialized]
        most = sum(layer.keys.numel() + layer.values.numel() for layer in held)
        seen.passes, seen.rows = seen.passes + 1, seen.rows + len(ids_BT)
        seen.peak = max(seen.peak, most)

    def taken(self: Prefilled, index: Sequence[int]) -> Prefilled:
        other = take(self, index)
        alive.add(other)  # what is put aside passes through no model
        return other

    with patch.object(Prefilled, "_forward", passed), patch.object(Prefilled, "taken", taken):
        drawn = way()
    seen.tokens = sum(len(ids) for row in drawn for ids in row)
    seen.segments = sum(map(len, drawn))
    return seen


def pick(rounds: int) -> None:
    """300 problems with 64 answers each, picked again by eight picks from what is stored."""
    picks: dict[str, AnyPick] = {
        "average": AnyAnswer(),
        "majority": MajorityVote(),
        "weighted": WeightedVote(),
        "best": BestScore(),
        "borda": BordaVote(),
        "borda, 2": BordaVote(power=2.0),
        "weighted by agreement": WeightedVote(scorer=AgreementScorer()),
        "oracle": OraclePick(),
    }
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), random.Random(0)
        problems = [Problem(f"p{n:04d}", f"{n}?", str(rng.randrange(10))) for n in range(300)]
        begin(folder, problems, [Prompt(p.id, (1,) * 16, "<think>") for p in problems])
        rows = (_answer(problem, n, rng) for problem in problems for n in range(64))
        write_rows(nodes_path(folder, "vote"), rows)
        strategies = (("vote", IndependentSamples(n=64)),)
        finish(
            folder,
            Scaled(
                strategies=strategies,
                picks=tuple(picks.items()),
                seed=1,
                resamples=10_000,
                files={},
            ),
        )
        seconds = []
        for _ in range(rounds):
            start = time.process_time()
            rescore(folder)
            seconds.append(time.process_time() - start)
    print(
        f"300 x 64 answers x {len(picks)} picks again: {statistics.median(seconds):.2f} CPU s, median of {rounds}"
    )


def _answer(problem: Problem, number: int, rng: random.Random) -> Segment:
    answer = problem.answer if rng.random() < 0.5 else str(rng.randrange(10))
    length = rng.randrange(20, 60)
    text = f"{'x' * length}</think>\\boxed{{{answer}}}"
    ids = tuple(rng.randrange(100) for _ in range(length))
    logps = tuple(-rng.random() for _ in range(length))
    verdict = judge(problem, f"<think>{text}")
    return Segment(problem.id, number, -1, 0, "model", ids, text, "stop", logps, {}, verdict)


def ten(rounds: int) -> None:
    """Ten strategies on 300 problems."""
    draws, encode, asked = bed(300)
    print("| strategy | CPU s | tokens |")
    print("|---|--:|--:|")
    whole = 0.0
    for name, strategy in TEN.items():
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            grower = Grower(draws, encode, HOW.model_copy(update={"batch_size": 512}), strategy)
            forest = grower.forest(asked, Path(folder) / "journal")
            tokens = sum(len(each.token_ids) for tree in forest for each in tree)
            took = time.process_time() - start
        whole += took
        print(f"| {name} | {took:.1f} | {tokens} |", flush=True)
    print(f"all ten on 300 problems: {whole:.1f} CPU s")


PARTS = {"search": search, "pick": pick, "ten": ten}

if __name__ == "__main__":
    torch.set_num_threads(1)
    given = sys.argv[1:]
    count = int(given.pop(0)) if given and given[0].isdigit() else 5
    for part in given or PARTS:
        PARTS[part](count)
