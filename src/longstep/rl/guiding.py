"""Guidance carried out: the prompt that shows it, and rows that come back ready to train under the plain prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from longstep.config import UserError
from longstep.curriculum.groups import DrawnGroup, DrawnRow
from longstep.curriculum.guides import Guidance, Guide
from longstep.draw.drawing import verified
from longstep.generate import Prompt, worked
from longstep.rl.drawing import Asked, Drawer, by_samples
from longstep.types import Completion, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Hints:
    """Turns guidance into ids.

    Attributes:
        tokenizer: of the policy.
        longest_prompt: tokens that leave room for an answer.
        longest_answer: tokens of an answer.
    """

    tokenizer: PreTrainedTokenizerBase
    longest_prompt: int
    longest_answer: int

    def prompt(self, problem: Problem, guidance: Guidance) -> tuple[Prompt, int] | None:
        """What to draw under and how many forced tokens it ends with; ``None`` when it leaves no room."""
        from longstep.models.chat import encode_text, render_problem

        asked = replace(problem, prompt=guidance.shown or problem.prompt)  # after the same turns
        rendered = render_problem(self.tokenizer, asked)
        forced = tuple(encode_text(self.tokenizer, guidance.forced))
        ids = rendered.ids + forced
        # An answer of the usual length is drawn after the forced tokens, so they count as prompt.
        if len(ids) > self.longest_prompt:
            return None
        return Prompt(problem.id, ids, rendered.prefix + guidance.forced), len(forced)

    def given(self, problem: Problem, guidance: Guidance) -> DrawnRow | None:
        """The given answer as a judged row; ``None`` when it is longer than an answer may be.

        A worked solution alone is put between think tags, with the key after it.
        """
        from longstep.models.chat import THINK_CLOSE, encode_turn, render_problem

        rendered = render_problem(self.tokenizer, problem)
        whole = THINK_CLOSE in guidance.given
        text = guidance.given if whole else worked(replace(problem, solution=guidance.given))
        ids = tuple(encode_turn(self.tokenizer, rendered, text))
        if len(ids) > self.longest_answer:
            return None
        answer = Completion(problem.id, 0, (), ids, text, "stop")
        return DrawnRow(verified(problem, answer), "expert")


def refuse_helpless(guide: Guide, problems: Sequence[Problem], hints: Hints, name: str) -> None:
    """Before anything is drawn: a guide must be able to help with one problem at least.

    Raises:
        UserError: it has no help, or none that has room or is right.
    """
    offers = ((problem, guide.guidance(problem, 1)) for problem in problems)
    offered = 0
    for problem, guidance in offers:
        if guidance is None:
            continue
        offered += 1
        if guidance.given:
            row = hints.given(problem, guidance)
            if row is not None and row.correctness == 1.0:
                return
        elif hints.prompt(problem, guidance) is not None:
            return
    if offered:
        raise UserError(
            f"{name}: guide: what it would give is too long for max_length and max_tokens, or wrong, with each of "
            f"{offered} problems; raise max_length, or leave guide out"
        )
    raise UserError(
        f"{name}: guide: it has no help for any of {len(problems)} problems; leave it out"
    )


@dataclass(frozen=True)
class Mended:
    """What a guide has made of the groups of one step.

    Attributes:
        groups: mended or as they were.
        tokens: drawn with help.
        unhelped: groups that wanted help where there was none: no solution, or no room to show it.
    """

    groups: list[DrawnGroup]
    tokens: int
    unhelped: int


def guided(
    guide: Guide,
    groups: Sequence[DrawnGroup],
    problems: Sequence[Problem],
    hints: Hints,
    drawer: Drawer,
) -> Mended:
    """Let the guide mend groups.

    Expert answers cost nothing here: their author has paid for them.
    """
    help_P: dict[int, list[DrawnRow]] = {}
    hinted: dict[int, tuple[Asked, int]] = {}
    wanted = [guide.wanted(group.outcome) for group in groups]
    for place, (group, k) in enumerate(zip(groups, wanted, strict=True)):
        problem = problems[group.outcome.index]
        guidance = guide.guidance(problem, k) if k else None
        if guidance is not None and guidance.given:
            row = hints.given(problem, guidance)
            if row is not None:
                help_P[place] = [row]
        elif guidance is not None and (found := hints.prompt(problem, guidance)) is not None:
            hinted[place] = Asked(problem, found[0]), found[1]
    spent = 0
    for k, places in by_samples([wanted[place] for place in hinted]):
        chosen = [list(hinted)[place] for place in places]
        _, answers = drawer.draw([hinted[place][0] for place in chosen], k, texts=True)
        for place, group in zip(chosen, answers, strict=True):
            help_P[place] = [_row(answer, *hinted[place]) for answer in group]
            spent += sum(len(answer.token_ids) for answer in group)
    mended = [
        guide.admit(group, help_P[place]) if place in help_P else group
        for place, group in enumerate(groups)
    ]
    return Mended(mended, spent, len([*filter(None, wanted)]) - len(help_P))


def _row(answer: Completion, asked: Asked, forced: int) -> DrawnRow:
    """An answer drawn with help, its forced opening put before it: part of the answer, but seen by no loss."""
    if not forced:
        return DrawnRow(answer, "guided", "behaviour")
    ids = asked.prompt.prompt_ids[-forced:] + answer.token_ids
    logps = (0.0,) * forced + (answer.logprobs or ())
    mask = (0,) * forced + (1,) * len(answer.token_ids)
    return DrawnRow(replace(answer, token_ids=ids, logprobs=logps), "guided", "behaviour", mask)
