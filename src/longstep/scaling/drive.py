"""The driver: strategies of many problems side by side, their requests drawn together, every segment kept.

Problems are worked off in waves. A wave is grown from its first request to its last and sealed as one, as batches of a
plain draw are: what a kill loses is one wave, and a wave that is grown again gives the same bytes, because whatever the
frontier holds was made inside of it. Held prefixes could not be rebuilt to the last bit from what is on disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from longstep.config import UserError
from longstep.generate import Continuation, Continued, Generator, Prompt, Sampling
from longstep.generate.batches import plan_of
from longstep.generate.seals import Sealed
from longstep.scaling.base import ROOT, Extend, Insert, Play, SeenSegment, Strategy
from longstep.scaling.scorers.base import PathRater
from longstep.scaling.scorers.margin import MARGIN, answer_margin
from longstep.scaling.tree import Noise, Trail, noise_of, trail
from longstep.types import Problem, Segment, SegmentOrigin
from longstep.verify import judge
from longstep.verify.keys import same_answer

Encode = Callable[[str], Sequence[int]]
T = TypeVar("T")


@dataclass(frozen=True)
class Grower:
    """What trees are grown with.

    Attributes:
        generator: draws; it must give ``continues``.
        encode: ids of a text that is put into an answer.
        how: sampling; ``max_tokens`` is the longest whole answer, ``batch_size`` the most pieces drawn together.
        strategy: what asks.
        raters: by the name of a scorer of the strategy or of a pick, what reads paths for it.
        decode: text of ids; a strategy that asks for ranked tokens needs it.
        turn: ids and text of a user's turn behind an answer, up to where the model goes on; needed for turns.

    Raises:
        UserError: one of the two is needed and missing, or nothing can follow an answer in the model's chat format.
    """

    generator: Generator
    encode: Encode
    how: Sampling
    strategy: Strategy
    raters: Mapping[str, PathRater] = field(default_factory=dict)
    decode: Callable[[Sequence[int]], str] | None = None
    turn: Callable[[str], tuple[Sequence[int], str]] | None = None

    def __post_init__(self) -> None:
        """Refuse before anything is drawn."""
        kind = type(self.strategy).model_fields["kind"].default
        if self.strategy.distribution and self.decode is None:
            raise UserError(
                f"strategy {kind}: needs the text of every token, which this engine does not give; "
                "take one of kind model"
            )
        if self.strategy.turns:
            if self.turn is None:
                raise UserError(
                    f"strategy {kind}: asks again behind an answer, and this engine does not know the model's chat "
                    "format; take one of kind model"
                )
            self.turn("")

    def forest(
        self, asked: Sequence[tuple[Problem, Prompt]], journal: Path
    ) -> Iterator[list[Segment]]:
        """The trees of all problems in order, one list each; what the journal holds is not grown again."""
        size = max(1, self.how.batch_size // self.strategy.rows)
        with closing(Sealed(journal, Segment, self._plan(asked))) as sealed:
            for wave in _parts(asked, size):
                rows = sealed.next()
                if rows is None:
                    rows = [each for tree in self.wave(wave) for each in tree]
                    sealed.append(rows)
                trees: dict[str, list[Segment]] = {problem.id: [] for problem, _ in wave}
                for each in rows:
                    trees[each.problem_id].append(each)
                yield from trees.values()

    def wave(self, asked: Sequence[tuple[Problem, Prompt]]) -> list[list[Segment]]:
        """Grow trees side by side, each going on as soon as everything it asked for has come."""
        plants = {prompt.name: _Plant(self, problem, prompt) for problem, prompt in asked}
        assert len(plants) == len(asked), "two prompts of one name"

        def told(done: Sequence[tuple[Continuation, Continued]]) -> list[Continuation]:
            heard = {ask.prompt.name: plants[ask.prompt.name] for ask, _ in done}
            for ask, each in done:
                plants[ask.prompt.name].hear(ask, each)
            return self._asks(self._onwards([plant for plant in heard.values() if plant.served]))

        asks = self._asks([plant for plant in plants.values() if plant.begin()])
        self.generator.frontier().run(asks, self.how, told)
        assert all(plant.served for plant in plants.values()), "two pieces with one noise"
        return [plant.tree for plant in plants.values()]

    def _onwards(self, served: Sequence[_Plant]) -> list[_Plant]:
        """Let trees grow that have what they asked for; gives those that want more."""
        for plant in served:
            plant.grow()
        self._rate(served)
        return [plant for plant in served if plant.go_on()]

    def _asks(self, plants: Sequence[_Plant]) -> list[Continuation]:
        """What has to be drawn for trees, and for what follows at once where nothing has to be."""
        drawn: list[Continuation] = []
        while plants:
            drawn += [ask for plant in plants for ask in plant.ask()]
            plants = self._onwards([plant for plant in plants if plant.served])
        return drawn

    def _rate(self, growing: Sequence[_Plant]) -> None:
        """Let models read what is new in all trees together: what the strategy looks at, and answers for the picks."""
        guiding = {scorer.name for scorer in self.strategy.scorers()}
        for name, rater in self.raters.items():
            fresh = [(plant, node) for plant in growing for node in plant.drawn(name in guiding)]
            if fresh:
                scores = rater.rate([plant.path(node) for plant, node in fresh])
                for (plant, node), score in zip(fresh, scores, strict=True):
                    plant.mark(node, name, score)

    def _plan(self, asked: Sequence[tuple[Problem, Prompt]]) -> str:
        """A hash of everything that the trees depend on, beside the model."""
        digest = hashlib.sha256(plan_of([prompt for _, prompt in asked], self.how).encode())
        digest.update(self.strategy.model_dump_json().encode())
        for problem, _ in asked:
            digest.update(repr((problem.id, problem.answer, problem.verifier)).encode())
        for name, rater in self.raters.items():
            digest.update(repr((name, rater.identity)).encode())
        return digest.hexdigest()


def _parts(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (things[at : at + size] for at in range(0, len(things), size))


class _Plant:
    """One problem's tree while it grows."""

    def __init__(self, grower: Grower, problem: Problem, prompt: Prompt) -> None:
        self.tree: list[Segment] = []
        self._by, self._problem, self._prompt = grower, problem, prompt
        self._play: Play = grower.strategy.play(same_answer)
        self._guide = next((scorer.name for scorer in grower.strategy.scorers()), "")
        self._wanted: Sequence[Extend | Insert] = ()
        self._asked: list[Continuation] = []
        self._heard: dict[Noise, Continued] = {}
        self._round = self._begin = 0
        # of each segment: ids of the path to its end, noise, path by places, children; of the prompt at -1
        self._ids: dict[int, tuple[int, ...]] = {ROOT: ()}
        self._noise: list[Noise] = []
        self._paths: list[str] = []
        self._children: dict[int, int] = {ROOT: 0}
        self._margins: dict[int, Sequence[float]] = {}

    def begin(self) -> bool:
        """Hear what is wanted first; ``False`` when nothing is."""
        self._wanted = next(self._play, ())
        return bool(self._wanted)

    def ask(self) -> list[Continuation]:
        """What has to be drawn for what is wanted; where no room is left, nothing is."""
        found = self._asked = []
        self._heard = {}
        begun: dict[int, int] = {}
        for want in self._wanted:
            place = begun.get(want.parent, self._children[want.parent])
            begun[want.parent] = place + want.times
            if not isinstance(want, Extend) or not (room := self._room(want)):
                continue
            assert want.parent < 0 or not self.tree[want.parent].ended, "an answer is over"
            ids = self._ids[want.parent]
            for k in range(place, place + want.count):
                noise = noise_of(self._prompt.name, k, want.parent, self._noise, self._paths)
                rank = k - place if want.ranked else None
                found.append(Continuation(self._prompt, ids, noise, room, want.after, rank))
        return found

    def hear(self, ask: Continuation, found: Continued) -> None:
        """Take what came of something it asked for; no two of these have the same noise."""
        self._heard[ask.noise] = found

    @property
    def served(self) -> bool:
        """Whether everything has come."""
        return len(self._heard) == len(self._asked)

    def grow(self) -> None:
        """Add what came."""
        left, self._begin = (self._heard[ask.noise] for ask in self._asked), len(self.tree)
        for want in self._wanted:
            if isinstance(want, Insert):
                self._insert(want)
                continue
            room = self._room(want)
            for _ in range(want.count):
                self._put(want, next(left) if room else Continued((), "", "length"))
        self._judge(self._begin)
        self._round += 1

    def drawn(self, guiding: bool) -> list[int]:
        """New segments that the model drew; those alone that end an answer, when nothing is guided by their scores."""
        new = self.tree[self._begin :]
        return [each.node for each in new if each.origin == "model" and (guiding or each.ended)]

    def path(self, node: int) -> tuple[Prompt, Trail]:
        """The prompt, and the way to a segment."""
        return self._prompt, trail(self.tree, node, self._prompt.prefix)

    def mark(self, node: int, name: str, score: float) -> None:
        """Write a score down."""
        each = self.tree[node]
        self.tree[node] = replace(each, scores={**each.scores, name: score})

    def go_on(self) -> bool:
        """Tell the strategy what is new, hear what is wanted next; ``False`` at the end."""
        try:
            self._wanted = self._play.send([self._seen(each) for each in self.tree[self._begin :]])
        except StopIteration:
            return False
        return bool(self._wanted)

    def _insert(self, want: Insert) -> None:
        text = want.text
        try:
            ids = self._by.encode(text)
        except UserError:
            if not want.instead:
                raise
            ids, text = self._by.encode(want.instead), want.instead
        if want.turn:
            assert self._by.turn is not None, "the strategy does not say that it has turns"
            assert self.tree[want.parent].finish == "stop", "a turn follows an answer that is over"
            ids, text = self._by.turn(want.text)
        self._add(want.parent, want.origin, Continued(tuple(ids), text, "given"))

    def _room(self, want: Extend) -> int:
        left = self._by.how.max_tokens - len(self._ids[want.parent])
        return max(0, left if want.most is None else min(left, want.most))

    def _put(self, want: Extend, found: Continued) -> None:
        """Add what was drawn, and what ended it as a segment of its own where that is wanted."""
        tag, ids = "", ()
        if want.apart and found.finish == "after":
            tag = next((text for text in want.after if found.text.endswith(text)), "")
            ids = tuple(self._by.encode(tag))
        # A model may spell it in other tokens, of which none ends where the text before it ends.
        if not ids or found.token_ids[-len(ids) :] != ids:
            self._add(want.parent, "model", found)
            return
        logps, cut = found.logprobs, len(found.token_ids) - len(ids)
        body = found.token_ids[:cut], found.text.removesuffix(tag), logps and logps[:cut]
        end = found.token_ids[cut:], tag, logps and logps[cut:]
        self._add(want.parent, "model", Continued(body[0], body[1], "cut", body[2]))
        self._add(len(self.tree) - 1, "model", Continued(end[0], end[1], "after", end[2]))

    def _add(self, parent: int, origin: SegmentOrigin, found: Continued) -> None:
        node, place = len(self.tree), self._children[parent]
        ids = self._ids[parent] + found.token_ids
        finish = found.finish
        if finish == "cut" and len(ids) >= self._by.how.max_tokens:
            finish = "length"
        self._noise.append(noise_of(self._prompt.name, place, parent, self._noise, self._paths))
        self._paths.append(f"{self._paths[parent]}/{place}" if parent >= 0 else str(place))
        self._children[parent] += 1
        self._children[node] = 0
        self._ids[node] = ids
        if found.margins is not None:
            self._margins[node] = found.margins
        self.tree.append(
            Segment(
                problem_id=self._problem.id,
                node=node,
                parent=parent,
                round=self._round,
                origin=origin,
                token_ids=found.token_ids,
                text=found.text,
                finish=finish,
                logprobs=found.logprobs,
            )
        )

    def _judge(self, begin: int) -> None:
        """Verdicts of answers that are over, scores of what was drawn."""
        prefix = self._prompt.prefix
        for each in self.tree[begin:]:
            if each.ended:
                text = trail(self.tree, each.node, prefix).text
                verdict = judge(self._problem, text, each.finish)
                scores = self._sure(each, verdict.answer)
                self.tree[each.node] = replace(each, verdict=verdict, scores=scores)
        drawn = self.drawn(guiding=True)
        for scorer in self._by.strategy.scorers():
            if scorer.name not in self._by.raters:
                scores = scorer.score([trail(self.tree, node, prefix) for node in drawn])
                for node, score in zip(drawn, scores, strict=True):
                    self.mark(node, scorer.name, score)

    def _sure(self, each: Segment, answer: str | None) -> dict[str, float]:
        """The margin of an answer whose tokens were ranked: what is stored has no distributions to find it in later."""
        margins = self._margins.pop(each.node, None)
        if margins is None:
            return {}
        assert self._by.decode is not None, (
            "the strategy does not say that it asks for ranked tokens"
        )
        return {MARGIN: answer_margin(margins, each.token_ids, answer, self._by.decode)}

    def _seen(self, each: Segment) -> SeenSegment:
        answer = None if each.verdict is None else each.verdict.answer
        score = each.scores.get(self._guide, 0.0)
        return SeenSegment(each.node, len(each.token_ids), each.text, each.finish, answer, score)
