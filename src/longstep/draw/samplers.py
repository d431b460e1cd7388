"""Who draws completions: a model, the worked solutions, an endpoint, or a server started for the stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from longstep.artifacts import write_rows
from longstep.config import Field, Strict
from longstep.context import PARTIAL, Context
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimator, Spent
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

if TYPE_CHECKING:
    pass

from longstep.draw.prompts import engine, prompts_for


class ByModel(Strict):
    """A local model samples; ``thinking: false`` asks its template for an empty think block."""

    kind: Literal["model"] = "model"
    model: str
    thinking: bool = True

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """Hours on the recipe's own devices."""
        return given.decoding(given.model(self.model), work)


class ByReference(Strict):
    """The problems' own worked solutions; with a model's tokenizer their ids too, without one text alone."""

    kind: Literal["reference"] = "reference"
    model: str | None = None

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """Nothing: worked solutions are read, not drawn."""
        return Spent()


class ByEndpoint(Endpoint):
    """OpenAI-compatible servers sample (vLLM, SGLang, a hosted R1); their rows carry text, not ids."""

    kind: Literal["endpoint"] = "endpoint"

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """Dollars for tokens drawn elsewhere; nobody here knows how long that takes."""
        tokens, price = work.completions * work.mean, given.plan.endpoint_price
        given.remark(
            f"{given.name}: {self.model} draws {tokens / 1e9:.2f} billion tokens elsewhere, at "
            f"${price} per million; its hours are not estimated"
        )
        return Spent(tokens=tokens, dollars=tokens * price / 1e6)


class ByServer(Managed):
    """An OpenAI-compatible server that longstep starts for the stage and stops after it."""

    kind: Literal["server"] = "server"

    def spends(self, work: Decoding, given: Estimator) -> Spent:
        """Tokens only: the command does not say on what it runs."""
        given.remark(f"{given.name}: hours of the server started for it are not estimated")
        return Spent(tokens=work.completions * work.mean)


Sampler = ByModel | ByReference | ByEndpoint | ByServer


AnySampler = Annotated[Sampler, Field(discriminator="kind")]


@dataclass(frozen=True)
class Opened:
    """A generator and the prompts it continues; to be closed, for it may hold a server."""

    generator: Generator
    prompts: list[Prompt]

    def close(self) -> None:
        """Stop what was started."""
        if isinstance(self.generator, EndpointGenerator):
            self.generator.close()


def open_sampler(by: Sampler, problems: Sequence[Problem], context: Context) -> Opened:
    """Build the generator and its prompts; a server is started only when it has something to answer."""
    if isinstance(by, ByEndpoint | ByServer):
        remote = EndpointGenerator(by, _teller(context), **_files(by, problems, context))
        return Opened(remote, [Prompt(p.id, text=p.prompt) for p in problems])
    if by.model is None:
        generator = FakeGenerator({problem.id: [worked(problem)] for problem in problems})
        return Opened(generator, [Prompt(p.id, text=p.prompt) for p in problems])
    from longstep.models.chat import encode_text
    from longstep.models.load import load_model, load_tokenizer

    folder = context.model(by.model)
    tokenizer = load_tokenizer(folder)
    if isinstance(by, ByReference):
        by_id = {problem.id: problem for problem in problems}
        stop = int(tokenizer.eos_token_id)  # pyright: ignore[reportArgumentType]
        generator = ReferenceGenerator(by_id, lambda text: encode_text(tokenizer, text), stop)
        return Opened(generator, prompts_for(tokenizer, problems))
    prompts = prompts_for(tokenizer, problems, by.thinking)
    return Opened(engine(load_model(folder), tokenizer), prompts)


def _teller(context: Context) -> Tell:
    """Events go to the run's log; a warning is also said at once."""

    def tell(what: str, facts: Mapping[str, object]) -> None:
        context.event(what, facts)
        if "warning" in facts:
            to_stderr(f"{context.name}: {facts['warning']}\n")

    return tell


def _files(by: Sampler, problems: Sequence[Problem], context: Context) -> dict[str, str]:
    """What a managed server is given: the stage's problems, for one that answers with their solutions."""
    if not isinstance(by, ByServer) or not any("{problems}" in part for part in by.command):
        return {}
    path = context.folder / PARTIAL / "problems.jsonl"
    write_rows(path, problems)
    return {"problems": str(path.resolve())}
