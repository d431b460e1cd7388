"""Answers meant to hang, crash or take over a verifier, and responses meant to earn a reward for nothing.

``hostile`` gives answers: none of them is a number that a person would write, and each must be
refused by its size or its form, never be evaluated. ``stress`` gives whole responses, none of which
states the one answer it is judged against: each must score 0. Both are plain functions of nothing
random, so that a failure names its case.
"""

from __future__ import annotations

from collections.abc import Iterator

MEGABYTE = 1_000_000


def hostile() -> dict[str, str]:
    """Give the hostile answers by name; the same 70 or so every time."""
    cases: dict[str, str] = {}
    for family in (_powers, _counts, _nested, _long, _bytes, _code):
        for name, text in family():
            assert name not in cases, name
            cases[name] = text
    return cases


def _powers() -> Iterator[tuple[str, str]]:
    yield "tower of three", "9^{9^{9}}"
    yield "tower of five", "9^{9^{9^{9^{9}}}}"
    yield "python tower", "9**9**9"
    yield "power of a power", "(9^{9999})^{9999}"
    yield "power of powers of powers", "((((9^{99})^{99})^{99})^{99})^{99}"
    yield "flat tower", "^".join(["9"] * 500)
    yield "exponent with a million digits", "2^{" + "9" * MEGABYTE + "}"
    yield "float exponent", "1e999999999"
    yield "scientific exponent", r"1\times 10^{10^{10}}"
    yield "negative tower", "9^{-9^{9^{9}}}"
    yield "polynomial to a huge power", "(x+y+z)^{99999}"
    yield "products of powers", r"\cdot".join(["99999^{99999}"] * 100)
    yield "fraction of towers", r"\frac{9^{9^{9^9}}}{9^{9^{9^9}}+1}"
    yield "root of a tower", r"\sqrt{9^{9^{9^9}}}"
    yield "root of huge degree", r"\sqrt[999999999]{7^{999999999}}"
    yield "imaginary tower", "i^{i^{i^{9^{9^9}}}}"
    yield "logarithm of a tower", r"\ln(9^{9^{9^9}})"
    yield "sine of a tower", r"\sin(9^{9^{9}})"


def _counts() -> Iterator[tuple[str, str]]:
    yield "factorial", "100000!"
    yield "factorial of a factorial", "((9!)!)!"
    yield "marks of exclamation", "9" + "!" * 200
    yield "factorial with ten digits", "9999999999!"
    yield "binomial", r"\binom{10^{9}}{5\cdot 10^{8}}"
    yield "nested binomials", r"\binom{\binom{\binom{99}{49}}{49}}{9}"
    yield "sum", r"\sum_{n=1}^{10^{9}} \frac{1}{n^{n}}"
    yield "infinite sum", r"\sum_{n=1}^{\infty} \frac{\sin(n^{n})}{n!}"
    yield "product", r"\prod_{n=1}^{10^{8}} n^{n}"
    yield "sum of sums", r"\sum_{i=1}^{9999}\sum_{j=1}^{9999}\sum_{k=1}^{9999} i^{j^{k}}"
    yield "integral", r"\int_0^{\infty} e^{-x^{x^{x}}} \sin(x^{99}) dx"
    yield "integral without bounds", r"\int \sqrt{\sin(\cos(\tan(\ln(x^{x}))))} dx"
    yield "limit", r"\lim_{n\to\infty} (1+\frac{1}{n^{n}})^{n^{n^{n}}}"
    yield "derivative", r"\frac{d^{99999}}{dx^{99999}} x^{x^{x}}"
    yield "determinant", r"\det" + _matrix(60)
    yield "matrix power", _matrix(8) + "^{999999999}"
    yield "modulus", r"9^{9^{9^{9}}} \mod 10"
    yield "primorial by dots", r"1 \cdot 2 \cdot 3 \cdots 99999999"
    yield "repeating decimal with a long period", r"0.\overline{" + "123456789" * 20_000 + "}"
    yield "big base", "Z" * 50_000 + "_{36}"


def _nested() -> Iterator[tuple[str, str]]:
    for depth in (200, 3_000):
        yield f"{depth} fractions", r"\frac{1}{1+" * depth + "1" + "}" * depth
        yield f"{depth} round brackets", "(" * depth + "1" + ")" * depth
        yield f"{depth} groups", "{" * depth + "1" + "}" * depth
        yield f"{depth} roots", r"\sqrt{1+" * depth + "1" + "}" * depth
        yield f"{depth} minus signs", "-" * depth + "(" * depth + "1" + ")" * depth
        yield f"{depth} sets", r"\{" * depth + "1" + r"\}" * depth
    yield "brackets that never close", "(" * 30_000
    yield "brackets that never open", ")" * 30_000
    yield "absolute values", "|" * 5_001 + "1" + "|" * 5_001
    yield "sines of sines", r"\sin(" * 1_000 + "x" + ")" * 1_000
    yield "boxes", r"\boxed{" * 2_000 + "1" + "}" * 2_000
    yield "left and right", r"\left(" * 2_000 + "1" + r"\right)" * 2_000


def _long() -> Iterator[tuple[str, str]]:
    numbers = ",".join(str(n) for n in range(20_000))
    yield "a list of 20,000", numbers
    yield "a set of 20,000", r"\{" + numbers + r"\}"
    yield "a tuple of 20,000", "(" + numbers + ")"
    yield "a union of 5,000", r"\cup".join(f"[{n},{n + 0.5}]" for n in range(5_000))
    yield "a sum of 20,000", "+".join(f"x_{{{n}}}" for n in range(20_000))
    yield "a chain of inequalities", "<".join(str(n) for n in range(5_000))
    yield "20 plus-minus signs", r"\pm 1" * 20
    yield "a matrix of 200 by 200", _matrix(200)
    yield "a megabyte of digits", "7" * MEGABYTE
    yield "a megabyte of letters", "x" * MEGABYTE
    yield "a megabyte of blanks", "1" + " " * MEGABYTE + "2"
    yield "a megabyte of backslashes", "\\" * MEGABYTE
    yield "a megabyte of dollar signs", "$" * MEGABYTE
    yield "a megabyte of separators", "1" + ",000" * (MEGABYTE // 4)
    yield "a megabyte of fractions", r"\frac12" * (MEGABYTE // 7)
    yield "a megabyte of text", r"\text{" + "a " * (MEGABYTE // 2) + "}"


def _bytes() -> Iterator[tuple[str, str]]:
    yield "NUL", "\x00"
    yield "NUL within digits", "1\x002"
    yield "control characters", "".join(map(chr, range(32)))
    yield "half a surrogate pair", "\ud800"
    yield "surrogates within digits", "1\udfff2"
    yield "Arabic digits", "\u0661\u0662"
    yield "full-width digits of another number", "\uff11\uff13"
    yield "superscripts", "9\u2079\u2079\u2079\u2079\u2079\u2079\u2079\u2079"
    yield "right-to-left override", "\u202e21"
    yield "zero-width blanks", "1\u200b3"
    yield "combining marks", "1" + "\u0301" * 10_000
    yield "byte order mark only", "\ufeff"
    yield "emoji", "\U0001f4af"
    yield "escape sequence", "\x1b[2J\x1b]0;owned\x07"


def _code() -> Iterator[tuple[str, str]]:
    yield "import", "__import__('os').system('true')"
    yield "class walk", "().__class__.__bases__[0].__subclasses__()"
    yield "lambda", "(lambda f: f(f))(lambda f: f(f))"
    yield "exec", "exec('while True: pass')"
    yield "print with a number", "print(12)"
    yield "comprehension", "[x for x in range(10**10)]"
    yield "sympy constructor", "Symbol('x').func(1)"
    yield "attribute of a number", "(12).__class__"
    yield "format string", "{0.__class__.__init__.__globals__}"
    yield "input", r"\input{/etc/passwd}"
    yield "write", r"\immediate\write18{true}"
    yield "definition", r"\def\x{\x\x}\x"
    yield "catcode", r"\catcode`\@=11 \loop\iftrue\repeat"
    yield "unknown commands", r"\aaaa\bbbb{\cccc}" * 500
    yield "SQL", "12'; DROP TABLE answers; --"
    yield "markup", "<script>12</script>"


def _matrix(side: int) -> str:
    row = "&".join(["x"] * side)
    return r"\begin{pmatrix}" + r"\\".join([row] * side) + r"\end{pmatrix}"


def stress(gold: str, other: str, prompt: str) -> dict[str, str]:
    """Give responses that must all score 0 against ``gold``; ``other`` is a wrong answer like it."""
    boxed = rf"\boxed{{{gold}}}"
    done = "<think>a thought</think>"
    return {
        "empty": "",
        "blanks": " \n\t\n ",
        "empty thought": "<think></think>",
        "empty thought and blanks": "<think>\n\n</think>\n\n",
        "end of the thought only": "</think>",
        "format only": "<think>step by step</think><answer></answer>",
        "empty box": rf"{done}\boxed{{}}",
        "box of blanks": rf"{done}\boxed{{ \quad }}",
        "box of a placeholder": rf"{done}\boxed{{\text{{answer}}}}",
        "box of dots": rf"{done}\boxed{{...}}",
        "box never closed": rf"{done}\boxed{{{gold}",
        "box in a code block": done + '```python\nprint("\\boxed{" + str(x) + "}")\n```',
        "copied prompt": done + prompt,
        "copied prompt without a thought": prompt * 5,
        "gold inside the thought": f"<think>It must be {boxed}.</think>I am done.",
        "gold inside the thought, nothing after": f"<think>the answer is {boxed}</think>",
        "gold inside a nested thought": f"<think>a<think>b</think>{boxed}</think>",
        "unfinished thought": f"<think>So the answer is {boxed}",
        "unfinished thought in words": f"<think>The final answer is {gold}.",
        "second thought": f"{done}{boxed}<think>But wait",
        "an empty box after the answer": rf"{done}{boxed} \boxed{{}}",
        "another box after the answer": rf"{done}{boxed} \boxed{{{other}}}",
        "a hundred boxes": done + " ".join(rf"\boxed{{{other}{n}}}" for n in range(100)),
        "hedge in one box": rf"{done}\boxed{{{gold} \text{{ or }} {other}}}",
        "hedge with the other first": rf"{done}\boxed{{{other} \text{{ or }} {gold}}}",
        "list in one box": rf"{done}\boxed{{{other}, {gold}}}",
        "two boxes in a box": rf"{done}\boxed{{\boxed{{{gold}}} \boxed{{{other}}}}}",
        "hedge in words": f"{done}The answer is {gold} or {other}.",
        "negation": rf"{done}\boxed{{\text{{not }} {gold}}}",
        "inequality": rf"{done}\boxed{{\neq {gold}}}",
        "false equation": rf"{done}\boxed{{{other} = {gold}}}",
        "false equation turned": rf"{done}\boxed{{{gold} = {other}}}",
        "approximation": rf"{done}\boxed{{\approx {gold}}}",
        "plus-minus": rf"{done}\boxed{{\pm {gold}}}",
        "division by zero": rf"{done}\boxed{{\frac{{{gold}}}{{0}}}}",
        "not a number": rf"{done}\boxed{{\text{{nan}}}}",
        "infinity": rf"{done}\boxed{{\infty}}",
        "a free variable": rf"{done}\boxed{{x}}",
        "any value": rf"{done}\boxed{{\text{{any value}}}}",
        "invisible": rf"{done}\boxed{{\phantom{{{gold}}}}}",
        "the phrase a hundred times": done + "the answer is " * 100,
        "the phrase and another": done + f"The answer is {gold}. " * 50 + f"The answer is {other}.",
    }


def choices(gold: str) -> dict[str, str]:
    """Give responses to a multiple-choice question that name more than the one option."""
    done = "<think>a thought</think>"
    return {
        "every option": rf"{done}\boxed{{A, B, C, D}}",
        "every option in brackets": rf"{done}\boxed{{(A) (B) (C) (D)}}",
        "every option at once": rf"{done}\boxed{{ABCD}}",
        "every option in words": f"{done}The answer is A, B, C or D.",
        "two options": rf"{done}\boxed{{{gold} \text{{ or }} E}}",
        "all but": rf"{done}\boxed{{\text{{not }} {gold}}}",
        "all of the above": rf"{done}\boxed{{\text{{all of the above}}}}",
        "a word that starts with it": rf"{done}\boxed{{{gold}elieve me}}",
    }
