r"""How an answer is found in a completion: our own rule, and those of two published harnesses for comparison.

A score is comparable with a published one only when the answers were found alike. ``strict`` reads what a text commits
to and nothing else; the others fall back to the last number in the text, thoughts included, which takes numbers for
answers that were none, and so scores higher. A score prints the verifier's name, and with it the protocol.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from longstep.verify.extract import extract, last_box
from longstep.verify.rule import Extraction

_CLAIMED = re.compile(
    r"(?:final answer is \$(?P<formula>.*?)\$\. I hope|(?:he answer is|答案是))", re.DOTALL
)
_LAST_NUMBER = re.compile(r"-?[0-9]*\.?[0-9]+")
_FLEXIBLE = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")


def qwen_math(text: str) -> str | None:
    """Find an answer as the evaluation of Qwen2.5-Math does: claimed, boxed, after "the answer is", the last number.

    Written from the description of its rules; nothing is denied, and a thought is read like an answer.
    """
    claimed = list(_CLAIMED.finditer(text))
    formula = next((found["formula"] for found in claimed if found["formula"]), None)
    if formula is not None:
        return formula.strip() or None
    if (content := last_box(text)) is not None:
        return content or None
    if claimed:
        rest = text[claimed[-1].end() :].strip().partition("\n")[0]
        return rest.partition(". ")[0].strip(" .:") or None
    numbers = _LAST_NUMBER.findall(text.replace(",", ""))
    return numbers[-1] if numbers else None


def harness_flexible(text: str) -> str | None:
    """Find an answer as lm-evaluation-harness' ``flexible-extract`` of GSM8K does: the last number in the text."""
    numbers = _FLEXIBLE.findall(text)
    bare = re.sub(r"[$,]", "", numbers[-1]).removesuffix(".") if numbers else ""
    return bare or None


PROTOCOLS: dict[Extraction, Callable[[str], str | None]] = {
    "strict": extract,  # ours: what the text commits to
    "qwen-math": qwen_math,
    "harness-flexible": harness_flexible,
}
