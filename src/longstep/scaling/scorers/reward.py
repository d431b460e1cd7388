"""A reward model behind an address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import exp
from typing import ClassVar, Literal

from longstep.config import Field, UserError, field_validator
from longstep.generate import Address, Prompt
from longstep.generate.rewards import Conversation, RewardServer
from longstep.generate.transport import key_fault, variable_name
from longstep.scaling.head import Cutting, Over
from longstep.scaling.scorers.base import PathRater, ReadingScorer, ScoringDesk
from longstep.scaling.tree import Trail
from longstep.types import Problem


class RewardScorer(ReadingScorer):
    """A reward model that vLLM serves (``POST /pooling`` with messages): of whole answers, or of steps.

    Only texts are sent: the question as the user, the answer so far as the assistant. How many tokens the server makes
    of them is not known here; the bill counts those of the model that draws.

    Attributes:
        url: base of the server, without ``/v1``, such as ``http://host:8000``.
        model: what the server calls its model.
        api_key_env: environment variable holding the key.
        numbers: what the server gives: a ``probability``, or a ``logit`` that is turned into one.
        over: what the numbers of several steps make of a path.
        concurrency: requests at once.
        timeout: seconds for one.
        max_retries: more tries after one that failed in a way that may pass.
    """

    partial: ClassVar[bool] = True
    kind: Literal["reward"] = "reward"
    url: str
    model: str
    api_key_env: str | None = None
    numbers: Literal["probability", "logit"] = "probability"
    over: Over = "min"
    concurrency: int = Field(default=16, ge=1)
    timeout: float = Field(default=60.0, gt=0)
    max_retries: int = Field(default=4, ge=0)

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        return Address(url=url).url

    @field_validator("api_key_env")
    @classmethod
    def _variable(cls, name: str | None) -> str | None:
        return variable_name(name)

    @property
    def name(self) -> str:
        """Two reward models have two names, and so has one that is read in two ways."""
        usual = type(self).model_fields
        read = {"numbers": self.numbers, "over": self.over}
        return " ".join(
            ["reward", self.model, *(how for key, how in read.items() if how != usual[key].default)]
        )

    @property
    def address(self) -> Address:
        """Where it is."""
        return Address(url=self.url, model=self.model, api_key_env=self.api_key_env)

    def absent(self) -> Iterator[str]:
        """A key that the environment does not hold."""
        if fault := key_fault(self.address):
            yield f"api_key_env: {fault}"

    def free_fields(self) -> frozenset[str]:
        """How it is asked changes nothing that it says."""
        return frozenset({"concurrency", "timeout", "max_retries"})

    def rater(self, desk: ScoringDesk) -> PathRater:
        """Ask for one reward, to see that it gives any.

        Raises:
            UserError: it does not.
        """
        server = RewardServer(self.address, self.timeout, self.concurrency, self.max_retries)
        rater = _RewardRater(self, server, desk.problems)
        for problem in list(desk.problems.values())[:1]:
            rater.values([_conversation(problem, "\\boxed{0}")])  # the key goes to nobody
        return rater


class _RewardRater:
    doubt = ""
    steps = ()

    def __init__(
        self, scorer: RewardScorer, server: RewardServer, problems: Mapping[str, Problem]
    ) -> None:
        self._scorer, self._server, self._problems = scorer, server, problems
        self.identity = scorer.model_dump_json(exclude=set(scorer.free_fields()))

    def rate(self, asked: Sequence[tuple[Prompt, Trail]]) -> list[float]:
        """One request a path."""
        return self.values(
            [_conversation(self._problems[prompt.problem_id], path.text) for prompt, path in asked]
        )

    def values(self, conversations: Sequence[Conversation]) -> list[float]:
        """Probabilities that conversations end well."""
        how = Cutting(over=self._scorer.over)
        found = self._server.rewards(conversations)
        return [how.path(list(map(self._likely, own)), [True] * len(own)) for own in found]

    def _likely(self, number: float) -> float:
        if self._scorer.numbers == "logit":
            return 1 / (1 + exp(-max(number, -700.0)))
        if not 0 <= number <= 1:
            raise UserError(
                f"{self._scorer.url}: gave the reward {number:g}, which is no probability; write numbers: logit where "
                "the server applies no activation"
            )
        return number


def _conversation(problem: Problem, answer: str) -> Conversation:
    turns = [*problem.before, ("user", problem.prompt), ("assistant", answer)]
    return [{"role": role, "content": content} for role, content in turns]
