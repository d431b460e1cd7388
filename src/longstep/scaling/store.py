"""The folder of a ``scale`` stage: trees are stored once, and picked from and counted as often as wanted.

protocol.json             what was asked, and the hash of every file of segments
problems.jsonl            Problem rows
prompts.jsonl             of each problem: tokens of its prompt, and the part of the answer that the prompt holds
nodes/<strategy>.jsonl    Segment rows, problem by problem
choices.jsonl             which answers each pick gives, all answers used
curves.json               accuracy against tokens
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from longstep.artifacts import read_rows, sha256_file, write_json, write_rows
from longstep.config import Field, Strict, UserError
from longstep.evaluate.score import rounded
from longstep.evaluate.store import PROTOCOL, stored_as
from longstep.generate import Prompt
from longstep.scaling import AnyStrategy
from longstep.scaling.account import bill
from longstep.scaling.curves import StrategyTally, budgets_of, curves
from longstep.scaling.dial import Dial
from longstep.scaling.picks import AnyPick
from longstep.scaling.picks.base import expected
from longstep.scaling.raters import refuse_doubtful
from longstep.scaling.tree import Trail, leaves
from longstep.types import Problem, Segment
from longstep.verify import judge_all
from longstep.verify.keys import same_answer

CURVES, CHOICES = "curves.json", "choices.jsonl"
PROBLEMS, PROMPTS = "problems.jsonl", "prompts.jsonl"


class Scaled(Strict):
    """What was asked of the model; stored beside the trees.

    Attributes:
        strategies: names and settings, in the order of the report.
        picks: names and settings.
        seed: of random subsets and of the bootstrap.
        resamples: of the bootstrap.
        files: hash of each strategy's segments.
        readers: names of the scorers that read paths with a model, and why nothing should be chosen by them alone;
            empty where it may be.
    """

    strategies: tuple[tuple[str, AnyStrategy], ...] = Field(min_length=1)
    picks: tuple[tuple[str, AnyPick], ...] = Field(min_length=1)
    seed: int
    resamples: int = Field(ge=100)
    files: dict[str, str]
    readers: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the answers to a problem begin: tokens of the prompt, and the part of the answer that it holds."""

    problem_id: str
    tokens: int
    prefix: str


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """What a pick gives: each answer with its probability, and the expected correctness."""

    problem_id: str
    strategy: str
    pick: str
    answers: dict[str, float]
    correctness: float | None


def nodes_path(folder: Path, strategy: str) -> Path:
    """Where the segments of a strategy are stored."""
    return folder / "nodes" / f"{strategy}.jsonl"


def begin(folder: Path, problems: Sequence[Problem], prompts: Sequence[Prompt]) -> None:
    """Write what is asked."""
    write_rows(folder / PROBLEMS, problems)
    rows = (Begun(p.problem_id, len(p.prompt_ids), p.prefix) for p in prompts)
    write_rows(folder / PROMPTS, rows)


def finish(folder: Path, asked: Scaled) -> None:
    """Write the protocol with the hashes of the segments, and what follows from them."""
    files = {name: sha256_file(nodes_path(folder, name)) for name, _ in asked.strategies}
    protocol = asked.model_copy(update={"files": files})
    write_json(folder / PROTOCOL, protocol.model_dump(mode="json"))
    _score(folder, protocol, again=False)


def rescore(folder: Path, picks: Sequence[AnyPick] = ()) -> dict[str, Any]:
    """Judge, pick and count again from the stored trees, without a model; the same trees give the same bytes.

    Args:
        folder: the ``out`` of a ``scale`` stage.
        picks: other ones than the stage's; they are written into the protocol.

    Raises:
        UserError: it is no such folder, or a stored segment is not what the stage wrote.
    """
    protocol = read_protocol(folder)
    for name, digest in protocol.files.items():
        path = nodes_path(folder, name)
        if not path.is_file() or sha256_file(path) != digest:
            raise UserError(
                f"{path}: is not the file the stage wrote (a segment was changed, lost or added); restore it, or run "
                "the stage again"
            )
    if picks:
        refuse_doubtful("--pick", picks, protocol.readers)
        protocol = protocol.model_copy(update={"picks": tuple((pick.name, pick) for pick in picks)})
        write_json(folder / PROTOCOL, protocol.model_dump(mode="json"))
    return _score(folder, protocol, again=True)


def read_protocol(folder: Path) -> Scaled:
    """The stored protocol.

    Raises:
        UserError: the folder holds none, or one that does not fit.
    """
    return stored_as(Scaled, folder, "the out/ folder of a scale stage")


def trees(folder: Path, strategy: str) -> Iterator[tuple[str, list[Segment]]]:
    """Every problem's tree, one at a time."""
    rows = read_rows(nodes_path(folder, strategy), Segment)
    for problem_id, tree in groupby(rows, attrgetter("problem_id")):
        yield problem_id, list(tree)


def _score(folder: Path, protocol: Scaled, again: bool) -> dict[str, Any]:
    problems = {p.id: p for p in read_rows(folder / PROBLEMS, Problem)}
    prompts = {p.problem_id: p for p in read_rows(folder / PROMPTS, Begun)}
    tallies: list[StrategyTally] = []
    dial = Dial()
    # Subsets of a problem's answers ask the same questions many times.
    same = lru_cache(maxsize=100_000)(same_answer)

    def choices() -> Iterator[GivenAnswer]:
        for name, strategy in protocol.strategies:
            budgets = budgets_of(strategy.rows, strategy.exchangeable)
            tally = StrategyTally(name, budgets, dict(protocol.picks), same, protocol.seed)
            tallies.append(tally)
            for problem_id, tree in trees(folder, name):
                prompt = prompts[problem_id]
                found = leaves(tree, prompt.prefix)
                if again:
                    found = _judged(problems[problem_id], found)
                tally.add(problem_id, found, bill(tree, prompt.tokens, protocol.readers))
                dial.add(name, strategy, found)
                for pick_name, pick in protocol.picks:
                    yield _given((problem_id, name, pick_name), pick, found)

    write_rows(folder / CHOICES, choices())
    found = curves(tallies, protocol.seed, protocol.resamples)
    found["dial"] = rounded(dial.read(found["points"]))
    write_json(folder / CURVES, found)
    return found


def _judged(problem: Problem, found: Sequence[Trail]) -> list[Trail]:
    """Answers with the verdicts that today's verifier reaches."""
    verdicts = judge_all([(problem, each.text, each.last.finish) for each in found])
    return [
        replace(each, segments=(*each.segments[:-1], replace(each.last, verdict=verdict)))
        for each, verdict in zip(found, verdicts, strict=True)
    ]


def _given(place: tuple[str, str, str], pick: AnyPick, found: Sequence[Trail]) -> GivenAnswer:
    chosen = pick.pick(found, same_answer) if found else []
    answers: dict[str, float] = {}
    for share, leaf in zip(chosen, found, strict=True):
        if share and leaf.answer is not None:
            answers[leaf.answer] = round(answers.get(leaf.answer, 0.0) + share, 6)
    right = expected(chosen, found)
    return GivenAnswer(*place, answers, None if right is None else round(right, 6))
