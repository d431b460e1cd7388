"""A trained value head: how likely the steps of a path are right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from longstep.config import UserError
from longstep.context import Artifact
from longstep.foresight import Ahead
from longstep.generate import Prompt
from longstep.generate.base import AnswerReader, ToRead
from longstep.models.pointer import weights_hash
from longstep.scaling.head import FACTS, Cutting, ValueHead, features_of, head_identity, read_head
from longstep.scaling.scorers.base import PathRater, ReadingScorer, ScoringDesk
from longstep.scaling.steps import cut_steps
from longstep.scaling.tree import Trail


class HeadScorer(ReadingScorer):
    """A value head of a stage ``verifier``, over the states of the model that draws; each path is read again for it.

    Attributes:
        head: the stage, or the folder that it made.
        force: let a head that failed its card choose answers, or steps of a search, by itself.
    """

    partial: ClassVar[bool] = True
    kind: Literal["head"] = "head"
    head: str
    force: bool = False

    @property
    def name(self) -> str:
        """Two heads have two names."""
        return f"head {self.head}"

    @property
    def forced(self) -> bool:
        """As its setting says."""
        return self.force

    def free_fields(self) -> frozenset[str]:
        """It decides what is refused, and no score."""
        return frozenset({"force"})

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The head."""
        yield self.head, "report"

    def absent(self) -> Iterator[str]:
        """A folder without a head."""
        if not (self.head.startswith("@") or (Path(self.head) / FACTS).is_file()):
            yield f"head: {self.head} holds no {FACTS}; name a stage of kind verifier, or its out/ folder"

    def misfits(self, ahead: Ahead, model: str | None) -> Iterator[str]:
        """A head that a stage trains on the states of another model."""
        taught = ahead.inputs[self.head].expert if self.head in ahead.inputs else None
        draws = None if model is None else ahead.known(model)
        if taught is not None and draws is not None and taught.differs(draws):
            yield f"head: {self.head} reads the states of another model than {model}, which draws here; train one on it"

    def gifts(self) -> frozenset[str]:
        """The states below the model's distributions."""
        return frozenset({"distribution"})

    def rater(self, desk: ScoringDesk) -> PathRater:
        """Load the head.

        Raises:
            UserError: it was trained on the states of another model.
        """
        folder = desk.artifact(self.head)
        head, facts = read_head(folder)
        if desk.model is None or weights_hash(desk.model) != facts.weights:
            raise UserError(
                f"{desk.name}: the head in {folder} reads the states of {facts.policy}, and another model draws here; "
                "take the model that it was trained on, or train a head on this one"
            )
        reader, identity = desk.generator.reader(), head_identity(folder)
        return _HeadRater(head, facts.cutting, reader, (identity, facts.card.doubt))


class _HeadRater:
    def __init__(
        self, head: ValueHead, cutting: Cutting, reader: AnswerReader, known: tuple[str, str]
    ) -> None:
        self._head, self._cutting, self._reader = head, cutting, reader
        self.identity, self.doubt = known
        self.steps = cutting.step

    def rate(self, asked: Sequence[tuple[Prompt, Trail]]) -> list[float]:
        """Values of the steps that stand, made one number."""
        how, decode = self._cutting, self._reader.text
        cuts = [
            cut_steps(path.ids, path.last.finish == "stop", decode, how.step, how.undo)
            for _, path in asked
        ]
        rows = [
            ToRead(prompt.prompt_ids, path.ids, tuple(end - 1 for end in cut.ends))
            for (prompt, path), cut in zip(asked, cuts, strict=True)
        ]
        reads = self._reader.read(rows)
        return [
            how.path(self._head.values(features_of(read, cut.ends)), cut.standing)
            for read, cut in zip(reads, cuts, strict=True)
        ]
