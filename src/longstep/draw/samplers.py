"""Who draws completions: a model, the worked solutions, stored rows, an endpoint, or a server started for the work.

One line in ``AnyEngine`` for each member; what all of them are is in ``draw.engines``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, get_args

from longstep.config import Field
from longstep.context import Artifact
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimator, Spent
from longstep.draw.edited import ByEdited
from longstep.draw.engines import Desk, Engine, Gift, Opened
from longstep.draw.prompts import engine, prompts_for
from longstep.draw.remotes import ByEndpoint, ByServer
from longstep.draw.stored import ByStored
from longstep.foresight import Ahead
from longstep.generate import FakeGenerator, ReferenceGenerator, worked


class ByModel(Engine):
    """A local model samples; ``thinking: false`` asks its template for an empty think block.

    Attributes:
        model: a stage, a shipped name, a folder or a hub id.
        thinking: ``false`` asks the template for an empty think block.
    """

    gives: ClassVar[frozenset[Gift]] = frozenset(
        {"ids", "logprobs", "distribution", "continues", "sync"}
    )
    kind: Literal["model"] = "model"
    model: str
    thinking: bool = True

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The model."""
        yield self.model, "model"

    def libraries(self) -> frozenset[str]:
        """It runs here."""
        return frozenset({"torch", "transformers"})

    def misfits(self, ahead: Ahead, tokens: int) -> Iterator[str]:
        """A model that cannot be asked."""
        yield from ahead.model("by.model", self.model)
        yield from ahead.room("by.model", self.model, tokens)

    def drawer(self) -> str | None:
        """The model."""
        return self.model

    def open(self, desk: Desk) -> Opened:
        """Load it."""
        from longstep.models.bounds import context_length
        from longstep.models.chat import encode_text, render_next
        from longstep.models.load import load_model, load_tokenizer

        folder = desk.model(self.model)
        tokenizer, model = load_tokenizer(folder), load_model(folder)
        drawing = engine(model.eval(), tokenizer)
        return Opened(
            drawing,
            lambda problems: prompts_for(tokenizer, problems, self.thinking),
            context_length(model),
            lambda text: encode_text(tokenizer, text),
            folder,
            drawing.text,
            lambda text: render_next(tokenizer, text, self.thinking),
        )

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """Hours on the recipe's own devices."""
        return given.decoding(given.model(self.model), work)


class ByReference(Engine):
    """The problems' own worked solutions; with a model's tokenizer their ids too, without one text alone.

    Attributes:
        model: whose tokenizer is used.
    """

    # Ids only with a tokenizer, so nobody may count on them.
    kind: Literal["reference"] = "reference"
    model: str | None = None

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The model whose tokenizer is used."""
        if self.model is not None:
            yield self.model, "model"

    def libraries(self) -> frozenset[str]:
        """Its tokenizer."""
        return frozenset(["transformers"] * (self.model is not None))

    def wants(self) -> frozenset[str]:
        """The solutions."""
        return frozenset({"solution"})

    def misfits(self, ahead: Ahead, tokens: int) -> Iterator[str]:
        """A model without a tokenizer for it."""
        if self.model is not None:
            yield from ahead.model("by.model", self.model)

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


AnyEngine = Annotated[
    ByModel | ByReference | ByEdited | ByEndpoint | ByServer | ByStored, Field(discriminator="kind")
]


def engine_kinds() -> list[str]:
    """How the members of the family are called."""
    members = get_args(get_args(AnyEngine)[0])
    return [member.model_fields["kind"].default for member in members]
