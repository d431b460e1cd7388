r"""Numbers as they are written: decimals, ``4e33``, repeating decimals, digits in a base."""

from __future__ import annotations

from fractions import Fraction

from longstep.verify.ladder.node import TooLarge, Unreadable

MAX_EXPONENT = 5_000  # of the e notation: 1e5000 has 5,001 digits
MAX_DIGITS = 4_000


def decimal(text: str) -> Fraction:
    """Read digits with an optional point and exponent.

    Raises:
        TooLarge: more than ``MAX_DIGITS`` digits, or an exponent beyond ``MAX_EXPONENT``.
    """
    if len(text) > MAX_DIGITS:
        raise TooLarge("a number too long to calculate with")
    if text.isdigit():
        return Fraction(int(text))
    mantissa, _, exponent = text.lower().partition("e")
    value = Fraction(mantissa.removesuffix("."))
    if not exponent:
        return value
    if abs(int(exponent)) > MAX_EXPONENT:
        raise TooLarge("an exponent too large to evaluate")
    return value * Fraction(10) ** int(exponent)


def in_base(digits: str, base: str) -> int:
    """Read digits in a base from 2 to 36.

    Raises:
        Unreadable: the base is none, or has no such digit.
    """
    base = base.strip("() ").removeprefix("base").strip()
    if (
        not (base.isascii() and base.isdigit())
        or len(base) > 2
        or not 2 <= int(base) <= 36
        or len(digits) > 400
    ):
        raise Unreadable("a base")
    try:
        return int(digits, int(base))
    except ValueError:
        raise Unreadable(f"a digit that base {base} does not have") from None


def repeating(head: str, digits: str) -> Fraction:
    r"""Give the value of ``0.1\overline{6}``: the head plus digits / (99..9 * 10^places).

    Raises:
        Unreadable: there are no digits under the bar.
    """
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 400:
        raise Unreadable("a repeating decimal without digits")
    places = len(head.partition(".")[2])
    period = Fraction(int(digits), (10 ** len(digits) - 1) * 10**places)
    return Fraction("0" if head == "." else head) + period
