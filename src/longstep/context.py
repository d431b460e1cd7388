"""What a stage is: one strict config and one ``run`` that reads artifacts and writes one artifact."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from longstep.artifacts import (
    AppendLog,
    fresh_folder,
    read_json,
    read_rows,
    sha256_json,
    write_json,
    write_rows,
)
from longstep.config import Field, Strict, UserError, field_validator
from longstep.models.adapted import whole
from longstep.models.load import locate
from longstep.models.origin import Ancestor, origins
from longstep.progress import Progress, to_stderr
from longstep.types import Completion, Pair, Problem
from longstep.workfolder import PARTIAL

Artifact = Literal["rows", "model", "report"]
CHECKPOINTS = "checkpoints"
#: What the data was decontaminated against; handed on from stage to stage, and into model cards.
LEDGER = "ledger.json"
#: What ``where`` left of the problems, in the stage's folder, for the report.
CHOSEN = "chosen.json"
#: Rows that belong to problems, by their files.
BESIDE: Mapping[str, type[Completion] | type[Pair]] = {
    "completions.jsonl": Completion,
    "pairs.jsonl": Pair,
}


__all__ = [
    "BESIDE",
    "CHECKPOINTS",
    "CHOSEN",
    "LEDGER",
    "PARTIAL",
    "Artifact",
    "Context",
    "Cost",
    "Where",
    "carry_along",
    "chosen_problems",
    "stage_seed",
]


def stage_seed(seed: int, name: str) -> int:
    """The seed of one stage of a recipe. It stands here, not in ``run``, to be part of every stage's code."""
    return int(sha256_json([seed, name])[:12], 16)


@dataclass
class Cost:
    """What a stage spent, for the report and for ``plan``.

    Attributes:
        tokens_trained: tokens that training saw, once for each time.
        tokens_generated: tokens drawn, whatever for.
        tokens_discarded: those among the drawn that were meant for training and not used.
        tokens_probe: those among the drawn that only told how hard a problem is.
        tokens_guided: those among the drawn that the policy wrote with help.
        tokens_exam: those among the drawn that only told how good the policy is.
        tokens_scored: tokens that a model read to score them or to teach a scorer, prompts included, each time.
    """

    tokens_trained: int = 0
    tokens_generated: int = 0
    tokens_discarded: int = 0
    tokens_probe: int = 0
    tokens_guided: int = 0
    tokens_exam: int = 0
    tokens_scored: int = 0


@dataclass
class Context:
    """What the runner hands to a stage.

    Attributes:
        name: the stage's name in the recipe.
        folder: the stage's own folder; ``metrics.jsonl``, checkpoints and partial work live here.
        seed: the recipe's seed, already made specific to the stage's name.
        inputs: ``@name`` to the artifact folder of that stage.
        progress: makes a progress line with a label.
        event: records one event in the run's ``events.jsonl``.
        datasets: published data sets and files that the rows of this stage come from, for model cards.
        trackers: where metric lines go too.
        cost: filled in by the stage.
    """

    name: str
    folder: Path
    seed: int
    inputs: Mapping[str, Path]
    progress: Callable[[str, int, str], Progress]
    event: Callable[[str, Mapping[str, object]], None]
    datasets: tuple[str, ...] = ()
    trackers: tuple[str, ...] = ()
    cost: Cost = field(default_factory=Cost)

    def warn(self, event: str, said: str) -> None:
        """Record a warning, and say it at once."""
        self.event(event, {"warning": said})
        to_stderr(f"{self.name}: {said}\n")

    @property
    def out(self) -> Path:
        """The artifact's folder."""
        return self.folder / "out"

    def fresh_out(self) -> Path:
        """The artifact's folder, emptied: what an interrupted attempt left there is never used."""
        return fresh_folder(self.out)

    def artifact(self, reference: str) -> Path:
        """The folder behind ``@name``, or the path itself."""
        if reference.startswith("@"):
            return self.inputs[reference]
        return Path(reference)

    def model(self, reference: str) -> Path:
        """The Hugging Face folder behind ``@name``, a shipped name, a path or a hub id.

        Pointers are followed, and an adapter that was kept alone is merged into its base.
        """
        if not reference.startswith("@"):
            return locate(reference)
        return whole(self.artifact(reference), self.folder / PARTIAL)

    def artifact_of_model(self, reference: str) -> Path:
        """The artifact behind ``@name``, as it is, or the folder of a model that no stage made."""
        return self.artifact(reference) if reference.startswith("@") else locate(reference)

    def origins(self, reference: str) -> tuple[Ancestor, ...]:
        """What the model behind a reference goes back to, and its licence."""
        return origins(self.artifact_of_model(reference), reference)

    def rows(self, reference: str, file: str) -> Path:
        """One row file of an artifact; a path to a file stands for itself.

        Raises:
            UserError: the artifact does not hold such rows.
        """
        folder = self.artifact(reference)
        path = folder if folder.is_file() else folder / file
        if not path.is_file():
            have = (
                ", ".join(sorted(p.name for p in folder.glob("*.jsonl")))
                if folder.is_dir()
                else "nothing"
            )
            raise UserError(f"{self.name}: {reference} holds no {file} (it holds {have})")
        return path

    def ledger(self, reference: str) -> dict[str, Any] | None:
        """The contamination ledger of an artifact, if it has one."""
        path = self.artifact(reference) / LEDGER
        return read_json(path) if path.is_file() else None

    def hand_on_ledger(self, reference: str) -> None:
        """Write the ledger of an input, if it has one, beside this stage's rows."""
        ledger = self.ledger(reference)
        if ledger is not None:
            write_json(self.out / LEDGER, ledger)

    def log(self, file: str) -> AppendLog:
        """An append-only log in the stage's folder."""
        return AppendLog(self.folder / file)


class PromptChars(Strict):
    """One side of a cut through all problems by the characters of their prompts, instructions included.

    FastCuRL's segments (its released files): at most the mean is ``short``, the rest is ``long``.

    Attributes:
        side: which side is kept.
        of: where the cut is: at the mean of all problems that the stage is given.
    """

    side: Literal["short", "long"]
    of: Literal["mean"] = "mean"

    def keeps(self, prompt: str, edge: float) -> bool:
        """Whether a prompt is on this side of the cut."""
        return (len(prompt) <= edge) == (self.side == "short")


def carry_along(data: Path, out: Path, ids: Container[str]) -> None:
    """Write the rows that stand beside the problems of an artifact beside those that stay, by the ids of these."""
    for file, cls in BESIDE.items():
        if (data / file).is_file():
            rows = read_rows(data / file, cls)
            write_rows(out / file, (row for row in rows if row.problem_id in ids))


class Where(Strict):
    """Which problems of an artifact a stage uses.

    Attributes:
        pass_rate: closed interval; a problem without a pass rate is outside of every interval.
        difficulty: closed interval of the source's own difficulty.
        mixed: only problems that were neither always nor never solved.
        prompt_chars: only those with short, or with long, prompts.
        count: at most this many of them, drawn at random: the control of every selection.
    """

    pass_rate: tuple[float, float] | None = None
    difficulty: tuple[float, float] | None = None
    mixed: bool = False
    prompt_chars: PromptChars | None = None
    count: int | None = Field(default=None, ge=1)

    @field_validator("pass_rate")
    @classmethod
    def _shares(cls, interval: tuple[float, float] | None) -> tuple[float, float] | None:
        if interval is not None and not (interval[0] <= 1 and 0 <= interval[1] <= 1):
            raise ValueError(
                f"a pass rate is a share between 0 and 1, such as [0.2, 0.8], got {list(interval)}"
            )
        return interval

    @field_validator("pass_rate", "difficulty")
    @classmethod
    def _ordered(cls, interval: tuple[float, float] | None) -> tuple[float, float] | None:
        if interval is not None and interval[0] > interval[1]:
            raise ValueError(f"expected the lower end first, got {list(interval)}")
        return interval

    def wants(self) -> frozenset[str]:
        """What it looks at."""
        rated = self.pass_rate is not None or self.mixed
        difficult = self.difficulty is not None
        return frozenset(["pass_rate"] * rated + ["difficulty"] * difficult)

    def told(self) -> str:
        """As a recipe would say it; ``everything`` without any condition."""
        return _told(self.model_dump(exclude_defaults=True)) or "everything"

    def keeps(self, pass_rate: float | None, difficulty: float | None) -> bool:
        """Whether a problem is inside, by its ratings."""
        if self.mixed and (pass_rate is None or not 0 < pass_rate < 1):
            return False
        return _inside(pass_rate, self.pass_rate) and _inside(difficulty, self.difficulty)

    def edge(self, problems: Iterable[Problem]) -> float | None:
        """Where ``prompt_chars`` cuts all these problems; ``None``, and none is read, when it does not."""
        if self.prompt_chars is None:
            return None
        count = total = 0
        for problem in problems:
            count, total = count + 1, total + len(problem.prompt)
        return total / count if count else 0.0

    def takes(self, problem: Problem, edge: float | None) -> bool:
        """Whether a problem is inside, by its ratings and by its prompt on this side of ``edge``."""
        side = self.prompt_chars
        near = side is None or edge is None or side.keeps(problem.prompt, edge)
        return near and self.keeps(problem.pass_rate, problem.difficulty)


def _told(value: Any) -> str:
    """A value as YAML's flow style writes it; an empty mapping is nothing."""
    if isinstance(value, dict):
        parts = ", ".join(f"{name}: {_told(each)}" for name, each in value.items())
        return f"{{{parts}}}" if parts else ""
    return str(list(value)) if isinstance(value, tuple) else str(value).lower()


def _inside(value: float | None, interval: tuple[float, float] | None) -> bool:
    if interval is None:
        return True
    return value is not None and interval[0] <= value <= interval[1]


def chosen_problems(
    context: Context, data: str, where: Where, usable: Collection[str] | None = None
) -> list[Problem]:
    """Problems of an artifact inside ``where``; only those with a ``usable`` id, when given.

    Raises:
        UserError: none is left, with the count before the selection.
    """
    path = context.rows(data, "problems.jsonl")
    edge = where.edge(read_rows(path, Problem))
    chosen: list[Problem] = []
    there = asked = rated = 0
    for problem in read_rows(path, Problem):
        there += 1
        if usable is None or problem.id in usable:
            asked, rated = asked + 1, rated + (problem.pass_rate is not None)
            if where.takes(problem, edge):
                chosen.append(problem)
    if not there:
        raise UserError(f"{context.name}: {data} holds no problem; look at the stage that made it")
    if not asked:
        raise UserError(
            f"{context.name}: none of the {there} problems of {data} has a row that can be used here; the "
            "completions beside them answer other problems"
        )
    if not chosen:
        raise UserError(
            f"{context.name}: where {where.told()} leaves 0 of {asked} problems of {data} ({rated} have a pass "
            "rate); widen it or rate the problems first"
        )
    if where.count is not None and where.count < len(chosen):
        drawn = random.Random(f"{context.seed}:where").sample(range(len(chosen)), where.count)
        chosen = [chosen[index] for index in sorted(drawn)]
    if where != Where():
        facts = {"where": where.told(), "kept": len(chosen), "of": asked, "mean_chars": edge}
        write_json(context.folder / CHOSEN, facts)
    return chosen
