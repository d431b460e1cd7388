r"""Pairs of answers that look like mathematics and cost as much as the bounds allow, both sides long.

Each has a label that holds by construction: the second answer is the first one written otherwise, or that plus
something that is not zero. A verifier may say that it cannot decide; it must not decide wrongly, and not work for long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

SIZES = (8, 25, 39, 60, 100)
#: Bases and exponents of powers with thousands of bits.
POWERS = ((99_991, 999), (7, 9_999), (3, 19_999), (9_999_991, 150))


class Costly(NamedTuple):
    """A pair, and whether its sides are equal."""

    name: str
    gold: str
    answer: str
    equal: bool


def costly(sizes: Sequence[int] = SIZES) -> list[Costly]:
    """Give the pairs; the same ones every time, none longer than an answer may be."""
    families = (_lists, _powers, _numbers, _divisors, _sums, _functions, _polynomials)
    pairs = [pair for family in families for size in sizes for pair in family(size)]
    return [pair for pair in pairs if max(len(pair.gold), len(pair.answer)) < 4_000]


def _lists(size: int) -> Iterator[Costly]:
    """Members without order, where every member may have to be compared with every other."""
    members: dict[str, Callable[[int], str]] = {
        "roots": lambda n: rf"\sqrt{{{n + 2}+\sqrt{{{n + 3}}}}}",
        "roots of long numbers": lambda n: rf"\sqrt{{{10**60 + 2 * n + 1}}}",
        "sines": lambda n: rf"\sin({n + 2}x)",
        "cosines": lambda n: rf"\cos(\frac{{{n + 1}\pi}}{{{2 * size + 1}}})",
        "exponentials": lambda n: rf"e^{{{n}+\sqrt{{2}}}}",
        "complex powers": lambda n: f"(1+{n}i)^{{{size}}}",
        "factorials": lambda n: f"{3_000 + n}!",
        "binomials": lambda n: rf"\binom{{{20_000 + n}}}{{{5_000 + n}}}",
        "sets": lambda n: rf"\{{{n}^{{999}},{n + 1}^{{999}},\sqrt{{{n}}}\}}",
        "logarithms": lambda n: rf"\ln({7**60 + 2 * n + 1})",
    }
    for name, member in members.items():
        parts = [member(n) for n in range(size)]
        turned = ", ".join(reversed(parts))
        yield Costly(f"{size} {name}", ", ".join(parts), turned, True)
        yield Costly(f"{size} {name}, one changed", ", ".join(parts), turned + "+1", False)


def _powers(size: int) -> Iterator[Costly]:
    for base, exponent in POWERS:
        powers = [f"{base + 2 * n}^{{{exponent - n}}}" for n in range(size)]
        turned = powers[::-1]
        ratios = [rf"\frac{{{a}}}{{{b}}}" for a, b in zip(powers, turned, strict=True)]
        name = f"{size} powers of {base}"
        yield from _both(f"sum of {name}", "+".join(powers), "+".join(turned))
        yield from _both(f"product of {name}", r"\cdot ".join(powers), r"\cdot ".join(turned))
        yield from _both(f"sum of ratios of {name}", "+".join(ratios), "+".join(reversed(ratios)))
        yield Costly(f"list of {name}", _listed(powers), _listed(turned), True)
        yield Costly(f"list of ratios of {name}", _listed(ratios), _listed(ratios[::-1]), True)
        yield Costly(
            f"list of {name} and x", _listed(p + "+x" for p in powers), _listed(turned), False
        )
        yield Costly(f"column of {name}", _column(ratios), _column(r + "+0" for r in ratios), True)
        union, other = (r"\cup ".join(f"[{p},{p}+1]" for p in each) for each in (powers, turned))
        yield Costly(f"union of {name}", union, other, True)
        short, long = (_listed(p + unit for p in powers) for unit in (r"\text{ cm}", r"\text{ m}"))
        yield Costly(f"amounts of {name}", short, long, False)


def _numbers(size: int) -> Iterator[Costly]:
    for name, term in (
        ("factorials", lambda n: f"{3_000 + n}!"),
        ("ratios of factorials", lambda n: rf"\frac{{{3_000 + n}!}}{{{2_990 - n}!}}"),
        ("binomials", lambda n: rf"\binom{{{20_000 + n}}}{{{5_000 + n}}}"),
        ("tiny decimals", lambda n: f"1e-{9_000 + n}"),
        ("unit fractions", lambda n: rf"\frac{{1}}{{{n + 1}}}"),
    ):
        terms = [term(n) for n in range(size)]
        yield from _both(f"sum of {size} {name}", "+".join(terms), "+".join(reversed(terms)))
        yield from _both(
            f"product of {size} {name}", r"\cdot ".join(terms), r"\cdot ".join(reversed(terms))
        )


def _divisors(size: int) -> Iterator[Costly]:
    powers = [f"{9_973 + 2 * n}^{{2500}}" for n in range(size)]
    for name in ("lcm", "gcd", "max"):
        call = rf"\operatorname{{{name}}}({_listed(powers)})"
        yield Costly(f"{name} of {size} powers", "6", call, False)


def _sums(size: int) -> Iterator[Costly]:
    """Sums of roots, nested and not."""
    nested = "1"
    for n in range(min(size, 39)):
        nested = rf"\sqrt{{{n + 2}+{nested}}}"
    yield from _both(f"{min(size, 39)} nested roots", nested, f"0.5+{nested}-1/2")
    roots = "+".join(rf"\sqrt{{{n * n + 1}}}" for n in range(1, size))
    yield from _both(f"square of {size} roots", f"({roots})^2", f"({roots})({roots})")
    yield from _both(f"power of {size} roots", f"({roots})^{{20}}", f"({roots})^{{19}}({roots})")
    yield from _both(f"root of {size} roots", rf"\sqrt{{{roots}}}", rf"\sqrt{{1+{roots}-1}}")
    higher = "+".join(rf"\sqrt[{n + 2}]{{{n + 3}}}" for n in range(size))
    yield from _both(f"{size} higher roots", higher, f"({higher})^3/({higher})^2")


def _functions(size: int) -> Iterator[Costly]:
    ones = range(1, size + 1)
    sines = (
        "+".join(rf"\sin({n})" for n in ones),
        "+".join(rf"2\sin({n}/2)\cos({n}/2)" for n in ones),
    )
    yield from _both(f"{size} sines", *sines)
    arcs = (
        "+".join(rf"\arctan({n})" for n in ones),
        "+".join(rf"(\frac{{\pi}}{{2}}-\arctan(1/{n}))" for n in ones),
    )
    yield from _both(f"{size} arcs", *arcs)
    logs = (
        "+".join(rf"\ln({n}+\sqrt{{2}})" for n in ones),
        r"\ln(" + "".join(rf"({n}+\sqrt{{2}})" for n in ones) + ")",
    )
    yield from _both(f"{size} logarithms", *logs)
    cosines = "+".join(rf"\cos(\frac{{{2 * n - 1}\pi}}{{{2 * size + 1}}})" for n in ones)
    yield from _both(f"{size} cosines", cosines, r"\frac{1}{2}")
    yield Costly(f"{size} sines and a tiny number", sines[0], sines[0] + "+1/10^{5000}", False)
    yield Costly(
        f"an angle of {size} factorials", rf"\exp(\frac{{{2_500 + size}!}}{{i}})", "0.5", False
    )


def _polynomials(size: int) -> Iterator[Costly]:
    letters = "abcdfghjklmnpqrstuvwxyz"
    total = "+".join(letters[n % len(letters)] for n in range(size))
    for power in (2, 3, 5, 20, 64):
        yield from _both(
            f"{size} letters to the power {power}",
            f"({total})^{{{power}}}",
            f"({total})^{{{power}}}+a-a",
        )
    terms = "+".join(f"{n + 1}x^{{{n}}}" for n in range(size))
    yield from _both(f"cube of {size} terms", f"({terms})({terms})({terms})", f"({terms})^3")
    yield from _both(
        f"ratio of {size} terms",
        rf"\frac{{{terms}}}{{1+{terms}}}",
        rf"\frac{{2({terms})}}{{2+2({terms})}}",
    )
    partial = [rf"\frac{{1}}{{x+{n + 1}}}" for n in range(size)]
    yield from _both(f"{size} partial fractions", "+".join(partial), "+".join(reversed(partial)))
    signs = ", ".join(f"|x-{n}|" for n in range(size))
    yield Costly(
        f"{size} absolute values", signs, ", ".join(f"|{n}-x|" for n in reversed(range(size))), True
    )


def _both(name: str, gold: str, answer: str) -> Iterator[Costly]:
    """Give the pair, and the pair that differs by a thousandth."""
    yield Costly(name, gold, answer, True)
    yield Costly(f"{name}, and a thousandth", gold, answer + "+0.001", False)


def _listed(members: Sequence[str] | Iterator[str]) -> str:
    return ", ".join(members)


def _column(members: Sequence[str] | Iterator[str]) -> str:
    return r"\begin{pmatrix}" + r"\\".join(members) + r"\end{pmatrix}"
