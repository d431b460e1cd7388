"""What a stage is: one strict config and one ``run`` that reads artifacts and writes one artifact."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping
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
)
from longstep.config import Field, Strict, UserError, field_validator
from longstep.models.load import locate
from longstep.models.pointer import POINTER, pointed_at
from longstep.progress import Progress
from longstep.types import Problem
from longstep.workfolder import PARTIAL

Artifact = Literal["rows", "model", "report"]
CHECKPOINTS = "checkpoints"
#: What the data was decontaminated against; handed on from stage to stage, and into model cards.
LEDGER = "ledger.json"


__all__ = [
    "CHECKPOINTS",
    "LEDGER",
    "PARTIAL",
    "Artifact",
    "Context",
    "Cost",
    "Where",
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
    """

    tokens_trained: int = 0
    tokens_generated: int = 0
    tokens_discarded: int = 0
    tokens_probe: int = 0
    tokens_guided: int = 0


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
        cost: filled in by the stage.
    """

    name: str
    folder: Path
    seed: int
    inputs: Mapping[str, Path]
    progress: Callable[[str, int, str], Progress]
    event: Callable[[str, Mapping[str, object]], None]
    cost: Cost = field(default_factory=Cost)

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
        """The Hugging Face folder behind ``@name``, a shipped name, a path or a hub id; pointers are followed."""
        if not reference.startswith("@"):
            return locate(reference)
        folder = self.artifact(reference)
        return pointed_at(folder / POINTER) if (folder / POINTER).is_file() else folder

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


class Where(Strict):
    """Which problems of an artifact a stage uses.

    Attributes:
        pass_rate: closed interval; a problem without a pass rate is outside of every interval.
        difficulty: closed interval of the source's own difficulty.
        mixed: only problems that were neither always nor never solved.
        count: at most this many of them, drawn at random: the control of every selection.
    """

    pass_rate: tuple[float, float] | None = None
    difficulty: tuple[float, float] | None = None
    mixed: bool = False
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
        parts = [
            f"{name}: {list(value) if isinstance(value, tuple) else str(value).lower()}"
            for name, value in self.model_dump(exclude_defaults=True).items()
        ]
        return f"{{{', '.join(parts)}}}" if parts else "everything"

    def keeps(self, pass_rate: float | None, difficulty: float | None) -> bool:
        """Whether a problem is inside."""
        if self.mixed and (pass_rate is None or not 0 < pass_rate < 1):
            return False
        return _inside(pass_rate, self.pass_rate) and _inside(difficulty, self.difficulty)


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
    everything = list(read_rows(context.rows(data, "problems.jsonl"), Problem))
    if not everything:
        raise UserError(f"{context.name}: {data} holds no problem; look at the stage that made it")
    asked = [problem for problem in everything if usable is None or problem.id in usable]
    chosen = [p for p in asked if where.keeps(p.pass_rate, p.difficulty)]
    if not chosen and not asked:
        raise UserError(
            f"{context.name}: none of the {len(everything)} problems of {data} has a row that can be used here; the "
            "completions beside them answer other problems"
        )
    if not chosen:
        rated = sum(p.pass_rate is not None for p in asked)
        raise UserError(
            f"{context.name}: where {where.told()} leaves 0 of {len(asked)} problems of {data} ({rated} have a pass "
            "rate); widen it or rate the problems first"
        )
    if where.count is not None and where.count < len(chosen):
        drawn = random.Random(f"{context.seed}:where").sample(range(len(chosen)), where.count)
        return [chosen[index] for index in sorted(drawn)]
    return chosen
