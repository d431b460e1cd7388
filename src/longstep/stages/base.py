"""What a stage is: one strict config and one ``run`` that reads artifacts and writes one artifact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from longstep.artifacts import AppendLog, fresh_folder, read_json, write_json
from longstep.config import Field, Strict, UserError
from longstep.models.load import locate
from longstep.progress import Progress

Artifact = Literal["rows", "model", "report"]
POINTER = "pointer.json"
CHECKPOINTS = "checkpoints"
PARTIAL = "partial"
#: What the data was decontaminated against; handed on from stage to stage, and into model cards.
LEDGER = "ledger.json"


@dataclass
class Cost:
    """What a stage spent, for the report and for ``plan``."""

    tokens_trained: int = 0
    tokens_generated: int = 0


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
        if (folder / POINTER).is_file():
            return Path(read_json(folder / POINTER)["path"])
        return folder

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


class Stage(Strict):
    """Base of every stage's config.

    A subclass has ``kind: Literal[...]``, says what it produces and what its references must be, and runs.
    """

    produces: ClassVar[Artifact]

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """Every ``@name`` or path this stage reads, with the kind of artifact it must be."""
        raise NotImplementedError

    def check(self) -> Iterator[str]:
        """Complaints that need no data, such as a misspelt ``trainer:`` key; made for all stages before any runs."""
        yield from ()

    def run(self, context: Context) -> None:
        """Read the inputs, write ``context.out``."""
        raise NotImplementedError


def local_data(source: Mapping[str, Any]) -> Iterator[tuple[str, Artifact]]:
    """The file or folder a problem source reads, if it reads one."""
    place = source.get("path", source.get("name"))
    if isinstance(place, str) and Path(place).exists():
        yield place, "rows"


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

    def keeps(self, pass_rate: float | None, difficulty: float | None) -> bool:
        """Whether a problem is inside."""
        if self.mixed and (pass_rate is None or not 0 < pass_rate < 1):
            return False
        return _inside(pass_rate, self.pass_rate) and _inside(difficulty, self.difficulty)


def _inside(value: float | None, interval: tuple[float, float] | None) -> bool:
    if interval is None:
        return True
    return value is not None and interval[0] <= value <= interval[1]
