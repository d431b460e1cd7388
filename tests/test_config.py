import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from longstep.config import (
    Field,
    Located,
    Strict,
    UserError,
    dump,
    field_validator,
    json_schema,
    load_yaml,
    lookup,
    nearest,
    overlay,
    override,
    provenance,
    validate,
)
from longstep.yaml12 import parse, scalar


class Dapo(Strict):
    kind: Literal["dapo"] = "dapo"
    clip_high: float = 0.28
    dapo: int = 1  # named as its own kind: the place of an error must still be found


class Grpo(Strict):
    kind: Literal["grpo"] = "grpo"
    beta: float = Field(default=0.04, gt=0)


Algorithm = Annotated[Dapo | Grpo, Field(discriminator="kind")]


class Sft(Strict):
    kind: Literal["sft"]
    model: str
    learning_rate: float | Literal["auto"] = 1e-5
    betas: tuple[float, float] = (0.9, 0.95)
    greedy: bool = False
    steps: int = 10


class Rl(Strict):
    kind: Literal["rl"]
    algorithm: Algorithm = Dapo()
    others: list[Algorithm] = Field(default_factory=list)
    last: Algorithm | None = None
    order: Literal["easy", "random"] = "easy"
    out: Path = Path("out")

    @field_validator("out")
    @classmethod
    def relative(cls, value: Path) -> Path:
        if value.is_absolute():
            raise ValueError("out must be relative")
        return value


class Recipe(Strict):
    name: str = "x"
    note: str | None = None
    stages: dict[str, Annotated[Sft | Rl, Field(discriminator="kind")]] = Field(
        default_factory=dict
    )


def write(tmp_path: Path, text: str, name: str = "r.yaml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6), ("1e6", 1e6), (".5", 0.5), ("5.", 5.0), ("-1.5E+3", -1500.0),
        ("17", 17), ("-3", -3), ("+3", 3), ("0123", 123), ("0o17", 15), ("0x1F", 31),
        ("1_000", "1_000"), ("12:30:45", "12:30:45"), ("2026-01-02", "2026-01-02"),
        ("-0o17", "-0o17"),
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"), ("tRue", "tRue"),
        ("true", True), ("True", True), ("FALSE", False),
        ("", None), ("~", None), ("null", None), ("NULL", None), ("nUll", "nUll"),
        (".inf", math.inf), ("-.INF", -math.inf), ("1e", "1e"), (".", "."), ("٣", "٣"),
    ],
)  # fmt: skip
def test_scalars_follow_the_1_2_core_schema(text: str, value: Any) -> None:
    got = scalar(text)
    assert got == value
    assert type(got) is type(value)


def test_quoted_and_block_scalars_stay_text() -> None:
    assert math.isnan(parse(".nan")[0])
    data, _ = parse("a: '1'\nb: \"true\"\nc: |\n  12\non: no\n")
    assert data == {"a": "1", "b": "true", "c": "12\n", "on": "no"}


def test_lines_are_those_of_keys_and_items(tmp_path: Path) -> None:
    path = write(tmp_path, "a:\n  b: 1\n\nc:\n  - 1\n  - d: 2\n")
    located = load_yaml(path)
    lines = {where: origin.line for where, origin in located.origins.items()}
    assert lines == {
        (): 1, ("a",): 1, ("a", "b"): 2, ("c",): 4, ("c", 0): 5, ("c", 1): 6, ("c", 1, "d"): 6
    }  # fmt: skip
    assert str(located.origin(("c", 1, "missing"))) == f"{path}:6"


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("a: 1\nb: !!int 3\n", 2, "tag tag:yaml.org,2002:int is not allowed"),
        ("a: !!python/object/apply:os.system [x]\n", 1, "is not allowed; write the plain value"),
        ("a: 1\nb: 2\na: 3\n", 3, "key 'a' is given twice, on lines 1 and 3; keep one"),
        ("a:\n  <<: {b: 1}\n", 2, "merge key << is not allowed"),
        ("a: 1\nb: &x 1\n", 2, "anchor &x is not allowed"),
        ("&x a: 1\n", 1, "anchor &x is not allowed"),
        ("a: *x\n", 1, "alias *x is not allowed"),
        ("*x : 1\n", 1, "alias *x is not allowed"),
        ("a: " + "[" * 50 + "]" * 50, 1, "more than 50 levels of nesting"),
        ("a: " + "[" * 100_000, 1, "more than 50 levels of nesting"),
        ("a: 1\n---\nb: 1\n", 2, "a second document starts here"),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", 1, "directives"),
        ("1: a\n", 1, "key 1 is not text; put it in quotes"),
        ("a: 1\ntrue: a\n", 2, "key true is not text"),
        ("? [a]\n: 1\n", 1, "a key must be text, not a list or a mapping"),
        ("- a\n", 1, "expected 'key: value' at the top, got a list"),
        ("\n# only this\n", 1, "it is empty"),
        ("a: 1\nb: @base\n", 2, "put the value in quotes"),
        ("a: 1\nb: c: d\n", 2, "check the indentation"),
        ("a: [1,\nb: 2\n", 3, "(in what starts on line 1)"),
        ("a: 1\nb: 1e999\n", 2, "too large for a number"),
        ("a: " + "9" * 101, 1, "the number is too long"),
        ("a: 1\nb: \x07\n", 2, "control character"),
        ('a: 1\nb: "\\ud800"\n', 2, "half of a surrogate pair"),
    ],
)
def test_refusals_name_the_line(tmp_path: Path, text: str, line: int, sentence: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError) as caught:
        load_yaml(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert sentence in str(caught.value)
    assert caught.value.exit_code == 2


def test_nesting_at_the_limit_is_read() -> None:
    # the mapping is level 1, so 49 lists bring it to 50
    assert parse("a: " + "[" * 49 + "]" * 49)[0]["a"] is not None


def test_refusals_of_files(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    with pytest.raises(UserError, match="cannot be read"):
        load_yaml(path)
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(UserError, match=r"r\.yaml:2: not UTF-8"):
        load_yaml(path)
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(UserError, match=r"r\.yaml:1: larger than 1000000 bytes"):
        load_yaml(path)


def test_overlay_merges_mappings_and_replaces_the_rest(tmp_path: Path) -> None:
    base = load_yaml(write(tmp_path, "a: {x: 1, y: 2}\nl: [1, 2]\nn: 5\nm: {z: 1}\n", "base.yaml"))
    top = load_yaml(write(tmp_path, "\na: {y: 3}\nl: [9]\nn: null\nnew: 1\nm: 4\n", "top.yaml"))
    both = overlay(base, top)
    assert both.data == {"a": {"x": 1, "y": 3}, "l": [9], "n": None, "m": 4, "new": 1}
    where = {key: str(origin).rpartition("/")[2] for key, origin in both.origins.items()}
    assert where == {
        (): "base.yaml:1", ("a",): "base.yaml:1", ("a", "x"): "base.yaml:1",
        ("a", "y"): "top.yaml:2", ("l",): "top.yaml:3", ("l", 0): "top.yaml:3",
        ("n",): "top.yaml:4", ("m",): "top.yaml:6", ("new",): "top.yaml:5",
    }  # fmt: skip
    assert base.data["a"] == {"x": 1, "y": 2}  # what is below stays as it was


def test_overlay_of_another_kind_replaces_the_mapping() -> None:
    base = Located({"loss": {"kind": "dpo", "beta": 0.1}})
    same = Located({"loss": {"kind": "dpo", "offset": 1}})
    other = Located({"loss": {"kind": "nca", "offset": 1}})
    assert overlay(base, same).data["loss"] == {"kind": "dpo", "beta": 0.1, "offset": 1}
    assert overlay(base, other).data["loss"] == {"kind": "nca", "offset": 1}


@pytest.mark.parametrize(
    ("assignment", "value"),
    [
        ("1e-5", 1e-5),
        ("no", "no"),
        ("[1, 2]", [1, 2]),
        ("@sft1", "@sft1"),
        ("null", None),
        ("a=b", "a=b"),
    ],
)
def test_override_reads_yaml_and_says_command_line(assignment: str, value: Any) -> None:
    before = Located({"stages": {"sft1": {"kind": "sft"}}})
    after = override(before, f"stages.sft1.trainer.rate={assignment}")
    assert after.data["stages"]["sft1"] == {"kind": "sft", "trainer": {"rate": value}}
    assert str(after.origin(("stages", "sft1", "trainer", "rate"))) == "command line"
    assert after.origin(("stages", "sft1", "kind")) is None


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("a", "expected dotted.path=value"),
        ("=3", "expected dotted.path=value"),
        ("a..b=3", "expected dotted.path=value"),
        ("a=", "the value is not understood: it is empty"),
        ("a=[1", "the value is not understood: not valid YAML"),
        ("l.0=3", "l is a list; give the whole list: l=[...]"),
        ("s.t.u=3", "s is text 'v'; shorten it"),
    ],
)
def test_malformed_overrides(assignment: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        override(Located({"l": [1], "s": "v"}), assignment)
    assert sentence in str(caught.value)
    assert repr(assignment) in str(caught.value)


BROKEN = """\
name: 5
stages:
  a: {kind: sft, modle: x, learning_rate: fast, greedy: 3}
  b:
    kind: rl
    order: randon
    algorithm:
      kind: dapo
      dapo: x
      clip_hi: 3
    others:
      - {kind: grpo, beta: -1}
      - {kind: gpro}
    last: {kind: gropo}
    out: /tmp
  c: {kind: rll}
  d: {model: x}
  e: 3
stage: {}
"""


def test_every_problem_is_told_with_its_place_and_the_nearest_name(tmp_path: Path) -> None:
    path = write(tmp_path, BROKEN)
    with pytest.raises(UserError) as caught:
        validate(Recipe, load_yaml(path))
    lines = set(str(caught.value).splitlines())
    assert lines == {
        f"{path}:{line}"
        for line in [
            "1: name: expected text, got 5",
            "3: stages.a.modle: unknown key 'modle'; did you mean 'model'? "
            "(choices: model, betas, greedy, kind, learning_rate, steps)",
            "3: stages.a.model: the key 'model' is missing and has no default",
            "3: stages.a.learning_rate: expected a number or 'auto', got text 'fast'",
            "3: stages.a.greedy: expected true or false, got 3",
            "6: stages.b.order: expected 'easy' or 'random', got text 'randon'; "
            "did you mean 'random'?",
            "9: stages.b.algorithm.dapo: expected a whole number, got text 'x'",
            "10: stages.b.algorithm.clip_hi: unknown key 'clip_hi'; did you mean 'clip_high'? "
            "(choices: clip_high, dapo, kind)",
            "12: stages.b.others.0.beta: expected greater than 0, got -1",
            "13: stages.b.others.1.kind: unknown kind 'gpro'; did you mean 'grpo'? "
            "(choices: grpo, dapo)",
            "14: stages.b.last.kind: unknown kind 'gropo'; did you mean 'grpo'? "
            "(choices: grpo, dapo)",
            "15: stages.b.out: out must be relative",
            "16: stages.c.kind: unknown kind 'rll'; did you mean 'rl'? (choices: rl, sft)",
            "17: stages.d.kind: the key 'kind' is missing (choices: rl, sft)",
            "18: stages.e: expected a mapping, got 3",
            "19: stage: unknown key 'stage'; did you mean 'stages'? (choices: stages, name, note)",
        ]
    }


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("steps", "8", "expected a number, got text '8'"),
        ("steps", True, "expected a number, got true"),
        ("greedy", "no", "expected true or false, got text 'no'"),
        ("greedy", 1, "expected true or false, got 1"),
        ("learning_rate", "1e-5", "expected a number, got text '1e-5'"),
        ("learning_rate", math.inf, "expected a finite number"),
        ("steps", 1.5, "expected a whole number, got 1.5"),
    ],
)
def test_no_silent_conversion(key: str, value: Any, complaint: str) -> None:
    stage = {"kind": "sft", "model": "m", key: value}
    with pytest.raises(UserError) as caught:
        validate(Recipe, Located({"stages": {"a": stage}}))
    assert f"stages.a.{key}: {complaint}" in str(caught.value)


def test_a_whole_float_fills_an_integer_and_a_list_a_tuple() -> None:
    stage = {"kind": "sft", "model": "m", "steps": 1e3, "betas": [1, 0.5]}
    config = validate(Recipe, Located({"stages": {"a": stage}})).stages["a"]
    assert isinstance(config, Sft)
    assert config.steps == 1000
    assert isinstance(config.steps, int)
    assert config.betas == (1.0, 0.5)


def test_provenance_of_every_leaf(tmp_path: Path) -> None:
    path = write(
        tmp_path, "name: n\nstages:\n  a:\n    kind: sft\n    model: m\n    betas: [1, 2]\n"
    )
    located = override(load_yaml(path), "stages.a.steps=3")
    assert provenance(validate(Recipe, located), located) == {
        "name": f"{path}:1", "note": "default", "stages.a.kind": f"{path}:4",
        "stages.a.model": f"{path}:5", "stages.a.learning_rate": "default",
        "stages.a.betas.0": f"{path}:6", "stages.a.betas.1": f"{path}:6",
        "stages.a.greedy": "default", "stages.a.steps": "command line",
    }  # fmt: skip


@pytest.mark.parametrize(
    "config",
    [
        Recipe(),
        Recipe(name="é", stages={"a": Sft(kind="sft", model="@b", learning_rate="auto")}),
        Recipe(stages={"b": Rl(kind="rl", algorithm=Grpo(beta=1e-6), others=[Dapo(), Grpo()])}),
        Recipe(stages={"b": Rl(kind="rl", last=Dapo(clip_high=1.0), out=Path("a/b"))}),
    ],
)
def test_dump_is_json_and_validates_to_the_same(config: Recipe) -> None:
    again = json.loads(json.dumps(dump(config), allow_nan=False))
    assert validate(Recipe, Located(again)) == config
    assert "note" in again  # nulls are kept


def test_schema_is_closed_and_lists_the_kinds() -> None:
    schema = json_schema(Recipe)
    assert schema["additionalProperties"] is False
    stage = schema["properties"]["stages"]["additionalProperties"]
    assert set(stage["discriminator"]["mapping"]) == {"sft", "rl"}


def test_nearest() -> None:
    names = ["learning_rate", "beta", "Model"]
    assert nearest("learning_rat", names) == "learning_rate"
    assert nearest("model", names) == "Model"
    assert nearest("zzz", names) is None
    assert nearest("x", []) is None


def test_lookup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lookup("math:sqrt") is math.sqrt
    assert lookup("pathlib:Path.home") == Path.home
    for spec, sentence in [
        ("math", "package.module:attribute"),
        (".math:sqrt", "package.module:attribute"),
        ("nowhere.at_all:x", "no module named 'nowhere'"),
        ("math:sqroot", "math has no 'sqroot'; did you mean 'sqrt'?"),
    ]:
        with pytest.raises(UserError) as caught:
            lookup(spec)
        assert sentence in str(caught.value)
    (tmp_path / "broken_inside.py").write_text("import surely_not_installed\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed"):
        lookup("broken_inside:x")


def test_import_stays_light() -> None:
    code = "import sys, longstep.config; print({'torch', 'transformers', 'trl'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
