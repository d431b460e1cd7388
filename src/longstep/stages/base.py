"""What a stage is: one strict config and one ``run`` that reads artifacts and writes one artifact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from longstep.config import Strict, dump
from longstep.context import Artifact, Context
from longstep.costs.estimate import Estimate, Estimator
from longstep.foresight import Ahead, Foreseen
from longstep.report.blocks import Block


class Stage(Strict):
    """Base of every stage's config.

    A subclass has ``kind: Literal[...]``, says what it produces and what its references must be, and runs.
    """

    produces: ClassVar[Artifact]
    #: Every process of a launcher runs the stage; otherwise the first does, and the others wait.
    together: ClassVar[bool] = False
    #: What it gives was made elsewhere: nothing to be published as the result of a run.
    brings: ClassVar[bool] = False

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """Every ``@name`` or path this stage reads, with the kind of artifact it must be."""
        raise NotImplementedError

    def datasets(self) -> Iterator[str]:
        """Published data sets and files that it takes rows from, as a model card names them."""
        for reference, artifact in self.references():
            if artifact == "rows" and not reference.startswith("@"):
                yield Path(reference).name

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """Complaints that what is there before the run, or what earlier stages will make, justifies: ``key: sentence``.

        ``check`` needs the settings alone; both are made for all stages before any runs.
        """
        yield from ()

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """What it will make, as far as that can be told; the stages that read it are checked against this."""
        return Foreseen()

    def refusals(self, processes: int, sharded: bool) -> Iterator[str]:
        """Why this stage cannot run on so many processes, or with weights sharded over them; said before it starts."""
        yield from ()

    def estimate(self, given: Estimator) -> Estimate:
        """What the stage takes and hands on, for ``longstep plan``; one that cannot tell hands on what it reads."""
        return given.unknown(self.references())

    def blocks(self, out: Path) -> Iterator[Block]:
        """What the report shows of the artifact, beside what it finds in every stage: curves, costs, answers."""
        yield from ()

    def run(self, context: Context) -> None:
        """Read the inputs, write ``context.out``."""
        raise NotImplementedError


def local_data(source: Strict | Mapping[str, Any]) -> Iterator[tuple[str, Artifact]]:
    """The file or folder a problem source reads, if it reads one."""
    given = dump(source) if isinstance(source, Strict) else source
    place = given.get("path", given.get("name"))
    if isinstance(place, str) and Path(place).exists():
        yield place, "rows"
