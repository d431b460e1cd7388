r"""Read an expression with what stands around it: money signs, units, what is counted; and plain words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from longstep.verify.ladder import grammar
from longstep.verify.ladder.node import Node, Unreadable, number
from longstep.verify.ladder.tokens import Token
from longstep.verify.ladder.units import DEGREE, DOLLAR, read_unit
from longstep.verify.ladder.vocabulary import (
    CLOSE,
    EMPTY,
    EVERYTHING,
    MULTIPLES,
    NO_LABEL,
    NO_LABEL_ALONE,
    NUMERALS,
    OPEN,
)

Tokens = Sequence[Token]
_MONEY = {r"\$": DOLLAR, "$": DOLLAR, r"\pounds": read_unit("gbp"), r"\euro": read_unit("euro")}


def joined(tokens: Tokens) -> str:
    """Give the text of tokens."""
    return "".join((" " if t.spaced or t.kind == "word" else "") + t.text for t in tokens).strip()


def measured(tokens: Tokens) -> Node:
    """Read an expression with what stands before and after it: money signs, units, words."""
    first, second = tokens[0], tokens[1] if len(tokens) > 1 else tokens[0]
    if first.text in _MONEY:
        return Node("unit", (_plain_amount(tokens[1:]),), unit=_MONEY[first.text])
    if first.text == "-" and second.text in _MONEY:
        inner = _plain_amount(tokens[2:])
        return Node("unit", (Node("neg", (inner,)),), unit=_MONEY[second.text])
    if tokens[-1].text in _MONEY and len(tokens) > 1:
        return Node("unit", (measured(tokens[:-1]),), unit=_MONEY[tokens[-1].text])
    if first.kind == "number" and "".join(token.text for token in tokens[1:]) in ("'", "''", '"'):
        inches = len(tokens) == 3 or tokens[1].text == '"'
        return Node(
            "unit", (grammar.parse(tokens[:1]),), unit=read_unit("inch" if inches else "foot")
        )
    place = _first_word(tokens)
    if place is None:
        return _loose_unit(tokens) or grammar.parse(tokens)
    if place == 0:
        return _wordy(tokens)
    node = grammar.parse(tokens[:place])
    if tokens[place].text.lower() in MULTIPLES:
        node = Node("mul", (node, number(MULTIPLES[tokens[place].text.lower()])))
        place += 1
        if place == len(tokens):
            return node
    unit = read_unit(joined(tokens[place:]))
    if not unit.known and not _is_label(unit.dimension):
        raise Unreadable(f"what {unit.dimension[:40]!r} means")
    if node.op == "unit" and node.unit == DEGREE:
        if unit.dimension in ("celsius^1", "fahrenheit^1"):
            return Node("unit", node.args, unit=unit)
        raise Unreadable("two units")
    return Node("unit", (node,), unit=unit)


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
    r"|fold$|n't$"
)


def _is_label(text: str) -> bool:
    """Tell whether unknown words after a number can be what is counted: ``apples``, but not ``minus 1``."""
    if not re.fullmatch(r"[^\W\d]+(?:[ /'-][^\W\d]+)*", text):
        return False
    spoken = text.lower().split()
    if len(spoken) == 1 and spoken[0] in NO_LABEL_ALONE:
        return False
    return NO_LABEL.isdisjoint(spoken) and not any(_CHANGES.search(word) for word in spoken)


def _plain_amount(tokens: Tokens) -> Node:
    """Read an amount of money; words behind it (``per hour``) are not read."""
    if not tokens:
        raise Unreadable("a money sign alone")
    if any(token.kind == "word" for token in tokens):
        raise Unreadable("words after an amount of money")
    return grammar.parse(tokens)


def _loose_unit(tokens: Tokens) -> Node | None:
    r"""Read ``5 m`` both ways: five metres, and five times m; which one is meant the other side decides."""
    if tokens[-1].kind == "letter" and tokens[-1].text in "CF" and len(tokens) > 3:
        before = grammar.parse(tokens[:-1]) if r"\circ" in {t.text for t in tokens[-4:]} else None
        if before is not None and before.op == "unit" and before.unit == DEGREE:
            return Node("unit", before.args, unit=read_unit(tokens[-1].text))
    place = len(tokens)
    while place > 1 and (tokens[place - 1].kind == "letter" or tokens[place - 1].text == "/"):
        place -= 1
    letters = tokens[place:]
    if (
        not letters
        or letters[0].text == "/"
        or (tokens[place - 1].kind != "number" and tokens[place - 1].text != "}")
    ):
        return None
    unit = read_unit(joined(letters))
    if not unit.known:
        return None
    amount = Node("unit", (grammar.parse(tokens[:place]),), unit=unit)
    spaced = "spaced" if letters[0].spaced else "tight"
    return Node("either", (grammar.parse(tokens), amount), spaced)


def _wordy(tokens: Tokens) -> Node:
    written = joined(tokens)
    if len(written.strip("()")) == 1 and written.strip("()").isalpha():
        return Node("var", (), written.strip("()"))
    text = words(written) or " ".join(written.lower().split())
    if text in EMPTY:
        return Node("empty")
    if text in EVERYTHING:
        return everything()
    if text in NUMERALS:
        return number(NUMERALS[text])
    return Node("text", (), text)


def everything() -> Node:
    """Make the real line."""
    infinity = Node("const", (), "infinity")
    return Node("tuple", (Node("neg", (infinity,)), infinity), "()")


_ARTICLE = re.compile(r"\b(?:the|a|an)\b(?=\s+\S)")
_TEXT = re.compile(r"\\(?:text[a-z]*|mbox|mathrm|operatorname|quad|,|;| )(?![a-z])")
#: A minus sign before a number or a letter is no punctuation; a hyphen between letters is.
_PUNCTUATION = re.compile(r"[.,:](?![0-9])|[;!?\"'(){}$]|-(?![0-9a-z])|(?<=[0-9a-z])-(?=[a-z])")


def words(text: str) -> str:
    """Give the words of a text in one spelling: case, articles and punctuation do not count.

    Empty for anything with a formula in it, or without a word.
    """
    plain = " ".join(_TEXT.sub(" ", text).lower().replace("{", " ").replace("}", " ").split())
    if not re.search(r"[^\W\d_]{2}", plain) or re.search(r"[\\^_=<>+*/|&~#%\x00-\x1f]", plain):
        return ""
    return " ".join(_ARTICLE.sub(" ", _PUNCTUATION.sub(" ", plain)).split())
