"""Generators without a model: scripted answers, and the problems' own worked solutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from longstep.config import UserError
from longstep.generate.base import Continuation, Continued, Frontier, Prompt, Sampling
from longstep.generate.batches import Batch, Batched, Row
from longstep.types import Completion, Problem, SegmentFinish

Answers = Mapping[str, Sequence[str]] | Callable[[Prompt, int], str]


class FakeGenerator(Batched):
    """Answers from a script: texts by problem id, taken in turn, or a function."""

    def __init__(
        self, answers: Answers, encode: Callable[[str], Sequence[int]] = lambda text: ()
    ) -> None:
        """Take the texts, or a function of the prompt and the sample index; ``encode`` gives them ids."""
        self.answers, self.encode = answers, encode

    def run_batch(self, batch: Batch, sampling: Sampling) -> list[Completion]:
        """Give the scripted texts with the prefix before them."""
        return [self._complete(row) for row in batch.rows]

    def describe(self) -> dict[str, Any]:
        """Name the engine."""
        return {"engine": "fake"}

    def frontier(self) -> FakeFrontier:
        """Continue the scripted texts, of which each has one token a character."""
        return FakeFrontier(self)

    def written(self, ask: Continuation) -> tuple[str, tuple[int, ...]]:
        """What the stream of a continuation still says behind its place, and the ids of that."""
        name, index = ask.noise
        said = self._answer(replace(ask.prompt, key=name), index)
        ids = tuple(self.encode(said))
        if len(ids) != len(said):
            raise ValueError(f"{said!r} has {len(ids)} ids; expected one a character")
        return said[len(ask.ids) :], ids[len(ask.ids) :]

    def _complete(self, row: Row) -> Completion:
        prompt, said = row.prompt, self._answer(row.prompt, row.sample_index)
        ids = tuple(self.encode(said))
        text = prompt.prefix + said
        return Completion(prompt.problem_id, row.sample_index, prompt.prompt_ids, ids, text, "stop")

    def _answer(self, prompt: Prompt, sample_index: int) -> str:
        if isinstance(self.answers, Mapping):
            texts = self.answers[prompt.problem_id]
            assert not isinstance(texts, str), "give a list of texts, not one text"
            return texts[sample_index % len(texts)]
        return self.answers(prompt, sample_index)


class FakeFrontier(Frontier):
    """Writes scripted texts on: the stream's name is the key of the prompt that the script is asked for."""

    def __init__(self, of: FakeGenerator) -> None:
        """Take the script."""
        self._of = of

    def extend(self, asked: Sequence[Continuation], how: Sampling) -> list[Continued]:
        """Cut the rest of each text where its continuation ends."""
        return [self._extended(ask, how) for ask in asked]

    def _extended(self, ask: Continuation, how: Sampling) -> Continued:
        left, ids = self._of.written(ask)
        finish: SegmentFinish = "stop"
        ends = [(left.find(text) + len(text), text) for text in ask.after if text in left]
        if ends:
            left, finish = left[: min(ends)[0]], "after"
        if len(left) > ask.most:
            left, finish = left[: ask.most], "cut"
        logps = (-1.0,) * len(left) if how.logprobs else None
        margins = None if ask.rank is None else (1 / (1 + ask.rank),) * len(left)
        return Continued(ids[: len(left)], left, finish, logps, margins)


class ReferenceGenerator(Batched):
    r"""Answers with the worked solution: ``<think>SOLUTION</think>\boxed{ANSWER}``."""

    def __init__(
        self, problems: Mapping[str, Problem], encode: Callable[[str], Sequence[int]], stop_id: int
    ) -> None:
        """Take the problems by id, the function from text to ids, and the id that ends a turn."""
        self.problems = problems
        self.encode = encode
        self.stop_id = stop_id

    def run_batch(self, batch: Batch, sampling: Sampling) -> list[Completion]:
        """Give the worked solution once per sample, its ids without the prompt's forced prefix."""
        most = sampling.max_tokens
        return [self._complete(row.prompt, row.sample_index, most) for row in batch.rows]

    def describe(self) -> dict[str, Any]:
        """Name the engine."""
        return {"engine": "reference"}

    def _complete(self, prompt: Prompt, sample_index: int, max_tokens: int) -> Completion:
        problem = self.problems[prompt.problem_id]
        text = worked(problem)
        token_ids = (*self.encode(text.removeprefix(prompt.prefix.rstrip("\n"))), self.stop_id)
        if len(token_ids) > max_tokens:
            raise UserError(
                f"the worked solution of problem {problem.id!r} has {len(token_ids)} tokens,"
                f" and max_tokens is {max_tokens}; raise max_tokens"
            )
        return Completion(problem.id, sample_index, prompt.prompt_ids, token_ids, text, "stop")


def worked(problem: Problem) -> str:
    r"""The problem's worked solution as a whole turn: ``<think>SOLUTION</think>\boxed{ANSWER}``.

    Raises:
        UserError: the problem has none.
    """
    if problem.solution is None:
        raise UserError(
            f"problem {problem.id!r} of source {problem.source!r} has no worked solution;"
            " the reference generator needs a source that gives one"
        )
    return f"<think>{problem.solution}</think>\\boxed{{{problem.answer}}}"
