"""Benchmarks are rows: a problem source, a verifier, a prompt suffix and the published protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from longstep.config import Field, Strict, TypeAdapter, UserError, members, nearest
from longstep.problems import AnySource
from longstep.types import Problem
from longstep.verify import key_trouble, verifier_fault
from longstep.verify.rule import name_of, rule_of
from longstep.wording import choices

#: A benchmark with a larger share of keys that cannot be read is read wrongly.
MOST_UNREADABLE = 0.1
#: The instruction Light-R1 and the DeepSeek-R1 family are evaluated with.
BOXED = "\nPlease reason step by step, and put your final answer within \\boxed{}."


Slices = dict[str, tuple[float, float]]


class Asked(Strict):
    """How a benchmark is sampled and sliced; the defaults are how long reasoners are scored.

    Attributes:
        temperature: 0 takes the likeliest token.
        top_p: share of probability that may be drawn.
        max_tokens: longest answer.
    """

    samples: int = Field(default=64, ge=1, description="k of avg@k: samples per problem")
    temperature: float = Field(default=0.6, ge=0)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_tokens: int = Field(default=32768, ge=1)
    slices: Slices = Field(
        default_factory=dict, description="slice -> lowest and highest difficulty, both included"
    )


class Benchmark(Asked):
    """One benchmark: where its problems come from, how they are asked and judged.

    Attributes:
        name: in tables; becomes a file name.
        source: where its questions come from.
    """

    name: str
    source: AnySource
    verifier: str | None = Field(default=None, description="overrides the source's verifier")
    prompt_suffix: str = Field(default="", description="added to every prompt")
    note: str = Field(default="", description="what a reader of the score must know")
    size: int | None = Field(
        default=None,
        ge=1,
        description="questions it is published with; any other number is refused",
    )
    repeated: Literal["refuse", "number"] = Field(
        default="refuse", description="a question it has twice; numbered ones are asked twice"
    )

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
            UserError: the source holds no problem, another number of them than was published, one twice, or keys of
                which more than a tenth cannot be read.
        """
        problems = [self._dress(problem) for problem in self.source.load(seed)]
        if not problems:
            raise UserError(f"benchmark {self.name}: its source holds no problem")
        if self.size is not None and len(problems) != self.size:
            raise UserError(
                f"benchmark {self.name}: its source holds {len(problems):,} problems and {self.size:,} are published; "
                "check the split and revision, or write the benchmark whole, with your size, where its name stands"
            )
        problems = _numbered(problems) if self.repeated == "number" else problems
        if len({problem.id for problem in problems}) != len(problems):
            raise UserError(
                f"benchmark {self.name}: its source holds a problem twice; remove the duplicates"
            )
        refuse_unreadable(f"benchmark {self.name}", problems)
        return problems

    @property
    def called(self) -> str:
        """Its name where a recipe says how many questions it has."""
        return self.source.called or self.name

    def rows(self, known: Mapping[str, int]) -> int | None:
        """How many questions it has, for ``longstep plan``; ``None`` when nobody can tell."""
        return self.source.rows(known) or self.size

    def _dress(self, problem: Problem) -> Problem:
        return replace(
            problem,
            prompt=problem.prompt + self.prompt_suffix,
            verifier=self.verifier or problem.verifier,
        )


def refuse_unreadable(place: str, problems: Sequence[Problem]) -> None:
    """Refuse problems that hardly anybody could be judged on.

    Raises:
        UserError: more than a tenth of their keys cannot be read.
    """
    unreadable = unreadable_keys(problems)
    if len(unreadable) > MOST_UNREADABLE * len(problems):
        first = next(iter(unreadable))
        raise UserError(
            f"{place}: {len(unreadable):,} of {len(problems):,} keys cannot be read, the first is that of {first} "
            f"({unreadable[first]}); name the column of the answer, or declare what the keys are"
        )


def unreadable_keys(problems: Iterable[Problem]) -> dict[str, str]:
    """Problems whose key no answer can be compared with, by id, and why; their answers are left out of every score."""
    troubles = {
        problem.id: key_trouble(problem.answer, rule_of(problem.verifier))
        for problem in problems
        if name_of(problem.verifier) in ("math", "exact")
    }
    return {name: trouble for name, trouble in troubles.items() if trouble}


def _numbered(problems: Iterable[Problem]) -> list[Problem]:
    """Problems with ids of their own: the second of two equal ones is called ``ID-2``."""
    times: Counter[str] = Counter()
    found = []
    for problem in problems:
        times[problem.id] += 1
        again = times[problem.id]
        found.append(problem if again == 1 else replace(problem, id=f"{problem.id}-{again}"))
    return found


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


def _hub(name: str, size: int, dataset: dict[str, Any], note: str = "", **asked: Any) -> Benchmark:
    """A published benchmark, asked as long reasoners are unless something else is said."""
    given = {"samples": 64, "verifier": "math", **asked}
    source = _source(kind="hub", **dataset)
    return Benchmark(name=name, size=size, source=source, prompt_suffix=BOXED, note=note, **given)


#: How the tables of Qwen2.5-Math and LightReasoner ask: greedily and once. They cut answers at 2,048 tokens.
_GREEDY: dict[str, Any] = {"samples": 1, "temperature": 0.0, "top_p": 1.0}
_GREEDY_NOTE = (
    "greedy, one sample, as in Qwen2.5-Math's tables, which find answers by extract=qwen-math"
)
#: The 18 subjects that MMLU's authors count as STEM (``categories.py`` of their repository).
_STEM = """abstract_algebra|astronomy|college_(biology|chemistry|computer_science|mathematics|physics)|computer_security
|conceptual_physics|electrical_engineering|elementary_mathematics|machine_learning
|high_school_(biology|chemistry|computer_science|mathematics|physics|statistics)""".replace(
    "\n", ""
)


def _columns(prompt: str, answer: str = "answer", **more: str) -> dict[str, str]:
    return {"prompt": prompt, "answer": answer, **more}


# fmt: off
_MEMBERS = (
    _embedded("chain", 150, 8),
    _embedded("addition", 150, 8),
    _embedded("equation", 150, 4),
    _embedded("countdown", 150, 4),
    _hub(
        "aime24", 30,
        {"name": "HuggingFaceH4/aime_2024", "split": "train", "columns": _columns("problem")},
    ),
    _hub("aime25", 30, {"name": "math-ai/aime25", "split": "test", "columns": _columns("problem")}),
    _hub(
        "math500", 500,
        {"name": "HuggingFaceH4/MATH-500", "split": "test", "columns": _columns("problem")},
        "196 of its prompts are in DeepScaleR's training set: decontaminate first",
        samples=4,
    ),
    _hub(
        "gpqa_diamond", 198,
        {"name": "fingertap/GPQA-Diamond", "split": "test", "columns": _columns("question")},
        "a copy with the options inside the question (the original is gated); some keys differ",
        samples=16,
    ),
    _hub(
        "amc23", 40,
        {"name": "math-ai/amc23", "split": "test", "columns": _columns("question")},
        samples=16,
    ),
    _hub(
        "gsm8k", 1319,
        {
            "name": "openai/gsm8k",
            "subset": "main",
            "split": "test",
            "columns": _columns("question"),
        },
        "the gold answer is what follows #### at the end of the worked solution",
        samples=1,
    ),
    # columns of the next: lighteval's tasks and the rows in verl's preprocessing
    _hub(
        "math", 5000,
        {
            "name": "DigitalLearningGmbH/MATH-lighteval",
            "split": "test",
            "columns": _columns("problem", "solution"),
        },
        f"the gold answer is the last box of the worked solution; {_GREEDY_NOTE}",
        **_GREEDY,
    ),
    # columns and both splits: data_loader.py and parser.py of Qwen2.5-Math's evaluation
    _hub(
        "svamp", 1000,
        {
            "name": "ChilleD/SVAMP",
            "split": "train+test",
            "columns": _columns("Question", "Answer", context="Body"),
        },
        f"both of its splits; {_GREEDY_NOTE}",
        **_GREEDY,
    ),
    # columns, the rows left out and the units cut off: the same two files
    _hub(
        "asdiv", 2215,
        {
            "name": "EleutherAI/asdiv",
            "split": "validation",
            "columns": _columns("question", context="body"),
            "only": {"answer": "[^;]*"},
            "cut": r"\(.*?\)",
        },
        f"without the 90 questions that have several answers, and without units; {_GREEDY_NOTE}",
        repeated="number",
        **_GREEDY,
    ),
    # columns: public evaluation code that loads this copy; the 1 %: appendix of the Minerva paper (arXiv 2206.14858)
    _hub(
        "minerva", 272,
        {"name": "math-ai/minervamath", "split": "test", "columns": _columns("question")},
        "numbers may lie 1 % from the key, as in the Minerva paper's appendix; other graders allow 0.01 % or nothing",
        samples=16,
        verifier="math(tolerance=1%)",
    ),
    # columns: those of OlympiadBench itself (final_answer is a list); the English text-only competition questions
    _hub(
        "olympiad", 674,
        {
            "name": "math-ai/olympiadbench",
            "split": "test",
            "columns": _columns("question", "final_answer"),
        },
        "questions with several answers want all of them",
        samples=16,
        verifier="math(members=all)",
    ),
    # columns: MMLU's own; how choices are shown: parser.py of Qwen2.5-Math's evaluation
    _hub(
        "mmlu_stem", 3018,
        {
            "name": "cais/mmlu",
            "subset": "all",
            "split": "test",
            "columns": _columns("question", choices="choices"),
            "only": {"subject": _STEM},
        },
        f"answers are the letters of choices; {_GREEDY_NOTE}",
        verifier="math(kind=choice)",
        repeated="number",
        **_GREEDY,
    ),
)
# fmt: on

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
