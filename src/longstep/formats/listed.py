"""Rows that are lists: a conversation without a name around it, as Open-Reasoner-Zero publishes its problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_TRUTH = "ground_truth"


def as_row(turns: Sequence[Any]) -> dict[str, Any] | None:
    """The row of a list of turns, in ShareGPT's columns or in ``messages``; ``None`` for any other list.

    An answer's turn that holds a ``ground_truth`` and no text is the key: its ``value`` becomes ``answer``, and what is
    beside it stays in ``ground_truth``.
    """
    if not turns or not all(isinstance(turn, dict) for turn in turns):
        return None
    column = "messages" if "role" in turns[0] else "conversations"
    last = turns[-1]
    truth = last.get(_TRUTH)
    if not isinstance(truth, dict) or "value" in last or "content" in last:
        return {column: list(turns)}
    rest = {key: value for key, value in truth.items() if key != "value"}
    return {
        column: list(turns[:-1]),
        "answer": truth.get("value"),
        **({_TRUTH: rest} if rest else {}),
    }
