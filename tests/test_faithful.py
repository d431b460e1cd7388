"""Whether answers follow thoughts: the shares by hand, and the stage on a model that answers without thinking."""

from __future__ import annotations

import itertools
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from longstep.artifacts import read_json
from longstep.config import Located, UserError, validate
from longstep.draw.engines import Opened
from longstep.evaluate.faithful import agreeing, area_moved
from longstep.generate import FakeGenerator, Prompt
from longstep.stages.faithful import Faithful
from longstep.verify.keys import same_answer
from short_recipe import Setting, contents, finish, lines


def test_answers_agree_by_the_verifier_and_no_answer_agrees_with_none():
    found = agreeing(["1/2", "3", "4", "5"], ["0.5", "4", None, "5"], same_answer)
    assert found.tolist() == [1.0, 0.0, 0.0, 1.0]
    with pytest.raises(ValueError):
        agreeing(["1"], [], same_answer)


def test_the_area_over_the_curve_of_early_answers():
    # Moved 0.8, 0.4, 0 at 0, 1/2, 1: (0.8 + 0.4) / 4 + (0.4 + 0) / 4 = 0.4.
    assert area_moved([0, 0.5, 1], [0.2, 0.6, 1]) == pytest.approx(0.4)
    assert area_moved([0, 1], [1, 1]) == 0 and area_moved([0, 1], [0, 0]) == 1
    # Of half the range: moved 0.5 and 0.1, mean 0.3, whatever the width.
    assert area_moved([0.5, 1.0], [0.5, 0.9]) == pytest.approx(0.3)
    for shares in ([0.5], [0.5, 0.5], [1, 0]):
        with pytest.raises(ValueError, match="ascending order"):
            area_moved(shares, [1.0] * len(shares))


RECIPE = """
name: follow
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  follow:
    kind: faithful
    by: {kind: model, model: "@base"}
    benchmark: {name: few, source: {kind: chain, count: 12, difficulty: [1, 2], split: heldout}}
    edits: {whole: {kind: cut, share: 1}, none: {kind: cut, share: 0}, dots: {kind: filler}, slip: {kind: slip}, swap: {kind: swap}, own: {kind: cut, share: 0.5}}
    sampling: {temperature: 0, max_tokens: 40, batch_size: 8}
    answer_tokens: 4
    resamples: 100
"""


def test_a_model_that_does_not_think_follows_no_thought(tmp_path: Path):
    """The shipped model closes its thought at once, so the thought is empty before and after every cut."""
    run = tmp_path / "run"
    assert finish(run, Setting(text=RECIPE)) == "done"
    out = run / "follow" / "out"
    found = read_json(out / "faithful.json")
    own = lines(out / "completions.jsonl")
    thinks = [row for row in own if row["text"].startswith("<think></think>")]
    assert (
        len(own) == found["asked"] == 12 and len(thinks) == found["traces"] == found["empty"] == 12
    )
    edits = found["edits"]
    assert edits["whole"]["unmoved"] == edits["none"]["unmoved"] == 1.0 and found["early"] == 0.0
    right = sum(row["verdict"]["status"] == "correct" for row in own) / 12
    assert edits["whole"]["right"] == right
    assert edits["slip"] == {"traces": 0, "left_out": 0}  # an empty thought holds no number
    assert edits["swap"]["unmoved"] == 1.0 and edits["swap"]["followed"] == 0.0
    assert "followed" not in edits["dots"] and edits["dots"]["traces"] == 12
    titles = [block["title"] for block in read_json(run / "follow" / "blocks.json")]
    assert "Whether answers follow their thoughts" in titles
    assert "12 of 12 thoughts are empty" in (run / "follow" / "blocks.json").read_text()


def _die_after_the_first_edit(folder: Path) -> None:
    """From now on this process kills itself when the second edit's answers are to be compared."""
    compare, calls = Faithful._share, itertools.count()

    def compare_or_die(self: Faithful, name: str, values: Any) -> dict[str, Any]:
        if next(calls) == 2:  # one edit without points has two shares
            os.kill(os.getpid(), signal.SIGKILL)
        return compare(self, name, values)

    Faithful._share = compare_or_die


def test_a_kill_between_edits_ends_in_the_same_report(tmp_path: Path):
    whole, killed, setting = tmp_path / "whole", tmp_path / "killed", Setting(text=RECIPE)
    assert finish(whole, setting) == "done"
    assert finish(killed, setting, _die_after_the_first_edit) == "killed"
    assert (killed / "follow" / "partial" / "edited" / "whole.jsonl").is_file()
    assert finish(killed, setting) == "done"
    assert contents(killed) == contents(whole)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"by": {"kind": "reference"}}, "by: an engine of kind reference gives no token ids"),
        ({"sampling": {"samples": 4}}, "sampling.samples: has no effect"),
        ({"edits": {"a/b": {"kind": "swap"}}}, "edits: 'a/b' becomes a file name"),
        (
            {"edits": {n: {"kind": "cut", "share": 0.5} for n in "ab"}},
            "edits: two cuts keep the share 0.5",
        ),
        ({"benchmark": "chian"}, "benchmark"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_drawn(settings: dict, sentence: str):
    given = {"by": {"kind": "model", "model": "m"}, "benchmark": "chain", **settings}
    stage = validate(Faithful, Located(given))
    assert any(said.startswith(sentence) for said in stage.check())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"answer": "</think>so"}, "without <think> and </think>"),
        ({"answer": "\\boxed{5}"}, "is a whole answer, so the model gives none"),
        ({"edits": {"a": {"kind": "filler", "mark": "</think>"}}}, "holds </think>"),
        ({"edits": {"a": {"kind": "pauses", "mark": "<|end|>"}}}, "holds <|"),
    ],
)
def test_texts_that_would_answer_or_end_the_thought_are_refused(settings: dict, sentence: str):
    given = {"by": {"kind": "model", "model": "m"}, "benchmark": "chain", **settings}
    with pytest.raises(UserError, match=re.escape(sentence)):
        validate(Faithful, Located(given))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"answer": "\u20ac"}, "f: answer: the tokenizer lacks it"),
        (
            {"edits": {"a": {"kind": "filler", "mark": "\u20ac"}}},
            "f: edits.a: the tokenizer lacks it",
        ),
    ],
)
def test_texts_that_the_model_cannot_be_given_are_refused_before_anything_is_drawn(
    settings: dict, sentence: str
):
    def encode(text: str) -> list[int]:
        if not text.isascii():
            raise UserError("the tokenizer lacks it")
        return [1] * len(text)

    given = {"by": {"kind": "model", "model": "m"}, "benchmark": "chain"}
    opened = Opened(FakeGenerator({}), encode=encode)
    thinks, closed = Prompt("p", (1,), "<think>"), Prompt("q", (1,), "")
    validate(Faithful, Located(given)).refuse_unwritable("f", opened, [thinks])
    with pytest.raises(UserError, match=re.escape(sentence)):
        stage = validate(Faithful, Located({**given, **settings}))
        stage.refuse_unwritable("f", opened, [thinks])
    with pytest.raises(UserError, match="the prompt opens no thought"):
        validate(Faithful, Located(given)).refuse_unwritable("f", opened, [thinks, closed])
