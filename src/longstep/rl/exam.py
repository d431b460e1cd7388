"""An exam: held-out problems that the policy answers while it is trained, whatever the curriculum asks of it.

What a run's own rollouts say of it depends on what was picked, so two curricula cannot be compared by them. The exam's
answers are neither trained on nor seen by curriculum, gate, guide or health rules, and their noise has names of its
own: a run with an exam trains to the weights of the run without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from longstep.artifacts import AppendLog
from longstep.config import Field, Strict, UserError
from longstep.context import Context, Where, chosen_problems
from longstep.costs.arithmetic import Decoding, decoding_hours
from longstep.costs.decoder import Shape
from longstep.costs.estimate import Estimator, Spent
from longstep.costs.flow import share
from longstep.draw.engines import Opened
from longstep.foresight import Ahead
from longstep.report.blocks import Block, Curves, Series
from longstep.report.read import Reader, number
from longstep.rl.drawing import Asked, Drawer
from longstep.types import Problem

#: In the stage's folder: one line for each exam.
EXAM = "exam.jsonl"
#: Of a metric line: what one exam has drawn.
EXAM_TOKENS = "exam/tokens"


class Exam(Strict):
    """Held-out problems, answered before every ``every``-th batch of rollouts, the first among them.

    Attributes:
        data: rows of problems that are not trained on.
        where: which of them.
        every: batches of rollouts from one exam to the next.
        samples: answers per problem, drawn as the rollouts are.
    """

    data: str
    where: Where = Where()
    every: int = Field(default=1, ge=1)
    samples: int = Field(default=1, ge=1)

    def misfits(self, ahead: Ahead, trained: str) -> Iterator[str]:
        """Rows that are trained on or hold no problems, or ``where`` asks for what they lack."""
        if self.data == trained:
            yield f"exam.data: {trained} is what is trained on; name rows that are held out"
        yield from ahead.files("exam.data", self.data, "problems.jsonl")
        yield from ahead.where(self.where, self.data)

    def fits(self, draws: int) -> Iterator[str]:
        """Complaints, ``key: sentence``, when a training draws so many batches of rollouts."""
        if self.every > 1 and self.every >= draws:
            yield (
                f"every: there are {draws} batches of rollouts, so an exam before every {self.every}th would be of the "
                "start alone; set fewer, or more steps"
            )

    def sitting(
        self, context: Context, opened: Opened, drawer: Drawer, longest: int, updates: int
    ) -> Sitting:
        """The exam of one run.

        Args:
            context: of the stage.
            opened: renders the prompts.
            drawer: draws the rollouts; the exam's answers are drawn alike.
            longest: prompt that leaves room for an answer.
            updates: optimiser steps from one batch of rollouts to the next.

        Raises:
            UserError: a prompt leaves no room.
        """
        problems = chosen_problems(context, self.data, self.where)
        asked = tuple(map(Asked, problems, opened.prompts(problems)))
        over = sum(len(each.prompt.prompt_ids) > longest for each in asked)
        if over:
            raise UserError(
                f"{context.name}: exam.data: {over} of {len(asked)} prompts are longer than the {longest} tokens that "
                "max_length less max_tokens leaves; raise max_length, or take other problems"
            )
        own = replace(drawer, prefix="exam:", refresh=lambda step: None)
        return Sitting(asked, own, context.log(EXAM), self.samples, self.every * updates)

    def spends(self, given: Estimator, shape: Shape, rollouts: Decoding, batches: float) -> Spent:
        """What the exams of a run draw, each as one of its so many batches of ``rollouts`` is drawn."""
        data, count = given.input(self.data), math.ceil(batches / self.every)
        answers = data.problems * share(self.where, data) * self.samples
        work = replace(rollouts, completions=answers)
        hours = count * decoding_hours(shape, work, given.fleet.devices, given.plan)
        return Spent(tokens=count * answers * work.mean, hours=hours)


@dataclass
class Sitting:
    """The exam of one run.

    Attributes:
        asked: the problems with their prompts.
        drawer: draws and judges.
        log: takes one line for each exam.
        samples: answers per problem.
        every: optimiser steps from one exam to the next.
    """

    asked: Sequence[Asked]
    drawer: Drawer
    log: AppendLog
    samples: int
    every: int

    def refuse_trained(self, name: str, trained: Sequence[Problem]) -> None:
        """Nothing that is trained on may be asked.

        Args:
            name: of the stage.
            trained: its problems.

        Raises:
            UserError: an id or a question is among them.
        """
        ids, questions = {each.id for each in trained}, {_question(each) for each in trained}
        leaks = [
            each.problem.id
            for each in self.asked
            if each.problem.id in ids or _question(each.problem) in questions
        ]
        if leaks:
            raise UserError(
                f"{name}: exam.data: {len(leaks)} of {len(self.asked)} problems are trained on, such as {leaks[0]}; "
                "name rows that are held out"
            )

    def __call__(self, step: int, drawn: int) -> dict[str, float]:
        """Numbers for the metric line, of the policy after ``step`` updates; none where no exam is due.

        Args:
            step: updates so far.
            drawn: tokens that the training has drawn so far.
        """
        if step % self.every:
            return {}
        self.drawer.begin(step)
        _, answers = self.drawer.draw(self.asked, self.samples)
        rows = [row for group in answers for row in group]
        found = [row.verdict.correctness for row in rows if row.verdict is not None]
        known = [each for each in found if each is not None]
        tokens = sum(len(row.token_ids) for row in rows)
        # Line step + 1 is the one that a run which starts again from here writes again.
        line = {
            "step": step + 1,
            "updates": step,
            "drawn": drawn,
            "unscorable": len(rows) - len(known),
        }
        correct = fmean(known) if known else None
        self.log.append({**line, "correct": correct, "length": tokens / len(rows)})
        return {
            EXAM_TOKENS: float(tokens),
            **({} if correct is None else {"exam/correct": correct}),
        }


def _question(problem: Problem) -> str:
    """All that is asked, however it is spaced."""
    return " ".join(problem.asked.split())


def exam_blocks(folder: Path) -> Iterator[Block]:
    """How good the policy was after each number of updates."""
    rows = Reader(folder).rows(folder / EXAM) if (folder / EXAM).is_file() else ()
    points = [(number(row.get("updates")), number(row.get("correct"))) for row in rows]
    whole = [(x, y) for x, y in points if x is not None and y is not None]
    if whole:
        steps, values = zip(*whole, strict=True)
        yield Curves(
            "Exam during training: share correct",
            (Series("exam", steps, values),),
            f"{values[0]:.1%} to {values[-1]:.1%}",
            "Held-out problems, answered before a step's rollouts; nothing of them is trained on.",
        )
