r"""Read an expression with what stands around it: money signs, units, what is counted; and plain words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from longstep.verify.ladder import grammar
from longstep.verify.ladder.names import closing, joined
from longstep.verify.ladder.node import Node, Unreadable, number
from longstep.verify.ladder.spoken import spoken
from longstep.verify.ladder.tokens import Token
from longstep.verify.ladder.units import DEGREE, DOLLAR, Unit, read_unit
from longstep.verify.ladder.vocabulary import (
    CLOSE,
    EMPTY,
    EVERYTHING,
    MULTIPLES,
    NO_LABEL,
    NO_LABEL_ALONE,
    NUMBER_SETS,
    OPEN,
)

Tokens = Sequence[Token]
_MONEY = {
    r"\$": DOLLAR,
    "$": DOLLAR,
    r"\pounds": read_unit("gbp"),
    r"\euro": read_unit("euro"),
    r"\rupee": read_unit("rupee"),
    "USD": DOLLAR,
    "EUR": read_unit("euro"),
    "GBP": read_unit("gbp"),
    "Rs": read_unit("rupee"),
}


def measured(tokens: Tokens) -> Node:
    """Read an expression with what stands before and after it: money signs, units, words."""
    first, second = tokens[0], tokens[1] if len(tokens) > 1 else tokens[0]
    if first.text in _MONEY and len(tokens) > 1:
        return _money(tokens[1:], _MONEY[first.text])
    if first.text == "-" and second.text in _MONEY:
        amount = _money(tokens[2:], _MONEY[second.text])
        return Node("unit", (Node("neg", amount.args),), unit=amount.unit)
    if tokens[-1].text in _MONEY and len(tokens) > 1:
        return Node("unit", (measured(tokens[:-1]),), unit=_MONEY[tokens[-1].text])
    if first.kind == "number" and len(tokens) > 1 and (found := compound(tokens)):
        return found
    tokens = _upright(_unbracketed(tokens))
    place = _first_word(tokens)
    if place is None:
        return _loose_unit(tokens) or grammar.parse(tokens)
    if place == 0 or (place == 1 and first.text in "aA"):  # a couple
        return _wordy(tokens)
    node = grammar.parse(tokens[:place])
    if tokens[place].text.lower() in MULTIPLES:
        node = Node("mul", (node, number(MULTIPLES[tokens[place].text.lower()])))
        place += 1
        if place == len(tokens):
            return node
    unit = _counted(joined(tokens[place:]))
    if unit is None:
        return node
    if node.op == "unit" and node.unit == DEGREE:
        if unit.dimension in ("celsius^1", "fahrenheit^1"):
            return Node("unit", node.args, unit=unit)
        raise Unreadable("two units")
    return Node("unit", (node,), unit=unit)


def _unbracketed(tokens: Tokens) -> Tokens:
    """Take the brackets off the unit or label at the end: ``32 (pet fish)``, ``5 (km/h)``."""
    if len(tokens) < 4 or tokens[-1].text != ")" or tokens[-2].kind not in ("word", "letter"):
        return tokens
    place = max((i for i, token in enumerate(tokens) if token.text == "("), default=0)
    inner = tokens[place + 1 : -1]
    text = joined(inner).replace("- ", "-")
    label = any(token.kind == "word" for token in inner) and _BRACKETED.fullmatch(text)
    if not place or not (label or (tokens[place].spaced and read_unit(text).known)):
        return tokens
    return [*tokens[:place], Token("word", text, True)]


def _upright(tokens: Tokens) -> Tokens:
    r"""Write the unit ``\frac{\text{km}}{\text{h}}`` at the end in one line."""
    if tokens[-1].text != "}" or all(token.kind != "word" for token in tokens):
        return tokens
    place = max((i for i, token in enumerate(tokens) if token.text == r"\frac"), default=0)
    middle = closing(tokens, place + 1) if place else -1
    if middle < 0 or closing(tokens, middle + 1) != len(tokens) - 1:
        return tokens
    text = f"{joined(tokens[place + 2 : middle])}/{joined(tokens[middle + 2 : -1])}"
    return [*tokens[:place], Token("word", text, True)] if read_unit(text).known else tokens


_BRACKETED = re.compile(r"[A-Za-z]+(?:[- ][A-Za-z]+)*")


def _counted(text: str) -> Unit | None:
    """Give the unit or what is counted; ``None`` for words that say nothing, such as ``in total``."""
    unit = read_unit(text)
    if not unit.known and not unit.dimension and text.strip():
        return None
    spoken = text.lower().replace("-", " ").split()  # the unit has lost its plural s: plus, less
    if not unit.known and not (_is_label(unit.dimension) and NO_LABEL.isdisjoint(spoken)):
        raise Unreadable(f"what {unit.dimension[:40]!r} means")
    return unit


def _money(tokens: Tokens, money: Unit) -> Node:
    r"""Read an amount of money without its sign: ``2.5 million``, ``10 per hour``, ``12 profit``."""
    if not tokens:
        raise Unreadable("a money sign alone")
    place = next((i for i, token in enumerate(tokens) if token.text == "/"), None)
    if place is None or not read_unit(joined(tokens[place + 1 :])).known:  # no $4.50/lb
        place = _first_word(tokens)
    if place is None:
        return Node("unit", (grammar.parse(tokens),), unit=money)
    amount = grammar.parse(tokens[:place])
    if tokens[place].text.lower() in MULTIPLES:
        amount = Node("mul", (amount, number(MULTIPLES[tokens[place].text.lower()])))
        place += 1
    rest = joined(tokens[place:])
    if rest.startswith(("per ", "/")):
        return Node("unit", (amount,), unit=_counted(f"{_name_of(money)} {rest}"))
    unit = _counted(rest) if rest else None
    if unit is not None and unit.known and unit != money:
        raise Unreadable("two units")
    return Node("unit", (amount,), unit=money)


def _name_of(money: Unit) -> str:
    return {"sterling^1": "gbp"}.get(money.dimension, money.dimension.removesuffix("^1"))


#: Feet and inches, as signs behind a number.
_PRIMES = {"'": "foot", "''": "inch", '"': "inch"}


def compound(tokens: Tokens) -> Node | None:
    """Read ``5 ft 6 in``, ``1 h 30 min``, ``2 hours and 15 minutes``, ``5'6"``: one amount in falling units.

    Each amount but the first is less than one of the unit before it, and each but the last is whole.
    """
    parts: list[tuple[Fraction, Unit]] = []
    place = 0
    while place < len(tokens):
        place += bool(parts) and tokens[place].text == "and"
        end = place + 1
        while end < len(tokens) and tokens[end].kind != "number" and tokens[end].text != "and":
            end += 1
        marks = "".join(token.text for token in tokens[place + 1 : end])
        if place >= len(tokens) or tokens[place].kind != "number" or not marks:
            return None
        unit = read_unit(_PRIMES.get(marks, "") or joined(tokens[place + 1 : end]))
        value = grammar.parse(tokens[place : place + 1]).value
        if not unit.known or not isinstance(value, Fraction):
            return None
        if parts and not _falls(parts[-1], (value, unit)):
            return None
        parts.append((value, unit))
        place = end
    if len(parts) < 2 and tokens[1].text not in _PRIMES:
        return None
    total = sum(value * unit.factor for value, unit in parts) / parts[-1][1].factor
    return Node("unit", (number(total),), unit=parts[-1][1])


def _falls(before: tuple[Fraction, Unit], after: tuple[Fraction, Unit]) -> bool:
    """Tell whether an amount can continue the one before it."""
    (whole, large), (part, small) = before, after
    return (
        whole.denominator == 1
        and large.dimension == small.dimension
        and part * small.factor < large.factor
    )


def _first_word(tokens: Tokens) -> int | None:
    """Give the place of the first word outside of all brackets; a subscript may hold words too."""
    depth = 0
    for place, token in enumerate(tokens):
        depth += (token.text in OPEN) - (token.text in CLOSE)
        if depth == 0 and token.kind == "word":
            return place
    return None


#: Words that change the number before them: tenths, twentieths, tenfold, isn't; but not paths and months.
_CHANGES = re.compile(
    r"^(?:fif|six|seven|eigh|nin|ten|eleven|twelf|[a-z]+teen|[a-z]+tie|hundred|[a-z]+sand|[a-z]+illion)ths?$"
    r"|fold$|n't$|^ish$"
)


def _is_label(text: str) -> bool:
    """Tell whether unknown words after a number can be what is counted: ``apples``, but not ``minus 1``."""
    if not re.fullmatch(r"[^\W\d]+(?:[ /'-][^\W\d]+)*", text):
        return False
    spoken = text.lower().replace("-", " ").split()
    if len(spoken) == 1 and spoken[0] in NO_LABEL_ALONE:
        return False
    return NO_LABEL.isdisjoint(spoken) and not any(_CHANGES.search(word) for word in spoken)


def _loose_unit(tokens: Tokens) -> Node | None:
    r"""Read ``5 m`` both ways: five metres, and five times m; which one is meant the other side decides."""
    if tokens[-1].kind == "letter" and tokens[-1].text in "CF" and len(tokens) > 3:
        before = grammar.parse(tokens[:-1]) if r"\circ" in {t.text for t in tokens[-4:]} else None
        if before is not None and before.op == "unit" and before.unit == DEGREE:
            return Node("unit", before.args, unit=read_unit(tokens[-1].text))
    place = _unit_start(tokens)
    letters = tokens[place:]
    texts = [token.text for token in letters]
    if (
        not letters
        or texts.count("{") != texts.count("}")
        or (tokens[place - 1].kind != "number" and tokens[place - 1].text != "}")
    ):
        return None
    unit = read_unit(joined(letters))
    if not unit.known:
        return None
    amount = Node("unit", (grammar.parse(tokens[:place]),), unit=unit)
    spaced = "spaced" if letters[0].spaced else "tight"
    return Node("either", (grammar.parse(tokens), amount), spaced)


def _unit_start(tokens: Tokens) -> int:
    """Give the place of the first letter of what may be a unit at the end, such as ``m``, ``m/s^2``, ``m s^{-1}``."""
    place = len(tokens)
    while place > 1:
        token, before = tokens[place - 1], tokens[place - 2].text
        power = token.kind == "number" and before in ("^", "-", "{")
        if not (power or token.kind == "letter" or token.text in _UNIT_SIGNS):
            break
        place -= 1
    while place < len(tokens) and tokens[place].kind != "letter":
        place += 1
    return place


_UNIT_SIGNS = frozenset({"/", "^", "{", "}", "-", r"\cdot"})


def _wordy(tokens: Tokens) -> Node:
    written = joined(tokens)
    if len(written.strip("()")) == 1 and written.strip("()").isalpha():
        return Node("var", (), written.strip("()"))
    text = words(written) or " ".join(written.lower().split())
    if text in EMPTY:
        return Node("empty")
    if text in EVERYTHING:
        return everything()
    if text.startswith("all ") and text[4:] in NUMBER_SETS.values():
        text = text[4:]
    return in_words(written) or Node("text", (), text)


def in_words(text: str) -> Node | None:
    """Read a number in words, and what it counts: ``twelve``, ``two and a half hours``, ``negative five``."""
    plain = _plain_words(text)
    found = spoken(_SCALE_COMMA.sub(" ", plain).rstrip(".,")) if plain else None
    if found is None:
        return None
    value, rest = found
    if rest.partition(" ")[0] in MULTIPLES:
        value, rest = value * MULTIPLES[rest.partition(" ")[0]], rest.partition(" ")[2]
    try:
        unit = _counted(rest) if rest else None
    except Unreadable:
        return None
    if rest and not _SPOKEN_UNIT.fullmatch(rest):  # half of x
        return None
    return number(value) if unit is None else Node("unit", (number(value),), unit=unit)


def everything() -> Node:
    """Make the real line."""
    infinity = Node("const", (), "infinity")
    return Node("tuple", (Node("neg", (infinity,)), infinity), "()")


_SCALE_COMMA = re.compile(r"(?<=and|ion), (?=[a-z])")  # one thousand, two hundred
_SPOKEN_UNIT = re.compile(r"[^\W\d_]{2,}(?:[ /'-][^\W\d_]{2,})*")
_ARTICLE = re.compile(r"\b(?:the|a|an)\b(?=\s+\S)")
_TEXT = re.compile(r"\\(?:text[a-z]*|mbox|mathrm|operatorname|quad|,|;| )(?![a-z])")
#: A minus sign before a number, a letter or a bracket is no punctuation; a hyphen between letters is.
_PUNCTUATION = re.compile(
    r"[.,:](?![0-9])|[;!?\"'(){}$]|-(?! ?[0-9a-z(.$])|(?<=[0-9a-z])-(?=[a-z])"
)


def words(text: str) -> str:
    """Give the words of a text in one spelling: case, articles and punctuation do not count.

    Empty for anything with a formula in it, or without a word.
    """
    plain = _plain_words(text)
    return " ".join(_ARTICLE.sub(" ", _PUNCTUATION.sub(" ", plain)).split()) if plain else ""


def _plain_words(text: str) -> str:
    plain = " ".join(_TEXT.sub(" ", text).lower().replace("{", " ").replace("}", " ").split())
    if not re.search(r"[^\W\d_]{2}", plain) or re.search(r"[\\^_=<>+*/|&~#%\x00-\x1f]", plain):
        return ""
    return plain
