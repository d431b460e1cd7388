"""Stage ``prefer``: preference training on pairs of a verified teacher trace and the model's own verified-wrong answer.

Light-R1 calls the pairs semi-on-policy: the rejected side is sampled from the SFT model, the chosen side from R1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from longstep.artifacts import read_rows, write_rows
from longstep.config import UserError
from longstep.context import Artifact, Context, Where, chosen_problems
from longstep.curate import PairConfig, build_pairs
from longstep.losses import AnyPreferenceLoss, Nca
from longstep.models.chat import THINK_CLOSE, THINK_OPEN, encode_text, encode_turn, render_prompt
from longstep.stages.base import Stage
from longstep.training.config import Training
from longstep.training.finish import finish_model
from longstep.training.ranks import sharded
from longstep.training.rows import PreferenceRow, training_order
from longstep.training.start import open_job, open_policy
from longstep.types import Completion, Pair, Problem


class Prefer(Stage, Training):
    """Preference training of ``model``.

    Attributes:
        model: the start and the frozen reference.
        chosen: an artifact with verified-correct completions (the teacher's traces).
        rejected: an artifact with the model's own completions; its wrong ones are rejected.
        where: which problems.
        loss: ``nca`` (Light-R1) or ``dpo``.
        pairs: how many per problem, matched in length or not, and Light-R1's accident of skipped think tags.
    """

    produces: ClassVar[Artifact] = "model"
    kind: Literal["prefer"] = "prefer"
    model: str
    chosen: str
    rejected: str
    where: Where = Where()
    loss: AnyPreferenceLoss = Nca()
    pairs: PairConfig = PairConfig()

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The model and both sides of the pairs."""
        yield self.model, "model"
        yield self.chosen, "rows"
        yield self.rejected, "rows"

    def check(self) -> Iterator[str]:
        """Misspelt or owned ``trainer:`` keys."""
        yield from self.trainer_complaints("dpo")

    def run(self, context: Context) -> None:
        """Build pairs, train, save."""
        from longstep.models.load import load_model, shard_frozen
        from longstep.training.pairs import train_preference

        folder = context.model(self.model)
        tokenizer, model = open_policy(folder, self.lora, context.seed)
        pairs = self._pairs(context, tokenizer)
        rows = [
            PreferenceRow(p.problem_id, p.prompt_ids, p.chosen_ids, p.rejected_ids) for p in pairs
        ]
        lengths = [len(p.prompt_ids) + max(len(p.chosen_ids), len(p.rejected_ids)) for p in pairs]
        steps = self.total_steps(len(rows))
        order = training_order(lengths, self.batch, steps, context.seed, self.length_window)
        reference = load_model(folder, "float32", sharded()) if self.lora is None else None
        if reference is not None and sharded():
            reference = shard_frozen(reference)
        job = open_job(context, self, tokenizer, model, steps)
        train_preference(job, [rows[i] for i in order], reference, self.loss.trl())
        context.cost.tokens_trained += 2 * sum(lengths[i] for i in order)
        used = {p.problem_id for p in pairs}
        problems = chosen_problems(context, self.rejected, Where(), used)
        finish_model(
            context,
            self,
            job.model,
            tokenizer,
            [self.model],
            problems,
            {"pairs": len(rows), "steps": steps},
            [self.chosen, self.rejected],
        )

    def _pairs(self, context: Context, tokenizer: Any) -> list[Pair]:
        """Pairs within ``max_length``, kept beside the artifact for a person to read.

        Raises:
            UserError: no problem has both a right and a wrong completion.
        """
        problems = chosen_problems(context, self.rejected, self.where)
        by_id = {problem.id: problem for problem in problems}
        right, wrong = (
            [
                encoded(c, by_id, tokenizer)
                for c in read_rows(context.rows(side, "completions.jsonl"), Completion)
                if c.problem_id in by_id and c.text.startswith(THINK_OPEN)
            ]
            for side in (self.chosen, self.rejected)
        )
        tags = frozenset(
            i for tag in (THINK_OPEN, THINK_CLOSE) for i in encode_text(tokenizer, tag)
        )
        pairs = list(build_pairs(problems, right, wrong, self.pairs, context.seed, tags))
        fitting = [
            p
            for p in pairs
            if len(p.prompt_ids) + max(len(p.chosen_ids), len(p.rejected_ids)) <= self.max_length
        ]
        if not fitting:
            raise UserError(
                f"{context.name}: no pair to train on: {len(problems)} problems gave {len(pairs)} pairs, none within "
                f"max_length {self.max_length}; sample more of the model's own answers"
            )
        write_rows(context.folder / "pairs.jsonl", fitting)
        return fitting


def encoded(completion: Completion, by_id: Mapping[str, Problem], tokenizer: Any) -> Completion:
    """A completion with this tokenizer's ids after the prompt as it is rendered here; text alone has none."""
    rendered = render_prompt(tokenizer, by_id[completion.problem_id].prompt)
    if completion.token_ids and completion.prompt_ids == rendered.ids:
        return completion
    ids = tuple(encode_turn(tokenizer, rendered, completion.text))
    return replace(completion, prompt_ids=rendered.ids, token_ids=ids)
