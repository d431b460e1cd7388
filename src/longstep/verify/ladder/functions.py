r"""Powers, roots, logarithms and trigonometry of normal forms; what has no exact form becomes an atom.

Roots of positive numbers are real, an odd root of a negative number is the real one, an even root of
a negative number is imaginary. Angles that are multiples of 15 or 18 degrees have exact values.
"""

from __future__ import annotations

from fractions import Fraction

from longstep.verify.ladder import several
from longstep.verify.ladder.algebra import (
    Work,
    atom,
    binomial,
    content,
    factor,
    power_of,
    rational,
    text,
    whole_factorial,
)
from longstep.verify.ladder.node import TooLarge, Unreadable
from longstep.verify.ladder.poly import ONE, Form, Sum
from longstep.verify.ladder.units import DEGREE, PERCENT, Unit

_PI = (("pi", Fraction(1)),)


def constant(name: str, work: Work) -> Form:
    """Give pi, e or i; infinity is no number."""
    if name == "infinity":
        raise Unreadable("infinity inside of an expression")
    return atom(name)


def sized(form: Form, unit: Unit | None, work: Work) -> Form:
    """Apply a percent or degree sign; other units have no place inside of an expression."""
    if unit == PERCENT:
        return work.multiply(form, rational(Fraction(1, 100)))
    if unit == DEGREE:
        return work.multiply(form, Form({_PI: Fraction(1, 180)}, {ONE: Fraction(1)}))
    raise Unreadable("a unit inside of an expression")


def opaque(name: str, forms: list[Form], work: Work) -> Form:
    """Make an atom of a call that is not opened; equal arguments give the same atom."""
    work.complete = False
    inner = ";".join(f"{text(form.over)}/{text(form.under)}" for form in forms)
    if len(inner) > 20_000:
        raise TooLarge("a function of something that long")
    return atom(f"{name}[{inner}]")


def raised(base: Form, exponent: Form, work: Work) -> Form:
    """Give base to the exponent."""
    power = exponent.constant
    if power is None:
        return _exponential(base, exponent, work)
    if power.denominator == 1:
        return _whole_power(base, int(power), work)
    return root_power(base, power, work)


def _whole_power(base: Form, power: int, work: Work) -> Form:
    value = base.constant
    if value is not None:
        if value == 0 and power == 0:
            raise Unreadable("zero to the power zero")
        return rational(power_of(value, power))
    over, under = (base.over, base.under) if power >= 0 else (base.under, base.over)
    if not under:
        raise Unreadable("a division by zero")
    if abs(power) > 10_000:
        raise TooLarge("a power too large to evaluate")
    return work.quotient(work.power(over, abs(power)), work.power(under, abs(power)))


def root_power(base: Form, power: Fraction, work: Work) -> Form:
    """Give base to a fractional power: monomials atom by atom, the root of a sum as one atom."""
    if not base.over:
        if power < 0:
            raise Unreadable("a division by zero")
        return base
    if max(abs(power.numerator), power.denominator) > 1_000_000:
        raise Unreadable("a fractional power that large")
    top = _root_of_sum(base.over, power, work)
    if base.under == {ONE: 1}:
        return top
    return work.divide(top, _root_of_sum(base.under, power, work))


def _root_of_sum(poly: dict, power: Fraction, work: Work) -> Form:
    value = content(poly)
    if len(poly) == 1:
        ((key, coefficient),) = poly.items()
        out = _root_of_number(abs(coefficient), power, work)
        if coefficient < 0:
            out = work.multiply(out, _root_of_minus_one(power))
        return work.multiply(out, _root_of_monomial(key, power, work))
    rest = {key: each / value for key, each in poly.items()}
    work.complete = False
    name = Sum(f"({text(rest)})")
    name.poly = rest
    key, by, sums = work.tidy({name: power})
    form = Form({key: by}, {ONE: Fraction(1)})
    if sums is not None:
        form = Form(work.times(form.over, sums), form.under)
    return work.multiply(_root_of_number(value, power, work), form)


def _root_of_number(value: Fraction, power: Fraction, work: Work) -> Form:
    powers: dict[str, Fraction] = {}
    for part, sign in ((value.numerator, 1), (value.denominator, -1)):
        for prime, count in factor(part).items():
            if prime > 4_000_000 and count == 1:
                work.complete = False  # perhaps a product of large primes
            powers[f"#{prime}"] = powers.get(f"#{prime}", Fraction(0)) + sign * count * power
    key, by, _ = work.tidy(powers)
    return Form({key: by}, {ONE: Fraction(1)})


def _root_of_minus_one(power: Fraction) -> Form:
    if power.denominator % 2:  # the real root
        return rational(Fraction(-1 if power.numerator % 2 else 1))
    if power.denominator == 2:
        sign = Fraction(1 if power.numerator % 4 == 1 else -1)
        return Form({(("i", Fraction(1)),): sign}, {ONE: Fraction(1)})
    raise Unreadable("a higher root of a negative number")


def _root_of_monomial(key: tuple, power: Fraction, work: Work) -> Form:
    powers: dict[str, Fraction] = {}
    for name, exponent in key:
        if name == "i":
            raise Unreadable("a root of an imaginary number")
        variable = not name.startswith("#") and name not in ("pi", "e")
        if (
            variable
            and power.denominator % 2 == 0
            and exponent % 2 == 0
            and not isinstance(name, Sum)
        ):
            name = name if name.startswith("|") else f"|{name}"  # the root of x^2 is |x|
            work.complete = False
        elif variable:
            work.complete = False
        powers[name] = powers.get(name, Fraction(0)) + exponent * power
    made, by, sums = work.tidy(powers)
    return Form(work.times({made: by}, sums) if sums else {made: by}, {ONE: Fraction(1)})


def _exponential(base: Form, exponent: Form, work: Work) -> Form:
    """Give base^(sum of terms) as a product with one atom per term, so that 2^(n+1) is 2 * 2^n."""
    if exponent.under != {ONE: 1} or base.under != {ONE: 1} or len(base.over) != 1:
        return opaque("power", [base, exponent], work)
    ((key, value),) = base.over.items()
    work.complete = False
    single = len(key) == 1 and key[0][1] == 1 and value == 1 and key[0][0] != "i"
    if not single and (key or value <= 0):
        return opaque("power", [base, exponent], work)
    out = rational(Fraction(1))
    for term, coefficient in exponent.over.items():
        if term == ONE:
            part = raised(base, rational(coefficient), work)
        elif single:
            part = atom(f"{key[0][0]}^[{text({term: Fraction(1)})}]", coefficient)
        else:
            powers = {
                f"{prime}^[{text({term: Fraction(1)})}]": sign * count * coefficient
                for whole, sign in ((value.numerator, 1), (value.denominator, -1))
                for prime, count in factor(whole).items()
            }
            made, by, _ = work.tidy(powers)
            part = Form({made: by}, {ONE: Fraction(1)})
        out = work.multiply(out, part)
    return out


#: Calls over a variable of their own (``applied``), which have no exact form.
_BINDERS = frozenset({"sum", "product", "integral", "limit", "limit+", "limit-"})


def call(name: str, forms: list[Form], work: Work) -> Form:
    """Apply a function; exact where an exact value is known."""
    first, value = forms[0], forms[0].constant
    if name in several.VALUES:
        return rational(several.VALUES[name]([_constant(form) for form in forms]))
    if name in _BINDERS:
        return opaque(name, forms, work)
    if name == "root":
        index = forms[1].constant
        if index is None:
            return raised(first, work.divide(rational(Fraction(1)), forms[1]), work)
        if index.denominator != 1 or index < 1:
            raise Unreadable("a root whose index is no natural number")
        return root_power(first, 1 / index, work) if index != 1 else first
    if name == "factorial":
        return opaque(name, forms, work) if value is None else rational(whole_factorial(value))
    if name == "binomial":
        under = forms[1].constant
        if value is None or under is None:
            return opaque(name, forms, work)
        return rational(binomial(value, under))
    if name in ("abs", "floor", "ceil") and value is not None:
        whole = {"abs": abs(value), "floor": value // 1, "ceil": -(-value // 1)}[name]
        return rational(Fraction(whole))
    if name == "abs":
        return _absolute(first, work)
    if name == "ln":
        return _logarithm(first, work)
    if name == "exp":
        return raised(atom("e"), first, work)
    return _trigonometric(name, first, work)


def _constant(form: Form) -> Fraction:
    if form.constant is None:
        raise Unreadable("a function of no plain numbers")
    return form.constant


def _absolute(form: Form, work: Work) -> Form:
    if len(form.over) == 1 and form.under == {ONE: 1}:
        ((key, value),) = form.over.items()
        if (
            len(key) == 1
            and key[0][1] == 1
            and key[0][0][0].isalpha()
            and key[0][0] not in ("i", "pi", "e")
        ):
            work.complete = False
            return Form({((f"|{key[0][0]}", Fraction(1)),): abs(value)}, form.under)
    return opaque("abs", [_unsigned(form)[0]], work)


def _unsigned(form: Form) -> tuple[Form, int]:
    """Give the form with a positive first coefficient, and the sign that was taken out."""
    if not form.over or form.over[min(form.over)] > 0:
        return form, 1
    return Form({key: -value for key, value in form.over.items()}, form.under), -1


def _logarithm(form: Form, work: Work) -> Form:
    value = form.constant
    if form.over == {(("e", Fraction(1)),): 1} and form.under == {ONE: 1}:
        return rational(Fraction(1))
    if value is None or value <= 0:
        return opaque("ln", [form], work)
    work.complete = work.complete and value == 1
    over = {}
    for part, sign in ((value.numerator, 1), (value.denominator, -1)):
        for prime, count in factor(part).items():
            over[((f"ln{prime}", Fraction(1)),)] = Fraction(sign * count)
    return Form(over, {ONE: Fraction(1)})


_ROOT = {
    "2": (("#2", Fraction(1, 2)),),
    "3": (("#3", Fraction(1, 2)),),
    "6": (("#2", Fraction(1, 2)), ("#3", Fraction(1, 2))),
    "5": (("#5", Fraction(1, 2)),),
}


def _sine(degrees: Fraction, work: Work) -> Form | None:
    """Give the exact sine of a multiple of 15 degrees, or of 18 and 54 degrees."""
    degrees %= 360
    if degrees >= 180:
        form = _sine(degrees - 180, work)
        return form and Form({key: -value for key, value in form.over.items()}, form.under)
    degrees = min(degrees, 180 - degrees)
    q, h = Fraction(1, 4), Fraction(1, 2)
    table: dict[int, dict] = {
        0: {}, 15: {_ROOT["6"]: q, _ROOT["2"]: -q}, 30: {ONE: h}, 45: {_ROOT["2"]: h}, 60: {_ROOT["3"]: h},
        75: {_ROOT["6"]: q, _ROOT["2"]: q}, 90: {ONE: Fraction(1)},
        18: {_ROOT["5"]: q, ONE: -q}, 54: {_ROOT["5"]: q, ONE: q},
    }  # fmt: skip
    if degrees.denominator != 1 or int(degrees) not in table:
        return None
    return Form(dict(table[int(degrees)]), {ONE: Fraction(1)})


def _trigonometric(name: str, form: Form, work: Work) -> Form:
    degrees = None
    if form.under == {ONE: 1} and form.over.keys() <= {_PI}:
        degrees = form.over.get(_PI, Fraction(0)) * 180
    parity = {
        "sin": -1,
        "tan": -1,
        "cot": -1,
        "csc": -1,
        "cos": 1,
        "sec": 1,
        "arcsin": -1,
        "arctan": -1,
        "sinh": -1,
        "tanh": -1,
        "cosh": 1,
    }
    if name in ("tan", "cot", "sec", "csc"):
        sine, cosine = _trigonometric("sin", form, work), _trigonometric("cos", form, work)
        one = rational(Fraction(1))
        over, under = {
            "tan": (sine, cosine),
            "cot": (cosine, sine),
            "sec": (one, cosine),
            "csc": (one, sine),
        }[name]
        return work.divide(over, under)
    if degrees is not None and name in ("sin", "cos"):
        exact = _sine(degrees if name == "sin" else degrees + 90, work)
        if exact is not None:
            return exact
    plain, sign = _unsigned(form) if name in parity else (form, 1)
    out = opaque(name, [plain], work)
    if sign < 0 and parity[name] < 0:
        return Form({key: -value for key, value in out.over.items()}, out.under)
    return out
