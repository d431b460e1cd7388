r"""The one normal form of a prompt: case, spacing, LaTeX dressing and punctuation do not count.

Digits and operators stay. Light-R1's released rule strips the digits too, under which "What is
12+7?" equals "What is 5-88?" and one benchmark row deletes a whole synthetic family.
"""

from __future__ import annotations

import re
import unicodedata

_DRESSING = re.compile(r"\\(?:left|right|displaystyle|[!,;: ])")
_COMMAND = re.compile(r"\\([a-z]+)")
_WORD = re.compile(r"[^\W_]+|[-+*/^=<>!%\u00b1\u00d7\u00f7\u2212]")


def words(text: str) -> tuple[str, ...]:
    r"""Give the words of a prompt: lower-case words, numbers and single operators, in order.

    ``\dfrac{1}{2}``, ``\frac 1 2`` and ``\frac{1}{2}`` give the same words. Punctuation, dollar
    signs, braces and brackets are dropped.
    """
    text = unicodedata.normalize("NFKC", text).lower()
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\u2212", "-")
    text = _COMMAND.sub(r" \1 ", _DRESSING.sub(" ", text))
    return tuple(_WORD.findall(text))
