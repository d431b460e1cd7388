r"""Cut a spelt answer into tokens: numbers, letters, words, commands, symbols. Linear in the text."""

from __future__ import annotations

import re
from typing import NamedTuple

from longstep.verify.ladder.node import TooLarge, Unreadable
from longstep.verify.ladder.units import is_unit
from longstep.verify.ladder.vocabulary import ALIASES, CONNECTIVES, FUNCTIONS, HEDGES, SUFFIXES

MAX_TOKENS = 1200
MAX_NESTING = 40


class Token(NamedTuple):
    """A piece of the answer: its kind, its text, and whether a space stood before it."""

    kind: str
    text: str
    spaced: bool


_PIECE = re.compile(
    r"""(?P<space>\s+)
    |\\(?:text|textbf|textit|textrm|textsc|textnormal|mbox|mathrm|mathsf|hbox|rm|operatorname|texttt)\s*\{(?P<words>(?:[^{}]|\^\{[^{}]*\})*)\}
    |\\begin\s*\{(?P<begin>[A-Za-z]+)\*?\}|\\end\s*\{(?P<end>[A-Za-z]+)\*?\}
    |(?P<command>\\[A-Za-z]+)
    |(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9}(?![0-9.A-Za-z]))?)
    |(?P<letters>[A-Za-z]+)
    |(?P<symbol>\\.|\*\*|<=|>=|!=|.)""",
    re.VERBOSE | re.DOTALL,
)
_OPEN, _CLOSE = frozenset({"(", "[", "{", r"\{"}), frozenset({")", "]", "}", r"\}"})


def tokenize(spelt: str) -> list[Token]:
    """Cut the text.

    Raises:
        TooLarge: more than ``MAX_TOKENS`` tokens, or nested deeper than ``MAX_NESTING``.
        Unreadable: a character that no answer has.
    """
    tokens: list[Token] = []
    depth, spaced = 0, False
    for piece in _PIECE.finditer(spelt):
        kind, text = piece.lastgroup or "", piece[piece.lastgroup or 0]
        if kind == "space":
            spaced = True
            continue
        if kind == "letters":
            tokens.extend(_letters(text, spaced, tokens, _following(text, spelt, piece.end())))
        elif kind == "words":
            if text.strip() in ("e", "i", "d") and piece[0].startswith((r"\mathrm", r"\rm")):
                tokens.append(
                    Token("letter", text.strip(), spaced)
                )  # upright, as ISO 80000 wants them
                spaced = False
                continue
            tokens.extend(_words(text, spaced, _following(text, spelt, piece.end())))
        else:
            if kind == "symbol":
                if text in _OPEN:
                    depth += 1
                elif text in _CLOSE:
                    depth -= 1
                elif not (text.isascii() and (text.isprintable() or len(text) == 2)):
                    raise Unreadable(f"the character {text!r}")
            tokens.append(Token(kind, text, spaced))
        spaced = False
        if depth > MAX_NESTING:
            raise TooLarge(f"nested deeper than {MAX_NESTING}")
        if len(tokens) > MAX_TOKENS:
            raise TooLarge(f"more than {MAX_TOKENS} symbols")
    return tokens


#: Runs whose meaning hangs on what comes next.
_FOLLOWING = re.compile(
    r"\s*(?:(?P<argument>[({\\^_|\[]|[A-Za-z](?![A-Za-z]))|(?P<digit>10\s*\^|(?<=\s)[0-9]))"
)
#: Words of two letters between two numbers: ``2 by 3`` is no product.
_BETWEEN = frozenset({"as", "at", "by", "of", "on", "to", "up", "vs"})
_OPEN_ENDED = FUNCTIONS | _BETWEEN | {"x", "X"}


def _following(run: str, spelt: str, place: int) -> str:
    """Say what comes next: ``argument`` when a function could apply to it, ``digit``, or nothing."""
    found = _FOLLOWING.match(spelt, place) if run.strip() in _OPEN_ENDED else None
    return (found and found.lastgroup) or ""


def _words(content: str, spaced: bool, following: str) -> list[Token]:
    r"""Cut what stood in ``\text{}``: connectives, single letters and numbers are what they are."""
    content = content.strip()
    low = content.lower().strip(" ,")
    if low in CONNECTIVES or low in HEDGES:
        return [Token("word", low, True)]
    if content in FUNCTIONS and following == "argument":
        return [Token("command", "\\" + content, spaced)]
    if low in ("mod", "bmod"):
        return [Token("command", r"\bmod", spaced)]
    if low == "to" and following == "digit":
        return [_between(low)]
    if _NUMBER_FIRST.match(content) or re.fullmatch(r"[-+0-9.,%/() ]+", content):
        return [
            token if place else token._replace(spaced=spaced)
            for place, token in enumerate(tokenize(content))
        ]
    if _JOINT.search(content):
        pieces = [piece.strip() for piece in _JOINT.split(content)]
        return [_joint_or_words(piece) for piece in pieces if piece]
    return [Token("word", content, spaced)] if content else []


_JOINT = re.compile(r"(,|;|\b(?:and|or)\b)")
_NUMBER_FIRST = re.compile(r"-?[0-9][0-9.,/]* *[A-Za-z]")  # 12 apples


def _between(word: str) -> Token:
    """Give the colon that ``2 to 3`` means, or the word."""
    return Token("symbol", ":", True) if word == "to" else Token("word", word, True)


def _joint_or_words(piece: str) -> Token:
    if piece in ",;":
        return Token("symbol", piece, False)
    return Token("letter" if len(piece) == 1 and piece.isalpha() else "word", piece, True)


def _letters(run: str, spaced: bool, before: list[Token], following: str) -> list[Token]:
    """Tell function names, words and units from products of one-letter variables."""
    low = run.lower()
    if len(run) == 1:
        if following == "digit" and before and before[-1].kind == "number":  # 3 x 10^8, not 3x1
            return [Token("symbol", "*", spaced)]
        return [Token("letter", run, spaced)]
    after_number = bool(before) and (before[-1].kind == "number" or before[-1].text in "})")
    if len(before) > 1 and before[-1].text == "(" and before[-1].spaced:  # 5 (cm)
        after_number = before[-2].kind == "number"
    unit = after_number and (is_unit(run) or low in SUFFIXES)
    called = run in FUNCTIONS and (following == "argument" or not unit)  # 5 min is a time
    if called or run in ALIASES:
        return [Token("command", "\\" + ALIASES.get(run, run), spaced)]
    if low in CONNECTIVES or low in HEDGES:
        return [Token("word", low, True)]
    if low in _BETWEEN and following == "digit" and spaced and before:
        return [_between(low)]
    if low == "mod":
        return [Token("command", r"\bmod", spaced)]
    if unit:
        return [Token("word", run, spaced)]
    if before and before[-1].kind == "word" and before[-1].text not in CONNECTIVES:
        return [Token("word", run, spaced)]
    if _is_word(run):
        return [Token("word", run, spaced)]
    return [Token("letter", letter, spaced and place == 0) for place, letter in enumerate(run)]


def _is_word(run: str) -> bool:
    """Tell whether letters in a row are a word: three or more with a vowel, and not an alphabet such as abc."""
    low = run.lower()
    if len(run) < 3:
        return low in {"no", "is"}
    return not set("aeiouy").isdisjoint(low) and low != "".join(sorted(set(low)))


def hedges(word: str) -> bool:
    """Tell whether a word says that the value is not meant exactly."""
    return word in HEDGES or not HEDGES.isdisjoint(word.lower().split())
