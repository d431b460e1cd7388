"""``longstep pair``: would this amateur teach this expert anything? Asked before anything is spent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from longstep.config import UserError
from longstep.contrast.facts import Summary, shown_of, steered
from longstep.contrast.pair import open_pair
from longstep.contrast.targets import Contrast, KlGate
from longstep.draw.drawing import verified
from longstep.draw.prompts import engine, prompts_for
from longstep.generate import Sampling
from longstep.generate.batches import plan_batches
from longstep.models.load import locate
from longstep.problems import Chain, JsonlFile
from longstep.report import pair_page, steering
from longstep.types import Problem

if TYPE_CHECKING:
    from longstep.generate.engine import TransformersEngine

#: Outside of these the contrast has little to say, or says mostly how differently the two speak.
LEAST_KEPT, MOST_KEPT = 0.02, 0.5


@dataclass(frozen=True)
class Asked:
    """What ``pair`` is asked.

    Attributes:
        expert: shipped name, folder or hub id.
        amateur: the same.
        questions: how many.
        data: a JSONL file with ``prompt`` and ``answer``; ``None`` takes generated chains of sums.
        thinking: ``False`` asks the templates for an empty think block.
        max_tokens: longest rollout that is compared.
        answer_tokens: longest answer when the two are scored.
        vocabulary: ``shared`` compares over the ids that mean the same in both; see stage ``contrast``.
    """

    expert: str
    amateur: str
    questions: int = 50
    data: Path | None = None
    thinking: bool = True
    max_tokens: int = 128
    answer_tokens: int = 1024
    vocabulary: Literal["same", "shared"] = "same"


def examine_pair(asked: Asked, page: Path) -> dict[str, Any]:
    """Compare two models on a few questions; writes a page and gives the facts with sentences.

    Raises:
        UserError: the vocabularies differ, or there are no questions.
    """
    folders = locate(asked.expert), locate(asked.amateur)
    pair, tokenizer, _ = open_pair(*folders, asked.vocabulary)
    problems = _questions(asked)
    prompts = prompts_for(tokenizer, problems, asked.thinking)
    sampling = Sampling(temperature=0, top_p=1, max_tokens=asked.max_tokens, batch_size=64)
    pair.check(prompts, sampling)
    rows = [
        row
        for batch in plan_batches(prompts, sampling)
        for row in pair.run(batch, sampling, KlGate(), Contrast())
    ]
    summary = Summary()
    for row in rows:
        summary.add(row)
    expert = _correct(pair.expert, problems, asked, tokenizer)
    amateur = _correct(engine(pair.amateur, tokenizer), problems, asked, tokenizer)
    differences = [a - b for a, b in zip(expert, amateur, strict=True)]
    gap = sum(differences) / len(differences)
    facts = {
        **summary.facts(),
        "questions": len(problems),
        "expert_accuracy": sum(expert) / len(expert),
        "amateur_accuracy": sum(amateur) / len(amateur),
        "gap": gap,
        "gap_half_width": 1.96 * _standard_error(differences),
    }
    facts["sentences"] = list(_sentences(facts))
    shown = steering(facts, steered(shown_of(rows, len(rows)), tokenizer))
    assert shown is not None
    pair_page(page, asked.expert, asked.amateur, facts["sentences"], shown)
    return facts


def _questions(asked: Asked) -> list[Problem]:
    if asked.data is None:
        source = Chain(count=asked.questions, difficulty=(1, 8), split="heldout")
        return list(source.load(0))
    problems = list(JsonlFile(path=asked.data, limit=asked.questions).load(0))
    if not problems:
        raise UserError(f"{asked.data}: no questions; expected JSON lines with prompt and answer")
    return list({problem.id: problem for problem in problems}.values())


def _correct(
    generator: TransformersEngine, problems: Sequence[Problem], asked: Asked, tokenizer: Any
) -> list[float]:
    """1 or 0 for each problem, greedy; what cannot be judged counts as wrong on both sides."""
    context = int(generator.model.config.max_position_embeddings)
    prompts = prompts_for(tokenizer, problems, asked.thinking)
    by_id = {problem.id: problem for problem in problems}
    room = context - max(len(prompt.prompt_ids) for prompt in prompts)
    longest = min(asked.answer_tokens, room)
    sampling = Sampling(temperature=0, top_p=1, max_tokens=longest, batch_size=64)
    scores = {
        row.problem_id: verified(by_id[row.problem_id], row)
        for row in generator.draw(prompts, sampling)
    }
    found = [scores[problem.id].verdict for problem in problems]
    return [(verdict.correctness or 0.0) if verdict else 0.0 for verdict in found]


def _standard_error(values: Sequence[float]) -> float:
    """Of a mean of differences in [-1, 1]; at least what one more, opposite answer would make of it."""
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / max(1, len(values) - 1)
    return max(math.sqrt(variance / len(values)), 1 / len(values))


def _sentences(facts: dict[str, Any]) -> Iterator[str]:
    gap, half = 100 * facts["gap"], 100 * facts["gap_half_width"]
    yield (
        f"On {facts['questions']} questions the expert is right on {facts['expert_accuracy']:.0%} and the "
        f"amateur on {facts['amateur_accuracy']:.0%}: a gap of {gap:+.0f} points, 95 % interval "
        f"[{gap - half:+.0f}, {gap + half:+.0f}]."
    )
    yield (
        f"{facts['kept_share']:.1%} of {facts['positions']:,} positions pass the gate (KL above 0.4 nats); both prefer "
        f"the same token at {facts['agreement']:.1%}. Published for Qwen2.5-Math and Qwen2.5-0.5B: about 20 % pass."
    )
    if facts["expert_accuracy"] == facts["amateur_accuracy"] and facts["expert_accuracy"] in (0, 1):
        yield "The gap cannot be told: both answer all of these, or none; ask other questions."
    elif gap + half < 0:
        yield "Not a good pair: the amateur is the better one; published gains vanish or turn negative there."
    elif gap - half <= 0:
        yield "Unclear: the gap is within noise; ask more questions, or take a weaker amateur."
    if facts["kept_share"] > MOST_KEPT:
        yield (
            "Not a good pair: most positions differ, so the contrast would mostly teach the expert not to "
            "speak like the amateur; take one that was trained on the same kind of text."
        )
    elif facts["kept_share"] < LEAST_KEPT:
        yield "Little to learn: hardly any position differs."
    elif gap - half > 0:
        yield "A usable pair by these numbers; whether it helps is for an evaluation to say."
