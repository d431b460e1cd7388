"""EGSR (arXiv 2505.08364): where all answers are wrong, the policy is shown the expert's and answers in its own words.

The question then tells the key, or a worked solution and the key. A right answer drawn so takes the place of a wrong
one and trains under the plain question. Its weight says what the probability under the plain question is compared
with:

* ``behaviour``, what was recorded while drawing, with help: the true sampler (as Guide-GRPO, arXiv 2506.13923). Tokens
  that are likely only with help get a ratio far below 1 and teach little.
* ``own``, the policy under the plain question: the ratio is 1 at the first update, as if it had been drawn without
  help.
* ``shaped``, LUFFY's form (``losses/shaped.py``).

An answer leaks when it says nothing but the key, writes out the solution it was shown, or names what it was shown:
trained on, it would teach to copy, or to speak of a hint that is not there. Such answers are refused and counted
(``leaks``). On problems with a single right way, as in the tiny chains, every right answer is the solution: ``copies:
take``.

The paper's body could not be read: numbers of samples and of rows replaced, texts and guard are longstep's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from longstep.curriculum.base import Horizon
from longstep.curriculum.groups import Weight
from longstep.curriculum.guides.base import Guidance
from longstep.curriculum.guides.taking import Asking, TakingGuide
from longstep.types import Problem

TEMPLATES = {
    "answer": (
        "{prompt}\n\nThe reference answer is {answer}. Reason step by step, in your own words, to an answer of your "
        "own, and do not speak of the reference."
    ),
    "solution": (
        "{prompt}\n\nA reference solution:\n{solution}\n\nThe reference answer is {answer}. Reason step by step, in "
        "your own words, to an answer of your own; do not quote the reference or speak of it."
    ),
}
_FRAME = re.compile(r"</?think>|\\[a-z]+|[\s{}$.]")


class Egsr(Asking):
    """EGSR: a hopeless problem is asked again with the expert's answer in the question.

    Attributes:
        show: the ``answer`` alone, or the ``solution`` and the answer.
        weight: what the probability ratio of a row taken is against: ``behaviour``, ``own`` or ``shaped``.
        template: the question with help, with ``{prompt}``, ``{answer}`` and ``{solution}``; empty for the built-in
            one.
        marks: words that name the help, in any case; an answer that holds one is refused.
        copies: of the solution, and of the bare key: ``refuse``, or ``take`` them.
    """

    kind: Literal["egsr"] = "egsr"
    show: Literal["answer", "solution"] = "solution"
    weight: Weight = "behaviour"
    template: str = ""
    marks: tuple[str, ...] = (
        "the reference",
        "reference answer",
        "reference solution",
        "given answer",
        "given solution",
        "provided answer",
        "provided solution",
    )
    copies: Literal["refuse", "take"] = "refuse"

    def check(self) -> Iterator[str]:
        """A template without the question, or without the help; a mark that every answer holds."""
        yield from super().check()
        if not all(mark.strip() for mark in self.marks):
            yield "marks: an empty one stands in every answer, so that none would be taken; leave it out"
        shown = ("{prompt}", "{answer}", *(["{solution}"] if self.show == "solution" else []))
        missing = [place for place in shown if place not in self.text]
        if missing:
            yield f"template: lacks {', '.join(missing)}; with show: {self.show} it needs {', '.join(shown)}"
        elif self.show == "answer" and "{solution}" in self.text:
            yield "template: has {solution}, which show: answer does not tell; write show: solution"

    @property
    def text(self) -> str:
        """The template."""
        return self.template or TEMPLATES[self.show]

    def wants(self) -> frozenset[str]:
        """What it shows; every problem has an answer."""
        return frozenset({"solution"} if self.show == "solution" else ())

    def weighs(self) -> frozenset[Weight]:
        """As named."""
        return frozenset({self.weight})

    def build(self, problems: Sequence[Problem], horizon: Horizon) -> Retelling:
        """Give the guide for these problems."""
        return Retelling(self, problems)


class Retelling(TakingGuide):
    """Shows the expert's answer in the question."""

    def __init__(self, config: Egsr, problems: Sequence[Problem]) -> None:
        """Start with nobody helped."""
        super().__init__(problems, config.samples, config.replaced, config.weight)
        self.config, self.baseline = config, config.baseline

    def guidance(self, problem: Problem, k: int) -> Guidance | None:
        """The question that tells more; a problem without a solution gets no help that shows one."""
        if self.config.show == "solution" and not problem.solution:
            return None
        told = {"prompt": problem.prompt, "answer": problem.answer, "solution": problem.solution}
        # In one pass: a question may hold braces, or the very name of a place.
        return Guidance(
            shown=re.sub(
                r"\{(prompt|answer|solution)\}", lambda m: told[m[1]] or "", self.config.text
            )
        )

    def leak(self, problem: Problem, text: str) -> str:
        """Whether the help shows in an answer."""
        lowered = text.lower()
        if any(mark.lower() in lowered for mark in self.config.marks):
            return "names the help"
        if self.config.copies == "take":
            return ""
        if not _FRAME.sub("", text).replace(_FRAME.sub("", problem.answer), ""):
            return "bare answer"
        shown = "".join((problem.solution or "").split())
        if self.config.show == "solution" and shown in "".join(text.split()):
            return "copies the solution"
        return ""
