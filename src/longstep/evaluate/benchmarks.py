"""Benchmarks are rows: a problem source, a verifier, a prompt suffix and the published protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from longstep.config import Field, Strict, TypeAdapter, UserError, members, nearest
from longstep.problems import AnySource
from longstep.types import Problem
from longstep.verify import verifier_fault
from longstep.wording import choices

#: The instruction Light-R1 and the DeepSeek-R1 family are evaluated with.
BOXED = "\nPlease reason step by step, and put your final answer within \\boxed{}."


Slices = dict[str, tuple[float, float]]


class Asked(Strict):
    """How a benchmark is sampled and sliced; the defaults are how long reasoners are scored."""

    samples: int = Field(default=64, ge=1, description="k of avg@k: samples per problem")
    temperature: float = Field(default=0.6, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_tokens: int = Field(default=32768, ge=1)
    slices: Slices = Field(
        default_factory=dict, description="slice -> lowest and highest difficulty, both included"
    )


class Benchmark(Asked):
    """One benchmark: where its problems come from, how they are asked and judged."""

    name: str
    source: AnySource
    verifier: str | None = Field(default=None, description="overrides the source's verifier")
    prompt_suffix: str = Field(default="", description="added to every prompt")
    note: str = Field(default="", description="what a reader of the score must know")

    def check(self) -> Iterator[str]:
        """A verifier that cannot judge."""
        if self.verifier is not None and (fault := verifier_fault(self.verifier)):
            yield f"verifier: {fault}"

    @property
    def asked(self) -> Asked:
        """The part that is stored beside the answers."""
        return Asked.model_validate(self.model_dump(include=set(Asked.model_fields)))

    def questions(self) -> list[Problem]:
        """The problems as their source states them, for decontamination."""
        return self.model_copy(update={"prompt_suffix": ""}).load()

    def load(self, seed: int = 0) -> list[Problem]:
        """Load the problems with the benchmark's verifier and suffix; ids stay the source's.

        Raises:
            UserError: the source holds no problem, or one twice.
        """
        problems = [self._dress(problem) for problem in self.source.load(seed)]
        if not problems:
            raise UserError(f"benchmark {self.name}: its source holds no problem")
        if len({problem.id for problem in problems}) != len(problems):
            raise UserError(
                f"benchmark {self.name}: its source holds a problem twice; remove the duplicates"
            )
        return problems

    @property
    def called(self) -> str:
        """Its name where a recipe says how many questions it has."""
        return self.source.called or self.name

    def rows(self, known: Mapping[str, int]) -> int | None:
        """How many questions it has, for ``longstep plan``; ``None`` when nobody can tell."""
        return self.source.rows(known)

    def _dress(self, problem: Problem) -> Problem:
        return replace(
            problem,
            prompt=problem.prompt + self.prompt_suffix,
            verifier=self.verifier or problem.verifier,
        )


def _source(**settings: Any) -> AnySource:
    return TypeAdapter[AnySource](AnySource).validate_python(settings)


def _embedded(kind: str, count: int, hardest: int, **knobs: Any) -> Benchmark:
    """Held-out rows of a generated family; answers of tiny models are short, 16 samples do."""
    middle = (hardest + 1) // 2
    return Benchmark(
        name=kind,
        source=_source(kind=kind, count=count, difficulty=[1, hardest], split="heldout", **knobs),
        samples=16,
        max_tokens=160,
        slices={"easy": (1, middle), "hard": (middle + 1, hardest)},
    )


def _hub(name: str, dataset: dict[str, Any], note: str = "", samples: int = 64) -> Benchmark:
    return Benchmark(
        name=name,
        source=_source(kind="hub", **dataset),
        verifier="math",
        prompt_suffix=BOXED,
        samples=samples,
        note=note,
    )


def _columns(prompt: str, answer: str = "answer") -> dict[str, str]:
    return {"prompt": prompt, "answer": answer}


_MEMBERS = (
    _embedded("chain", 150, 8),
    _embedded("addition", 150, 8),
    _embedded("equation", 150, 4),
    _embedded("countdown", 150, 4),
    _hub(
        "aime24",
        {"name": "HuggingFaceH4/aime_2024", "split": "train", "columns": _columns("problem")},
    ),
    _hub("aime25", {"name": "math-ai/aime25", "split": "test", "columns": _columns("problem")}),
    _hub(
        "math500",
        {"name": "HuggingFaceH4/MATH-500", "split": "test", "columns": _columns("problem")},
        "196 of its prompts are in DeepScaleR's training set: decontaminate first",
        samples=4,
    ),
    _hub(
        "gpqa_diamond",
        {"name": "fingertap/GPQA-Diamond", "split": "test", "columns": _columns("question")},
        "a copy with the options inside the question (the original is gated); some keys differ",
        samples=16,
    ),
    _hub(
        "amc23",
        {"name": "math-ai/amc23", "split": "test", "columns": _columns("question")},
        samples=16,
    ),
    _hub(
        "gsm8k",
        {
            "name": "openai/gsm8k",
            "subset": "main",
            "split": "test",
            "columns": _columns("question"),
        },
        "the gold answer is what follows #### at the end of the worked solution",
        samples=1,
    ),
)

#: Every benchmark by name; a new one is one more row above.
BENCHMARKS: Mapping[str, Benchmark] = {member.name: member for member in _MEMBERS}


def benchmark(name: str) -> Benchmark:
    """The benchmark of this name.

    Raises:
        UserError: there is none; the nearest name is proposed.
    """
    if name in BENCHMARKS:
        return BENCHMARKS[name]
    close = nearest(name, BENCHMARKS)
    hint = f"; did you mean {close!r}?" if close else ""
    raise UserError(f"no benchmark is called {name!r}{hint} (there are: {', '.join(BENCHMARKS)})")


def resolve(member: str | Benchmark) -> Benchmark:
    """A benchmark given by name or whole."""
    return benchmark(member) if isinstance(member, str) else member


def benchmark_faults(member: str | Benchmark, place: str) -> Iterator[str]:
    """A name that no benchmark has, as ``key: sentence``; a whole one answers for itself."""
    if isinstance(member, str) and member not in BENCHMARKS:
        yield (
            f"{place}: no benchmark is called {member!r}{choices(member, BENCHMARKS)}; or give a whole one: "
            "{name: ..., source: {kind: jsonl, path: FILE}}"
        )


def unloadable(member: str | Benchmark, place: str) -> Iterator[str]:
    """Why a benchmark's problems cannot be had, found by loading them; one complaint is enough."""
    if any(benchmark_faults(member, place)):
        return
    found = resolve(member)
    if any(True for _, each in members(found) for _ in each.check()):
        return
    try:
        found.load()
    except UserError as error:
        yield f"{place}: {error}"
