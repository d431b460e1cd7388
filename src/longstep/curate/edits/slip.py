"""A mistake at the end of a thought."""

from __future__ import annotations

import random
from typing import Literal

from longstep.curate.edits.base import Edit, Edited, FinishedTrace, last_number, with_last_number


class Slip(Edit):
    """Another number in the place of the thought's last one (after adding mistakes, arXiv 2307.13702).

    The paper lets a model write the mistake and the thought go on from it; here nothing follows the mistake, so it is
    known what the thought then leads to. Only thoughts whose last number is the answer are taken.
    """

    kind: Literal["slip"] = "slip"

    def apply(
        self, trace: FinishedTrace, rng: random.Random, donor: FinishedTrace | None = None
    ) -> Edited | None:
        """The last number, of as many digits, is another one."""
        number = last_number(trace.thought)
        if number is None or number != trace.answer:
            return None
        digits = number.lstrip("-").replace(".", "")
        other = number
        while other == number:
            drawn = iter(f"{rng.randrange(10 ** len(digits)):0{len(digits)}d}")
            other = "".join(next(drawn) if mark.isdigit() else mark for mark in number)
        thought = with_last_number(trace.thought, other)
        assert thought is not None
        return Edited(thought, other, other)
