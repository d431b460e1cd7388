"""Stage ``contrast``: LightReasoner's sampling: where an expert diverges from an amateur, and soft targets there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from longstep.artifacts import sha256_json, write_json, write_rows
from longstep.config import Field, UserError
from longstep.context import PARTIAL, Artifact, Context, Where, chosen_problems
from longstep.contrast.facts import FACTS, Summary, kl_row, shown_of, steered
from longstep.contrast.pair import Contrasted, Pair, open_pair
from longstep.contrast.targets import AnyPositions, AnyTarget, KlGate
from longstep.contrast.targets import Contrast as ContrastTarget
from longstep.costs import arithmetic as costs
from longstep.costs.arithmetic import Decoding
from longstep.costs.estimate import Estimate, Estimator
from longstep.costs.flow import KEPT, Flow, share
from longstep.draw.drawing import ShownProgress
from longstep.draw.prompts import prompts_for
from longstep.draw.samplers import AnyEngine
from longstep.foresight import Ahead, Foreseen
from longstep.generate import Batch, Headway, Prompt, Sampling, Watch, plan_batches, unwatched
from longstep.generate.batches import kept
from longstep.generate.seals import Sealed
from longstep.merge import check_tokenizers, shared_token_ids
from longstep.stages.base import Stage


class Contrast(Stage):
    """Soft targets from an expert and an amateur that share a vocabulary; no answer is looked at.

    Attributes:
        expert: rolls out, and is the model to train on the result.
        amateur: the weaker model it is compared with.
        by: who rolls out; ``null`` is the expert in this process, and nobody else gives whole distributions.
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
    by: AnyEngine | None = None
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
        """Options that would have no effect, and an engine that cannot do what is asked."""
        if self.by is not None:
            yield from (lacking := [*self.by.complaints({"distribution"})])
            if not lacking and [*self.by.references()] != [(self.expert, "model")]:
                yield f"by: the expert rolls out, so it must be of the same model, {self.expert}"
        if self.sampling.seed:
            yield "sampling.seed: has no effect: every stage derives its own from the recipe's seed"
        if self.sampling.logprobs:
            yield "sampling.logprobs: has no effect: the whole distributions are compared"
        if self.sampling.temperature == 0 and self.sampling.samples > 1:
            yield "sampling.samples: greedy rollouts of one problem are all equal"

    def libraries(self) -> frozenset[str]:
        """Both models run here."""
        return frozenset({"torch", "transformers"})

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """Unverified rollouts and their soft targets."""
        files = {"problems.jsonl", "completions.jsonl", "soft_targets.jsonl", FACTS}
        lacks = ahead.rows(self.data).lacks | {"verdict"}
        return Foreseen(files=frozenset(files), lacks=lacks, expert=ahead.start(self.expert))

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """Two models of one vocabulary with room for the rollouts, and problems to roll out."""
        yield from ahead.files("data", self.data, "problems.jsonl")
        yield from ahead.fields(self, self.data)
        yield from ahead.where(self.where, self.data)
        for key, reference in (("expert", self.expert), ("amateur", self.amateur)):
            yield from ahead.model(key, reference)
            yield from ahead.room("sampling.max_tokens", reference, self.sampling.max_tokens)
        yield from ahead.together("amateur", self.expert, self.amateur, self._compare)

    def _compare(self, expert: Path, amateur: Path) -> None:
        (check_tokenizers if self.vocabulary == "same" else shared_token_ids)(expert, amateur)

    def run(self, context: Context) -> None:
        """Roll out, compare, write sparse rows."""
        problems = chosen_problems(context, self.data, self.where)
        pair, tokenizer, hashes = open_pair(
            context.model(self.expert), context.model(self.amateur), self.vocabulary, self.entries
        )
        prompts = prompts_for(tokenizer, problems, self.thinking)
        sampling = self.sampling.model_copy(update={"seed": context.seed})
        pair.check(prompts, sampling)
        plan = sha256_json(
            [hashes, self.model_dump(mode="json"), context.seed, [p.prompt_ids for p in prompts]]
        )
        log = context.folder / PARTIAL / "contrast.jsonl"
        rollouts = _Rollouts(pair, prompts, sampling, (self.positions, self.target), log, plan)
        shown = ShownProgress(context.progress(context.name, rollouts.total, "rollout"))
        summary = Summary()
        out = context.fresh_out()
        context.hand_on_ledger(self.data)
        write_rows(out / "problems.jsonl", problems)
        counted = rollouts.counted(summary, shown)
        write_rows(out / "completions.jsonl", (row.completion for row in counted))
        shown.finish()
        context.cost.tokens_generated += summary.positions
        targets = (target for row in rollouts.rows() for target in row.targets)
        write_rows(out / "soft_targets.jsonl", targets)
        write_rows(out / "kl.jsonl", map(kl_row, rollouts.rows()))
        write_json(out / FACTS, {**hashes, "thinking": self.thinking, **summary.facts()})
        if not summary.kept:
            raise UserError(
                f"{context.name}: no position was kept in {rollouts.total} rollouts; see {out / FACTS}: lower "
                "positions.beta, or take an amateur that differs more from the expert"
            )
        few = shown_of(rollouts.rows(), rollouts.total)
        write_rows(context.folder / "steered.jsonl", steered(few, tokenizer))

    def estimate(self, given: Estimator) -> Estimate:
        """The expert's rollouts, one pass of the amateur over them, and both output heads over every position."""
        data, plan = given.input(self.data), given.plan
        problems = given.rows(data.problems * share(self.where, data))
        longest, slots = self.sampling.max_tokens, self.sampling.batch_size
        # Rollouts of 128 tokens all reach their end, so half of the limit would be too little.
        mean = plan.tokens.get(given.name, min(plan.trace_tokens, longest))
        drawn = problems * self.sampling.samples
        expert, amateur = given.model(self.expert), given.model(self.amateur)
        work, word = Decoding(drawn, plan.prompt_tokens, mean, longest, slots), plan.hardware.word
        rolling = given.decoding(expert, work)
        length = plan.prompt_tokens + mean
        flops = drawn * length * costs.token_flops(amateur, length, costs.FORWARD)
        # Both output heads are applied to every position, and once more to the kept ones.
        heads = expert.vocab * expert.width + amateur.vocab * amateur.width
        flops += drawn * mean * 2 * heads * (1 + KEPT)
        steps = -(-drawn // slots) * longest
        hours = max(rolling.hours, given.launches(steps, costs.DECODE_STEP))
        # One device works, as in the rollouts.
        hours += given.training_hours(flops) * given.fleet.devices
        held = word * amateur.parameters + 6 * 4 * self.entries
        spent = replace(
            rolling,
            hours=hours,
            dollars=given.price(hours),
            memory=(rolling.memory or 0.0) + held,
            together=given.together(expert, work, word * expert.parameters + held, word),
        )
        flow, room = Flow(problems, data.rates, drawn, mean), spent.room("sampling.batch_size")
        return Estimate(flow, given.planned(spent, rows=drawn), room)


@dataclass(frozen=True)
class _Rollouts:
    """All rollouts of a pair: made once, kept in sealed batches, read as often as wanted."""

    pair: Pair
    prompts: Sequence[Prompt]
    sampling: Sampling
    what: tuple[AnyPositions, AnyTarget]
    log: Path
    plan: str

    @property
    def total(self) -> int:
        return len(self.prompts) * self.sampling.samples

    def rows(self, watch: Watch = unwatched) -> Iterator[Contrasted]:
        """Every rollout; batches that are sealed under the same plan are read back."""
        begin = Headway(0, self.total, unit="rollout")
        batches = plan_batches(self.prompts, self.sampling)
        with closing(Sealed(self.log, Contrasted, self.plan)) as sealed:
            yield from kept(batches, self._make, sealed, begin, watch)

    def _make(self, batch: Batch) -> list[Contrasted]:
        return self.pair.run(batch, self.sampling, *self.what)

    def counted(self, summary: Summary, watch: Watch) -> Iterator[Contrasted]:
        """As ``rows``, for the first time."""
        for row in self.rows(watch):
            summary.add(row)
            yield row
