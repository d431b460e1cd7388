"""Stages ``sft`` and ``pretrain``: supervised fine-tuning of a model, or of random weights, on verified completions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

from longstep.artifacts import sha256_json
from longstep.config import Field, Strict, UserError
from longstep.context import Artifact, Context, Where
from longstep.costs import arithmetic as costs
from longstep.costs.decoder import Shape
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import Flow, share
from longstep.foresight import Ahead, Foreseen
from longstep.models.tiny import ADDED, CHARACTERS, SPECIAL, TinySpec
from longstep.stages.base import Stage
from longstep.training.config import Training
from longstep.training.estimate import holding, passes, rows_seen, trained, training_relief
from longstep.training.finish import Ended, finish_model
from longstep.training.ranks import world
from longstep.training.rows import SftRow, training_order
from longstep.training.start import longest_row, open_job, open_policy
from longstep.training.supervised import read_supervised


class Select(Strict):
    """Checkpoint selection: part of the problems is held out, and the checkpoint with the lowest loss there wins.

    Attributes:
        share: of the problems, held out.
    """

    share: float = Field(default=0.05, gt=0, lt=0.5)


class _Supervised(Training, Stage):
    """What ``sft`` and ``pretrain`` share.

    Attributes:
        data: an artifact with completions and their problems.
        where: which problems.
        packing: the rows of a micro-batch in one sequence without padding, attention kept inside each row.
        select: pick the checkpoint with the lowest held-out loss instead of the last one.
    """

    produces: ClassVar[Artifact] = "model"
    data: str
    where: Where = Where()
    packing: bool = False
    select: Select | None = None

    def free_fields(self) -> frozenset[str]:
        """With ``select`` the checkpoints are the candidates, so when they are taken decides."""
        return super().free_fields() - (frozenset() if self.select is None else {"save_every"})

    def check(self) -> Iterator[str]:
        """Misspelt or owned ``trainer:`` keys."""
        yield from self.trainer_complaints("sft")
        if self.select is not None and self.steps is not None and self.steps < self.save_every:
            yield (
                f"select: compares checkpoints, but save_every {self.save_every} is beyond the last of {self.steps} "
                "steps; save more often"
            )

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """No completions to train on."""
        yield from ahead.files("data", self.data, "problems.jsonl", "completions.jsonl")
        yield from ahead.fields(self, self.data)
        yield from ahead.where(self.where, self.data)

    def _train(self, context: Context, model: Any, tokenizer: Any, parents: list[str]) -> None:
        from longstep.training.sft import train_sft

        longest = longest_row(self, model)
        found = read_supervised(context, self.data, self.where, tokenizer, longest)
        rows, dev = _held_out(found.rows, self.select)
        lengths = [len(row.ids) for row in rows]
        steps, seen = self.total_steps(len(rows)), self.rows_seen(len(rows), world())
        order = training_order(lengths, self.batch, seen, context.seed, self.length_window)
        if dev and steps < self.save_every:
            raise UserError(
                f"{context.name}: select compares checkpoints, but save_every {self.save_every} is beyond the last of "
                f"{steps} steps; save more often"
            )
        job = open_job(context, self, tokenizer, model, steps)
        train_sft(job, [rows[i] for i in order], dev, self.packing)
        context.cost.tokens_trained += sum(lengths[i] for i in order)
        facts = {"rows": len(rows), "rows seen": seen, "steps": steps, **found.dropped}
        ended = Ended(job.model, tokenizer, parents, [self.data], found.prompts, facts)
        finish_model(context, self, ended)

    def _estimated(self, given: Estimator, shape: Shape) -> Estimate:
        data = given.input(self.data)
        used = given.rows(data.completions * share(self.where, data))
        length = min(data.tokens + given.plan.prompt_tokens, self.max_length)
        seen = rows_seen(self, used)
        flops = seen * length * costs.token_flops(shape, length, passes(self))
        held = holding(self, given, shape)
        spent = trained(self, given, shape, flops, held)
        planned = given.planned(spent, rows=used, trained=seen * length)
        return Estimate(Flow(shape=shape), planned, training_relief(self, given, shape, held))


class Sft(_Supervised):
    """Supervised fine-tuning.

    Attributes:
        model: the start.
    """

    kind: Literal["sft"] = "sft"
    model: str

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The model and the rows."""
        yield self.model, "model"
        yield self.data, "rows"

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """Its start, trained."""
        return self.made_of(self.model, ahead)

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """Also a model that cannot be trained so, such as one whose think tags are several tokens."""
        yield from self.training_misfits(self.model, ahead, reasons=True)
        yield from super().misfits(ahead)

    def run(self, context: Context) -> None:
        """Load, train, save."""
        tokenizer, model = open_policy(context.model(self.model), self.lora, context.seed)
        self._train(context, model, tokenizer, [self.model])

    def estimate(self, given: Estimator) -> Estimate:
        """Every row once an epoch."""
        return self._estimated(given, given.model(self.model))


class Pretrain(_Supervised):
    """Training from random weights: how the shipped tiny models were made.

    Attributes:
        architecture: shape of the model.
    """

    kind: Literal["pretrain"] = "pretrain"
    architecture: TinySpec

    def check(self) -> Iterator[str]:
        """Also adapters, for which there is no base."""
        yield from super().check()
        if self.lora is not None:
            yield "lora: adapters need weights that were trained before; leave it out"

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The rows."""
        yield self.data, "rows"

    def run(self, context: Context) -> None:
        """Build, train, save."""
        from longstep.models.tiny import build_model, build_tokenizer

        model = build_model(self.architecture, context.seed % 2**31)
        self._train(context, model, build_tokenizer(), [])

    def estimate(self, given: Estimator) -> Estimate:
        """As ``sft``, of the model that ``architecture`` makes."""
        spec = self.architecture
        vocab = len(SPECIAL) + len(ADDED) + len(CHARACTERS)
        shape = Shape(
            spec.layers, spec.width, 2 * spec.width, spec.heads, spec.heads, vocab, spec.tie
        )
        return self._estimated(given, shape)


def _held_out(rows: Sequence[SftRow], select: Select | None) -> tuple[list[SftRow], list[SftRow]]:
    """Split by problem, so that no problem is on both sides."""
    if select is None:
        return list(rows), []
    train: list[SftRow] = []
    dev: list[SftRow] = []
    for row in rows:
        position = int(sha256_json(["dev", row.name])[:8], 16) / 16**8
        (dev if position < select.share else train).append(row)
    if not train or not dev:
        raise UserError(
            f"select.share {select.share} of {len(rows)} rows leaves {len(train)} to train on and {len(dev)} to select "
            "by; change the share or leave select out"
        )
    return train, dev
