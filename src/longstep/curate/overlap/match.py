"""What is compared and what is found: a benchmark's question, and a match of a row with one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

#: From the surest to the weakest. ``identical``: the whole question stands in the row; ``reworded``: the same problem
#: in other words, order or spelling; ``numbers_changed``: the same question about other numbers; ``shared_template``:
#: a stretch of words in common and no more.
Kind = Literal["identical", "reworded", "numbers_changed", "shared_template"]


class Item(NamedTuple):
    """A benchmark's question. A tuple, since ten thousand of them are made when an index is read.

    Attributes:
        benchmark: name of the benchmark.
        item: id of the question in it.
        text: the question, or ``None`` when only its fingerprint is known.
        answer: its answer, where it is known: evidence, and never shown.
    """

    benchmark: str
    item: str
    text: str | None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A row that overlaps with a question.

    Attributes:
        benchmark: name of the benchmark.
        item: id of the question in it.
        kind: class of the overlap.
        score: share of the question that the row holds, 0 to 1, rare words weighing more.
        span: characters of the row's text from the first to the last shared word, end exclusive.
        text: the question, when it is known.
    """

    benchmark: str
    item: str
    kind: Kind
    score: float
    span: tuple[int, int]
    text: str | None
