"""What a stage is: one strict config and one ``run`` that reads artifacts and writes one artifact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from longstep.config import Strict, dump
from longstep.context import Artifact, Context


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


def local_data(source: Strict | Mapping[str, Any]) -> Iterator[tuple[str, Artifact]]:
    """The file or folder a problem source reads, if it reads one."""
    given = dump(source) if isinstance(source, Strict) else source
    place = given.get("path", given.get("name"))
    if isinstance(place, str) and Path(place).exists():
        yield place, "rows"
