"""What a strategy cannot do with these settings, this model, this prompt: said before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from longstep.config import UserError
from longstep.generate import Prompt, Sampling
from longstep.scaling.base import Strategy
from longstep.scaling.budget import OPEN
from longstep.scaling.picks.base import Pick
from longstep.scaling.scorers.base import Scorer


def unfit_sampling(strategy: Strategy, how: Sampling) -> Iterator[str]:
    """Draws that would all be the same, or have no room, whatever the model is."""
    if strategy.compares and (how.temperature == 0 or how.top_k == 1):
        yield (
            "what it draws is compared, and without chance (temperature 0, or top_k 1) all of it is the same; raise "
            "the temperature, or draw once"
        )
    yield from strategy.cramped(how.max_tokens, lambda text: min(1, len(text)))


def unfit_model(
    strategy: Strategy, longest: int, encode: Callable[[str], Sequence[int]]
) -> Iterator[str]:
    """What the model's tokenizer cannot write, or writes in too many tokens for answers of so many."""
    for tag in strategy.tags():
        if (count := len(encode(tag))) != 1:
            yield (
                f"the model's tokenizer writes {tag} as {count} tokens, so a thought cannot be cut before it; make it "
                "one (a stage of kind checkpoint with think_tokens: add)"
            )
    for text in strategy.writes():
        try:
            written = bool(encode(text))
        except UserError as error:
            yield str(error)
            return
        if text and not written:
            yield f"the model's tokenizer has no token for anything of {text!r}; take another text"
    yield from strategy.cramped(longest, lambda text: len(encode(text)))


def unfit_prompts(strategy: Strategy, prompts: Iterable[Prompt]) -> Iterator[str]:
    """Thoughts that cannot be bounded, for the prompt does not leave one open."""
    if any(strategy.tags()) and any(OPEN not in prompt.prefix for prompt in prompts):
        yield (
            "it bounds a thought, and the prompt opens none (without thinking, an empty one is asked for); let the "
            "model think, or take another strategy"
        )


def unfit_picks(
    picks: Sequence[Pick], strategies: Sequence[Strategy], stored: Sequence[Scorer] = ()
) -> Iterator[str]:
    """Picks of one name, scorers of one name that differ, also from ``stored`` ones, and scores that nobody stores."""
    names = [pick.name for pick in picks]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"{name!r} stands there twice"
    known: dict[str, dict[str, object]] = {}
    users = (*strategies, *picks)
    for scorer in (*stored, *(scorer for user in users for scorer in user.scorers())):
        settings = scorer.model_dump(exclude=set(scorer.free_fields()))
        if known.setdefault(scorer.name, settings) != settings:
            yield f"two scorers are called {scorer.name!r} and differ; scale with one of them at a time"
        if scorer.ranked and not any(strategy.distribution for strategy in strategies):
            yield (
                f"{scorer.name} is stored where first tokens are ranked, and no strategy does that; add cot-decoding, "
                "or take another scorer"
            )
