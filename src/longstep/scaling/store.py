"""The folder of a ``scale`` stage: trees are stored once, and picked from and counted as often as wanted.

protocol.json             what was asked, and the hash of every file of segments
problems.jsonl            Problem rows
prompts.jsonl             of each problem: tokens of its prompt, and the part of the answer that the prompt holds
nodes/<strategy>.jsonl    Segment rows, problem by problem
classes/<strategy>.jsonl  which answers of a problem are one answer
choices.jsonl             which answers each pick gives, all answers used
curves.json               accuracy against tokens
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, repeat
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from longstep.artifacts import read_rows, sha256_file, write_json, write_rows
from longstep.config import Field, Strict, UserError
from longstep.evaluate.score import rounded
from longstep.evaluate.store import PROTOCOL, stored_as
from longstep.generate import Prompt
from longstep.scaling import AnyStrategy
from longstep.scaling.axes import Prices, Work
from longstep.scaling.curves import Counting, curves
from longstep.scaling.dial import Dial
from longstep.scaling.picks import AnyPick
from longstep.scaling.picks.ballot import Ballot
from longstep.scaling.raters import refuse_doubtful
from longstep.scaling.remarks import Remarks
from longstep.scaling.scorers import AnyScorer
from longstep.scaling.tally import Grown, StrategyTally
from longstep.scaling.tree import leaves
from longstep.scaling.unfit import unfit_picks
from longstep.scaling.verdicts import EqualAnswers, StoredJudge, classes_path, verifier_code
from longstep.types import Problem, Segment
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
        beside: hash of every other file that is read again.
        readers: names of the scorers that read paths with a model, and why nothing should be chosen by them alone;
            empty where it may be.
        scorers: with their settings.
        judged_by: hash of the verifier's code; stored verdicts stand while it is that.
        prices: of tokens, as declared.
        work: what a token takes of the model; ``None`` where its shape is not known here.
    """

    strategies: tuple[tuple[str, AnyStrategy], ...] = Field(min_length=1)
    picks: tuple[tuple[str, AnyPick], ...] = Field(min_length=1)
    seed: int
    resamples: int = Field(ge=100)
    files: dict[str, str]
    beside: dict[str, str] = Field(default_factory=dict)
    readers: dict[str, str] = Field(default_factory=dict)
    scorers: tuple[AnyScorer, ...] = ()
    judged_by: str = ""
    prices: Prices = Prices()
    work: Work | None = None

    @property
    def counting(self) -> Counting:
        """How points are counted."""
        return Counting(self.prices, self.work, self.seed, self.resamples)


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


def finish(folder: Path, asked: Scaled) -> dict[str, Any]:
    """Write what follows from the segments, and the protocol with the hashes of what it follows from."""
    files = {name: sha256_file(nodes_path(folder, name)) for name, _ in asked.strategies}
    protocol = asked.model_copy(update={"files": files, "judged_by": verifier_code()})
    found = _score(folder, protocol, None)
    names = [PROBLEMS, PROMPTS, *(str(classes_path(Path(), name)) for name in files)]
    beside = {name: sha256_file(folder / name) for name in names}
    protocol = protocol.model_copy(update={"beside": beside})
    write_json(folder / PROTOCOL, protocol.model_dump(mode="json"))
    return found


def rescore(folder: Path, picks: Sequence[AnyPick] = ()) -> dict[str, Any]:
    """Pick and count again from the stored trees, without a model; the same trees give the same bytes.

    Answers are judged again, too, when the verifier's code or the problems are not what they were.

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
    if not _as_written(folder, protocol, PROMPTS):
        raise UserError(
            f"{folder / PROMPTS}: is not the file the stage wrote, and tokens are counted from it; restore it, or run "
            "the stage again"
        )
    if picks:
        strategies = [strategy for _, strategy in protocol.strategies]
        for said in unfit_picks(picks, strategies, protocol.scorers):
            raise UserError(f"--pick: {said}")
        refuse_doubtful("--pick", picks, protocol.readers)
        protocol = protocol.model_copy(update={"picks": tuple((pick.name, pick) for pick in picks)})
    problems = {p.id: p for p in read_rows(folder / PROBLEMS, Problem)}
    prompts = {each.problem_id for each in read_rows(folder / PROMPTS, Begun)}
    if lost := sorted(prompts - {*problems}):
        raise UserError(
            f"{folder / PROBLEMS}: has no problem {lost[0]!r}, whose trees are stored; restore it"
        )
    # With other keys than the stage's, answers are judged again.
    stands = protocol.judged_by == verifier_code() and _as_written(folder, protocol, PROBLEMS)
    found = _score(folder, protocol, StoredJudge(problems, folder if stands else None))
    # Last, so that a pick that cannot be leaves the folder as it was.
    write_json(folder / PROTOCOL, protocol.model_dump(mode="json"))
    return found


def _as_written(folder: Path, protocol: Scaled, name: str) -> bool:
    """Whether a file is what the stage wrote, as far as its hash is known."""
    path, digest = folder / name, protocol.beside.get(name)
    return path.is_file() and (digest is None or sha256_file(path) == digest)


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


def _score(folder: Path, protocol: Scaled, judge: StoredJudge | None) -> dict[str, Any]:
    """Pick and count; without a ``judge`` the verdicts are those of the segments, just reached."""
    prompts = {p.problem_id: p for p in read_rows(folder / PROMPTS, Begun)}
    tallies: list[StrategyTally] = []
    dial, remarks = Dial(), Remarks()
    # Problems and strategies ask the same questions many times.
    same = lru_cache(maxsize=100_000)(same_answer)

    def choices() -> Iterator[GivenAnswer]:
        for name, strategy in protocol.strategies:
            picks, reading = dict(protocol.picks), frozenset(protocol.readers)
            tally = StrategyTally(name, strategy, picks, reading)
            tallies.append(tally)
            equal: list[EqualAnswers] = []
            known_classes = judge is not None and _as_written(
                folder, protocol, str(classes_path(Path(), name))
            )
            classes = judge.classes(name) if judge is not None and known_classes else repeat(None)
            for (problem_id, tree), known in zip(trees(folder, name), classes, strict=False):
                prompt = prompts[problem_id]
                found = leaves(tree, prompt.prefix)
                if judge is not None:
                    found = judge.judged(problem_id, found)
                ballot = Ballot(found, same, f"{protocol.seed}:{problem_id}", known)
                equal.append(EqualAnswers(problem_id, tuple(ballot.class_L.tolist())))
                tally.add(Grown(tree, prompt.tokens, ballot))
                dial.add(name, strategy, found)
                remarks.add(tree, len(found))
                for pick_name, pick in protocol.picks:
                    yield _given((problem_id, name, pick_name), pick, ballot)
            remarks.close(name, strategy)
            if judge is None:
                write_rows(classes_path(folder, name), equal)

    write_rows(folder / CHOICES, choices())
    found = curves(tallies, protocol.counting)
    found["dial"] = rounded(dial.read(found["points"]))
    unjudged = [] if found["points"] else ["no answer could be judged, so nothing is counted"]
    found["remarks"] = remarks.said + unjudged
    write_json(folder / CURVES, found)
    return found


def _given(place: tuple[str, str, str], pick: AnyPick, ballot: Ballot) -> GivenAnswer:
    if not ballot.trails:
        return GivenAnswer(*place, {}, 0.0)
    whole = ballot.whole()
    chosen_SN = pick.chosen_SN(ballot, whole)
    answers: dict[str, float] = {}
    for at in np.flatnonzero(chosen_SN[0]).tolist():
        answer = ballot.trails[at].answer
        if answer is not None:
            answers[answer] = round(answers.get(answer, 0.0) + float(chosen_SN[0, at]), 6)
    right = whole.value(chosen_SN)
    return GivenAnswer(*place, answers, None if right is None else round(right, 6))
