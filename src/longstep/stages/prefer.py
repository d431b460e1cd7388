"""Stage ``prefer``: preference training on pairs of a verified teacher trace and the model's own verified-wrong answer.

Light-R1 calls the pairs semi-on-policy: the rejected side is sampled from the SFT model, the chosen side from R1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from longstep.artifacts import RowFile, write_rows
from longstep.config import UserError
from longstep.context import Artifact, Context, Where, chosen_problems
from longstep.costs import arithmetic as costs
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import PAIRED, Flow, share
from longstep.curate import PairConfig, SkippedTags, choose_pairs, pair_of
from longstep.foresight import REMEDIES, Ahead, Foreseen
from longstep.losses import AnyPreferenceLoss, Nca
from longstep.models.chat import (
    THINK_CLOSE,
    THINK_OPEN,
    encode_text,
    encode_turn,
    render_problem,
    thinks,
)
from longstep.stages.base import Stage
from longstep.training.config import Training
from longstep.training.estimate import holding, passes, relief, rows_seen, trained
from longstep.training.finish import Ended, finish_model
from longstep.training.ranks import sharded, world
from longstep.training.rows import PreferenceRow, training_order
from longstep.training.start import longest_row, open_job, open_policy
from longstep.types import Completion, Pair, Problem


class Prefer(Training, Stage):
    """Preference training of ``model``.

    Attributes:
        model: the start and the frozen reference.
        chosen: an artifact with verified-correct completions (the teacher's traces).
        rejected: an artifact with the model's own completions; its wrong ones are rejected.
        where: which problems.
        loss: ``nca`` (Light-R1) or ``dpo``.
        pairs: how many per problem, matched in length or not.
        control: ``{kind: skipped-tags}``, Light-R1's accident: the rejected answers lose their think tags.
    """

    produces: ClassVar[Artifact] = "model"
    kind: Literal["prefer"] = "prefer"
    model: str
    chosen: str
    rejected: str
    where: Where = Where()
    loss: AnyPreferenceLoss = Nca()
    pairs: PairConfig = PairConfig()
    control: SkippedTags | None = None

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The model and both sides of the pairs."""
        yield self.model, "model"
        yield self.chosen, "rows"
        yield self.rejected, "rows"

    def check(self) -> Iterator[str]:
        """Misspelt or owned ``trainer:`` keys."""
        yield from self.trainer_complaints("dpo")

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """Its start, trained."""
        return self.made_of(self.model, ahead)

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """A model that cannot be trained so, and sides without verdicts."""
        yield from self.training_misfits(self.model, ahead)
        for key, side in (("chosen", self.chosen), ("rejected", self.rejected)):
            yield from ahead.files(key, side, "completions.jsonl")
            if "verdict" in ahead.rows(side).lacks:
                yield f"{key}: the completions of {side} were never verified; {REMEDIES['verdict']}"
        yield from ahead.files("rejected", self.rejected, "problems.jsonl")
        yield from ahead.fields(self, self.rejected)
        yield from ahead.where(self.where, self.rejected)

    def run(self, context: Context) -> None:
        """Build pairs, train, save."""
        from longstep.models.load import load_model, shard_frozen
        from longstep.training.pairs import train_preference

        folder = context.model(self.model)
        tokenizer, model = open_policy(folder, self.lora, context.seed)
        rows = self._rows(context, tokenizer, longest_row(self, model))
        lengths = [_length(row) for row in rows]
        steps, seen = self.total_steps(len(rows)), self.rows_seen(len(rows), world())
        order = training_order(lengths, self.batch, seen, context.seed, self.length_window)
        reference = load_model(folder, "float32", sharded()) if self.lora is None else None
        if reference is not None and sharded():
            reference = shard_frozen(reference)
        job = open_job(context, self, tokenizer, model, steps)
        train_preference(job, [rows[i] for i in order], reference, self.loss)
        context.cost.tokens_trained += 2 * sum(lengths[i] for i in order)
        used = {row.name for row in rows}
        problems = chosen_problems(context, self.rejected, Where(), used)
        facts = {"pairs": len(rows), "pairs seen": seen, "steps": steps}
        data = [self.chosen, self.rejected]
        finish_model(
            context, self, Ended(job.model, tokenizer, [self.model], data, problems, facts)
        )

    def _rows(self, context: Context, tokenizer: Any, longest: int) -> list[PreferenceRow]:
        """Pairs of at most ``longest`` tokens as ids; whole, they are kept beside the artifact for a person to read.

        Raises:
            UserError: no problem has both a right and a wrong completion.
        """
        problems = chosen_problems(context, self.rejected, self.where)
        by_id = {problem.id: problem for problem in problems}
        right, wrong = (
            RowFile(context.rows(side, "completions.jsonl"), Completion)
            for side in (self.chosen, self.rejected)
        )
        tags = (THINK_OPEN, THINK_CLOSE)
        ids = frozenset(i for tag in tags for i in encode_text(tokenizer, tag))
        rows: list[PreferenceRow] = []
        made = 0

        def fitting() -> Iterator[Pair]:
            nonlocal made
            sides = _usable(right, by_id, tokenizer), _usable(wrong, by_id, tokenizer)
            for problem, *places in choose_pairs(problems, *sides, self.pairs, context.seed):
                good, bad = (
                    encoded(side.at(place), by_id, tokenizer)
                    for side, place in zip((right, wrong), places, strict=True)
                )
                pair = pair_of(problem, good, bad)
                if self.control is not None:
                    [pair] = self.control.spoil([pair], ids)
                made += 1
                row = PreferenceRow(problem.id, pair.prompt_ids, pair.chosen_ids, pair.rejected_ids)
                if _length(row) <= longest:
                    rows.append(row)
                    yield pair

        write_rows(context.folder / "pairs.jsonl", fitting())
        if not rows and made:
            raise UserError(
                f"{context.name}: no pair to train on: none of {made} pairs is within {longest} tokens (max_length, "
                "and the model's context); raise max_length, or take shorter answers"
            )
        if not rows:
            sides = [
                _told(key, rows, by_id) for key, rows in (("chosen", right), ("rejected", wrong))
            ]
            raise UserError(
                f"{context.name}: no pair to train on: no problem of {len(problems)} has both a correct and a wrong "
                f"completion that begins with {THINK_OPEN} ({'; '.join(sides)}); verify both sides by a stage of kind "
                "sample, or sample more answers"
            )
        return rows

    def estimate(self, given: Estimator) -> Estimate:
        """Both sides of each pair, trained and passed through the reference."""
        chosen, rejected = given.input(self.chosen), given.input(self.rejected)
        shape = given.model(self.model)
        problems = min(chosen.problems, rejected.problems) * share(self.where, rejected)
        pairs = given.rows(problems * PAIRED * self.pairs.per_problem)
        mean = (chosen.tokens + rejected.tokens) / 2 + given.plan.prompt_tokens
        length = min(mean, self.max_length)
        tokens = 2 * rows_seen(self, pairs) * length
        flops = tokens * costs.token_flops(shape, length, passes(self) + costs.FORWARD)
        held = holding(self, given, shape, sides=2, reference=self.lora is None)
        spent = trained(self, given, shape, flops, held)
        planned = given.planned(spent, rows=pairs, trained=tokens)
        return Estimate(Flow(shape=shape), planned, relief(self, given))


def _length(row: PreferenceRow) -> int:
    return len(row.prompt_ids) + max(len(row.chosen_ids), len(row.rejected_ids))


def _told(key: str, rows: RowFile[Completion], by_id: Mapping[str, Problem]) -> str:
    """How many completions of one side were judged how."""
    counts = Counter(
        "without thinking"
        if not row.text.startswith(THINK_OPEN)
        else "unverified"
        if row.verdict is None
        else row.verdict.status
        for _, row in rows
        if row.problem_id in by_id
    )
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return f"{key}: {told or 'none of these problems'}"


def _usable(
    rows: RowFile[Completion], by_id: Mapping[str, Problem], tokenizer: Any
) -> Iterator[tuple[int, Completion]]:
    """Completions of these problems that think, each with its place in the file."""
    for place, row in rows:
        if row.problem_id in by_id and thinks(row.text):
            yield place, encoded(row, by_id, tokenizer)


def encoded(completion: Completion, by_id: Mapping[str, Problem], tokenizer: Any) -> Completion:
    """A completion with this tokenizer's ids after the prompt as it is rendered here; text alone has none."""
    rendered = render_problem(tokenizer, by_id[completion.problem_id])
    if completion.token_ids and completion.prompt_ids == rendered.ids:
        return completion
    ids = tuple(encode_turn(tokenizer, rendered, completion.text))
    return replace(completion, prompt_ids=rendered.ids, token_ids=ids)
