"""Calls of a model: a calculator that nothing can hurt, tools from outside, and what stands in the tree."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from longstep.config import Located, UserError, validate
from longstep.generate import FakeGenerator, Prompt, Sampling
from longstep.run.recipe import Recipe, check
from longstep.scaling.account import bill
from longstep.scaling.drive import Grower
from longstep.scaling.toolbox import calculator
from longstep.scaling.toolbox.calculator import Calculator, calculated
from longstep.scaling.toolbox.outside import OutsideTool
from longstep.scaling.tools import ToolUse
from longstep.scaling.tree import leaves
from longstep.types import Problem, Segment

# -- the calculator ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("(31+55)%97", "86"),
        ("(31-55)%97", "73"),  # -24 + 97
        ("7 % -4", "-1"),  # 7 = -4 * -2 - 1
        ("2+3*4", "14"),
        ("(2+3)*4", "20"),
        ("8-3-2", "3"),
        ("16/4/2", "2"),
        ("2**3**2", "512"),
        ("2^10", "1024"),
        ("-2**2", "-4"),
        ("2**-1", "1/2"),
        ("2.0**-3", "0.125"),
        ("0**0", "1"),
        ("(-1)**99999999999", "-1"),
        ("1/3+1/6", "1/2"),
        ("1/4+.25", "0.5"),
        ("0.1+0.2", "0.3"),
        ("-0.5", "-0.5"),
        ("1/3+0.5", "5/6"),
        ("5.", "5"),
        ("3\u00d74\u00f72", "6"),
        ("1\n+1", "2"),
        ("--3", "3"),
    ],
)
def test_values_by_hand(call: str, answer: str):
    assert Calculator().answer(call) == answer


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("", "not an expression"),
        ("()", "not an expression"),
        ("2+", "not an expression"),
        ("2 3", "not an expression"),
        ("1..2", "not an expression"),
        ("7//2", "not an expression"),
        ("(2", "a parenthesis is not closed"),
        ("1/0", "division by zero"),
        ("7%(3-3)", "division by zero"),
        ("0**-1", "division by zero"),
        ("2**0.5", "a power needs a whole exponent"),
        ("9**9**9", "too large"),
        ("9**999*9**999/9**1998", "too large"),
        ("(9**300)**6*(9**300)/7", "too large"),
        ("*".join(["9" * 90] * 2) + "**9", "too large"),
        ("9" * 201, "too long"),
        ("(" * 1_000_000, "too long"),
        ("(" * 90 + "1" + ")" * 90, "too deep"),
        ("-" * 199 + "1", "too deep"),
        ("**".join("2" * 66), "too deep"),
        ("1/(" * 40 + "2" + ")" * 40, "too deep"),
        ("__import__('os').system('x')", "only numbers"),
        ("().__class__.__mro__", "only numbers"),
        ("[]", "only numbers"),
        ("a", "only numbers"),
        ("1e9", "only numbers"),
        ("0x10", "only numbers"),
        ("1,000", "only numbers"),
        ("1_000", "only numbers"),
        ("\u0663", "only numbers"),  # a digit of another script
        ("1 if 1 else 2", "only numbers"),
    ],
)
def test_what_is_hostile_or_no_expression_is_refused_in_words(call: str, reason: str):
    assert Calculator().answer(call).startswith(f"error: {reason}")


def random_expression(rng: random.Random, depth: int) -> tuple[str, Callable[[], Fraction]]:
    """An expression in full parentheses, and what it is worth by ``Fraction``'s own operators."""
    if depth == 0:
        number = rng.randrange(1, 60)
        return str(number), lambda: Fraction(number)
    (left, one), (right, two) = (random_expression(rng, depth - 1) for _ in range(2))
    operation = rng.choice("+-*/%")
    worth = {
        "+": lambda: one() + two(),
        "-": lambda: one() - two(),
        "*": lambda: one() * two(),
        "/": lambda: one() / two(),
        "%": lambda: one() % two(),
    }[operation]
    return f"({left}{operation}{right})", worth


def test_values_are_those_of_exact_fractions():
    rng = random.Random(0)
    known = 0
    for _ in range(300):
        text, worth = random_expression(rng, rng.randrange(1, 5))
        try:
            value = worth()
        except ZeroDivisionError:
            with pytest.raises(ZeroDivisionError):
                calculated(text)
            continue
        assert calculated(text) == value
        known += 1
    assert known > 250


def test_a_decimal_is_written_as_one_only_where_it_ends():
    rng = random.Random(1)
    for _ in range(300):
        value = Fraction(rng.randrange(-999, 999), rng.randrange(1, 400))
        said = calculator.shown_value(value, decimal=True)
        ends = re.fullmatch("(?:2|5)*", "".join(map(str, prime_factors(value.denominator))))
        assert Fraction(said) == value and ("/" in said) == (not ends and value.denominator > 1)


def prime_factors(number: int) -> list[int]:
    found, factor = [], 2
    while number > 1:
        while number % factor == 0:
            number //= factor
            found.append(factor)
        factor += 1
    return found


# -- calls in an answer ------------------------------------------------------------------------------


def chars(text: str) -> list[int]:
    return [ord(char) for char in text]


PROBLEM = Problem("p", "?", "86", verifier="exact")


def grown(script: Sequence[str], strategy: ToolUse, most: int = 200) -> list[Segment]:
    """The tree of one problem; the model says a piece of the script after every answer of a tool."""
    whole = "".join(script)

    def said(prompt: Prompt, index: int) -> str:
        return whole

    class Heard(FakeGenerator):
        """The script goes on where it stopped, whatever a tool put between."""

        def written(self, ask):
            drawn = sum(map(len, script[: given(ask.ids, script)]))
            return whole[drawn:], tuple(chars(whole[drawn:]))

    how = Sampling(max_tokens=most, batch_size=1)
    grower = Grower(Heard(said, chars), chars, how, strategy)
    return grower.wave([(PROBLEM, Prompt("p", (1,), "<think>"))])[0]


def given(ids: Sequence[int], script: Sequence[str]) -> int:
    """How many pieces of the script stand in what was written so far."""
    text, count = "".join(map(chr, ids)), 0
    for piece in script:
        if piece not in text:
            break
        text, count = text.partition(piece)[2], count + 1
    return count


CALL = ToolUse(begin="[", end="]", calls=3)


def test_a_result_stands_behind_its_call_and_is_the_tools():
    tree = grown(["a31b[(31+55)%97]", "c[2**]", "d</think>\\boxed{86}"], CALL)
    assert [(s.origin, s.text) for s in tree] == [
        ("model", "a31b[(31+55)%97]"),
        ("tool", "86"),
        ("model", "c[2**]"),
        ("tool", "error: not an expression"),
        ("model", "d</think>\\boxed{86}"),
    ]
    (leaf,) = leaves(tree, "<think>")
    assert leaf.correctness == 1.0 and "".join(map(chr, leaf.ids)) == leaf.text[len("<think>") :]
    found = bill(tree, 1)
    assert (found.tool, found.drawn, found.calls) == (26, 41, 3)


def test_a_mark_without_a_call_and_marks_beyond_the_bound_get_no_answer():
    tree = grown(["1]", "[1+1]", "[2+2]", "[3+3]", "4</think>\\boxed{86}"], CALL)
    # the first mark ends no call; the third is the last that is looked at
    assert [s.text for s in tree if s.origin == "tool"] == ["2", "4"]
    assert tree[-1].text == "[3+3]4</think>\\boxed{86}"


def test_the_call_is_what_stands_behind_the_last_opening_mark():
    (answer,) = (s for s in grown(["[1+[2+2]", "</think>\\boxed{1}"], CALL) if s.origin == "tool")
    assert answer.text == "4"


def test_an_answer_that_is_too_long_is_refused_and_one_without_room_ends():
    short = ToolUse(begin="[", end="]", longest=3, before="<", behind=">")
    tree = grown(["[9**9]", "[9*9]", "</think>\\boxed{86}"], short)
    assert [s.text for s in tree if s.origin == "tool"] == [
        "<error: the answer is too long>",
        "<81>",
    ]
    cut = grown(["[9*9]", "</think>\\boxed{86}"], short, most=6)
    assert cut[-1].finish == "length" and not cut[-1].token_ids


# -- tools from outside ------------------------------------------------------------------------------


class Doubler:
    def answer(self, call: str) -> str:
        return str(2 * int(call))


class Numb:
    def answer(self, call: str) -> int:
        return 7


class Broken:
    def __init__(self) -> None:
        raise KeyError("no dictionary")


class Silent:
    pass


class Closing:
    def answer(self, call: str) -> str:
        return "</think>"


def outside(name: str) -> OutsideTool:
    return OutsideTool(tool=f"test_tools:{name}")


def test_a_tool_from_outside_answers_and_what_it_raises_is_a_refusal():
    assert outside("Doubler").answer("21") == "42"
    assert outside("Doubler").answer("x") == "error: ValueError"
    assert outside("Numb").answer("x") == "error: no text"
    assert list(outside("Doubler").check()) == []
    assert ToolUse(tool=outside("Closing")).reply("") == "error: the answer holds a think tag"


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [
        ({"kind": "outside", "tool": "test_tools:Nobody"}, "test_tools has no 'Nobody'"),
        ({"kind": "outside", "tool": "test_tools:Broken"}, "raised KeyError"),
        ({"kind": "outside", "tool": "test_tools:Silent"}, "has no answer(call) -> str"),
        ({"kind": "outside", "tool": "Doubler"}, "write it as package.module:attribute"),
        ({"kind": "calculators"}, "calculator"),
    ],
)
def test_a_tool_that_is_none_is_refused_before_anything_is_drawn(tool: object, sentence: str):
    strategy = {"kind": "tools", "tool": tool}
    refused(strategy, sentence)


def test_marks_that_cannot_be_told_apart_are_refused():
    refused({"kind": "tools", "begin": "$", "end": "$"}, "expected another mark than begin")
    refused({"kind": "tools", "begin": "<", "end": ">"}, "'>' stands inside </think>")
    refused({"kind": "tools", "begin": ""}, "begin")
    refused({"kind": "tools", "calls": 0}, "greater than or equal to 1")


def refused(strategy: object, sentence: str) -> None:
    stage = {
        "kind": "scale",
        "by": {"kind": "model", "model": "longstep-tiny"},
        "benchmark": "chain",
        "strategies": {"calls": strategy},
    }
    located = Located({"name": "x", "stages": {"s": stage}}, {})
    with pytest.raises(UserError, match="(?s)" + re.escape(sentence)):
        check(validate(Recipe, located), located)


# -- traces that teach it ----------------------------------------------------------------------------


def test_every_call_of_a_trace_has_the_answer_that_the_calculator_gives(tmp_path: Path):
    from longstep.problems import Chain

    for modulus in (10, 97):
        config = Chain(count=40, difficulty=(1, 6), modulus=modulus, calls=("<", ">"))
        plain = Chain(count=40, difficulty=(1, 6), modulus=modulus).load(0)
        for problem, same in zip(config.load(0), plain, strict=True):
            assert (problem.prompt, problem.answer) == (same.prompt, same.answer)
            assert problem.solution is not None
            found = re.findall(r"<([^>]*)>(\d+)", problem.solution)
            assert len(found) == problem.difficulty and found[-1][1] == problem.answer
            for call, value in found:
                assert Calculator().answer(call) == value
    for wrong in ({"style": "detour"}, {"verifier": "chain-steps"}, {"calls": ("", ">")}):
        with pytest.raises(ValueError, match="calls"):
            Chain.model_validate({"count": 1, "calls": ("<", ">"), **wrong})
