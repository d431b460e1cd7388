"""The stages' own logic on small inputs: selection, spoiling, rows, rollouts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from longstep.artifacts import read_rows, write_rows
from longstep.config import UserError, ValidationError
from longstep.context import Context, Where, chosen_problems
from longstep.curate.controls import SpoilKeys
from longstep.curriculum import Outcome
from longstep.curriculum.groups import DrawnGroup, DrawnRow
from longstep.draw.prompts import prompts_for
from longstep.draw.samplers import Opened
from longstep.evaluate import Benchmark
from longstep.evaluate.benchmarks import BOXED
from longstep.generate import FakeGenerator
from longstep.losses import LightR1
from longstep.models.chat import encode_text, encode_turn, lint, render_prompt
from longstep.models.tiny import build_tokenizer
from longstep.progress import Progress
from longstep.rl.ending import confess
from longstep.rl.pool import pooled
from longstep.rl.stats import rollout_stats
from longstep.stages.curate import Curate
from longstep.stages.rl import Rl
from longstep.training.supervised import read_supervised
from longstep.types import Completion, Problem, Verdict
from longstep.verify.keys import answer_key

RIGHT = Verdict("correct", "1")
WRONG = Verdict("incorrect", "2")


def problem(n: int, **fields) -> Problem:
    return Problem(f"p{n}", f"a{n}b+1?", str(n + 1), **fields)


def context(folder: Path) -> Context:
    quiet = lambda label, total, unit: Progress(label, total, unit, write=lambda text: None)  # noqa: E731
    return Context("stage", folder, 7, {"@in": folder / "in"}, quiet, lambda what, facts: None)


def completion(
    n: int, text: str, verdict: Verdict, ids=(), prompt=(), finish="stop", sample=0
) -> Completion:
    return Completion(f"p{n}", sample, tuple(prompt), tuple(ids), text, finish, verdict=verdict)


def outcome(index: int, rows: list[Completion]) -> Outcome:
    correctness = tuple(row.verdict.correctness if row.verdict else None for row in rows)
    return Outcome(index, "train", correctness, tuple(len(row.token_ids) for row in rows), 0, 0)


def test_where_is_a_closed_interval_and_mixed_excludes_both_ends():
    band = Where(pass_rate=(0.0, 0.5), mixed=True)
    assert [band.keeps(rate, None) for rate in (0.0, 0.25, 0.5, 0.75, None)] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert Where().keeps(None, None)
    assert not Where(difficulty=(2, 3)).keeps(0.5, None)


def test_an_empty_selection_says_how_many_there_were(tmp_path: Path):
    write_rows(tmp_path / "in" / "problems.jsonl", [problem(1), problem(2, pass_rate=0.9)])
    with pytest.raises(UserError, match=r"leaves 0 of 2 problems of @in \(1 have a pass rate\)"):
        chosen_problems(context(tmp_path), "@in", Where(pass_rate=(0.0, 0.5)))


def test_a_counted_selection_is_a_seeded_draw_in_file_order(tmp_path: Path):
    write_rows(tmp_path / "in" / "problems.jsonl", [problem(n) for n in range(8)])
    first = chosen_problems(context(tmp_path), "@in", Where(count=3))
    assert len(first) == 3 and [p.id for p in first] == sorted(p.id for p in first)
    assert first == chosen_problems(context(tmp_path), "@in", Where(count=3))


def test_spoiling_changes_exactly_the_share_asked_for():
    problems = [problem(n) for n in range(20)]
    made = list(SpoilKeys(share=0.1).apply(lambda: problems, seed=3))
    changed = [
        {"id": a.id, "right": a.answer, "wrong": b.answer}
        for a, (b, _) in zip(problems, made, strict=True)
        if a.answer != b.answer
    ]
    assert changed == [note for _, note in made if note is not None] and len(changed) == 2
    with pytest.raises(UserError, match="none can be wrong"):
        list(SpoilKeys(share=0.1).apply(lambda: problems[:1], seed=3))


def test_supervised_rows_mask_the_prompt_by_position_and_end_with_the_stop_token(tmp_path: Path):
    tokenizer = build_tokenizer()
    text = "<think>a1b+1=2</think>\\boxed{2}"
    rows = [completion(1, text, RIGHT), completion(2, "<think>", WRONG, finish="length")]
    write_rows(tmp_path / "in" / "problems.jsonl", [problem(1), problem(2)])
    write_rows(tmp_path / "in" / "completions.jsonl", rows)
    found = read_supervised(context(tmp_path), "@in", Where(), tokenizer, 100)
    assert found.dropped == {"unfinished": 1}
    (row,) = found.rows
    decoded = tokenizer.decode(row.ids, skip_special_tokens=False)
    assert decoded == f"<|user|>a1b+1?<|assistant|>{text}<|end|>"
    assert (
        tokenizer.decode(row.ids[row.prompt_length :], skip_special_tokens=False)
        == text[7:] + "<|end|>"
    )
    assert row.ids[-1] == tokenizer.eos_token_id
    with pytest.raises(UserError, match="no row is left"):
        read_supervised(context(tmp_path), "@in", Where(), tokenizer, 5)


def test_sampled_ids_are_used_as_they_are_when_the_prompt_is_the_same(tmp_path: Path):
    tokenizer = build_tokenizer()
    rendered = render_prompt(tokenizer, problem(1).prompt)
    odd = (*encode_text(tokenizer, "12</think>"), tokenizer.eos_token_id)
    row = completion(1, "<think>text that does not match the ids", RIGHT, odd, rendered.ids)
    write_rows(tmp_path / "in" / "problems.jsonl", [problem(1)])
    write_rows(tmp_path / "in" / "completions.jsonl", [row])
    found = read_supervised(context(tmp_path), "@in", Where(), tokenizer, 100)
    assert found.rows[0].ids == (*rendered.ids, *odd)


def test_sampled_ids_are_used_behind_another_prompt_when_they_spell_the_turn(tmp_path: Path):
    """A model wrote a control token of its own, which as text this tokenizer has no tokens for."""
    tokenizer = build_tokenizer()
    rendered = render_prompt(tokenizer, problem(1).prompt)
    told = render_prompt(tokenizer, "2" + problem(1).prompt)
    user = int(str(tokenizer.convert_tokens_to_ids("<|user|>")))
    odd = (*encode_text(tokenizer, "12"), user, *encode_text(tokenizer, "</think>2"))
    said = "<think>12<|user|></think>2"
    whole = completion(1, said, RIGHT, (*odd, tokenizer.eos_token_id), told.ids)
    write_rows(tmp_path / "in" / "problems.jsonl", [problem(1)])
    write_rows(tmp_path / "in" / "completions.jsonl", [whole])
    found = read_supervised(context(tmp_path), "@in", Where(), tokenizer, 100)
    assert found.rows[0].ids == (*rendered.ids, *odd, tokenizer.eos_token_id)
    # Ids that spell something else are not the turn: its text is encoded.
    other = completion(1, "<think>1</think>2", RIGHT, (*odd, tokenizer.eos_token_id), told.ids)
    write_rows(tmp_path / "in" / "completions.jsonl", [other])
    found = read_supervised(context(tmp_path), "@in", Where(), tokenizer, 100)
    assert found.rows[0].ids == (
        *rendered.ids,
        *encode_text(tokenizer, "1</think>2"),
        tokenizer.eos_token_id,
    )


def test_model_text_never_becomes_a_control_token():
    tokenizer = build_tokenizer()
    hostile = "1<|end|><|user|>2"
    ids = encode_text(tokenizer, hostile.replace("<", "(").replace("|", "/"))
    assert not set(ids) & set(tokenizer.all_special_ids)
    rendered = render_prompt(tokenizer, "x=<think>?")
    assert rendered.prefix == "<think>"
    with pytest.raises(UserError, match="must begin with the forced"):
        encode_turn(tokenizer, rendered, "no thinking")


def test_a_tokenizer_that_would_lose_thinking_is_named():
    tokenizer = build_tokenizer()
    assert lint(tokenizer) == []
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>"]})
    assert any("<think> is a special token" in problem for problem in lint(tokenizer))


def test_rollout_statistics_by_hand():
    # group 1: right, wrong -> it teaches; group 2: both unscorable -> it does not
    late = Verdict("timeout", None)
    groups = [
        [completion(1, "", RIGHT, (1, 2)), completion(1, "", WRONG, (1, 2), sample=1)],
        [completion(2, "", late, (3,)), completion(2, "", late, (4, 5, 6), sample=1)],
    ]
    drawn = [
        DrawnGroup(str(n), outcome(n, rows), tuple(map(DrawnRow, rows)))
        for n, rows in enumerate(groups)
    ]
    unknown = [replace(drawn[0], outcome=replace(drawn[0].outcome, correctness_G=(None, None)))]
    assert "correct" not in rollout_stats(unknown)  # nobody knows, and 0 would be all wrong
    stats = rollout_stats(drawn)
    assert stats["correct"] == 0.5 and stats["zero_variance_share"] == 0.5
    assert stats["unscorable_group_share"] == 0.5
    assert stats["all_right_share"] == stats["all_wrong_share"] == 0.0
    assert stats["unscorable_share"] == 0.5 and stats["mean_length"] == 2.0
    assert stats["duplicate_share"] == 0.25  # the second of the equal pair, of four


def test_rows_round_trip(tmp_path: Path):
    rows = [completion(1, "x\u2028y", RIGHT, (1, 2), (3,))]
    write_rows(tmp_path / "c.jsonl", rows)
    assert list(read_rows(tmp_path / "c.jsonl", Completion)) == rows


def test_a_counted_selection_counts_only_problems_that_have_a_row(tmp_path: Path):
    """Of 8 problems, 4 have a trace: count 3 must give 3 rows, not 3 x 4/8."""
    write_rows(tmp_path / "in" / "problems.jsonl", [problem(n) for n in range(8)])
    rows = [completion(n, f"<think></think>\\boxed{{{n + 1}}}", RIGHT) for n in range(0, 8, 2)]
    write_rows(tmp_path / "in" / "completions.jsonl", rows)
    found = read_supervised(context(tmp_path), "@in", Where(count=3), build_tokenizer(), 100)
    assert len(found.rows) == 3 and found.dropped == {"outside of where": 1}


def test_what_a_pool_leaves_out_is_said(tmp_path: Path):
    """Prompts of 8 characters and of 28, with the same frame: room for the short ones alone."""
    short = [problem(1), problem(2)]
    long = replace(problem(3), prompt="a3b+1c+1d+1e+1f+1g+1h+1i+1?")
    own = build_tokenizer()
    opened = Opened(FakeGenerator(lambda prompt, index: ""), lambda asked: prompts_for(own, asked))
    room = len(prompts_for(own, short)[0].prompt_ids)
    found = pooled("rl", [*short, long], opened, room + 40, 40)
    assert [p.id for p in found.problems] == ["p1", "p2"] and found.longest == room
    assert found.facts() == {"problems": 2, f"prompts longer than {room} tokens": 1}
    dropped, few = [cause for cause, _ in found.warnings(3)]
    assert dropped.startswith(f"1 of 3 prompts are longer than the {room} tokens that")
    assert few.startswith("a batch asks for 3 problems and there are 2,")
    # The model's own context, where that is shorter, leaves the same room.
    narrow = Opened(opened.generator, opened.prompts, room + 40)
    assert pooled("rl", [*short, long], narrow, 9999, 40).longest == room
    with pytest.raises(UserError, match="rl: 2 problems have the id 'p1', and records tell"):
        pooled("rl", [*short, problem(1)], opened, 100, 40)


def test_rl_draws_from_the_band_and_leaves_suspect_keys_to_select(tmp_path: Path):
    rates = [problem(1, pass_rate=0.0), problem(2, pass_rate=0.5)]
    write_rows(tmp_path / "in" / "problems.jsonl", rates)
    settings = {
        "model": "@base",
        "data": "@in",
        "where": {"pass_rate": [0.25, 0.625]},
        "steps": 1,
        "batch": 8,
        "max_tokens": 40,
        "max_length": 100,
    }
    here, own = context(tmp_path), build_tokenizer()
    opened = Opened(FakeGenerator(lambda prompt, index: ""), lambda asked: prompts_for(own, asked))
    chosen = chosen_problems(here, "@in", Rl(**settings).where)
    found = pooled("rl", chosen, opened, 100, 40)
    assert [p.id for p in found.problems] == ["p2"]
    assert found.facts() == {"problems": 1} and [*found.warnings(1)] == []
    with pytest.raises(UserError, match="rl: no prompt fits"):
        pooled("rl", chosen, opened, 44, 40)
    with pytest.raises(
        ValidationError, match="key_audit: is no setting of rl; put a stage `kind: "
    ):
        Rl(**settings, key_audit="majority")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x^2+1", "x^{2} + 1", True),
        ("\\dfrac{1}{2}", "\\frac{1}{2}", True),
        ("0.5", "1/2", True),
        ("x^2", "x^3", False),
    ],
)
def test_answers_that_differ_in_spelling_only_are_one_answer(one: str, other: str, same: bool):
    assert (answer_key(one) == answer_key(other)) is same


def test_benchmark_instructions_take_no_part_in_decontamination():
    short = Benchmark(name="b", source={"kind": "chain", "count": 2}, prompt_suffix=BOXED)
    assert all(BOXED in p.prompt for p in short.load()) and not any(
        BOXED in p.prompt for p in short.questions()
    )


def test_the_text_of_a_protected_benchmark_is_never_written(tmp_path: Path):
    """A made-up exam under a protected name: classes and ids stay, texts go."""
    asked = "Which of the seventeen violet lanterns above the drowned observatory hums at dusk?"
    write_rows(tmp_path / "exam.jsonl", [{"prompt": asked, "answer": "3"}])
    write_rows(
        tmp_path / "rows.jsonl",
        [{"prompt": asked, "answer": "3"}, {"prompt": "1+1?", "answer": "2"}],
    )
    for name, hidden in (("gpqa_mine", True), ("open_mine", False)):
        exam = {"name": name, "source": {"kind": "jsonl", "path": str(tmp_path / "exam.jsonl")}}
        config = {
            "sources": [{"kind": "jsonl", "path": str(tmp_path / "rows.jsonl")}],
            "decontaminate": [exam],
        }
        stage = Curate.model_validate(config)
        stage.run(context(tmp_path / name))
        written = "".join(p.read_text("utf-8") for p in sorted((tmp_path / name / "out").iterdir()))
        assert ("lanterns" in written) is not hidden
        ledger = json.loads((tmp_path / name / "out" / "ledger.json").read_text("utf-8"))
        assert (ledger["compared"], ledger["removed"]) == (2, 1)
        assert ledger["hits"] == {f"{name}, identical": 1}


def test_what_a_method_lacks_is_in_the_notes_and_the_card(tmp_path: Path):
    here = context(tmp_path)
    notes = here.log("health.jsonl")
    assert confess(notes, LightR1()) == {}

    class Half(LightR1):
        def lacks(self):
            return ("it has no dynamic sampling",)

    facts = confess(notes, Half())
    notes.close()
    (note,) = map(json.loads, (tmp_path / "health.jsonl").read_text("utf-8").splitlines())
    assert (note["step"], note["level"], note["rule"]) == (0, "note", "method")
    assert note["cause"] == facts["missing from the method"]
    assert "dynamic sampling" in note["cause"]


def test_an_algorithm_that_compares_with_the_sampler_needs_its_temperature():
    settings = {"model": "@m", "data": "@d", "steps": 1, "batch": 8, "max_length": 8192}
    hot = Rl.model_validate({**settings, "temperature": 0.6})
    assert list(hot.check()) == []

    class Corrected(LightR1):
        def needs(self):
            return super().needs() | {"behaviour"}

    (said,) = hot.model_copy(update={"algorithm": Corrected()}).check()
    assert said.startswith("temperature: 0.6") and "recorded at temperature 1" in said
