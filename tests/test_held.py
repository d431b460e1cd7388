"""Pieces written on from held caches, against plain draws and against prefixes that are encoded again."""

from __future__ import annotations

import random
from typing import ClassVar, Literal

import pytest
import torch

from longstep.config import UserError
from longstep.generate import Continuation, Prompt, Sampling
from longstep.generate.cached_rows import CachedRows
from longstep.generate.encoded import EncodedFrontier
from longstep.generate.engine import TransformersEngine
from longstep.scaling.base import ROOT, Extend, Insert, Play, Strategy
from longstep.scaling.beam import BeamSearch
from longstep.scaling.budget import BudgetForcing
from longstep.scaling.cot_decoding import CotDecoding
from longstep.scaling.drive import Grower
from longstep.scaling.dvts import DiverseTrees
from longstep.scaling.rebase import Rebase
from longstep.scaling.revise import SelfRevision
from longstep.scaling.samples import IndependentSamples
from longstep.scaling.scorers.margin import MARGIN
from longstep.scaling.toolbox.outside import OutsideTool
from longstep.scaling.tools import ToolUse
from longstep.scaling.tree import leaves
from longstep.scaling.votes import SameAnswer
from longstep.types import Problem, Segment

STOP, VOCAB = 1, 12


class Letters:
    """Id n is the n-th letter; m closes a thought."""

    def decode(self, token_ids, skip_special_tokens=False):
        return "".join("</think>" if token == 11 else chr(97 + token) for token in token_ids)


@pytest.fixture(scope="module")
def engine():
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=96,
        initializer_range=0.4,
    )
    return TransformersEngine(Qwen2ForCausalLM(config).double().eval(), Letters(), {STOP})


PROBLEMS = [Problem(f"p{n}", "", "1", verifier="exact") for n in range(4)]
PROMPTS = [Prompt(f"p{n}", tuple(range(2, 4 + n)), "<think>") for n in range(4)]
HOW = Sampling(temperature=1.0, top_p=0.95, max_tokens=40, seed=7, batch_size=16, logprobs=True)
STEP = ("c", "ef")


class Again(TransformersEngine):
    """Holds nothing."""

    def frontier(self):
        return EncodedFrontier(self)


class Greeter:
    """A tool."""

    def answer(self, call: str) -> str:
        return "hi"


def grown(engine: TransformersEngine, strategy: Strategy) -> list[list[Segment]]:
    encode = {"</think>": [11], "ab": [0, 1], "hi": [7, 8]}.__getitem__
    turn = lambda text: ([9, 7, 8, 2], "jhic")  # noqa: E731
    grower = Grower(engine, encode, HOW, strategy, decode=engine.text, turn=turn)
    return grower.wave(list(zip(PROBLEMS, PROMPTS, strict=True)))


@pytest.mark.equality
@pytest.mark.parametrize(
    "strategy",
    [
        IndependentSamples(n=4),
        Rebase(n=4, temperature=1e9, step=STEP),
        BeamSearch(keep=4, expand=1, step=STEP),
        BeamSearch(keep=4, expand=1, step=("never",), max_step=3),
    ],
    ids=["samples", "rebase", "beams", "three tokens"],
)
def test_what_is_not_pruned_is_a_plain_draw_token_for_token(engine, strategy: Strategy):
    plain: dict[str, list] = {}
    for row in engine.draw(PROMPTS, HOW.model_copy(update={"samples": 4})):
        plain.setdefault(row.problem_id, []).append(row)
    for prompt, tree in zip(PROMPTS, grown(engine, strategy), strict=True):
        found = sorted(leaves(tree, prompt.prefix), key=lambda leaf: leaf.ids)
        rows = sorted(plain[prompt.problem_id], key=lambda row: row.token_ids)
        assert [leaf.ids for leaf in found] == [row.token_ids for row in rows]
        assert [leaf.text for leaf in found] == [row.text for row in rows]
        assert [leaf.last.finish for leaf in found] == [row.finish_reason for row in rows]
        for leaf, row in zip(found, rows, strict=True):
            logps = [p for each in leaf.segments for p in each.logprobs or ()]
            assert logps == pytest.approx(row.logprobs, abs=1e-5)


@pytest.mark.equality
@pytest.mark.parametrize(
    "strategy",
    [
        BeamSearch(keep=2, expand=3, step=STEP),
        DiverseTrees(trees=2, expand=2, step=STEP),
        Rebase(n=6, step=STEP),
        BudgetForcing(most=12, waits=2, wait="hi"),
        BudgetForcing(waits=2, wait="hi"),
        CotDecoding(k=5),
        SelfRevision(rounds=2, review="hi"),
        ToolUse(begin="a", end="d", tool=OutsideTool(tool="test_held:Greeter")),
    ],
    ids=["beam", "dvts", "rebase", "most", "waits", "ranked", "turns", "calls"],
)
def test_a_held_prefix_gives_what_an_encoded_one_gives(engine, strategy: Strategy):
    again = Again(engine.model, Letters(), {STOP})
    for held, encoded in zip(grown(engine, strategy), grown(again, strategy), strict=True):
        assert [(s.parent, s.token_ids, s.text, s.finish) for s in held] == [
            (s.parent, s.token_ids, s.text, s.finish) for s in encoded
        ]
        for one, two in zip(held, encoded, strict=True):
            assert one.logprobs == pytest.approx(two.logprobs, abs=1e-5)
    assert grown(engine, strategy) == grown(engine, strategy)


class Wander(Strategy):
    """Goes on from anywhere, once or several times, with inserts in between, by chance."""

    kind: Literal["wander"] = "wander"
    distribution: ClassVar[bool] = True
    seed: int = 0

    @property
    def rows(self) -> int:
        return 4

    def play(self, same: SameAnswer) -> Play:
        chance, open_ = random.Random(self.seed), [ROOT]
        for _ in range(10):
            wants: list[Extend | Insert] = []
            for _ in range(chance.randint(1, 3)):
                parent = chance.choice(open_)
                if chance.random() < 0.3:
                    wants.append(Insert(parent, chance.choice(["hi", "hi" * 9, "ab"])))
                    continue
                after, most = (
                    chance.choice([(), ("c",), ("ab", "fe")]),
                    chance.choice([None, 1, 4, 9]),
                )
                count, ranked = chance.randint(1, 3), chance.random() < 0.2
                wants.append(Extend(parent, count, after, most, ranked=ranked))
            seen = yield wants
            open_ += [each.node for each in seen if not each.ended]


@pytest.mark.equality
@pytest.mark.parametrize("batch_size", [3, 16])
def test_any_tree_is_the_one_that_encoded_prefixes_give(engine, batch_size: int):
    """Branches of earlier segments, of the prompt, late and all at once, in batches that hold few of them."""
    how = HOW.model_copy(update={"batch_size": batch_size})
    again = Again(engine.model, Letters(), {STOP})
    encode = lambda text: [ord(letter) - 97 for letter in text]  # noqa: E731
    asked = list(zip(PROBLEMS, PROMPTS, strict=True))
    for seed in range(3):
        held, encoded = (
            Grower(each, encode, how, Wander(seed=seed), decode=engine.text).wave(asked)
            for each in (engine, again)
        )
        for one, two in zip(
            (s for tree in held for s in tree), (s for tree in encoded for s in tree), strict=True
        ):
            assert (one.parent, one.round, one.origin) == (two.parent, two.round, two.origin)
            assert (one.token_ids, one.text, one.finish) == (two.token_ids, two.text, two.finish)
            assert one.logprobs == pytest.approx(two.logprobs, abs=1e-5)


def test_a_row_may_wait_where_the_context_ends():
    """Of learned positions there is none behind it; the row that waits passes through the model with the others."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=VOCAB, n_positions=44, n_embd=16, n_layer=2, n_head=2)
    engine = TransformersEngine(GPT2LMHeadModel(config).eval(), Letters(), {VOCAB})
    long, short = Prompt("long", (2, 3, 4, 5)), Prompt("short", (2, 3))
    asks = [Continuation(long, (), ("long", k), 40) for k in range(2)]
    asks += [Continuation(short, (), ("short", k), 9) for k in range(4)]

    def told(done):
        ended.update((ask.prompt.name, len(ask.ids) + len(each.token_ids)) for ask, each in done)
        return [
            Continuation(short, ask.ids + each.token_ids, ask.noise, 2)
            for ask, each in done
            if ask.prompt is short and len(ask.ids) < 38
        ]

    ended: set[tuple[str, int]] = set()
    engine.frontier().run(asks, HOW, told)
    assert ("long", 40) in ended and max(n for name, n in ended if name == "short") == 41


def test_a_frontier_goes_on_after_somebody_who_was_told_has_failed(engine):
    frontier = engine.frontier()
    asks = [Continuation(PROMPTS[n], (), (PROMPTS[n].name, 0), 5 + n) for n in range(3)]
    with pytest.raises(KeyError):
        frontier.run(asks, HOW, lambda done: {}["nothing"])
    assert frontier.extend(asks, HOW) == engine.frontier().extend(asks, HOW)


def test_a_piece_without_room_is_refused():
    with pytest.raises(ValueError, match="most: 0 leaves no room"):
        Continuation(PROMPTS[0], (), ("p0", 0), 0)


def test_what_is_over_is_told_and_goes_on_while_others_are_at_work(engine):
    """A short piece of one problem is over, told and written on long before the long one of another problem ends."""
    short, long = (
        Continuation(prompt, (), (prompt.name, 0), most, ("zz",))
        for prompt, most in zip(PROMPTS, (3, 30), strict=False)
    )
    heard: list[tuple[str, int]] = []

    def told(done):
        heard.extend((ask.prompt.name, len(ask.ids) + len(each.token_ids)) for ask, each in done)
        return [
            Continuation(ask.prompt, ask.ids + each.token_ids, ask.noise, 3, ("zz",))
            for ask, each in done
            if ask.prompt.name == short.prompt.name and each.finish == "cut" and len(ask.ids) < 9
        ]

    greedy = HOW.model_copy(update={"temperature": 0.0})
    engine.frontier().run([short, long], greedy, told)
    assert [name for name, _ in heard].index(long.prompt.name) == len(heard) - 1
    assert [count for name, count in heard if name == short.prompt.name] == [3, 6, 9, 12]


def test_no_more_pieces_than_a_batch_has_are_at_work(engine, monkeypatch: pytest.MonkeyPatch):
    most: list[int] = []
    step = CachedRows.step
    monkeypatch.setattr(
        CachedRows, "step", lambda self, how: (most.append(self.live), step(self, how))
    )
    asks = [Continuation(PROMPTS[0], (), (PROMPTS[0].name, k), 12, ("c",)) for k in range(7)]
    few = HOW.model_copy(update={"batch_size": 3})
    narrow = engine.frontier().extend(asks, few)
    assert max(most) == 3
    assert narrow == engine.frontier().extend(asks, HOW)
    assert max(most) == 7


def test_a_piece_ends_with_the_first_text_that_is_whole(engine):
    ask = Continuation(PROMPTS[1], (), (PROMPTS[1].name, 0), 40, ("c", "ef", "bd"))
    (whole,) = engine.frontier().extend([ask], HOW)
    (plain,) = engine.draw([PROMPTS[1]], HOW)
    text = plain.text.removeprefix("<think>")
    ends = [text.find(t) + len(t) for t in ask.after if t in text]
    assert ends and whole.text == text[: min(ends)] and whole.finish == "after"
    (none,) = engine.frontier().extend(
        [Continuation(PROMPTS[1], (), (PROMPTS[1].name, 0), 2, ("zz",))], HOW
    )
    assert none.finish == "cut" and none.token_ids == plain.token_ids[:2]


@pytest.mark.equality
def test_ranked_answers_begin_with_the_likeliest_tokens_and_go_on_with_the_likeliest(engine):
    """Against a loop over whole prefixes without a cache; the first is the greedy answer."""
    ask = [
        Continuation(PROMPTS[2], (), (PROMPTS[2].name, 0), HOW.max_tokens, rank=r) for r in range(4)
    ]
    found = engine.frontier().extend(ask, HOW)
    (greedy,) = engine.draw([PROMPTS[2]], HOW.model_copy(update={"temperature": 0.0}))
    assert found[0].token_ids == greedy.token_ids
    for rank, each in enumerate(found):
        ids = list(PROMPTS[2].prompt_ids)
        for place, (token, margin) in enumerate(
            zip(each.token_ids, each.margins or (), strict=True)
        ):
            with torch.no_grad():
                probs_V = engine.model(torch.tensor([ids])).logits[0, -1].softmax(-1)
            ordered = probs_V.sort(descending=True)
            at = rank if place == 0 else 0
            assert token == int(ordered.indices[at])
            other = probs_V[ordered.indices[1 if at == 0 else 0]]
            assert margin == pytest.approx(float(ordered.values[at] - other), abs=1e-5)
            ids.append(token)


def test_more_first_tokens_than_there_are_is_refused(engine):
    with pytest.raises(UserError, match="the model knows no more tokens; lower k"):
        grown(engine, CotDecoding(k=VOCAB + 1))
    trees = grown(engine, CotDecoding(k=VOCAB))
    assert all(len({leaf.ids[0] for leaf in leaves(tree)}) == VOCAB for tree in trees)
    assert all(MARGIN in leaf.last.scores for tree in trees for leaf in leaves(tree))
