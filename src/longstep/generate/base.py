"""What every generator shares: how to sample, what to continue, and the protocol itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from longstep.config import Field, Strict, UserError
from longstep.types import Completion, SegmentFinish

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Sampling(Strict):
    """How completions are drawn. The defaults are those that R1-like reasoners are published with.

    Attributes:
        temperature: divides the logits; 0 takes the most likely token.
        top_p: keep the smallest set of tokens whose probability reaches this.
        top_k: keep at most this many tokens.
        max_tokens: longest completion, the stop token included.
        samples: completions per problem (the ``k`` of avg@k).
        seed: with the problem id and the sample index it fixes the noise of one completion.
        batch_size: completions decoded together; changing it may change the last bits of a float.
        logprobs: record the log-probability of each token at temperature 1, before top-p and top-k.
    """

    temperature: float = Field(default=0.6, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=1)
    max_tokens: int = Field(default=4096, ge=1)
    samples: int = Field(default=1, ge=1)
    seed: int = 0
    batch_size: int = Field(default=256, ge=1)
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a generator continues.

    Attributes:
        problem_id: the problem it asks.
        key: names its noise and its journal line, so that one problem may be asked by many prompts; the problem's id
            when empty.
        prompt_ids: the rendered prompt, a forced prefix included; empty when only text is sent.
        prefix: forced opening of the assistant turn, such as ``<think>``; put back before the text.
        text: the question as the user would type it, for a generator that renders chats itself.
        stops: texts behind which nothing is wanted; a generator need not draw on, and who asked cuts (``stops.cut``).
    """

    problem_id: str
    prompt_ids: tuple[int, ...] = ()
    prefix: str = ""
    text: str = ""
    key: str = ""
    stops: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What tells it from every other prompt of one draw."""
        return self.key or self.problem_id


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a frontier is asked to write on.

    Attributes:
        prompt: where the answer begins.
        ids: of the answer so far.
        noise: name and index of the stream its randomness comes from; the place in it is the number of ``ids``, so
            ``(prompt.name, k)`` from nothing to the end is sample k of a plain draw.
        most: tokens to draw at most, one or more.
        after: texts behind which it ends, complete; none of them reaches back into ``ids``.
        rank: its first token is the one of this rank, 0 the likeliest, and every further one the likeliest; ``None``
            draws them.
    """

    prompt: Prompt
    ids: tuple[int, ...]
    noise: tuple[str, int]
    most: int
    after: tuple[str, ...] = ()
    rank: int | None = None

    def __post_init__(self) -> None:
        """A piece without room would be written on up to the end of the context."""
        if self.most < 1:
            raise ValueError(f"most: {self.most} leaves no room for a token")


@dataclass(frozen=True, slots=True)
class Continued:
    """What was written on: its ids, its text without the stop token, how it ended, and log-probabilities.

    Of ranked tokens there are margins, too: the probability of each less that of the best other one, at temperature 1.
    """

    token_ids: tuple[int, ...]
    text: str
    finish: SegmentFinish
    logprobs: tuple[float, ...] | None = None
    margins: tuple[float, ...] | None = None


#: Is told what was written on, each beside what was asked, and says what comes next.
AskNext = Callable[[Sequence[tuple[Continuation, Continued]]], Sequence[Continuation]]


class Frontier(Protocol):
    """Unfinished answers at hand. What it is asked depends on what it gave before, and it may keep what that took."""

    def extend(self, asked: Sequence[Continuation], how: Sampling) -> list[Continued]:
        """Write each on; ``how.max_tokens`` is the longest whole answer."""
        ...

    def run(self, asked: Sequence[Continuation], how: Sampling, told: AskNext) -> None:
        """Write on until nothing more is asked, ``how.batch_size`` pieces at a time; here in rounds.

        Every piece is told of once, in any order, as soon as that suits.
        """
        queue = list(asked)
        while queue:
            taken, queue = queue[: how.batch_size], queue[how.batch_size :]
            queue += told(list(zip(taken, self.extend(taken, how), strict=True)))


@dataclass(frozen=True, slots=True)
class ToRead:
    """An answer, or its beginning, that a model is to read.

    Attributes:
        prompt_ids: before it.
        ids: its own.
        places: of ``ids`` at which states are wanted, ascending.
    """

    prompt_ids: tuple[int, ...]
    ids: tuple[int, ...]
    places: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerRead:
    """What a model makes of an answer: one number a token, told from all before it, and states at some places.

    Attributes:
        logps_T: log-probability at temperature 1.
        entropies_T: of the distribution that the token is drawn from, in nats.
        certainties_T: ``KL(uniform || distribution)`` there, in nats.
        states_NH: what the output layer was given before the token at each place.
        tokens_NH: the output layer's row for that token.
    """

    logps_T: NDArray[np.float32]
    entropies_T: NDArray[np.float32]
    certainties_T: NDArray[np.float32]
    states_NH: NDArray[np.float32]
    tokens_NH: NDArray[np.float32]


class AnswerReader(Protocol):
    """Reads answers with the model that draws; of an engine that gives ``distribution``."""

    def read(self, asked: Sequence[ToRead]) -> list[AnswerRead]:
        """Read each; nothing is drawn."""
        ...

    def text(self, ids: Sequence[int]) -> str:
        """Ids as text."""
        ...


@dataclass(frozen=True, slots=True)
class Headway:
    """How far a draw is.

    Attributes:
        done: units of work so far.
        total: units in all, as far as is known.
        replayed: of those done, read back from a journal.
        unit: completions, or tokens where answers come one by one and their number says little.
        facts: what else is worth showing.
    """

    done: int
    total: int
    replayed: int = 0
    unit: str = "completion"
    facts: Mapping[str, float] = field(default_factory=dict)


Watch = Callable[[Headway], None]


def unwatched(headway: Headway) -> None:
    """Watch nothing."""


class Generator(Protocol):
    """Draws completions; equal prompts and sampling give equal completions in one order.

    ``close`` and ``sync`` do nothing unless a generator says otherwise.
    """

    def draw(
        self,
        asked: Iterable[Prompt],
        how: Sampling,
        journal: Path | None = None,
        watch: Watch = unwatched,
    ) -> Iterator[Completion]:
        """Give ``how.samples`` completions of each prompt as they come, in the order of ``canonical``.

        A completion that could not be had carries a verdict that says so. Memory does not grow with the number of
        completions, but for an index of what the journal holds.

        Args:
            asked: what is continued; names must be unique.
            how: the settings.
            journal: holds what an interrupted attempt at the same draw got, which is not drawn again; a finished draw
                is read back from it. ``None`` keeps nothing.
            watch: told now and then how far it is.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Say which engine and versions draw the completions, for the manifest."""
        ...

    def frontier(self) -> Frontier:
        """Begin to write answers on piece by piece; only of an engine that gives ``continues``.

        Raises:
            UserError: this one does not.
        """
        raise UserError(f"{type(self).__name__} cannot continue a text of its own")

    def reader(self) -> AnswerReader:
        """Read answers again; only of an engine that gives ``distribution``.

        Raises:
            UserError: this one does not.
        """
        raise UserError(f"{type(self).__name__} cannot read an answer with the model that drew it")

    def sync(self, model: Any, step: int) -> None:
        """Become the policy of this step of a training run; only of an engine that gives ``sync``."""

    def close(self) -> None:
        """Stop what was started; a later draw would start it again."""


def canonical(prompts: Iterable[Prompt]) -> list[Prompt]:
    """Order prompts by length then name, so that input order does not matter; names must be unique."""
    ordered = sorted(prompts, key=lambda prompt: (len(prompt.prompt_ids), prompt.name))
    seen: set[str] = set()
    for prompt in ordered:
        if prompt.name in seen:
            raise UserError(
                f"problem {prompt.name!r} is asked twice; drop the duplicate"
                " or raise 'samples', since equal names would draw equal completions"
            )
        seen.add(prompt.name)
    return ordered
