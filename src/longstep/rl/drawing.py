"""Draws of one training run: each is shared among the processes, judged, and has noise of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from longstep.draw.drawing import verified
from longstep.generate import Generator, Prompt, Sampling
from longstep.generate.base import canonical
from longstep.training.ranks import gather, rank, world
from longstep.types import Completion, Problem


@dataclass(frozen=True)
class Asked:
    """One problem to be answered, and the prompt to answer it under."""

    problem: Problem
    prompt: Prompt


@dataclass
class Drawer:
    """Draws from the policy in training.

    Attributes:
        generator: the engine over the model in training.
        sampling: of every draw, with the run's seed; the number of samples is replaced.
        together: completions decoded together, ``None`` for all of a draw.
        prefix: begins the names of the noise, so that a second drawer of one run shares none.
        refresh: called before each step with its number, to bring a generator that draws from a copy up to date.
        step: the optimiser step that the draws are for.
        draws: how many draws this step has seen.
    """

    generator: Generator
    sampling: Sampling
    together: int | None = None
    prefix: str = ""
    refresh: Callable[[int], None] = lambda step: None
    step: int = 0
    draws: int = 0

    def begin(self, step: int) -> None:
        """Become the policy of this step."""
        self.step, self.draws = step, 0
        self.refresh(step)

    def draw(
        self, asked: Sequence[Asked], samples: int, texts: bool = False
    ) -> tuple[list[str], list[list[Completion]]]:
        """Give the key of each draw and ``samples`` judged answers, of all processes and in the order asked.

        Every process asks for the same and draws its own part. What another one drew comes without prompt and text,
        unless ``texts`` says that all of them must read it.
        """
        keys = self._keys(asked)
        mine = part(len(asked))
        own = self._answers(asked[mine], keys[mine], samples)
        groups = [group for each in gather(own if texts else _slim(own)) for group in each]
        groups[mine] = own
        return keys, groups

    def _keys(self, asked: Sequence[Asked]) -> list[str]:
        """Names of the noise, beside the run's seed: the step, the draw in it, the repetition in that, the problem.

        A seed of ``seed + step`` instead would give step 1 of one run the noise of step 0 of the next seed's, and what
        is compared over seeds would not be independent.
        """
        seen: Counter[str] = Counter()
        keys: list[str] = []
        for each in asked:
            place = f"{self.step}:{self.draws}:{seen[each.problem.id]}"
            keys.append(f"{self.prefix}{place}:{each.problem.id}")
            seen[each.problem.id] += 1
        self.draws += 1
        return keys

    def _answers(
        self, asked: Sequence[Asked], keys: Sequence[str], samples: int
    ) -> list[list[Completion]]:
        prompts = [replace(each.prompt, key=key) for each, key in zip(asked, keys, strict=True)]
        sampling = self.sampling.model_copy(
            update={
                "samples": samples,
                "batch_size": self.together or max(1, len(asked) * samples),
            }
        )
        answers = iter(self.generator.draw(prompts, sampling))
        drawn = {prompt.name: list(islice(answers, samples)) for prompt in canonical(prompts)}
        return [
            [verified(each.problem, answer) for answer in drawn[key]]
            for each, key in zip(asked, keys, strict=True)
        ]


def part(count: int) -> slice:
    """This process's part of ``count`` things, as equal as they allow."""
    size = -(-count // world())
    return slice(rank() * size, (rank() + 1) * size)


def _slim(groups: Sequence[Sequence[Completion]]) -> list[list[Completion]]:
    """What the other processes may need of these answers: all that can be trained on."""
    return [[replace(row, prompt_ids=(), text="") for row in group] for group in groups]


def by_samples(wanted: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Each number of samples with the places that want it: one draw has one number. 0 is not drawn."""
    for samples in sorted(set(wanted) - {0}):
        yield samples, [place for place, each in enumerate(wanted) if each == samples]
