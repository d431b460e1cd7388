"""What an engine is: who draws completions, where it is opened, and what it answers for itself.

A member says what it ``gives``, and a stage that needs more refuses it before anything is spent. The recipe key is
``by:`` everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from longstep.config import Strict
from longstep.context import PARTIAL, Artifact, Context
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimator, Spent
from longstep.draw.prompts import as_text
from longstep.foresight import Ahead
from longstep.generate import Generator, Prompt, Tell
from longstep.progress import to_stderr
from longstep.types import Problem

Gift = Literal["ids", "logprobs", "distribution", "continues", "sync"]
#: What is missing where a gift is not given, for a sentence.
_LACKING: Mapping[Gift, str] = {
    "ids": "gives no token ids",
    "logprobs": "gives no log-probabilities",
    "distribution": "gives no whole distributions",
    "continues": "cannot continue a text of its own",
    "sync": "cannot follow a model in training",
}


@dataclass(frozen=True)
class Desk:
    """What an engine is opened at: a stage, or a command without one.

    Attributes:
        name: for messages.
        folder: of files that the engine needs while it works.
        problems: everything that will be asked; empty when nobody knows yet.
        model: finds the folder behind a reference to a model.
        tell: told of what happens on the way.
        artifact: finds the folder or file behind a reference to rows.
    """

    name: str
    folder: Path
    problems: Sequence[Problem]
    model: Callable[[str], Path]
    tell: Tell
    artifact: Callable[[str], Path] = Path


def desk_of(context: Context, problems: Sequence[Problem]) -> Desk:
    """A stage's desk: events go to the run's log; a warning is also said at once."""

    def tell(what: str, facts: Mapping[str, object]) -> None:
        context.event(what, facts)
        if "warning" in facts:
            to_stderr(f"{context.name}: {facts['warning']}\n")

    folder = context.folder / PARTIAL
    return Desk(context.name, folder, problems, context.model, tell, context.artifact)


@dataclass(frozen=True)
class Opened:
    """An engine at work; to be closed, for it may hold a server.

    Attributes:
        generator: draws.
        prompts: renders problems as this engine is asked.
        context: tokens of prompt and completion together, where they are known.
        encode: ids of a text that is put into an answer, where the engine ``continues``.
        model: the folder of the model that draws in this process.
        decode: text of ids, where the engine gives a ``distribution``.
        turn: ids and text of a user's next turn behind an answer, where the engine knows the model's chat format.
    """

    generator: Generator
    prompts: Callable[[Sequence[Problem]], list[Prompt]] = as_text
    context: int | None = None
    encode: Callable[[str], Sequence[int]] = lambda text: ()
    model: Path | None = None
    decode: Callable[[Sequence[int]], str] | None = None
    turn: Callable[[str], tuple[Sequence[int], str]] | None = None

    def close(self) -> None:
        """Stop what was started."""
        self.generator.close()


class Engine(Strict):
    """Base of all members.

    ``gives`` names what it can do beyond text: token ids, their log-probabilities, whole distributions, continuing a
    held prefix, and following a model in training. ``once`` says that asking again gives the same completions again.
    """

    gives: ClassVar[frozenset[Gift]] = frozenset()
    once: ClassVar[bool] = False

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """Artifacts it reads."""
        yield from ()

    def complaints(self, needs: Collection[Gift], place: str = "by") -> Iterator[str]:
        """One sentence when it does not give what a stage needs."""
        lacking = [words for gift, words in _LACKING.items() if gift in {*needs} - self.gives]
        if lacking:
            kind = type(self).model_fields["kind"].default
            yield (
                f"{place}: an engine of kind {kind} {' and '.join(lacking)}, which this stage needs; take one of kind "
                "model, or leave it out where that is allowed"
            )

    def misfits(self, ahead: Ahead, tokens: int) -> Iterator[str]:
        """Why it will not draw answers of so many tokens, as far as that shows before the run; ``key: sentence``."""
        yield from ()

    def drawer(self) -> str | None:
        """The model whose answers these are, where it is one of the recipe's."""
        return None

    def open(self, desk: Desk) -> Opened:
        """Begin; a server is started only when it has something to answer."""
        raise NotImplementedError

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """What so much drawing costs, for ``longstep plan``."""
        raise NotImplementedError
