"""Stage ``verifier``: a value head on a frozen model, taught by stored answers, with a card of what it can tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from longstep.artifacts import read_rows
from longstep.config import Field
from longstep.context import PARTIAL, Artifact, Context, Where, chosen_problems
from longstep.costs import arithmetic as costs
from longstep.costs.estimate import Estimate, Estimator, Spent
from longstep.costs.flow import Flow, share
from longstep.draw.prompts import engine, prompts_for
from longstep.foresight import Ahead, Foreseen
from longstep.models.load import load_model, load_tokenizer
from longstep.models.pointer import weights_hash
from longstep.report.blocks import Block, Table, Text
from longstep.scaling.card import train_and_judge
from longstep.scaling.fit import Fitting
from longstep.scaling.harvest import stored_answers
from longstep.scaling.head import FACTS, Card, Cutting, HeadFacts, read_facts
from longstep.scaling.lessons import Teacher, make_lessons
from longstep.stages.base import Stage
from longstep.types import Completion, Problem
from longstep.verify.steps import OUTCOME, step_verifier_trouble

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: Five arrays as large as the logits that ``generate.reading`` holds at once, in float32.
READ_BYTES = 5 * 4 * 2**24


class ValueVerifier(Stage):
    """A value head: how likely each step of an answer is right, told from the states of a frozen model.

    Attributes:
        model: whose states it reads; it scores answers of this model alone.
        data: verified answers of this model with their problems; best drawn as they will be when they are scored.
        trees: instead of ``data``, a stage ``scale`` of this model: all answers of its trees.
        where: which problems of ``data``.
        labels: ``outcome``: every step is as right as the answer; or a step verifier, such as ``chain-steps``.
        cutting: how an answer is cut into steps, and what a path is worth.
        fit: how the head is trained.
        folds: the card is made by heads that have not seen the problems of one of so many parts.
        resamples: of the bootstrap.
    """

    produces: ClassVar[Artifact] = "report"
    elsewhere: ClassVar[Mapping[str, str]] = {
        "step": "cutting.step",
        "over": "cutting.over",
        "undo": "cutting.undo",
        "epochs": "fit.epochs",
        "lr": "fit.lr",
        "batch": "fit.batch",
    }
    kind: Literal["verifier"] = "verifier"
    model: str
    data: str | None = None
    trees: str | None = None
    where: Where = Where()
    labels: str = OUTCOME
    cutting: Cutting = Cutting()
    fit: Fitting = Fitting()
    folds: int = Field(default=3, ge=2, le=20)
    resamples: int = Field(default=10_000, ge=100)

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The model and its answers."""
        yield self.model, "model"
        if self.data is not None:
            yield self.data, "rows"
        if self.trees is not None:
            yield self.trees, "report"

    def check(self) -> Iterator[str]:
        """No answers or twice some, a step verifier that there is none of."""
        if (self.data is None) == (self.trees is None):
            yield "data: expected either data or trees, for the answers come from one place"
        if self.trees is not None and self.where != Where():
            yield "where: has no effect on trees"
        if self.labels != OUTCOME and (trouble := step_verifier_trouble(self.labels)):
            yield f"labels: {trouble}, or {OUTCOME}"

    def wants(self) -> frozenset[str]:
        """Answers that are judged."""
        return frozenset({"verdict"})

    def libraries(self) -> frozenset[str]:
        """The model runs here."""
        return frozenset({"torch", "transformers"})

    def misfits(self, ahead: Ahead) -> Iterator[str]:
        """No answers to learn from, or a model that cannot be read."""
        yield from ahead.model("model", self.model)
        if self.data is not None:
            yield from ahead.files("data", self.data, "problems.jsonl", "completions.jsonl")
            yield from ahead.fields(self, self.data)
            yield from ahead.where(self.where, self.data)
        own = ahead.known(self.model)
        for key, reference in (("data", self.data), ("trees", self.trees)):
            made = ahead.inputs.get(reference or "")
            drawer = None if made is None else made.drawer
            if own is not None and drawer is not None and drawer.differs(own):
                yield (
                    f"{key}: another model than {self.model} draws the answers of {reference}, and a head scores "
                    "answers of its own model alone; draw some with it"
                )

    def foreseen(self, ahead: Ahead) -> Foreseen:
        """A head for this model."""
        return Foreseen(expert=ahead.known(self.model))

    def run(self, context: Context) -> None:
        """Read the answers once, train, judge out of fold, keep the head of all problems."""
        folder = context.model(self.model)
        tokenizer = load_tokenizer(folder)
        reader = engine(load_model(folder).eval(), tokenizer).reader()
        total = sum(1 for _ in self._answers(context, tokenizer))
        shown = context.progress(context.name, total, "answer")
        teacher = Teacher(reader, self.cutting, self.labels, self.folds)
        answers = self._answers(context, tokenizer)
        lessons = make_lessons(context.folder / PARTIAL, answers, teacher, shown.advance)
        shown.finish()
        context.cost.tokens_scored += sum(int(lesson.tokens_A.sum()) for lesson in lessons)
        seed = context.seed % 2**31
        head, card = train_and_judge(
            lessons, self.cutting, self.fit, self.folds, (seed, self.resamples)
        )
        facts = HeadFacts(
            policy=self.model,
            weights=weights_hash(folder),
            labels=self.labels,
            cutting=self.cutting,
            card=card,
        )
        head.save(context.fresh_out(), facts)
        if not any((lesson.counts_A > 1).any() for lesson in lessons):
            known = " ".join(map(repr, self.cutting.step))
            said = f"no answer has two steps, for none has {known} inside of it; name what ends a step in cutting.step"
            context.warn("whole answers", said)
        if card.doubt:
            context.warn("doubtful head", card.doubt)

    def _answers(
        self, context: Context, tokenizer: PreTrainedTokenizerBase
    ) -> Iterator[tuple[Problem, Completion]]:
        """Judged answers with their problems."""
        if self.data is not None:
            chosen = chosen_problems(context, self.data, self.where)
            problems = {each.id: each for each in chosen}
            rows = read_rows(context.rows(self.data, "completions.jsonl"), Completion)
            pairs = ((problems[row.problem_id], row) for row in rows if row.problem_id in problems)
        else:
            assert self.trees is not None
            folder = context.artifact(self.trees)
            pairs = stored_answers(folder, lambda problems: prompts_for(tokenizer, problems))
        for problem, row in pairs:
            if row.verdict is not None and row.verdict.correctness is not None:
                yield problem, row

    def estimate(self, given: Estimator) -> Estimate:
        """One forward pass over every answer; the head itself is small."""
        if self.data is None:
            return given.unknown(
                self.references(), "how many answers stand in the trees is not known"
            )
        data, shape = given.input(self.data), given.model(self.model)
        answers = given.rows(data.completions * share(self.where, data))
        length = given.plan.prompt_tokens + data.tokens
        flops = answers * length * costs.token_flops(shape, length, costs.FORWARD)
        # One device reads, the others of the fleet are paid for and wait.
        hours = given.training_hours(flops) * given.fleet.devices
        word = given.plan.hardware.word
        spent = Spent(
            parameters=shape.parameters,
            memory=word * shape.parameters + READ_BYTES,
            hours=hours,
            dollars=given.price(hours),
        )
        return Estimate(Flow(), given.planned(spent, rows=answers))

    def blocks(self, out: Path) -> Iterator[Block]:
        """The card."""
        if not (out / FACTS).is_file():
            return
        facts = read_facts(out)
        yield Table(
            "Scorer card",
            (
                "labels",
                "step AUC",
                "AUC within a problem, 95 %",
                "pooled AUC",
                "mean log-probability, within",
            ),
            (_row(facts),),
            about="Problems are scored by a head that never saw them. Pooled AUC is high for whoever knows how hard a "
            "problem is; only the AUC within a problem says whether a choice among its answers is worth anything. "
            "Beside it, within a problem, two scorers that need no training.",
        )
        yield Text("What the head may be used for", _use(facts.card))


def _row(facts: HeadFacts) -> tuple[str, ...]:
    card = facts.card
    low, high = card.within_ci95 or (0.0, 1.0)
    within = "" if card.within_auc is None else f"{card.within_auc:.3f} [{low:.3f}, {high:.3f}]"
    free = card.logprob_within_auc, card.fewer_within_auc
    told = [
        "" if each is None else f"{each:.3f}" for each in (card.step_auc, *free, card.pooled_auc)
    ]
    return (facts.labels, told[0], within, *told[1:])


def _use(card: Card) -> str:
    seen = f"{card.mixed} of {card.problems} problems have right and wrong answers"
    if card.doubt:
        return f"{seen}: {card.doubt}. The pick best and searches refuse it unless force: true; votes may weigh by it."
    return f"{seen}: it tells them apart, so picks and searches may use it."
