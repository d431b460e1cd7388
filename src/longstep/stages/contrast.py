"""Stage ``contrast``: LightReasoner's sampling: where an expert diverges from an amateur, and soft targets there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import ClassVar, Literal

from longstep.artifacts import AppendLog, sha256_json, write_json, write_rows
from longstep.config import Field, TypeAdapter, UserError
from longstep.context import PARTIAL, Artifact, Context, Where, chosen_problems
from longstep.contrast.facts import FACTS, kl_row, steered, summary
from longstep.contrast.pair import Contrasted, Pair, open_pair
from longstep.contrast.targets import AnyPositions, AnyTarget, KlGate
from longstep.contrast.targets import Contrast as ContrastTarget
from longstep.costs import arithmetic as costs
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import KEPT, Flow, share
from longstep.draw.prompts import prompts_for
from longstep.generate import Sampling
from longstep.generate.batches import Batch, plan_batches
from longstep.stages.base import Stage


class Contrast(Stage):
    """Soft targets from an expert and an amateur that share a vocabulary; no answer is looked at.

    Attributes:
        expert: rolls out, and is the model to train on the result.
        amateur: the weaker model it is compared with.
        data: problems, or rows that have problems.
        where: which of them.
        sampling: of the rollouts; greedy and at most 128 tokens, as published, unless said otherwise.
        thinking: ``false`` asks the template for an empty think block, and adds none to a template without thinking.
        positions: which positions are kept: ``kl`` gate, as many at ``random``, or ``all``.
        target: what is learnt there: ``contrast``, ``one_hot`` or ``sharpen``.
        vocabulary: ``same`` refuses a pair with any token of another id; ``shared`` compares over the ids that mean
            the same in both, for families whose added tokens differ (Qwen2.5 and DeepSeek's distillations of it). Where
            the expert means another id, such as its end of turn, nothing is taught; the amateur reads the prompt's
            added tokens as its own.
        entries: logits of each model held in memory at once.
    """

    produces: ClassVar[Artifact] = "rows"
    kind: Literal["contrast"] = "contrast"
    expert: str
    amateur: str
    data: str
    where: Where = Where()
    sampling: Sampling = Sampling(temperature=0, top_p=1, max_tokens=128, batch_size=64)
    thinking: bool = True
    positions: AnyPositions = KlGate()
    target: AnyTarget = ContrastTarget()
    vocabulary: Literal["same", "shared"] = "same"
    entries: int = Field(default=1 << 24, ge=1)

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """Both models and the problems."""
        yield self.expert, "model"
        yield self.amateur, "model"
        yield self.data, "rows"

    def check(self) -> Iterator[str]:
        """Options that would have no effect."""
        if self.sampling.seed:
            yield "sampling.seed: has no effect: every stage derives its own from the recipe's seed"
        if self.sampling.logprobs:
            yield "sampling.logprobs: has no effect: the whole distributions are compared"
        if self.sampling.temperature == 0 and self.sampling.samples > 1:
            yield "sampling.samples: greedy rollouts of one problem are all equal"

    def run(self, context: Context) -> None:
        """Roll out, compare, write sparse rows."""
        problems = chosen_problems(context, self.data, self.where)
        pair, tokenizer, hashes = open_pair(
            context.model(self.expert), context.model(self.amateur), self.vocabulary, self.entries
        )
        prompts = prompts_for(tokenizer, problems, self.thinking)
        sampling = self.sampling.model_copy(update={"seed": context.seed})
        pair.check(prompts, sampling)
        batches = plan_batches(prompts, sampling)
        plan = sha256_json(
            [hashes, self.model_dump(mode="json"), context.seed, [p.prompt_ids for p in prompts]]
        )
        rows = self._all(context, pair, batches, sampling, plan)
        context.cost.tokens_generated += sum(len(row.completion.token_ids) for row in rows)
        out = context.fresh_out()
        context.hand_on_ledger(self.data)
        write_rows(out / "problems.jsonl", problems)
        write_rows(out / "completions.jsonl", (row.completion for row in rows))
        write_rows(out / "soft_targets.jsonl", (target for row in rows for target in row.targets))
        write_rows(out / "kl.jsonl", map(kl_row, rows))
        write_json(out / FACTS, {**hashes, "thinking": self.thinking, **summary(rows)})
        if not any(row.targets for row in rows):
            raise UserError(
                f"{context.name}: no position was kept in {len(rows)} rollouts; see {out / FACTS}: lower "
                "positions.beta, or take an amateur that differs more from the expert"
            )
        write_rows(context.folder / "steered.jsonl", steered(rows, tokenizer))

    def _all(
        self,
        context: Context,
        pair: Pair,
        batches: Sequence[Batch],
        sampling: Sampling,
        plan: str,
    ) -> list[Contrasted]:
        """Every rollout; batches an interrupted attempt finished under the same plan are read back."""
        log = context.folder / PARTIAL / "contrast.jsonl"
        finished = _finished(log, plan)
        record = AppendLog(log)
        progress = context.progress(context.name, sum(len(b.rows) for b in batches), "rollout")
        rows: list[Contrasted] = []
        for batch in batches:
            done = finished.get(batch.index)
            if done is None:
                done = pair.run(batch, sampling, self.positions, self.target)
                row = {"plan": plan, "batch": batch.index, "rows": [asdict(each) for each in done]}
                record.append(row)
                progress.advance(len(done))
            else:
                progress.start_at(progress.done + len(done))
            rows.extend(done)
        record.close()
        progress.finish()
        return rows

    def estimate(self, given: Estimator) -> Estimate:
        """The expert's rollouts, one pass of the amateur over them, and both output heads over every position."""
        data, plan = given.input(self.data), given.plan
        problems = given.rows(data.problems * share(self.where, data))
        longest, slots = self.sampling.max_tokens, self.sampling.batch_size
        # Rollouts of 128 tokens all reach their end, so half of the limit would be too little.
        mean = plan.tokens.get(given.name, min(plan.trace_tokens, longest))
        drawn = problems * self.sampling.samples
        expert, amateur = given.model(self.expert), given.model(self.amateur)
        rolling = given.decoding(expert, Decoding(drawn, plan.prompt_tokens, mean, longest, slots))
        length = plan.prompt_tokens + mean
        flops = drawn * length * costs.token_flops(amateur, length, costs.FORWARD)
        # Both output heads are applied to every position, and once more to the kept ones.
        heads = expert.vocab * expert.width + amateur.vocab * amateur.width
        flops += drawn * mean * 2 * heads * (1 + KEPT)
        steps = -(-drawn // slots) * longest
        hours = max(rolling.hours, given.launches(steps, costs.DECODE_STEP))
        hours += given.training_hours(flops)
        logits = 6 * 4 * self.entries
        spent = replace(
            rolling,
            hours=hours,
            dollars=given.price(hours),
            memory=(rolling.memory or 0.0) + costs.HALF * amateur.parameters + logits,
        )
        return Estimate(Flow(problems, data.rates, drawn, mean), given.planned(spent, rows=drawn))


def _finished(log: Path, plan: str) -> dict[int, list[Contrasted]]:
    if not log.is_file():
        return {}
    adapter = TypeAdapter(list[Contrasted])
    found: dict[int, list[Contrasted]] = {}
    for line in log.read_bytes().split(b"\n")[:-1]:
        record = json.loads(line)
        if record["plan"] == plan:
            found[record["batch"]] = adapter.validate_python(record["rows"])
    return found
