r"""The one normal form of a question: spelling, spacing, case, punctuation and answer-format sentences do not count.

A text is folded to ASCII (Unicode NFKD; what has no ASCII form gets a spelling of its own, so nothing becomes
invisible) and rewritten in lower case *without a change of length*: what does not count becomes spaces. So the place
of a word in the normal form is its place in the folded text, and ``place`` leads from there to the user's own
characters. Then the words are runs of letters, runs of digits, and single operators. Numbers keep their value:
``1,000`` and ``1{,}000`` are 1000, ``0.50`` is .5, ``three`` is 3. A drawing in Asymptote is one word made of its code,
and so are printed choices ``(A) ... (E)``, whose order does not count. ``\dfrac12``, ``\frac{1}{2}`` and ``1/2`` have
the same words (the slash stands in another place).
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from bisect import bisect_right
from functools import cache
from itertools import accumulate

__all__ = ["DECIMAL", "OPERATORS", "SPELT", "fold", "place", "rewrite", "words"]

#: Stands for a decimal point inside a number.
DECIMAL = 1
OPERATORS = b"+-*/^=<>!%"
_WORD = re.compile(rb"[a-z]+|[0-9\x01]+|[-+*/^=<>!%]")
#: Words that are numbers. ``one`` is rather a pronoun in most questions, and stays a word.
SPELT = {
    name.encode(): str(value).encode()
    for value, name in enumerate(
        [
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
        ],
        start=2,
    )
}

_SPACE = b" " * 4096


def _blank(found: re.Match[bytes]) -> bytes:
    return _SPACE[: found.end() - found.start()]


def _pad(text: bytes, found: re.Match[bytes]) -> bytes:
    return text.ljust(found.end() - found.start())


def _fraction(found: re.Match[bytes]) -> bytes:
    return _pad(b"/ " + b" ".join(bytes([digit]) for digit in found[1]), found)


def _grouped(found: re.Match[bytes]) -> bytes:
    return _pad(bytes(b for b in found[0] if 48 <= b <= 57), found)


def _leading(found: re.Match[bytes]) -> bytes:
    before = found.string[max(found.start() - 1, 0) : found.start()]
    return found[0] if before.isdigit() else b" \x01"


def _figure(found: re.Match[bytes]) -> bytes:
    return _pad(b" " + _letters(b"".join(found[0].split())), found)


def _choices(found: re.Match[bytes]) -> bytes:
    texts = (re.sub(rb"[^A-Za-z0-9.+-]", b"", each) for each in _CHOICE.split(found[0]))
    return _pad(b" " + _letters(b" ".join(sorted(texts)).lower()), found)


def _letters(text: bytes) -> bytes:
    """A word of eight letters for a text, the first six of which (all that is compared) tell texts apart."""
    checksum = zlib.crc32(text)
    return b"".join(bytes([97 + checksum // 26**n % 26]) for n in range(6)) + b"zq"


_COMMANDS: dict[bytes, bytes] = {
    **dict.fromkeys(
        b"left right big bigg bigl bigr biggl biggr displaystyle textstyle text textbf textit textrm mathrm mathbf "
        b"mathit mathcal mathbb operatorname mbox hbox rm quad qquad hspace vspace phantom dots ldots cdots dotsb "
        b"dotsc vdots ddots limits nolimits label tag hline bf it em boldsymbol mathsf".split(),
        b"",
    ),
    b"cdot": b"*", b"times": b"*", b"div": b"/", b"leq": b"le", b"geq": b"ge", b"neq": b"ne", b"lt": b"<", b"gt": b">",
    b"leqslant": b"le", b"geqslant": b"ge", b"circ": b"deg", b"degree": b"deg", b"over": b"/", b"varphi": b"phi",
    b"varepsilon": b"epsilon", b"overarc": b"arc", b"wedge": b"^", b"to": b"rightarrow", b"lvert": b"", b"rvert": b"",
    b"ast": b"*", b"percent": b"%", b"widehat": b"hat", b"varnothing": b"empty", b"emptyset": b"empty",
}  # fmt: skip


def _command(found: re.Match[bytes]) -> bytes:
    name = found[1]
    new = _COMMANDS.get(name)
    if new is None or len(new) > len(name):
        return b" " + name
    return (b" " + new).ljust(len(name) + 1)


_ASK = re.compile(
    rb"(?:please )?(?:express|give|write|provide|enter|put|state|report|present|return|output|submit)"
    rb"(?: (?:your|the|a|an))?(?: (?:final|exact))? $"
)
_REST = re.compile(rb"answers?\b[^.\d\x00\n]{0,120}")
#: How competitions make an answer fit three digits: "the remainder when N is divided by 1000" asks for N. What is
#: divided stays, and so does any other modulus.
_THREE_DIGITS = re.compile(
    rb"remainder (?:obtained )?(?:when|if|upon dividing|on dividing) "
    rb"([^.?!\x00]{1,160}?)( (?:is |are )?(?:divided )?by (?:\$|\\\()? ?1(?:,|\{,\}|\\,)?000(?![0-9,.][0-9]|[0-9]))"
    rb"|last three digits of(?= )"
)
_OPTION = rb"enter the letter of the correct (?:option|answer)s?"
_THINK = rb"let's think step by step[^.\x00\n]{0,80}"
_REASON = rb"please reason step by step[^.\x00\n]{0,80}"
_ENVIRONMENT = (
    rb"\\(?:begin|end) ?\{(?:align|aligned|alignat|equation|gather|gathered|split|array|eqnarray|multline|center)\*?"
    rb"\}"
)
_COMMA = re.compile(rb",(?:\\!|\})?[0-9]{3}(?![0-9])")
_GROUPED = re.compile(rb"(?<![0-9.])[0-9]{1,3}(?:(?:,(?:\\!)?|\{,\})[0-9]{3})+(?![0-9])")
#: Printed choices have capitals; ``(a) ... (b) ...`` are parts of a question.
_CHOICES = re.compile(
    rb"A\)(?<!\wA\))"
    + b"".join(rb"[^\x00]{1,120}?(?<!\w)%c\)" % c for c in b"BCD")
    + rb"[^\x00]{0,200}"
)
_CHOICE = re.compile(rb"\(?\b[A-E]\)")
#: In this order, the numbers with commas between the two; each keeps the length.
_BEFORE = (
    (re.compile(rb"\[asy\][^\x00]*?\[/asy\]"), _figure),
    (re.compile(rb"\.\.+"), _blank),
    (re.compile(rb"\\[dtc]?frac ?([0-9]{0,2})"), _fraction),
    (re.compile(_ENVIRONMENT), _blank),
)
_RULES = (
    (re.compile(_THINK), _blank),
    (re.compile(_REASON), _blank),
    (re.compile(_OPTION), _blank),
    (re.compile(rb"\\([a-z]+)"), _command),
    (re.compile(rb"\.0+(?![0-9])"), _blank),
    (re.compile(rb"\.(?=[0-9])"), lambda _: b"\x01"),
    (re.compile(rb"0\x01"), _leading),
    (re.compile(rb"(\x01[0-9]*[1-9])0+(?![0-9])"), lambda found: _pad(found[1], found)),
)


def rewrite(folded: bytes) -> bytes:
    """Give the normal form of folded text, of the same length; texts may be joined by NUL bytes."""
    text = _without_answer_sentences(_CHOICES.sub(_choices, folded).lower())
    text = _THREE_DIGITS.sub(_whole_number, text)
    for pattern, new in _BEFORE:
        text = pattern.sub(new, text)
    text = _without_grouping(text)
    for pattern, new in _RULES:
        text = pattern.sub(new, text)
    return text


def _without_grouping(text: bytes) -> bytes:
    """Write ``1,000`` as ``1000``: numbers are found by their first comma, which is five times as fast."""
    out, done = [], 0
    for comma in _COMMA.finditer(text):
        begin = max(comma.start() - 4, done)
        found = _GROUPED.search(text, begin, comma.end() + 200) if comma.start() >= done else None
        if found is not None and found.start() < comma.start():
            out += [text[done : found.start()], _grouped(found)]
            done = found.end()
    return b"".join([*out, text[done:]])


def _without_answer_sentences(text: bytes) -> bytes:
    """Blank "express your answer as ...": found by its rarest word, which is faster than by its first."""
    out, done = [], 0
    for found in _REST.finditer(text):
        ask = _ASK.search(text, max(found.start() - 48, done), found.start())
        if ask is not None:
            out += [text[done : ask.start()], b" " * (found.end() - ask.start())]
            done = found.end()
    return b"".join([*out, text[done:]])


def _whole_number(found: re.Match[bytes]) -> bytes:
    """What is asked for modulo 1000, in the place it has."""
    asked = found[1] or b""
    behind = len(found[2] or b"")
    return b" " * (len(found[0]) - len(asked) - behind) + asked + b" " * behind


class _Table(dict[int, str]):
    def __missing__(self, code: int) -> str:
        self[code] = text = _spell(chr(code))
        return text


_SPECIAL = {
    "\N{MULTIPLICATION SIGN}": "*",
    "\N{MIDDLE DOT}": "*",
    "\N{DOT OPERATOR}": "*",
    "\N{DIVISION SIGN}": "/",
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{HYPHEN}": "-",
    "\N{DEGREE SIGN}": " deg ",
    "\N{SQUARE ROOT}": " sqrt ",
    "\N{LESS-THAN OR EQUAL TO}": " le ",
    "\N{GREATER-THAN OR EQUAL TO}": " ge ",
    "\N{NOT EQUAL TO}": " ne ",
    "\N{INFINITY}": " infty ",
    "\N{GREEK SMALL LETTER PI}": " pi ",
    "\N{ANGLE}": " angle ",
    "\N{WHITE UP-POINTING TRIANGLE}": " triangle ",
    "\N{INCREMENT}": " triangle ",
    "\N{ELEMENT OF}": " in ",
    "\N{UNION}": " cup ",
    "\N{INTERSECTION}": " cap ",
    "\N{HORIZONTAL ELLIPSIS}": " ",
    "\N{UP TACK}": " perp ",
    "\N{N-ARY SUMMATION}": " sum ",
    "\N{RIGHTWARDS ARROW}": " rightarrow ",
    "\N{INTEGRAL}": " int ",
}


def _spell(char: str) -> str:
    """One character in ASCII: its compatibility form, the name of a Greek letter, or else its code in letters."""
    if char < "\x80":
        return " " if char == "\x00" else char
    if char in _SPECIAL:
        return _SPECIAL[char]
    name = unicodedata.name(char, "")
    if name.startswith("GREEK ") and " LETTER " in name:
        return f" {name.split(' LETTER ')[1].split()[0].lower()} "
    plain = unicodedata.normalize("NFKD", char)
    kept = "".join(c for c in plain if c < "\x80")
    if name.startswith("SUPERSCRIPT") and kept:
        return "^" + kept
    if kept.strip() or unicodedata.category(char)[0] in "ZCMP":
        return kept or " "
    code = "".join(chr(ord("g") + int(digit, 16)) for digit in f"{ord(char):x}")
    wide = unicodedata.east_asian_width(char) in "WF" or not char.isalpha()
    return f" {code} " if wide else code


@cache
def _table() -> _Table:
    return _Table()


def fold(text: str) -> str:
    """Give the text in ASCII without NUL; most texts come back as they are."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.translate(_table())


def place(text: str, span: tuple[int, int]) -> tuple[int, int]:
    """Lead a span of ``fold(text)`` back to the characters of ``text``."""
    if text.isascii():
        return span
    table = _table()
    ends = list(accumulate(len(table[ord(char)]) for char in text))
    return bisect_right(ends, span[0]), bisect_right(ends, span[1] - 1) + 1


def words(text: str) -> tuple[str, ...]:
    r"""Give the words of a text: lower-case words, numbers and single operators, in order.

    Punctuation, dollar signs, braces, brackets and sentences about the form of the answer are dropped; a decimal
    point is ``.``.
    """
    found = (SPELT.get(each) or each for each in _WORD.findall(rewrite(fold(text).encode("ascii"))))
    return tuple(str(each, "ascii").replace("\x01", ".") for each in found)
