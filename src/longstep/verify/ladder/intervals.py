r"""Rung 3, numeric half: enclosures at any precision. Disjoint enclosures prove that two values differ.

A value is a rectangle of the complex plane, two intervals of ``mpmath.libmp``, whose functions take the precision
as an argument; what they keep is a cache of constants (pi, ln 2), which no lock guards.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from longstep.verify.ladder.algebra import binomial, whole_factorial
from longstep.verify.ladder.allowance import charge
from longstep.verify.ladder.node import Node, TooLarge, Unreadable
from longstep.verify.ladder.units import DEGREE, PERCENT

#: An argument of exp larger than this is refused.
MAX_EXPONENT = 20_000
#: So is an angle.
MAX_ANGLE = 1 << 40

Interval = tuple[Any, Any]  # mpmath's raw lower and upper end
Box = tuple[Interval, Interval]  # real and imaginary part


#: Calls over a variable of their own.
_BINDERS = ("sum", "product", "integral", "limit")


class Undefined(Unreadable):
    """No value here: a division by zero, a logarithm of zero, a function outside of its reals."""


def apart(left: Box, right: Box) -> bool:
    """Tell whether two enclosures have no point in common."""
    from mpmath import libmp

    return any(
        libmp.mpf_lt(a[1], b[0]) or libmp.mpf_lt(b[1], a[0])
        for a, b in zip(left, right, strict=True)
    )


def between(low: Box, value: Box, high: Box) -> bool:
    """Tell whether a real value may lie between two others, ends included."""
    from mpmath import libmp

    return bool(libmp.mpf_le(low[0][0], value[0][1]) and libmp.mpf_le(value[0][0], high[0][1]))


def has_size(part: Interval) -> bool:
    """Tell whether an imaginary part is more than zero."""
    from mpmath import libmp

    return part != (libmp.fzero, libmp.fzero)


def middle(low: Any, high: Any) -> Fraction:
    """Give the rational number between two raw ends."""
    from mpmath import libmp

    ends = [Fraction(*map(int, libmp.to_rational(end))) for end in (low, high)]
    return (ends[0] + ends[1]) / 2


def overlap_bits(left: Box, right: Box) -> int:
    """Give k such that the values differ by less than 2^-k, seen from enclosures that overlap."""
    from mpmath import libmp

    widest = None
    for a, b in zip(left, right, strict=True):
        for low, high in (a, b):
            width = libmp.mpf_sub(high, low)
            if width == libmp.fzero:
                continue
            if width in (libmp.finf, libmp.fnan):
                return 0
            size = width[2] + width[3]
            widest = size if widest is None else max(widest, size)
    return 1 << 30 if widest is None else -widest - 2


class Evaluator:
    """Encloses expressions at one precision and one point.

    Attributes:
        scale: largest |log2| of an intermediate value; what is smaller than 2^-scale of another may be lost.
    """

    def __init__(self, bits: int, values: Mapping[str, Fraction]) -> None:
        """Fix the working precision in bits, and the values of the variables."""
        from mpmath import libmp

        self.lib, self.bits, self.values = libmp, bits, values
        self.cost = 2 + (bits >> 9) ** 2 // 5  # units of a sum, product or quotient
        self.function_cost = 10 + bits * bits // 20_000
        self.scale = 0
        self.zero: Interval = (libmp.fzero, libmp.fzero)
        self.one: Interval = (libmp.fone, libmp.fone)

    def rational(self, value: Fraction) -> Box:
        """Enclose a rational number."""
        low = self.lib.from_rational(value.numerator, value.denominator, self.bits, "f")
        high = self.lib.from_rational(value.numerator, value.denominator, self.bits, "c")
        return (low, high), self.zero

    def box(self, node: Node) -> Box:
        """Enclose the value of an expression.

        Raises:
            Undefined: it has no value there, or none that this precision shows.
            TooLarge: an exponent beyond ``MAX_EXPONENT``.
            Unreadable: it is no expression, or holds a function without an enclosure.
        """
        out = self.visit(node)
        for low, high in out:
            if self.sign((low, high)):
                self.scale = max(self.scale, abs(high[2] + high[3]))
            if (
                self.lib.fnan in (low, high)
                or self.lib.finf in (low, high)
                or self.lib.fninf in (low, high)
            ):
                raise Undefined("infinite")
        return out

    def visit(self, node: Node) -> Box:
        """Enclose one node over enclosed arguments."""
        charge(self.cost)
        if node.op == "call" and str(node.value).startswith(_BINDERS):
            raise Unreadable(f"a {node.value} that is not calculated here")
        args = [self.box(each) for each in node.args]
        match node.op:
            case "num":
                assert isinstance(node.value, Fraction)
                return self.rational(node.value)
            case "var":
                if node.value not in self.values:
                    raise Unreadable(f"no value for {node.value}")
                return self.rational(self.values[str(node.value)])
            case "const":
                return self.constant(str(node.value))
            case "neg":
                return self.lib.mpci_neg(args[0], self.bits)
            case "add":
                return self.fold(self.lib.mpci_add, args)
            case "mul":
                return self.fold(self.times, args)
            case "div":
                return self.divide(args[0], args[1])
            case "pow":
                return self.power(args[0], args[1], node.args[1])
            case "unit":
                return self.sized(args[0], node)
            case "call":
                return self.call(str(node.value), args, node)
        raise Unreadable(f"a {node.op} inside of an expression")

    def fold(self, operation: Any, args: list[Box]) -> Box:
        """Apply an operation from left to right."""
        out = args[0]
        for each in args[1:]:
            out = operation(out, each, self.bits)
        return out

    def times(self, left: Box, right: Box, bits: int) -> Box:
        """Multiply; twice as fast for reals."""
        if left[1] == right[1] == self.zero:
            return self.lib.mpi_mul(left[0], right[0], bits), self.zero
        return self.lib.mpci_mul(left, right, bits)

    def constant(self, name: str) -> Box:
        """Enclose i, pi or e."""
        if name == "i":
            return self.zero, self.one
        if name == "infinity":
            raise Unreadable("infinity inside of an expression")
        if name == "pi":
            low, high = self.lib.mpf_pi(self.bits, "f"), self.lib.mpf_pi(self.bits, "c")
            return (low, high), self.zero
        return self.lib.mpi_exp(self.one, self.bits), self.zero

    def sized(self, box: Box, node: Node) -> Box:
        """Apply a percent or degree sign."""
        if node.unit == PERCENT:
            return self.times(box, self.rational(Fraction(1, 100)), self.bits)
        if node.unit == DEGREE:
            turned = self.times(box, self.constant("pi"), self.bits)
            return self.times(turned, self.rational(Fraction(1, 180)), self.bits)
        raise Unreadable("a unit inside of an expression")

    def divide(self, left: Box, right: Box) -> Box:
        """Divide by what is surely not zero."""
        if self.has_zero(right):
            raise Undefined("a division by zero")
        if left[1] == right[1] == self.zero:
            return self.lib.mpi_div(left[0], right[0], self.bits), self.zero
        return self.lib.mpci_div(left, right, self.bits)

    def has_zero(self, box: Box) -> bool:
        """Tell whether zero may be the value."""
        return all(self.sign(part) == 0 for part in box)

    def sign(self, part: Interval) -> int:
        """Give 1 or -1 for an interval on one side of zero, else 0."""
        low, high = self.lib.mpf_sign(part[0]), self.lib.mpf_sign(part[1])
        return low if low == high else 0

    def power(self, base: Box, exponent: Box, node: Node) -> Box:
        """Raise to a whole, a rational or any other power."""
        value = node.value if node.op == "num" else None
        if node.op == "neg" and node.args[0].op == "num":
            value = -Fraction(node.args[0].value)
        if isinstance(value, Fraction) and value.denominator == 1:
            return self.whole_power(base, int(value))
        if exponent[1] == self.zero and node.op == "div" and all(a.op == "num" for a in node.args):
            ratio = Fraction(node.args[0].value) / Fraction(node.args[1].value)
            return self.whole_power(self.root(base, ratio.denominator), ratio.numerator)
        return self.exp(self.times(exponent, self.log(base), self.bits))

    def whole_power(self, base: Box, exponent: int) -> Box:
        """Raise to a whole power."""
        if abs(exponent) > MAX_EXPONENT:
            raise TooLarge("a power too large to evaluate")
        charge(self.cost * exponent.bit_length())
        if exponent == 0 and self.has_zero(base):
            raise Undefined("zero to the power zero")
        if exponent < 0:
            return self.divide((self.one, self.zero), self.whole_power(base, -exponent))
        if base[1] == self.zero:
            return self.lib.mpi_pow_int(base[0], exponent, self.bits), self.zero
        out: Box = (self.one, self.zero)
        for digit in bin(exponent)[2:]:
            out = self.times(out, out, self.bits)
            out = self.times(out, base, self.bits) if digit == "1" else out
        return out

    def root(self, base: Box, index: int) -> Box:
        """Take the real root where there is one, else the principal square root."""
        if index == 1:
            return base
        if base[1] != self.zero:
            return self.exp(self.divide(self.log(base), self.rational(Fraction(index))))
        if base[0] == self.zero:
            return base
        sign = self.sign(base[0])
        if sign == 0:
            raise Undefined("a root of what may be zero")
        size = base[0] if sign > 0 else self.lib.mpi_neg(base[0], self.bits)
        if index == 2:
            charge(5 + self.cost)
            out = self.lib.mpi_sqrt(size, self.bits)
        else:
            charge(2 * self.function_cost)
            logarithm = self.lib.mpi_log(size, self.bits)
            whole = self.rational(Fraction(index))[0]
            out = self.lib.mpi_exp(self.lib.mpi_div(logarithm, whole, self.bits), self.bits)
        if sign > 0:
            return out, self.zero
        if index == 2:
            return self.zero, out
        if index % 2:
            return self.lib.mpi_neg(out, self.bits), self.zero
        raise Undefined("an even root of a negative number")

    def log(self, box: Box) -> Box:
        """Take the principal logarithm, off its cut."""
        charge(self.function_cost if box[1] == self.zero else 2 * self.function_cost)
        if box[1] == self.zero and self.sign(box[0]) > 0:
            return self.lib.mpi_log(box[0], self.bits), self.zero
        if box[1] == self.zero and self.sign(box[0]) < 0:
            size = self.lib.mpi_neg(box[0], self.bits)
            return self.lib.mpi_log(size, self.bits), self.constant("pi")[0]
        if self.has_zero(box) or (self.sign(box[1]) == 0 and self.sign(box[0]) <= 0):
            raise Undefined("a logarithm on its cut")
        return self.lib.mpci_log(box, self.bits)

    def exp(self, box: Box) -> Box:
        """Take the exponential of a bounded argument."""
        charge(self.function_cost if box[1] == self.zero else 2 * self.function_cost)
        self.bound(box[0], MAX_EXPONENT, "a power too large to evaluate")
        if box[1] == self.zero:
            return self.lib.mpi_exp(box[0], self.bits), self.zero
        self.bound(box[1], MAX_ANGLE, "an angle that large")
        return self.lib.mpci_exp(box, self.bits)

    def bound(self, part: Interval, limit: int, what: str) -> None:
        """Refuse what is too large: the work on it would grow with its size, whatever the precision."""
        if self.lib.mpf_gt(self.lib.mpi_abs(part, self.bits)[1], self.lib.from_int(limit)):
            raise TooLarge(what)

    def call(self, name: str, args: list[Box], node: Node) -> Box:
        """Apply a function."""
        first, real = args[0], args[0][1] == self.zero
        if name == "root":
            index = node.args[1].value
            if (
                not isinstance(index, Fraction)
                or index.denominator != 1
                or not 1 <= index <= 1_000_000
            ):
                raise Unreadable("a root whose index is no natural number")
            return self.root(first, int(index))
        if name == "ln":
            if real and self.sign(first[0]) < 0:
                raise Undefined("a logarithm of a negative number")
            return self.log(first)
        if name == "exp":
            return self.exp(first)
        if name in ("factorial", "binomial"):
            return self.count(name, args)
        if not real:
            if name == "abs":
                return self.lib.mpci_abs(first, self.bits), self.zero
            raise Undefined(f"{name} outside of the reals")
        return self.real(name, first[0]), self.zero

    def count(self, name: str, args: list[Box]) -> Box:
        """Evaluate a factorial or binomial coefficient, where the arguments are exactly whole numbers."""
        numbers = []
        for real, imaginary in args:
            if imaginary != self.zero or real[0] != real[1]:
                raise Undefined(f"{name} of no whole number")
            over, under = self.lib.to_rational(real[0])
            numbers.append(Fraction(int(over), int(under)))
        try:
            value = whole_factorial(numbers[0]) if name == "factorial" else binomial(*numbers)
        except Unreadable as error:
            raise Undefined(str(error)) from None
        return self.rational(value)

    def real(self, name: str, x: Interval) -> Interval:
        """Apply a function of one real argument."""
        lib, bits = self.lib, self.bits
        if name in ("sin", "cos", "arctan", "arcsin", "arccos"):
            charge(self.function_cost)
        if name in ("sin", "cos"):
            self.bound(x, MAX_ANGLE, "an angle that large")
            return lib.mpi_sin(x, bits) if name == "sin" else lib.mpi_cos(x, bits)
        if name in ("tan", "cot", "sec", "csc"):
            sine, cosine = self.real("sin", x), self.real("cos", x)
            over, under = {
                "tan": (sine, cosine),
                "cot": (cosine, sine),
                "sec": (self.one, cosine),
                "csc": (self.one, sine),
            }[name]
            return self.divide((over, self.zero), (under, self.zero))[0]
        if name == "arctan":
            return lib.mpi_atan(x, bits)
        if name in ("arcsin", "arccos"):
            return self.arc(name, x)
        if name == "abs":
            return lib.mpi_abs(x, bits)
        if name in ("floor", "ceil"):
            ends = [(lib.mpf_floor if name == "floor" else lib.mpf_ceil)(end) for end in x]
            if ends[0] != ends[1]:
                raise Undefined("a step at what may be a whole number")
            return ends[0], ends[1]
        if name in ("sinh", "cosh", "tanh"):
            up = self.exp((x, self.zero))[0]
            down = self.exp((lib.mpi_neg(x, bits), self.zero))[0]
            half = self.rational(Fraction(1, 2))[0]
            sinh = lib.mpi_mul(half, lib.mpi_sub(up, down, bits), bits)
            cosh = lib.mpi_mul(half, lib.mpi_add(up, down, bits), bits)
            return {"sinh": sinh, "cosh": cosh}.get(name) or lib.mpi_div(sinh, cosh, bits)
        raise Unreadable(f"no enclosure of {name}")

    def arc(self, name: str, x: Interval) -> Interval:
        """Give arcsin x = atan2(x, sqrt(1 - x^2)) and arccos x = atan2(sqrt(1 - x^2), x), ends included."""
        lib, bits = self.lib, self.bits
        rest = lib.mpi_sub(self.one, lib.mpi_mul(x, x, bits), bits)
        if lib.mpf_sign(rest[1]) < 0:
            raise Undefined(f"{name} of a number beyond one")
        rest = (rest[0] if lib.mpf_sign(rest[0]) > 0 else lib.fzero, rest[1])
        other = lib.mpi_sqrt(rest, bits)
        return lib.mpi_atan2(x, other, bits) if name == "arcsin" else lib.mpi_atan2(other, x, bits)
