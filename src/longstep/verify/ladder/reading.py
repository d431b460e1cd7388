"""Read an answer once: its spelling, its tree, what else it may be. Kept for the next sample of the same problem."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from longstep.verify.ladder import amounts, marks, structure
from longstep.verify.ladder.node import Foreign, Node, TooLarge, Unreadable, number
from longstep.verify.ladder.spelling import spell, squeezed
from longstep.verify.ladder.tokens import Token, hedges, tokenize

#: Longer answers are compared as strings only.
MAX_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says.

    Attributes:
        spelt: its spelling, without needless spaces.
        tree: its tree, or ``None`` when it is no mathematics this ladder reads.
        grouped: the tree that takes ``1,234`` as two numbers, where both readings are possible.
        words: its words, when it is made of words.
        problem: why there is no tree.
        foreign: whether it holds a function that only the last rung knows.
        large: whether it was refused for its size, so that nothing else may look at it.
    """

    spelt: str
    tree: Node | None = None
    grouped: Node | None = None
    words: str = ""
    problem: str = ""
    foreign: bool = False
    large: bool = False


@lru_cache(maxsize=4096)
def read(text: str) -> Reading:
    """Read an answer of at most ``MAX_CHARS`` characters; never raises."""
    spelt = spell(text)
    if len(spelt) > 3 * MAX_CHARS:
        return Reading(spelt, problem=f"longer than {MAX_CHARS} characters", large=True)
    tight = squeezed(spelt)
    value = marks.in_base(tight)
    if value is not None:
        return Reading(tight, number(value))
    trees = [read(part).tree for part in marks.parts(spelt)]
    members = tuple(filter(None, trees))
    if members and len(members) == len(trees):
        return Reading(tight, Node("tuple", members, "()"))
    words = amounts.words(spelt)
    if words and (said := amounts.in_words(spelt)):
        return Reading(tight, said, words=words)
    try:
        tokens = tokenize(spelt)
        merged = _merge_thousands(tokens)
        tree = _hedge(structure.read(merged), merged)
        other = _second(tokens) if merged is not tokens else None
    except TooLarge as error:
        return Reading(tight, words=words, problem=str(error), large=True)
    except (Unreadable, RecursionError) as error:
        foreign = isinstance(error, Foreign)
        return Reading(tight, words=words, problem=str(error) or "too deep", foreign=foreign)
    return Reading(tight, tree, other, words)


def _second(tokens: list[Token]) -> Node | None:
    try:
        return structure.read(tokens)
    except (Unreadable, TooLarge):
        return None


def _hedge(tree: Node, tokens: list[Token]) -> Node:
    if any(token.kind == "word" and hedges(token.text) for token in tokens):
        return Node("hedge", (tree,))
    return tree


_GROUP = re.compile(r"[0-9]{3}")


def _merge_thousands(tokens: list[Token]) -> list[Token]:
    """Join ``1,234,567`` and ``1 234 567`` outside of brackets; the same list where there is none."""
    out: list[Token] = []
    depth = place = 0
    while place < len(tokens):
        token = tokens[place]
        depth += (token.text in ("(", "[", r"\{")) - (token.text in (")", "]", r"\}"))
        if depth == 0 and token.kind == "number" and re.fullmatch("[1-9][0-9]{0,2}", token.text):
            text, end = _run(tokens, place)
            out.append(token._replace(text=text))
            place = end
            continue
        out.append(token)
        place += 1
    return tokens if len(out) == len(tokens) else out


def _run(tokens: list[Token], place: int) -> tuple[str, int]:
    """Give the number that starts here with its groups of three digits, and where it ends."""
    text, end = tokens[place].text, place + 1
    behind_comma = place > 0 and tokens[place - 1].text == "," and not tokens[place].spaced
    while True:
        comma = end < len(tokens) and tokens[end].text == ","
        following = end + comma
        if following >= len(tokens):
            break
        token = tokens[following]
        whole, _, rest = token.text.partition(".")
        fits = (
            token.kind == "number"
            and _GROUP.fullmatch(whole)
            and rest.isdigit() in (True, bool(rest))
        )
        if not fits or (token.spaced == comma):
            break
        text, end = text + token.text, following + 1
        if rest:
            break
    after_comma = end + 1 < len(tokens) and tokens[end].text == "," and not tokens[end + 1].spaced
    if behind_comma or after_comma:  # 12,345,6 is a list
        return tokens[place].text, place + 1
    return text, end
