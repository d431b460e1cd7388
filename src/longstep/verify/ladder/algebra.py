r"""Rung 3, exact half: one normal form for closed and open expressions, with rational coefficients.

An expression becomes a quotient of two sums of monomials. A monomial is a product of powers of
*atoms*: variables, pi, e, i, primes under fractional exponents, logarithms of primes, and whatever
is not opened further (a sine, the root of a sum), named by its own normal form. Two quotients are
equal when their cross products are.

Distinct products of fractional powers of primes are linearly independent over the rationals
(A. S. Besicovitch, *On the linear independence of fractional powers of integers*, 1940), so that
where ``Form.complete`` holds an inequality of normal forms is a proof too.

All work is counted (``Work``): the same input is refused on every machine, however fast it is.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import comb, factorial, gcd, lgamma, log, log2

from longstep.verify.ladder.allowance import MAX_BITS, charge, weight
from longstep.verify.ladder.node import TooLarge, Unreadable
from longstep.verify.ladder.poly import ONE, Form, Monomial, Poly, Sum

MAX_WORK = 9_000  # units of one normal form; ``allowance`` has those of a pair
MAX_POWER = 64  # of a sum
_TRIAL = 2_000  # primes below this are split off


def equal(left: Form, right: Form) -> bool:
    """Compare cross products."""
    work = Work()
    if left.under == right.under:
        return left.over == right.over
    return work.times(left.over, right.under) == work.times(right.over, left.under)


def ratio(left: Form, right: Form) -> Fraction | None:
    """Give the rational number that ``left`` is of ``right``, if it is one; both are not zero."""
    work = Work()
    over, under = work.times(left.over, right.under), work.times(right.over, left.under)
    if over.keys() != under.keys() or not over:
        return None
    ratios = {over[each] / under[each] for each in over}
    return ratios.pop() if len(ratios) == 1 else None


def text(poly: Poly) -> str:
    """Give the sum as text, the same for equal sums; hexadecimal, which Python converts at any length."""
    out = "+".join(
        f"{value.numerator:x}/{value.denominator:x}"
        + "".join(f"*{atom}^{power}" for atom, power in key)
        for key, value in sorted(poly.items())
    )
    charge(len(poly) + (len(out) >> 6))
    return out


@cache
def primes(below: int = _TRIAL) -> tuple[int, ...]:
    """Give the primes below a bound."""
    return tuple(n for n in range(2, below) if all(n % d for d in range(2, int(n**0.5) + 1)))


def factor(number: int) -> dict[int, int]:
    """Split a positive integer into primes; what has no small one stays whole.

    A whole rest below ``_TRIAL`` squared is prime; a larger one may be a product, and then its root is
    not broken up. ``Form.complete`` says so.
    """
    factors: dict[int, int] = {}
    if number.bit_length() > 4_000:
        raise TooLarge("a root of a number that long")
    for prime in primes():
        if prime * prime > number:
            break
        while number % prime == 0:
            factors[prime] = factors.get(prime, 0) + 1
            number //= prime
    if number > 1:
        factors[number] = factors.get(number, 0) + 1
    return factors


class Work:
    """One computation, with a count of what it did."""

    def __init__(self) -> None:
        self.left = MAX_WORK
        self.complete = True

    def spend(self, amount: int) -> None:
        """Count an amount of work; ``TooLarge`` when there is none left, here or for the pair."""
        charge(amount)
        self.left -= amount
        if self.left < 0:
            raise TooLarge("more operations than are allowed")

    # sums -------------------------------------------------------------------------------------

    def plus(self, left: Poly, right: Poly) -> Poly:
        """Add two sums."""
        self.spend(len(left) + len(right) + _weight(left) + _weight(right))
        out = dict(left)
        for key, value in right.items():
            total = out.get(key, 0) + value
            if total:
                out[key] = total
            else:
                del out[key]
        return out

    def times(self, left: Poly, right: Poly) -> Poly:
        """Multiply two sums."""
        atoms = max(map(len, left), default=0) + max(map(len, right), default=0)
        self.spend(len(left) * len(right) * (2 + atoms // 4 + _weight(left) + _weight(right)))
        if left.keys() <= {ONE} and right.keys() <= {ONE}:
            value = left.get(ONE, 0) * right.get(ONE, 0)
            return {ONE: Fraction(value)} if value else {}
        out: Poly = {}
        for one, a in left.items():
            for two, b in right.items():
                key, value, sums = self.join(one, two)
                value = value * a * b
                if sums is None:
                    total = out.get(key, 0) + value
                    if total:
                        out[key] = total
                    else:
                        out.pop(key, None)
                else:
                    out = self.plus(out, self.times({key: value}, sums))
        return out

    def join(self, one: Monomial, two: Monomial) -> tuple[Monomial, Fraction, Poly | None]:
        """Multiply two monomials: a monomial, a number, and a sum whose root was completed."""
        if not one or not two:
            return one or two, Fraction(1), None
        powers = dict(one)
        for atom, power in two:
            powers[atom] = powers.get(atom, 0) + power
        return self.tidy(powers)

    def tidy(self, powers: dict[str, Fraction]) -> tuple[Monomial, Fraction, Poly | None]:
        """Bring exponents of primes into [0, 1), of i into {0, 1}; open completed roots of sums."""
        value, sums, kept = Fraction(1), None, []
        for atom, power in powers.items():
            if atom[0] == "#":  # a prime
                whole = power.numerator // power.denominator
                if whole:
                    value *= power_of(Fraction(int(atom[1:])), whole)
                    power -= whole
            elif atom == "i":
                turns = int(power) % 4
                value = -value if turns >= 2 else value
                power = Fraction(turns % 2)
            elif isinstance(atom, Sum) and power >= 1:
                whole = power.numerator // power.denominator
                opened = self.power(atom.poly, whole)
                sums = opened if sums is None else self.times(sums, opened)
                power -= whole
            elif atom[0] == "|" and power.denominator == 1 and power % 2 == 0 and power:
                kept.append((atom[1:], power))  # |x|^2 is x^2
                continue
            if power:
                kept.append((atom, power))
        names = [atom for atom, _ in kept]
        if len(set(names)) != len(names):  # |x|^2 * x
            merged: dict[str, Fraction] = {}
            for atom, power in kept:
                merged[atom] = merged.get(atom, Fraction(0)) + power
            kept = [(atom, power) for atom, power in merged.items() if power]
        return tuple(sorted(kept)), value, sums

    def power(self, poly: Poly, exponent: int) -> Poly:
        """Raise a sum to a natural power."""
        if len(poly) > 1 and exponent > MAX_POWER:
            raise TooLarge(f"a sum to the power {exponent}")
        out: Poly = {ONE: Fraction(1)}
        square = poly
        while exponent:
            if exponent & 1:
                out = self.times(out, square)
            exponent >>= 1
            if exponent:
                square = self.times(square, square)
        return out

    # quotients --------------------------------------------------------------------------------

    def quotient(self, over: Poly, under: Poly) -> Form:
        """Fold a denominator of one term into the numerator."""
        if not under:
            raise Unreadable("a division by zero")
        if len(under) == 1:
            ((key, value),) = under.items()
            inverse, by, sums = self.tidy({atom: -power for atom, power in key})
            if sums is None:
                return Form(self.times(over, {inverse: by / value}), {ONE: Fraction(1)})
        return Form(over, under)

    def add(self, left: Form, right: Form) -> Form:
        """Add two quotients."""
        if left.under == right.under:
            return Form(self.plus(left.over, right.over), left.under)
        over = self.plus(self.times(left.over, right.under), self.times(right.over, left.under))
        return self.quotient(over, self.times(left.under, right.under))

    def multiply(self, left: Form, right: Form) -> Form:
        """Multiply two quotients."""
        return self.quotient(self.times(left.over, right.over), self.times(left.under, right.under))

    def divide(self, left: Form, right: Form) -> Form:
        """Divide two quotients."""
        return self.quotient(self.times(left.over, right.under), self.times(left.under, right.over))


def rational(value: Fraction) -> Form:
    """Give the form of a rational number."""
    return Form({ONE: value} if value else {}, {ONE: Fraction(1)})


def atom(name: str, power: Fraction = Fraction(1)) -> Form:
    """Give the form of one atom."""
    return Form({((name, power),): Fraction(1)}, {ONE: Fraction(1)})


def power_of(value: Fraction, exponent: int) -> Fraction:
    """Raise a rational number, if the result is not too long.

    Raises:
        TooLarge: it has more than ``MAX_BITS`` bits.
    """
    if exponent < 0 and value == 0:
        raise Unreadable("a division by zero")
    if abs(value) in (0, 1):
        return value**exponent
    size = log2(max(abs(value.numerator), value.denominator))
    if abs(exponent) > MAX_BITS or size * abs(exponent) > MAX_BITS:
        raise TooLarge("a power too large to evaluate")
    charge(weight(int(size * abs(exponent))))
    return value**exponent


def whole_factorial(number: Fraction) -> Fraction:
    """Give n!, if it has at most ``MAX_BITS`` bits (n up to 3,824)."""
    if number.denominator != 1 or number < 0:
        raise Unreadable("a factorial of no natural number")
    if number > MAX_BITS or _bits_of_factorial(number) > MAX_BITS:
        raise TooLarge("a factorial too large to evaluate")
    charge(1 + weight(int(_bits_of_factorial(number))))
    return Fraction(factorial(int(number)))


def binomial(over: Fraction, under: Fraction) -> Fraction:
    """Give a binomial coefficient, if it has at most ``MAX_BITS`` bits."""
    if over.denominator != 1 or under.denominator != 1 or over < 0 or under < 0:
        raise Unreadable("a binomial coefficient of no natural numbers")
    if under > over:
        return Fraction(0)
    parts = (under, over - under)
    bits = _bits_of_factorial(over) - sum(map(_bits_of_factorial, parts)) if over <= 10**12 else 0
    if over > 10**12 or bits > MAX_BITS:
        raise TooLarge("a binomial coefficient too large to evaluate")
    charge(1 + int(min(parts) * bits) // 80_000)
    return Fraction(comb(int(over), int(under)))


def _bits_of_factorial(number: Fraction) -> float:
    return lgamma(number + 1) / log(2)


def content(poly: Poly) -> Fraction:
    """Give the greatest positive rational that leaves whole coefficients without a common divisor."""
    over, under = 0, 1
    for value in poly.values():
        over = gcd(over, value.numerator)
        under = under * value.denominator // gcd(under, value.denominator)
    return Fraction(over, under)


def _weight(poly: Poly) -> int:
    """Cost of one multiplication with the longest number in it, in units of a short one."""
    bits = max(
        (v.numerator.bit_length() + v.denominator.bit_length() for v in poly.values()), default=0
    )
    return weight(bits)
