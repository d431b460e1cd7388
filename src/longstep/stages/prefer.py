"""Stage ``prefer``: preference training on given pairs, or on a teacher's right and the model's own wrong answer.

Light-R1 calls the latter semi-on-policy: the rejected side is sampled from the SFT model, the chosen side from R1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from longstep.artifacts import RowFile, read_rows, write_rows
from longstep.config import UserError, field_validator, model_validator
from longstep.context import Artifact, Context, Where, chosen_problems
from longstep.costs import arithmetic as costs
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import PAIRED, Flow, share
from longstep.curate import AnyPairing, PairConfig, SkippedTags, choose_pairs, pair_of
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
from longstep.training.estimate import holding, passes, rows_seen, trained, training_relief
from longstep.training.finish import Ended, finish_model
from longstep.training.ranks import sharded, world
from longstep.training.rows import PreferenceRow, training_order
from longstep.training.start import longest_row, open_job, open_policy
from longstep.types import Completion, Pair, Problem


class Prefer(Training, Stage):
    """Preference training of ``model``.

    Attributes:
        model: the start and the frozen reference.
        data: an artifact with pairs, as a stage of kind ``pairs`` makes them; or give ``chosen`` and ``rejected``.
        chosen: an artifact with verified-correct completions (the teacher's traces).
        rejected: an artifact with the model's own completions; its wrong ones are rejected.
        where: which problems.
        loss: ``nca`` (Light-R1) or ``dpo``.
        pairs: which completions of a problem are paired, and how many: a right with a wrong one when nothing is said.
        control: ``{kind: skipped-tags}``, Light-R1's accident: the rejected answers lose their think tags.
    """

    produces: ClassVar[Artifact] = "model"
    kind: Literal["prefer"] = "prefer"
    model: str
    data: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    where: Where = Where()
    loss: AnyPreferenceLoss = Nca()
    pairs: AnyPairing = PairConfig()
    control: SkippedTags | None = None

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The model and the pairs, or both their sides."""
        yield self.model, "model"
        for reference in self._artifacts():
            yield reference, "rows"

    def check(self) -> Iterator[str]:
        """Misspelt or owned ``trainer:`` keys, and settings for pairs that are given already."""
        yield from self.trainer_complaints("dpo")
        if self.data is not None and self.pairs != PairConfig():
            yield "pairs: has no effect on pairs that data gives; leave it out"

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """Its start, trained."""
        return self.made_of(self.model, ahead)

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """A model that cannot be trained so, artifacts without pairs, and sides without verdicts."""
        yield from self.training_misfits(self.model, ahead, reasons=self.data is not None)
        if self.data is None:
            for key, side in zip(("chosen", "rejected"), self._artifacts(), strict=True):
                yield from ahead.files(key, side, "completions.jsonl")
                if "verdict" in ahead.rows(side).lacks:
                    yield f"{key}: the completions of {side} were never verified; {REMEDIES['verdict']}"
            yield from ahead.files("rejected", self._asked, "problems.jsonl")
        else:
            yield from ahead.files("data", self.data, "problems.jsonl", "pairs.jsonl")
        yield from ahead.fields(self, self._asked)
        yield from ahead.where(self.where, self._asked)

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
        problems = chosen_problems(context, self._asked, Where(), used)
        facts = {"pairs": len(rows), "pairs seen": seen, "steps": steps}
        data = self._artifacts()
        finish_model(
            context, self, Ended(job.model, tokenizer, [self.model], data, problems, facts)
        )

    def _rows(self, context: Context, tokenizer: Any, longest: int) -> list[PreferenceRow]:
        """Pairs of at most ``longest`` tokens as ids; whole, they are kept beside the artifact for a person to read.

        Raises:
            UserError: no problem has what the pairing seeks.
        """
        problems = chosen_problems(context, self._asked, self.where)
        given = self._given if self.data is not None else self._made
        tags = (THINK_OPEN, THINK_CLOSE)
        ids = frozenset(i for tag in tags for i in encode_text(tokenizer, tag))
        rows: list[PreferenceRow] = []
        made = 0

        def fitting() -> Iterator[Pair]:
            nonlocal made
            for pair in given(context, problems, tokenizer):
                if self.control is not None:
                    [pair] = self.control.spoil([pair], ids)
                made += 1
                row = PreferenceRow(
                    pair.problem_id, pair.prompt_ids, pair.chosen_ids, pair.rejected_ids
                )
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
            raise UserError(
                f"{context.name}: no pair to train on: {self._lacking(context, problems)}"
            )
        return rows

    def _given(
        self, context: Context, problems: Sequence[Problem], tokenizer: Any
    ) -> Iterator[Pair]:
        """The pairs of ``data`` with this tokenizer's ids."""
        by_id = {problem.id: problem for problem in problems}
        for pair in read_rows(context.rows(self._asked, "pairs.jsonl"), Pair):
            problem = by_id.get(pair.problem_id)
            if problem is None:
                continue
            rendered = render_problem(tokenizer, problem)
            sides = [
                tuple(encode_turn(tokenizer, rendered, text))
                for text in (pair.chosen, pair.rejected)
            ]
            yield replace(
                pair,
                prompt=problem.prompt,
                prompt_ids=rendered.ids,
                chosen_ids=sides[0],
                rejected_ids=sides[1],
            )

    def _made(
        self, context: Context, problems: Sequence[Problem], tokenizer: Any
    ) -> Iterator[Pair]:
        """Pairs of the two sides."""
        by_id = {problem.id: problem for problem in problems}
        files = self._sides(context)
        chosen, rejected = (_usable(file, by_id, tokenizer) for file in files)
        for problem, *places in choose_pairs(problems, chosen, rejected, self.pairs, context.seed):
            good, bad = (
                encoded(side.at(place), by_id, tokenizer)
                for side, place in zip(files, places, strict=True)
            )
            yield pair_of(problem, good, bad)

    def _lacking(self, context: Context, problems: Sequence[Problem]) -> str:
        """Why there is no pair."""
        if self.data is not None:
            return f"no pair of {self.data} belongs to one of {len(problems)} problems inside where; widen it"
        ids = {problem.id for problem in problems}
        keys = ("chosen", "rejected")
        sides = [
            _told(key, rows, ids) for key, rows in zip(keys, self._sides(context), strict=True)
        ]
        return (
            f"no problem of {len(problems)} has {self.pairs.seeks} that begins with {THINK_OPEN} "
            f"({'; '.join(sides)}); verify both sides by a stage of kind sample, or sample more answers"
        )

    def _sides(self, context: Context) -> list[RowFile[Completion]]:
        return [
            RowFile(context.rows(side, "completions.jsonl"), Completion)
            for side in self._artifacts()
        ]

    def _artifacts(self) -> list[str]:
        """What is read: the pairs, or both sides."""
        return [each for each in (self.data, self.chosen, self.rejected) if each is not None]

    @property
    def _asked(self) -> str:
        """The artifact whose problems the pairs are about."""
        return self._artifacts()[-1]

    @field_validator("pairs", mode="before")
    @classmethod
    def _right_over_wrong(cls, given: object) -> object:
        """Settings without a kind are those of right over wrong."""
        if isinstance(given, dict) and "kind" not in given:
            return {"kind": "right-over-wrong", **given}
        return given

    @model_validator(mode="after")
    def _one_origin(self) -> Prefer:
        sides = (self.chosen is not None) + (self.rejected is not None)
        if (self.data is not None, sides) not in ((True, 0), (False, 2)):
            given = [k for k in ("data", "chosen", "rejected") if k in self.model_fields_set]
            raise ValueError(
                f"give data, or both chosen and rejected (given: {', '.join(given) or 'none of them'})"
            )
        return self

    def estimate(self, given: Estimator) -> Estimate:
        """Both sides of each pair, trained and passed through the reference."""
        flows = [given.input(each) for each in self._artifacts()]
        shape = given.model(self.model)
        kept = min(flow.problems for flow in flows) * share(self.where, flows[-1])
        made = PAIRED * self.pairs.per_problem if self.data is None else 1.0
        pairs = given.rows(kept * made)
        mean = sum(flow.tokens for flow in flows) / len(flows) + given.plan.prompt_tokens
        length = min(mean, self.max_length)
        tokens = 2 * rows_seen(self, pairs) * length
        flops = tokens * costs.token_flops(shape, length, passes(self) + costs.FORWARD)
        held = holding(self, given, shape, sides=2, reference=self.lora is None)
        spent = trained(self, given, shape, flops, held)
        planned = given.planned(spent, rows=pairs, trained=tokens)
        return Estimate(Flow(shape=shape), planned, training_relief(self, given, shape, held))


def _length(row: PreferenceRow) -> int:
    return len(row.prompt_ids) + max(len(row.chosen_ids), len(row.rejected_ids))


def _told(key: str, rows: RowFile[Completion], ids: Collection[str]) -> str:
    """How many completions of one side were judged how."""
    counts = Counter(
        "without thinking"
        if not row.text.startswith(THINK_OPEN)
        else "unverified"
        if row.verdict is None
        else row.verdict.status
        for _, row in rows
        if row.problem_id in ids
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
