"""``longstep init``: what a file is taken for, and recipes that pass ``plan``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from longstep.cli import main as cli
from longstep.config import UserError
from longstep.run.init import look, recipe_text
from longstep.run.init.look import verifier_for
from longstep.run.plan import make_plan
from longstep.run.recipe import Recipe, load
from longstep.yaml12 import parse


def typed(*words: str) -> str:
    result = CliRunner().invoke(cli.app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def rows(path: Path, *given: Any) -> Path:
    lines = [each if isinstance(each, str) else json.dumps(each) for each in given]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def begun(file: Path, *words: str) -> Recipe:
    """The recipe that ``init`` writes; it loads, and ``plan`` has nothing to refuse."""
    out = file.with_suffix(".yaml")
    typed("init", str(file), "--out", str(out), *words)
    recipe, located = load([out])
    make_plan(recipe, ["plan"], located)
    return recipe


def test_columns_are_told_by_their_names_and_bad_rows_are_allowed_for(tmp_path: Path) -> None:
    given = [{"Question": f"{n}+{n}?", "Key": str(2 * n), "topic": "a"} for n in range(19)]
    recipe = begun(rows(tmp_path / "my data.jsonl", *given, "{torn"))
    [source] = recipe.stages["problems"].sources  # type: ignore[attr-defined]
    assert source.columns == {"prompt": "Question", "answer": "Key"} and source.verifier == "math"
    assert source.max_bad == 0.1  # 1 of 20, twice that
    assert recipe.name == "my-data" and recipe.order() == [
        "base",
        "problems",
        "rated",
        "rl",
        "scores",
    ]
    with pytest.raises(UserError, match="is there already; delete it"):
        typed("init", str(tmp_path / "my data.jsonl"), "--out", str(tmp_path / "my data.yaml"))


def test_rated_rows_need_no_rating_and_the_models_context_is_kept(tmp_path: Path) -> None:
    given = [{"problem": f"{n}?", "answer": "ABCD"[n % 4], "pass_rate": 0.5} for n in range(8)]
    recipe = begun(rows(tmp_path / "r.jsonl", *given), "--model", "longstep-tiny")
    assert recipe.order() == ["base", "problems", "rl", "scores"]
    rl, base = recipe.stages["rl"], recipe.stages["base"]
    assert (rl.data, rl.max_tokens, rl.max_length) == ("@problems", 128, 256)  # type: ignore[attr-defined]
    assert base.think_tokens == "keep"  # type: ignore[attr-defined]
    [source] = recipe.stages["problems"].sources  # type: ignore[attr-defined]
    assert (source.layout, source.verifier) == ("problem", "math(kind=choice)")


@pytest.mark.parametrize(
    ("keys", "verifier"),
    [
        (["1", "1/2", r"\frac{3}{4}", "N/A"] * 5, "exact"),  # a quarter cannot be read
        (["1", "1/2", r"\frac{3}{4}"] * 7 + ["N/A"], "math"),
        (["(A)", "b", "C."], "math(kind=choice)"),
        (['["2", "-2"]', "3"], "math(members=all)"),
        (["it depends on the weather and on what the sailors had for breakfast, as everyone of them knows"], "exact"),
    ],
)  # fmt: skip
def test_the_verifier_is_the_one_that_can_read_the_keys(keys: list[str], verifier: str) -> None:
    assert verifier_for(keys)[0] == verifier


@pytest.mark.parametrize(
    ("given", "words", "sentence"),
    [
        ([{"question": "why?"}], [], "hold questions alone, no answer, trace or pair; name the column of the answer"),
        ([{"a": "1", "b": "2"}], [], "no layout fits its rows, whose columns are 'a', 'b'"),
        (["torn"], [], "is not JSON"),
        ([{"a": "why?", "b": "2"}], ["--columns", "prompt=a,anser=b"], "no field is called 'anser'; did you mean 'answer'"),
    ],
)  # fmt: skip
def test_what_nothing_can_be_made_of_is_refused(
    given: list[Any], words: list[str], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        begun(rows(tmp_path / "f.jsonl", *given), *words)
    assert not (tmp_path / "f.yaml").exists()


def test_a_known_layout_is_said(tmp_path: Path) -> None:
    seen = look(rows(tmp_path / "f.jsonl", {"problem": "1+1?", "answer": "2", "solution": "so 2"}))
    assert seen.layout.startswith("problem: MATH") and seen.has["solution"] == 1
    named = look(Path(seen.path), columns={"prompt": "solution", "answer": "answer"})
    assert named.layout == "" and named.characters["prompt"] == len("so 2")


def test_benchmarks_of_ones_own_are_named_with_their_columns(tmp_path: Path) -> None:
    given = [{"ask": f"{n}?", "key": str(n)} for n in range(5)]
    text = recipe_text(look(rows(tmp_path / "f.jsonl", *given)), "longstep-tiny")
    assert 'path: heldout.jsonl, columns: {prompt: "ask", answer: "key"}}}' in text
    known = [{"problem": f"{n}?", "answer": str(n)} for n in range(5)]
    assert "path: heldout.jsonl}}" in recipe_text(look(rows(tmp_path / "k.jsonl", *known)), "a/b")


def test_check_says_what_to_type_where_no_row_has_a_key(tmp_path: Path) -> None:
    file = rows(tmp_path / "f.jsonl", {"question": "1+1?", "key": "2"})
    said = typed("data", "check", str(file), "--out", str(tmp_path / "a"))
    assert "no row has a key" in said and "--columns prompt=COLUMN,answer=COLUMN" in " ".join(
        said.split()
    )
    named = ["--columns", "prompt=question,answer=key", "--out", str(tmp_path / "b")]
    assert "no row has a key" not in typed("data", "check", str(file), *named)


def test_the_version_is_said() -> None:
    import longstep

    assert typed("--version").strip() == f"longstep {longstep.__version__}"


def test_traces_and_pairs_have_recipes_of_their_own(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "What is 1 plus 1?"},
        {"role": "assistant", "content": "2 " * 1500},
    ]
    traces = look(rows(tmp_path / "t.jsonl", {"messages": turns}))
    stages = parse(recipe_text(traces, "longstep-tiny"))[0]["stages"]
    assert [stage["kind"] for stage in stages.values()] == [
        "checkpoint",
        "traces",
        "sft",
        "evaluate",
    ]
    assert (
        stages["sft"]["max_length"] == 256
    )  # a row has 1,000 tokens or so, the model's context is shorter
    assert parse(recipe_text(traces, "a/b"))[0]["stages"]["sft"]["max_length"] == 1024
    pairs = look(rows(tmp_path / "p.jsonl", {"prompt": "1+1?", "chosen": "2", "rejected": "3"}))
    stages = parse(recipe_text(pairs, "a/b"))[0]["stages"]
    assert [stage["kind"] for stage in stages.values()] == [
        "checkpoint",
        "pairs",
        "prefer",
        "evaluate",
    ]
    assert (stages["prefer"]["data"], stages["prefer"]["max_length"]) == ("@pairs", 256)
