"""Who draws completions: a model, the worked solutions, an endpoint, or a server started for the work.

A member says what it ``gives``, and a stage that needs more refuses it before anything is spent. The recipe key is
``by:`` everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

from longstep.artifacts import write_rows
from longstep.config import Field, Strict
from longstep.context import PARTIAL, Artifact, Context
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimator, Spent
from longstep.draw.prompts import as_text, engine, prompts_for
from longstep.generate import (
    Endpoint,
    EndpointGenerator,
    FakeGenerator,
    Generator,
    Managed,
    Prompt,
    ReferenceGenerator,
    Tell,
    worked,
)
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
    """

    name: str
    folder: Path
    problems: Sequence[Problem]
    model: Callable[[str], Path]
    tell: Tell


def desk_of(context: Context, problems: Sequence[Problem]) -> Desk:
    """A stage's desk: events go to the run's log; a warning is also said at once."""

    def tell(what: str, facts: Mapping[str, object]) -> None:
        context.event(what, facts)
        if "warning" in facts:
            to_stderr(f"{context.name}: {facts['warning']}\n")

    return Desk(context.name, context.folder / PARTIAL, problems, context.model, tell)


@dataclass(frozen=True)
class Opened:
    """An engine at work; to be closed, for it may hold a server.

    Attributes:
        generator: draws.
        prompts: renders problems as this engine is asked.
        context: tokens of prompt and completion together, where they are known.
    """

    generator: Generator
    prompts: Callable[[Sequence[Problem]], list[Prompt]] = as_text
    context: int | None = None

    def close(self) -> None:
        """Stop what was started."""
        self.generator.close()


class Engine(Strict):
    """Base of all members.

    ``gives`` names what it can do beyond text: token ids, their log-probabilities, whole distributions, continuing a
    held prefix, and following a model in training.
    """

    gives: ClassVar[frozenset[Gift]] = frozenset()

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

    def open(self, desk: Desk) -> Opened:
        """Begin; a server is started only when it has something to answer."""
        raise NotImplementedError

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """What so much drawing costs, for ``longstep plan``."""
        raise NotImplementedError


class ByModel(Engine):
    """A local model samples; ``thinking: false`` asks its template for an empty think block."""

    gives: ClassVar[frozenset[Gift]] = frozenset({"ids", "logprobs", "distribution", "sync"})
    kind: Literal["model"] = "model"
    model: str
    thinking: bool = True

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The model."""
        yield self.model, "model"

    def open(self, desk: Desk) -> Opened:
        """Load it."""
        from longstep.models.load import context_length, load_model, load_tokenizer

        folder = desk.model(self.model)
        tokenizer, model = load_tokenizer(folder), load_model(folder)
        return Opened(
            engine(model.eval(), tokenizer),
            lambda problems: prompts_for(tokenizer, problems, self.thinking),
            context_length(model),
        )

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """Hours on the recipe's own devices."""
        return given.decoding(given.model(self.model), work)


class ByReference(Engine):
    """The problems' own worked solutions; with a model's tokenizer their ids too, without one text alone."""

    # Ids only with a tokenizer, so nobody may count on them.
    kind: Literal["reference"] = "reference"
    model: str | None = None

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The model whose tokenizer is used."""
        if self.model is not None:
            yield self.model, "model"

    def open(self, desk: Desk) -> Opened:
        """Take the solutions.

        Raises:
            UserError: a problem has none.
        """
        by_id = {problem.id: problem for problem in desk.problems}
        for problem in desk.problems:
            worked(problem)
        if self.model is None:
            return Opened(FakeGenerator(lambda prompt, index: worked(by_id[prompt.problem_id])))
        from longstep.models.chat import encode_text
        from longstep.models.load import load_tokenizer

        tokenizer = load_tokenizer(desk.model(self.model))
        stop = int(tokenizer.eos_token_id)  # pyright: ignore[reportArgumentType]
        generator = ReferenceGenerator(by_id, lambda text: encode_text(tokenizer, text), stop)
        return Opened(generator, lambda problems: prompts_for(tokenizer, problems))

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """Nothing: worked solutions are read, not drawn."""
        return Spent()


class ByEndpoint(Engine, Endpoint):
    """OpenAI-compatible servers sample (vLLM, SGLang, a hosted R1); their rows carry text, not ids."""

    kind: Literal["endpoint"] = "endpoint"

    def open(self, desk: Desk) -> Opened:
        """Take the addresses."""
        return Opened(EndpointGenerator(self, desk.tell))

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """Dollars for tokens drawn elsewhere; nobody here knows how long that takes."""
        tokens, price = work.completions * work.mean, given.plan.endpoint_price
        given.remark(
            f"{given.name}: {self.model} draws {tokens / 1e9:.2f} billion tokens elsewhere, at "
            f"${price} per million; its hours are not estimated"
        )
        return Spent(tokens=tokens, dollars=tokens * price / 1e6)


class ByServer(Engine, Managed):
    """An OpenAI-compatible server that longstep starts for the stage and stops after it."""

    kind: Literal["server"] = "server"

    def open(self, desk: Desk) -> Opened:
        """Write the file of problems, for a server that answers with their solutions."""
        if not any("{problems}" in part for part in self.command):
            return Opened(EndpointGenerator(self, desk.tell))
        path = desk.folder / "problems.jsonl"
        write_rows(path, desk.problems)
        return Opened(EndpointGenerator(self, desk.tell, problems=str(path.resolve())))

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """Tokens only: the command does not say on what it runs."""
        given.remark(f"{given.name}: hours of the server started for it are not estimated")
        return Spent(tokens=work.completions * work.mean)


AnyEngine = Annotated[ByModel | ByReference | ByEndpoint | ByServer, Field(discriminator="kind")]


def engine_kinds() -> list[str]:
    """How the members of the family are called."""
    members = get_args(get_args(AnyEngine)[0])
    return [member.model_fields["kind"].default for member in members]
