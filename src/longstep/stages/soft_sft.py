"""Stage ``soft_sft``: train the expert towards the soft targets of stage ``contrast``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar, Literal

from longstep.artifacts import read_json, read_rows
from longstep.config import UserError
from longstep.context import Artifact, Context
from longstep.contrast.drift import alarms, measure
from longstep.contrast.facts import FACTS
from longstep.costs import arithmetic as costs
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import KEPT, Flow
from longstep.foresight import Ahead, Foreseen
from longstep.models.pointer import weights_hash
from longstep.stages.base import Stage
from longstep.training.config import Training
from longstep.training.estimate import holding, passes, rows_seen, trained, training_relief
from longstep.training.finish import PROBED, Ended, finish_model
from longstep.training.last_column import LastColumn
from longstep.training.ranks import world
from longstep.training.rows import SoftRow, training_order
from longstep.training.start import longest_row, open_job, open_policy
from longstep.types import Completion, Problem, SoftTarget


class SoftSft(Training, Stage):
    """LightReasoner's fine-tuning: ``KL(target || model)`` at every kept position.

    Attributes:
        model: the expert that was sampled; another one is refused.
        data: an artifact of stage ``contrast``.
        rows: ``rollout`` trains all kept positions of a rollout in one forward pass; ``step`` gives every position
            a row of its own, as the released code does (its batch of 16 is 16 positions).
        control: ``{kind: last-column}`` with ``rows: step`` reads the logits where the released code reads them, in
            the last column of the padded batch: a defect, kept to show what it does.
    """

    produces: ClassVar[Artifact] = "model"
    kind: Literal["soft_sft"] = "soft_sft"
    model: str
    data: str
    rows: Literal["rollout", "step"] = "rollout"
    control: LastColumn | None = None

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The expert and its rows."""
        yield self.model, "model"
        yield self.data, "rows"

    def check(self) -> Iterator[str]:
        """Misspelt or owned ``trainer:`` keys; a control on rows that it cannot misread."""
        yield from self.trainer_complaints("sft")
        if self.control is not None and self.rows != "step":
            yield "control: last-column needs rows: step, where a row ends at its target"

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """The expert, trained."""
        return self.made_of(self.model, ahead)

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """Another model than the targets are for, and rows without targets."""
        yield from self.training_misfits(self.model, ahead)
        files = ("problems.jsonl", "completions.jsonl", "soft_targets.jsonl", FACTS)
        yield from ahead.files("data", self.data, *files)
        start, expert = ahead.known(self.model), ahead.rows(self.data).expert
        if start is not None and expert is not None and start.differs(expert):
            yield (
                f"model: {self.model} is not the expert that {self.data} is sampled from: the targets say where *that* "
                "model should move; train it, or sample this one"
            )

    def run(self, context: Context) -> None:
        """Load, train, merge, save."""
        from longstep.training.soft import train_soft

        folder = context.model(self.model)
        facts = read_json(context.rows(self.data, FACTS))
        if weights_hash(folder) != facts["expert"]:
            raise UserError(
                f"{context.name}: {self.model} is not the expert that {self.data} was sampled from (its weights have "
                "another hash): the targets say where *that* model should move; train it, or sample this one"
            )
        tokenizer, model = open_policy(folder, self.lora, context.seed)
        rows, dropped = self._rows(context, longest_row(self, model))
        lengths = [len(row.ids) for row in rows]
        steps, seen = self.total_steps(len(rows)), self.rows_seen(len(rows), world())
        order = training_order(lengths, self.batch, seen, context.seed, self.length_window)
        problems = list(read_rows(context.rows(self.data, "problems.jsonl"), Problem))
        path = context.rows(self.data, "completions.jsonl")
        probed = problems[:PROBED], list(islice(read_rows(path, Completion), PROBED))
        before = measure(model, tokenizer, *probed, facts["thinking"])
        job = open_job(context, self, tokenizer, model, steps)
        misread = self.control.misread if self.control is not None else None
        train_soft(job, [rows[i] for i in order], misread)
        context.cost.tokens_trained += sum(lengths[i] for i in order)
        after = measure(job.model, tokenizer, *probed, facts["thinking"])
        log = context.log("health.jsonl")
        for note in alarms(before, after):
            log.append(note)
        log.close()
        trained: dict[str, Any] = {
            "rows": len(rows),
            "rows seen": seen,
            "steps": steps,
            "positions trained": sum(len(rows[i].places) for i in order),
            "perplexity on the expert's rollouts": f"{before.perplexity:.4f} -> {after.perplexity:.4f}",
            "repeated 4-grams": f"{before.repetition:.4f} -> {after.repetition:.4f}",
            **dropped,
        }
        asked = problems, trained, facts["thinking"]
        finish_model(context, self, Ended(job.model, tokenizer, [self.model], [self.data], *asked))

    def _rows(self, context: Context, longest: int) -> tuple[list[SoftRow], dict[str, int]]:
        by_rollout: dict[tuple[str, int], list[SoftTarget]] = {}
        for target in read_rows(context.rows(self.data, "soft_targets.jsonl"), SoftTarget):
            by_rollout.setdefault((target.problem_id, target.sample_index), []).append(target)
        rows: list[SoftRow] = []
        longer = 0
        for rollout in read_rows(context.rows(self.data, "completions.jsonl"), Completion):
            targets = by_rollout.get((rollout.problem_id, rollout.sample_index))
            if targets is None:
                continue  # nothing diverged in it
            if len(rollout.prompt_ids) + len(rollout.token_ids) > longest:
                longer += 1
            elif self.rows == "rollout":
                rows.append(_rollout_row(rollout, targets))
            else:
                rows.extend(_step_rows(rollout, targets))
        if not rows:
            raise UserError(
                f"{context.name}: no row is left to train on; {longer} rollouts of {self.data} are longer than "
                f"{longest} tokens (max_length, and the model's context)"
            )
        return rows, {f"longer than {longest} tokens": longer} if longer else {}

    def estimate(self, given: Estimator) -> Estimate:
        """Every rollout once an epoch, or one row per kept position."""
        data, shape = given.input(self.data), given.model(self.model)
        prompt = given.plan.prompt_tokens
        mean = data.tokens + prompt
        used = given.rows(data.completions)
        if self.rows != "rollout":  # one row per kept position, ending anywhere in the rollout
            used, mean = used * data.tokens * KEPT, prompt + data.tokens / 2
        length = min(mean, self.max_length)
        seen = rows_seen(self, used)
        flops = seen * length * costs.token_flops(shape, length, passes(self))
        held = holding(self, given, shape)
        spent = trained(self, given, shape, flops, held)
        hours = max(spent.hours, given.launches(seen / self.batch, costs.TRAIN_STEP))
        spent = replace(spent, hours=hours, dollars=given.price(hours))
        planned = given.planned(spent, rows=used, trained=seen * length)
        return Estimate(Flow(shape=shape), planned, training_relief(self, given, shape, held))


def _rollout_row(rollout: Completion, targets: list[SoftTarget]) -> SoftRow:
    start = len(rollout.prompt_ids)
    return SoftRow(
        name=f"{rollout.problem_id}.{rollout.sample_index}",
        ids=(*rollout.prompt_ids, *rollout.token_ids),
        places=tuple(start + target.position for target in targets),
        token_ids=tuple(target.token_ids for target in targets),
        weights=tuple(target.weights for target in targets),
    )


def _step_rows(rollout: Completion, targets: list[SoftTarget]) -> Iterator[SoftRow]:
    for target in targets:
        prefix = (*rollout.prompt_ids, *rollout.token_ids[: target.position])
        yield SoftRow(
            name=f"{rollout.problem_id}.{rollout.sample_index}.{target.position}",
            ids=prefix,
            places=(len(prefix),),
            token_ids=(target.token_ids,),
            weights=(target.weights,),
        )
