"""Scorers that read with a model: what a model makes of an answer, self-certainty, and a reward model behind HTTP."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fault_server import Act, FaultServer, Script, hang, reply, reset
from longstep.config import Located, UserError, validate
from longstep.generate import FakeGenerator, Prompt, Sampling
from longstep.generate import reading as reading_module
from longstep.generate.base import ToRead
from longstep.generate.engine import TransformersEngine
from longstep.run.recipe import Recipe, check
from longstep.scaling.drive import Grower
from longstep.scaling.picks.best import BestScore
from longstep.scaling.rebase import Rebase
from longstep.scaling.samples import IndependentSamples
from longstep.scaling.scorers.base import ScoringDesk
from longstep.scaling.scorers.reward import RewardScorer
from longstep.scaling.scorers.self_certainty import SelfCertaintyScorer
from longstep.scaling.tree import Trail, leaves
from longstep.types import Problem, Segment

STOP, VOCAB, UNKNOWN = 1, 14, (12, 13)


class Letters:
    """Id n is the n-th letter."""

    def decode(self, token_ids: Any, skip_special_tokens: bool = False) -> str:
        return "".join(chr(97 + token) for token in token_ids)


@pytest.fixture(scope="module")
def engine() -> TransformersEngine:
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
    model = Qwen2ForCausalLM(config).double().eval()
    return TransformersEngine(model, Letters(), {STOP}, unknown_ids=UNKNOWN)


PROMPTS = [Prompt(f"p{n}", tuple(range(2, 4 + n)), "<think>") for n in range(4)]
PROBLEMS = [
    Problem(f"p{n}", f"{n}?", "1", before=(("user", "hi"), ("assistant", "ho"))) for n in range(4)
]
HOW = Sampling(temperature=1.0, top_p=1.0, max_tokens=30, samples=3, seed=7, logprobs=True)


# -- reading again -----------------------------------------------------------------------------------


@pytest.mark.parametrize("entries", [1 << 24, 200])
def test_what_is_read_again_is_what_it_was_drawn_from(
    engine: TransformersEngine, entries: int, monkeypatch: pytest.MonkeyPatch
):
    """Log-probabilities of the draw; all else from one pass a row, without padding. In pieces, too."""
    monkeypatch.setattr(reading_module, "ENTRIES", entries)
    rows = list(engine.draw(PROMPTS, HOW))
    places = [tuple(range(0, len(row.token_ids), 2)) for row in rows]
    asked = [ToRead(r.prompt_ids, r.token_ids, at) for r, at in zip(rows, places, strict=True)]
    for row, at, read in zip(rows, places, engine.reader().read(asked), strict=True):
        assert read.logps_T == pytest.approx(np.array(row.logprobs), abs=1e-5)
        ids = torch.tensor([[*row.prompt_ids, *row.token_ids]])
        first = len(row.prompt_ids) - 1
        with torch.no_grad():
            out = engine.model(input_ids=ids, output_hidden_states=True)
        known_TV = out.logits[0, first:-1, : VOCAB - len(UNKNOWN)].double().softmax(-1).numpy()
        uniform = 1 / (VOCAB - len(UNKNOWN))
        kl_T = (uniform * np.log(uniform / known_TV)).sum(-1)
        assert read.certainties_T == pytest.approx(kl_T, abs=1e-5)
        assert read.entropies_T == pytest.approx(-(known_TV * np.log(known_TV)).sum(-1), abs=1e-5)
        states_TH = out.hidden_states[-1][0, first:-1].numpy()
        assert read.states_NH == pytest.approx(states_TH[list(at)], abs=1e-5)
        weights_VH = engine.model.get_output_embeddings().weight.detach().numpy()
        wanted = weights_VH[[row.token_ids[place] for place in at]]
        assert read.tokens_NH == pytest.approx(wanted, abs=1e-6)


def test_an_empty_answer_is_read_and_a_generator_without_a_model_refuses(
    engine: TransformersEngine,
):
    (read,) = engine.reader().read([ToRead((3,), ())])
    assert len(read.logps_T) == 0 and read.states_NH.shape == (0, 16)
    assert engine.reader().read([]) == []
    with pytest.raises(UserError, match="cannot read an answer with the model that drew it"):
        FakeGenerator({}).reader()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            ToRead((3,) * 60, (4,) * 37),
            "an answer of 97 tokens with its prompt is longer than the context of 96",
        ),
        (
            ToRead((3,), (4, VOCAB)),
            "holds the token id 14, and the model that is to read it has 14",
        ),
    ],
)
def test_an_answer_of_another_model_is_refused(engine: TransformersEngine, row: ToRead, said: str):
    with pytest.raises(UserError, match=said):
        engine.reader().read([ToRead((3,), (4,)), row])


def test_self_certainty_counts_what_the_model_drew(engine: TransformersEngine):
    scorer = SelfCertaintyScorer()
    rater = scorer.rater(ScoringDesk("s", engine, None, {}, lambda _: None))  # pyright: ignore
    drawn = Segment("p0", 0, -1, 0, "model", (4, 5), "ef", "cut")
    forced = Segment("p0", 1, 0, 1, "forced", (6, 7, 8), "ghi", "given")
    last = Segment("p0", 2, 1, 2, "model", (9,), "j", "stop")
    whole, begun, nothing = rater.rate(
        [
            (PROMPTS[0], Trail("", (drawn, forced, last))),
            (PROMPTS[0], Trail("", (drawn,))),
            (PROMPTS[0], Trail("", (forced,))),
        ]
    )
    (read,) = engine.reader().read([ToRead(PROMPTS[0].prompt_ids, (4, 5, 6, 7, 8, 9))])
    c = read.certainties_T
    assert whole == pytest.approx((c[0] + c[1] + c[5]) / 3, rel=1e-5)
    assert begun == pytest.approx((c[0] + c[1]) / 2, rel=1e-5) and nothing == 0.0
    assert scorer.weight(whole) == whole > 0


def test_a_tree_guided_by_reading_scores_every_step_and_a_vote_its_answers(
    engine: TransformersEngine,
):
    """What a scorer says does not depend on the other problems, nor on who else is read with it."""
    scorer = SelfCertaintyScorer()
    rater = scorer.rater(ScoringDesk("s", engine, None, {}, lambda _: None))  # pyright: ignore
    asked = list(zip(PROBLEMS, PROMPTS, strict=True))
    how = HOW.model_copy(update={"samples": 1})
    guided = Rebase(n=3, step=("c", "f"), scorer=scorer)
    raters = {scorer.name: rater}
    trees = Grower(engine, lambda text: (), how, guided, raters).wave(asked)
    alone = [Grower(engine, lambda text: (), how, guided, raters).wave([each])[0] for each in asked]
    for tree, same in zip(trees, alone, strict=True):
        assert [each.token_ids for each in tree] == [each.token_ids for each in same]
        for each, other in zip(tree, same, strict=True):
            assert each.scores == pytest.approx(other.scores, abs=1e-6)
            assert set(each.scores) == {"self-certainty"}
    plain = Grower(engine, lambda text: (), how, IndependentSamples(n=3), raters).wave(asked)
    for tree in plain:
        found = leaves(tree)
        scores = scorer.score(found)
        assert len(found) == 3 and scores == pytest.approx(
            rater.rate(
                [(p, leaf) for p in PROMPTS if p.problem_id == tree[0].problem_id for leaf in found]
            )
        )
        assert len(BestScore(scorer=scorer).pick(found, lambda a, b: a == b)) == 3


class CountingRater:
    """Scores by length, and counts what it was asked."""

    doubt = ""
    steps = ()

    def __init__(self, identity: str) -> None:
        self.identity, self.asked = identity, 0

    def rate(self, asked: Sequence[tuple[Prompt, Trail]]) -> list[float]:
        self.asked += len(asked)
        return [float(len(path.ids)) for _, path in asked]


def test_what_is_sealed_is_not_scored_again_unless_by_another_scorer(
    engine: TransformersEngine, tmp_path: Path
):
    asked = list(zip(PROBLEMS, PROMPTS, strict=True))
    how = HOW.model_copy(update={"samples": 1, "batch_size": 3})  # a wave is one problem

    def grown(rater: CountingRater) -> list[list[Segment]]:
        raters = {"self-certainty": rater}
        grower = Grower(engine, lambda text: (), how, IndependentSamples(n=3), raters)
        return list(grower.forest(asked, tmp_path / "journal"))

    first, again, other = CountingRater("a"), CountingRater("a"), CountingRater("b")
    trees = grown(first)
    assert first.asked == 4 * 3
    assert all(
        each.scores["self-certainty"] == len(each.token_ids) for tree in trees for each in tree
    )
    journal = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(
        journal[: len(journal) * 3 // 4]
    )  # a kill in the last wave but one
    assert grown(again) == trees and 0 < again.asked < first.asked
    assert (tmp_path / "journal").read_bytes() == journal
    assert grown(other) == trees and other.asked == first.asked


@pytest.mark.parametrize("kind", ["{kind: self-certainty}", "{kind: head, head: x}"])
def test_an_engine_without_distributions_is_refused(kind: str):
    from longstep.yaml12 import parse

    stage = f"""
name: x
stages:
  s: {{kind: scale, by: {{kind: endpoint, url: "http://127.0.0.1:9/v1", model: m}}, benchmark: chain,
    strategies: {{a: {{kind: samples}}}}, picks: [{{kind: weighted, scorer: {kind}}}]}}
"""
    located = Located(parse(stage)[0])
    with pytest.raises(UserError, match="gives no whole distributions"):
        check(validate(Recipe, located), located)


# -- a reward model behind an address ----------------------------------------------------------------


def pooled(data: object, **more: object) -> Act:
    body = {"object": "list", "data": [{"index": 0, "object": "pooling", "data": data}], **more}
    return reply(200, json.dumps(body).encode())


def trails(*texts: str) -> list[tuple[Prompt, Trail]]:
    return [
        (
            PROMPTS[n % 4],
            Trail("<think>", (Segment(f"p{n % 4}", 0, -1, 0, "model", (2,), text, "stop"),)),
        )
        for n, text in enumerate(texts)
    ]


def rated(server: FaultServer, rows: list[tuple[Prompt, Trail]], **settings: Any) -> list[float]:
    url = server.url.removesuffix("/v1")
    given = {"timeout": 2, "max_retries": 2, **settings}
    scorer = RewardScorer(url=url, model="rm", **given)
    problems = {each.id: each for each in PROBLEMS}
    desk = ScoringDesk("s", FakeGenerator({}), None, problems, lambda _: None)  # pyright: ignore
    return scorer.rater(desk).rate(rows)


Start = Callable[[Script], FaultServer]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("longstep.generate.rewards.BACKOFF", 0.01)


def test_rewards_are_asked_with_the_question_and_come_back_in_order(start: Start):
    """The reward is in the answer's text, so a mixed-up answer would show."""
    server = start(lambda body, before: pooled([len(body["messages"][-1]["content"]) / 100]))
    texts = ["a" * n for n in range(40)]
    assert rated(server, trails(*texts)) == pytest.approx(
        [(len("<think>") + n) / 100 for n in range(40)]
    )
    first, *rest = server.asked
    assert len(rest) == 40 and "1" not in first["messages"][-1]["content"]  # the key goes nowhere
    wanted = [("user", "hi"), ("assistant", "ho"), ("user", "0?"), ("assistant", "\\boxed{0}")]
    assert [(m["role"], m["content"]) for m in first["messages"]] == wanted
    assert first["model"] == "rm" and set(first) == {"model", "messages"}


@pytest.mark.parametrize(
    ("data", "settings", "score"),
    [
        ([0.25], {}, 0.25),
        ([1], {}, 1.0),
        ([[0.9, 0.1], [0.5, 0.5]], {}, 0.1),  # a row a step: the last is that of a right one
        ([[0.9, 0.1], [0.5, 0.5]], {"over": "product"}, 0.05),
        ([[0.1], [0.5]], {"over": "last"}, 0.5),
        ([-2.0], {"numbers": "logit"}, 1 / (1 + math.exp(2))),
        ([-1e6], {"numbers": "logit"}, 0.0),
    ],
)
def test_one_number_or_a_row_a_step(
    start: Start, data: object, settings: dict[str, Any], score: float
):
    assert rated(start(lambda *_: pooled(data)), trails("x"), **settings) == pytest.approx([score])


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b""),
        reply(200, b"{}"),
        reply(200, b"[" * 100_000),
        reply(200, b'{"data": [{"data": [NaN]}]}'),
        reply(200, b'{"data": [{"data": [1e999]}]}'),
        reply(200, b'{"data": [{"data": [' + b"9" * 400 + b"]}]}"),
        pooled([]),
        pooled([0.1, 0.2]),
        pooled(["0.5"]),
        pooled([True]),
        pooled([[]]),
        pooled([[0.1], 0.2]),
        pooled([[0.5]] * 10_001),
        pooled("0"),
        pooled({"a": 1}),
        reply(200, b'{"choices": [{"message": {"content": "hi"}}]}'),
        reply(404, b"no such route"),
        reply(400, b"this model does not support pooling"),
        reply(401, b"who are you"),
        reply(307, b"", Location="http://elsewhere/"),
        reply(200, b" " * ((1 << 20) + 1)),
    ],
)  # fmt: skip
def test_what_is_no_reward_is_refused_in_one_sentence_before_anything_is_drawn(
    start: Start, answer: Act
):
    server = start(lambda *_: answer)
    with pytest.raises(UserError) as found:
        rated(server, [])
    said = str(found.value)
    assert "/pooling: gave no reward" in said and "expected vLLM's pooling API" in said
    assert "\n" not in said and len(said) < 800 and len(server.asked) == 1


def test_a_number_that_is_no_probability_is_refused(start: Start):
    with pytest.raises(
        UserError, match=r"gave the reward 3.5, which is no probability; write numbers: logit"
    ):
        rated(start(lambda *_: pooled([3.5])), [])


def test_what_may_pass_is_asked_again_and_what_does_not_is_given_up(start: Start):
    failures = [reply(500, b"oops"), reply(429, b"", Retry_After="0"), reset(b"x" * 100)]

    def sometimes(body: dict[str, Any], before: int) -> Act:
        bad = before < 2 and "x" in body["messages"][-1]["content"]
        return (
            failures[(len(body["messages"][-1]["content"]) + before) % 3] if bad else pooled([0.5])
        )

    assert rated(start(sometimes), trails("x", "xx", "xxx")) == [0.5] * 3
    always = start(lambda *_: reply(503, b"busy"))
    with pytest.raises(UserError, match=r"gave no reward: status 503: busy"):
        rated(always, [])
    assert len(always.asked) == 3
    with pytest.raises(UserError, match=r"no whole answer within 0.2 s"):
        rated(start(lambda *_: hang(1.0)), [], timeout=0.2, max_retries=0)


def test_the_key_is_sent_and_never_said(start: Start, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RM_KEY", "sk-secret-of-many-letters")
    honest = start(lambda *_: pooled([0.5]))
    rated(honest, trails("x"), api_key_env="RM_KEY")
    assert {each["authorization"] for each in honest.headers} == {
        "Bearer sk-secret-of-many-letters"
    }
    echoes = start(lambda *_: reply(200, b'{"you sent": "sk-secret-of-many-letters"}'))
    with pytest.raises(UserError) as found:
        rated(echoes, [], api_key_env="RM_KEY")
    assert "secret" not in str(found.value)
    monkeypatch.delenv("RM_KEY")
    scorer = RewardScorer(url=honest.url, model="rm", api_key_env="RM_KEY")
    assert next(iter(scorer.absent())).startswith(
        "api_key_env: environment variable RM_KEY is not set"
    )
    for wrong in ("sk-secret-of-many-letters-and-more-of-them", "a b"):
        with pytest.raises(ValueError, match="not the key itself"):
            RewardScorer(url=honest.url, model="rm", api_key_env=wrong)
    with pytest.raises(ValueError, match="expected http"):
        RewardScorer(url="ftp://x", model="rm")
