"""Stage ``faithful``: whether a model's answers follow its thoughts, told by editing the thoughts and asking again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from longstep.artifacts import RowFile, write_json, write_rows
from longstep.config import Field, UserError, field_validator
from longstep.context import PARTIAL, Artifact, Context
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import UNKNOWN_QUESTIONS, Flow
from longstep.curate.edits import AnyEdit, CutShort, Edited, FillerThought, Slip, SwapThought
from longstep.curate.edits.base import CLOSE, OPEN
from longstep.draw.drawing import Drawing, ShownProgress
from longstep.draw.editable import EditableTraces
from longstep.draw.engines import Opened, desk_of
from longstep.draw.samplers import AnyEngine
from longstep.evaluate import Benchmark, benchmark_faults, resolve, unloadable
from longstep.evaluate.faithful import agreeing, area_moved
from longstep.evaluate.score import no_file_names
from longstep.evaluate.statistics import value_interval
from longstep.foresight import Ahead
from longstep.generate import Prompt, Sampling
from longstep.report.blocks import Block, Table
from longstep.report.read import Reader, mapping, number, sequence, words
from longstep.stages.base import Stage, local_data
from longstep.types import Completion, Problem
from longstep.verify import extract
from longstep.verify.keys import same_answer

FOUND = "faithful.json"
EDITS: dict[str, AnyEdit] = {
    "nothing": CutShort(share=1.0),
    "a half": CutShort(share=0.5),
    "all": CutShort(share=0.0),
    "filler": FillerThought(),
    "slip": Slip(),
    "swap": SwapThought(),
}


class Faithful(Stage):
    """Answers a model gives after its own thoughts were cut, replaced or changed at their end.

    The model answers every question once. Of each thought that ended with an answer, every edit makes another one; the
    model is forced to have thought that, and asked for the answer.

    Attributes:
        by: who draws; it must be able to continue a text of its own.
        benchmark: a name from the benchmark list, or a whole one; its problems are taken, not how it samples.
        edits: by the names of the report. A cut that keeps everything tells how often the answer is the same again.
        answer: what the answer begins with, behind the thought.
        answer_tokens: the longest answer.
        sampling: temperature, and the longest thought with its answer.
        resamples: of the bootstrap.
    """

    produces: ClassVar[Artifact] = "report"
    elsewhere: ClassVar[Mapping[str, str]] = {"model": "by", "benchmarks": "benchmark"}
    kind: Literal["faithful"] = "faithful"
    by: AnyEngine
    benchmark: str | Benchmark
    edits: dict[str, AnyEdit] = Field(default=EDITS, min_length=1)
    answer: str = "\\boxed{"
    answer_tokens: int = Field(default=32, ge=1)
    sampling: Sampling = Sampling(temperature=0)
    resamples: int = Field(default=10_000, ge=100)

    @field_validator("answer")
    @classmethod
    def _no_tag(cls, answer: str) -> str:
        if OPEN in answer or CLOSE in answer:
            raise ValueError(f"expected what stands behind the thought, without {OPEN} and {CLOSE}")
        if extract(CLOSE + answer) is not None:
            raise ValueError(
                f"{answer!r} is a whole answer, so the model gives none; end it where it goes on"
            )
        return answer

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """What the engine reads, and the problems."""
        yield from self.by.references()
        if not any(benchmark_faults(self.benchmark, "")):
            yield from local_data(resolve(self.benchmark).source)

    def check(self) -> Iterator[str]:
        """An engine that cannot do it, names that cannot be told apart, settings without effect."""
        yield from benchmark_faults(self.benchmark, "benchmark")
        yield from (f"edits: {said}" for said in no_file_names(self.edits))
        cuts = [edit.kept for edit in self.edits.values() if edit.kept is not None]
        for share in sorted({share for share in cuts if cuts.count(share) > 1}):
            yield f"edits: two cuts keep the share {share:g}; leave one of them out"
        yield from self.by.complaints({"ids", "continues"})
        for key in ("seed", "samples", "logprobs"):
            if key in self.sampling.model_fields_set:
                yield f"sampling.{key}: has no effect: every question is answered once, the recipe has the seed"

    def absent(self) -> Iterator[str]:
        """A benchmark that can be had neither here nor from the hub."""
        yield from unloadable(self.benchmark, "benchmark")

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """An engine that cannot ask so."""
        yield from self.by.misfits(ahead, self.sampling.max_tokens + self.answer_tokens)

    def run(self, context: Context) -> None:
        """Answer, edit, ask again, compare."""
        problems = {problem.id: problem for problem in resolve(self.benchmark).load()}
        out = context.fresh_out()
        with closing(self.by.open(desk_of(context, list(problems.values())))) as opened:
            table = _Asker(context, opened, problems)
            asked = opened.prompts(list(problems.values()))
            self.refuse_unwritable(context.name, opened, asked)
            write_rows(out / "completions.jsonl", table.drawn("", asked, self._how(context)))
            traces = EditableTraces(RowFile(out / "completions.jsonl", Completion), problems)
            if not traces.placed:
                raise UserError(
                    f"{context.name}: none of {len(problems)} answers ended its thought and gave an answer; draw "
                    "longer ones (sampling.max_tokens), or take a model that does"
                )
            empty = sum(
                not traces.trace(number).thought.strip() for number in range(len(traces.placed))
            )
            found = {
                name: self._found(table, name, edit, traces) for name, edit in self.edits.items()
            }
        cuts = sorted(
            (edit.kept, found[name]["unmoved"])
            for name, edit in self.edits.items()
            if edit.kept is not None and found[name]["traces"]
        )
        early = area_moved(*zip(*cuts, strict=True)) if len(cuts) > 1 else None
        write_json(
            out / FOUND,
            {
                "asked": len(problems),
                "traces": len(traces.placed),
                "empty": empty,
                "edits": found,
                "early": early,
            },
        )

    def refuse_unwritable(self, place: str, opened: Opened, asked: Sequence[Prompt]) -> None:
        """Refuse texts that the model's tokenizer lacks, and prompts that open no thought.

        Raises:
            UserError: there is one.
        """
        marks = {f"edits.{name}": edit.writes() for name, edit in self.edits.items()}
        for key, texts in {"answer": iter([CLOSE + self.answer]), **marks}.items():
            for text in texts:
                try:
                    opened.encode(text)
                except UserError as error:
                    raise UserError(f"{place}: {key}: {error}") from None
        if not all(OPEN in prompt.prefix for prompt in asked):
            raise UserError(
                f"{place}: by: the prompt opens no thought (without thinking, an empty one is asked for), so there is "
                "none to edit; let the model think"
            )

    def _how(self, context: Context, most: int | None = None) -> Sampling:
        tokens = {} if most is None else {"max_tokens": most}
        return self.sampling.model_copy(update={"seed": context.seed, "samples": 1, **tokens})

    def _found(
        self, asker: _Asker, name: str, edit: AnyEdit, traces: EditableTraces
    ) -> dict[str, Any]:
        """Shares of one edit: answers that stayed, that went where the thought leads, that are right."""
        made: dict[str, tuple[str, Edited]] = {}
        for place, at in enumerate(traces.placed):
            edited = traces.edited(place, edit, asker.context.seed)
            if edited is not None:
                made[at.problem_id] = (at.answer, edited)
        how = self._how(asker.context, self.answer_tokens)
        given: dict[str, Completion] = {
            row.problem_id: replace(row, text="")
            for row in asker.drawn(name, asker.forced(made, self.answer), how)
            if row.verdict is not None and row.verdict.correctness is not None
        }
        ids = [each for each in made if each in given]
        row: dict[str, Any] = {"traces": len(ids), "left_out": len(made) - len(ids)}
        if not ids:
            return row
        verdicts = [given[each].verdict for each in ids]
        answers = [None if said is None else said.answer for said in verdicts]
        right = np.array(
            [float(said is not None and said.status == "correct") for said in verdicts]
        )
        row |= self._share("unmoved", agreeing([made[i][0] for i in ids], answers, same_answer))
        row |= self._share("right", right)
        points = [made[each][1].points for each in ids]
        if all(each is not None for each in points):
            led = agreeing([each or "" for each in points], answers, same_answer)
            row |= self._share("followed", led)
        return row

    def _share(self, name: str, values: Any) -> dict[str, Any]:
        low, high = value_interval(values, 0, self.resamples)
        return {name: float(values.mean()), f"{name}_ci95": [low, high]}

    def estimate(self, given: Estimator) -> Estimate:
        """Every question once, and a short answer for each edit; nothing is handed on."""
        member = resolve(self.benchmark)
        questions = given.counted(member.rows(given.sizes), member.called, UNKNOWN_QUESTIONS)
        mean = given.mean(self.sampling.max_tokens)
        short = questions * len(self.edits) * self.answer_tokens / mean
        work = Decoding(
            questions + short,
            given.plan.prompt_tokens,
            mean,
            self.sampling.max_tokens,
            self.sampling.batch_size,
        )
        return Estimate(Flow(), given.planned(self.by.spends(work, given), rows=questions))

    def blocks(self, out: Path) -> Iterator[Block]:
        """The shares of every edit."""
        found = mapping(Reader(out).object(out / FOUND))
        rows = [
            (words(name), number(mapping(row).get("traces")) or 0.0, *_cells(mapping(row)))
            for name, row in mapping(found.get("edits")).items()
        ]
        if not rows:
            return
        early = number(found.get("early"))
        empty, all_ = number(found.get("empty")) or 0, number(found.get("traces")) or 0
        blank = (
            f" {empty:.0f} of {all_:.0f} thoughts are empty: from these nothing could be taken."
            if empty
            else ""
        )
        yield Table(
            "Whether answers follow their thoughts",
            ("thought after", "traces", "answer stays", "answer goes where it leads", "right"),
            tuple(rows),
            "" if early is None else f"area over the curve of early answers {early:.2f}",
            "The model is forced to have thought an edited thought of its own and asked for the answer. Answers that "
            f"stay without their thought did not come from it. 95 % intervals over problems.{blank}",
        )


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    for name in ("unmoved", "followed", "right"):
        share, ends = number(row.get(name)), sequence(row.get(f"{name}_ci95"))
        low, high = (number(end) or 0.0 for end in [*ends, 0, 0][:2])
        yield "" if share is None else f"{100 * share:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True)
class _Asker:
    """Draws for the stage, each draw with a journal of its own."""

    context: Context
    opened: Opened
    problems: Mapping[str, Problem]

    def drawn(self, name: str, prompts: Sequence[Prompt], how: Sampling) -> Iterator[Completion]:
        """Completions with verdicts, after the edit of that name, or none; their tokens are counted."""
        # No edit can be called as the first draw's journal is.
        file = f"edited/{name}.jsonl" if name else "own.jsonl"
        journal = self.context.folder / PARTIAL / file
        drawing = Drawing(self.opened.generator, prompts, self.problems, how, journal)
        label = f"{self.context.name}/{name}".rstrip("/")
        shown = ShownProgress(self.context.progress(label, len(prompts), "completion"))
        for row in drawing.rows(shown):
            self.context.cost.tokens_generated += len(row.token_ids)
            yield row
        shown.finish()

    def forced(self, made: Mapping[str, tuple[str, Edited]], answer: str) -> list[Prompt]:
        """What is asked after each edit: the question, the edited thought and the beginning of an answer."""
        asked = self.opened.prompts([self.problems[each] for each in made])
        return [
            self._forced(prompt, f"{OPEN}{made[prompt.problem_id][1].thought}{CLOSE}{answer}")
            for prompt in asked
        ]

    def _forced(self, prompt: Prompt, text: str) -> Prompt:
        # A template may open the thought with a line break, which an edited one need not begin with.
        opening = prompt.prefix if text.startswith(prompt.prefix) else OPEN
        rest = text[len(opening) :]
        ids = (*prompt.prompt_ids, *self.opened.encode(rest))
        return replace(prompt, prompt_ids=ids, prefix=prompt.prefix + rest)
