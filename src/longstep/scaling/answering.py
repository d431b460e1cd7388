"""A strategy behind a chat request: answers are drawn as it asks, one of them is given, and all tokens are counted.

Nobody who chats has a key, so answers vote by what they say alone: what ``verify.extract`` reads from each, put
together by the verifier's own opinion of which are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from longstep.config import UserError
from longstep.generate import Generator, Prompt, Sampling
from longstep.generate.serve import PickedAnswer, Served
from longstep.scaling import AnyStrategy
from longstep.scaling.account import bill
from longstep.scaling.drive import Grower
from longstep.scaling.picks import AnyPick
from longstep.scaling.scorers import AnyScorer
from longstep.scaling.tree import Trail, leaves, trail
from longstep.scaling.unfit import unfit_model, unfit_picks, unfit_prompts, unfit_sampling
from longstep.types import Completion, Problem, Segment, Verdict
from longstep.verify import extract
from longstep.verify.keys import same_answer

#: The verifier of a question without a key.
UNKEYED = f"{__name__}:unkeyed"


def unkeyed(problem: Problem, text: str) -> Verdict:
    """What a text answers; whether it is right, nobody knows."""
    answer = extract(text)
    if answer is None:
        return Verdict("unparseable", None, "no final answer")
    return Verdict("timeout", answer, "nobody has the key")


@dataclass(frozen=True)
class PickedAnswers:
    """Answers questions by a strategy and a pick; see ``generate.serve.Chooser``.

    Attributes:
        generator: draws; it must give ``continues``.
        encode: ids of a text that is put into an answer.
        strategy: what is drawn.
        pick: which answer is given; of several that it finds equally good, the first.
        most: tokens that one request may draw, all answers together; ``None`` is as many as the context has room for.
    """

    generator: Generator
    encode: Callable[[str], Sequence[int]]
    strategy: AnyStrategy
    pick: AnyPick
    most: int | None = None

    def longest(self, room: int) -> int:
        """Tokens of each answer, so that the strategy stays within ``most`` at its worst."""
        if self.most is None or self.strategy.worst(room) <= self.most:
            return max(0, room)
        fits, over = 0, room
        while over - fits > 1:
            middle = (fits + over) // 2
            fits, over = (
                (middle, over) if self.strategy.worst(middle) <= self.most else (fits, middle)
            )
        return fits

    def answer(self, asked: Sequence[Prompt], how: Sampling) -> list[PickedAnswer]:
        """Grow a tree for each prompt and pick from it."""
        self._refuse_unfit(asked, how)
        logprobs = any(scorer.logprobs for scorer in scorers_of(self.strategy, self.pick))
        how = how.model_copy(update={"logprobs": logprobs})
        grower = Grower(self.generator, self.encode, how, self.strategy)
        size = max(1, how.batch_size // self.strategy.rows)
        found: list[PickedAnswer] = []
        for at in range(0, len(asked), size):
            some = asked[at : at + size]
            trees = grower.wave([(_question(prompt), prompt) for prompt in some])
            found += [self._chosen(*each) for each in zip(some, trees, strict=True)]
        return found

    def _refuse_unfit(self, asked: Sequence[Prompt], how: Sampling) -> None:
        unfit = (
            *unfit_sampling(self.strategy, how),
            *unfit_model(self.strategy, how.max_tokens, self.encode),
            *unfit_prompts(self.strategy, asked),
        )
        for said in unfit:
            raise UserError(f"the strategy of this server: {said}")

    def _chosen(self, prompt: Prompt, tree: Sequence[Segment]) -> PickedAnswer:
        found = leaves(tree, prompt.prefix)
        given = self._given(found) if found else _furthest(tree, prompt.prefix)
        paid = bill(tree, len(prompt.prompt_ids))
        return PickedAnswer(
            Completion(
                problem_id=prompt.problem_id,
                sample_index=0,
                prompt_ids=prompt.prompt_ids,
                token_ids=given.ids,
                text=given.text,
                finish_reason="stop" if given.last.finish == "stop" else "length",
            ),
            int(paid.tokens),
            {
                "drawn_tokens": int(paid.drawn),
                "forced_tokens": int(paid.forced),
                "tool_tokens": int(paid.tool),
                "answer_tokens": len(given.ids),
                "answers": len(found),
                "answers_read": sum(each.answer is not None for each in found),
            },
        )

    def _given(self, found: Sequence[Trail]) -> Trail:
        """The likeliest by the pick; the first, where no answer can be read from any."""
        shares = self.pick.pick(found, same_answer)
        return found[shares.index(max(shares))]


def chooser_of(
    source: Served, strategy: AnyStrategy, pick: AnyPick, most: int | None
) -> PickedAnswers:
    """What answers for a served model.

    Raises:
        UserError: it cannot be done over this source, or by these.
    """
    for said in [*strategy.check(), *pick.check()]:
        raise UserError(f"--strategy: {said}")
    if pick.knows or any(scorer.knows for scorer in scorers_of(strategy, pick)):
        raise UserError(
            "--pick: it reads the key, and nobody who asks has one; take one that does not, such as majority"
        )
    if strategy.turns or strategy.distribution:
        raise UserError(
            "--strategy: it asks again behind an answer, or ranks first tokens, which is done by longstep scale alone; "
            "take another one of longstep show strategies"
        )
    for scorer in scorers_of(strategy, pick):
        if scorer.reads:
            raise UserError(
                f"--strategy: the scorer {scorer.name} reads answers with a model, which is not done behind a chat; "
                "take one that reads what was drawn, such as logprob"
            )
    if source.encode is None:
        raise UserError(
            f"--strategy: {source.model} has one answer to each question; serve a model to draw several"
        )
    for said in unfit_picks([pick], [strategy]):
        raise UserError(f"--pick: {said}")
    chooser = PickedAnswers(source.generator, source.encode, strategy, pick, most)
    longest = chooser.longest(source.context)
    if longest < 1:
        raise UserError(
            f"--most-tokens {most}: does not allow one token in each of the strategy's answers; raise it"
        )
    for said in unfit_model(strategy, longest, source.encode):
        raise UserError(f"--strategy: {said}")
    return chooser


def scorers_of(strategy: AnyStrategy, pick: AnyPick) -> Iterator[AnyScorer]:
    """All that score."""
    yield from strategy.scorers()
    yield from pick.scorers()


def _question(prompt: Prompt) -> Problem:
    return Problem(prompt.problem_id, prompt.text, "", verifier=UNKEYED)


def _furthest(tree: Sequence[Segment], prefix: str) -> Trail:
    """Where no answer came to an end, the one that came furthest."""
    return max((trail(tree, each.node, prefix) for each in tree), key=lambda found: len(found.ids))
