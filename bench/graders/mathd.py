"""String normalisation of the MATH release ("mathd"), the first step of rllm's and PRIME's graders.

Source: Hendrycks et al. 2021, the ``math_equivalence`` file of their release, as passed on by
OpenAI's PRM800K (``math_normalize``). Two answers are equal when what is left is the same string.
"""

from __future__ import annotations

import re

_DROPPED = ("\n", r"\!", r"\left", r"\right", r"^{\circ}", r"^\circ", r"\$", r"\%")


def normalise(text: str) -> str:
    """Give the canonical string: spacing, signs and units gone, fractions and roots with braces."""
    text = text.strip()
    wrapped = re.search(r"^\\text\{(.+?)\}$", text)
    if wrapped:
        text = wrapped.group(1).strip()
    before = text
    text = text.replace("\\\\", "\\")
    for each in _DROPPED:
        text = text.replace(each, "")
    text = text.replace("tfrac", "frac").replace("dfrac", "frac")
    if text.count(r"\text{ ") > 1:  # one unit is expected; the original gives up here
        return before
    text = text.split(r"\text{ ")[0].replace(" .", " 0.").replace("{.", "{0.")
    if text.startswith("."):
        text = "0" + text
    if text.count("=") == 1 and len(text.split("=")[0]) <= 2:
        text = text.split("=")[1]
    text = re.sub(r"\\sqrt(?!\{)(.)", r"\\sqrt{\1}", text).replace(" ", "")
    text = re.sub(r"\\frac([^{])([^{])", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\frac([^{])\{", r"\\frac{\1}{", text)
    if text == "0.5":
        return r"\frac{1}{2}"
    return re.sub(r"^(-?\d+)/(\d+)$", r"\\frac{\1}{\2}", text)
