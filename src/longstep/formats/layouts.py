"""All layouts, and which of them a file has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from longstep.config import UserError
from longstep.formats.conversational import (
    CHAT_COMPLETION,
    CHAT_PREFERENCE,
    CHAT_PROMPT,
    LIGHT_R1,
    MESSAGES,
    NEMOTRON,
    SHAREGPT,
    SHAREGPT_PREFERENCE,
    VERL,
)
from longstep.formats.faults import suggest
from longstep.formats.flat import (
    ALPACA,
    ALPACA_PREFERENCE,
    LIMO,
    OPEN_R1,
    S1,
    S11,
    S11_GEMINI,
    plain,
)
from longstep.formats.layout import Layout
from longstep.formats.record import NUMBERS, TEXTS

#: Declared where a layout is known by its question alone, so that another kind of answer is an error and not a loss.
_GOLD = {"answer": "answer", "solution": "solution"}
#: Where OlympiadBench and Omni-MATH have it.
_FINAL = "final_answer"
_LONGSTEP = plain(
    "longstep",
    ("id", "prompt", "answer"),
    "longstep's own problems",
    {"prompt": "prompt", "id": "id", "answer": "answer"},
    strict=True,
)
_PROMPT_COMPLETION = plain(
    "prompt-completion",
    ("prompt", "completion"),
    "TRL, prompt and completion as text: no chat template is applied",
    {"prompt": "prompt", "completion": "completion"},
)
_PREFERENCE = plain(
    "preference",
    ("prompt", "chosen", "rejected"),
    "TRL, preference as text, and longstep's pairs",
    {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},
)
_PROBLEM = plain(
    "problem",
    ("problem",),
    "MATH, DeepScaleR, AIME and most benchmarks: problem, answer, perhaps solution",
    {"prompt": "problem", **_GOLD},
    other_answer=_FINAL,
)
_QUESTION = plain(
    "question",
    ("question",),
    "question, perhaps answer",
    {"prompt": "question", **_GOLD},
    other_answer=_FINAL,
)
_PROMPT = plain(
    "prompt",
    ("prompt",),
    "prompt, perhaps answer",
    {"prompt": "prompt", **_GOLD},
    other_answer=_FINAL,
)

#: Every layout by name, in the order in which they are tried: those that need more come before those that need less.
LAYOUTS: Mapping[str, Layout] = {
    layout.name: layout
    for layout in (
        VERL,
        SHAREGPT_PREFERENCE,
        CHAT_PREFERENCE,
        _PREFERENCE,
        S11,
        S11_GEMINI,
        S1,
        OPEN_R1,
        CHAT_COMPLETION,
        _PROMPT_COMPLETION,
        SHAREGPT,
        LIGHT_R1,
        MESSAGES,
        ALPACA_PREFERENCE,
        ALPACA,
        NEMOTRON,
        _LONGSTEP,
        LIMO,
        _PROBLEM,
        _QUESTION,
        CHAT_PROMPT,
        _PROMPT,
    )
}
#: How many rows are looked at.
SAMPLE = 100


def layout(name: str) -> Layout:
    """The layout of this name.

    Raises:
        UserError: there is none; the nearest name is proposed.
    """
    if name in LAYOUTS:
        return LAYOUTS[name]
    there = ", ".join(LAYOUTS)
    raise UserError(f"no layout is called {name!r}{suggest(name, LAYOUTS)} (there are: {there})")


def named(name: str, columns: Mapping[str, str]) -> Layout | None:
    """The layout that a user named, by its name or by its columns; ``None`` for ``auto`` without columns.

    Raises:
        UserError: there is none of this name, or the columns make none.
    """
    if columns:
        return mapped(columns)
    return None if name == "auto" else layout(name)


def mapped(columns: Mapping[str, str]) -> Layout:
    """The layout of a table whose columns the user named: field of a record -> column.

    Raises:
        UserError: a field is unknown, the prompt is missing, or two fields share a column.
    """
    fields = ("prompt", *TEXTS, *NUMBERS)
    for name in columns:
        if name not in fields:
            hint = suggest(name, fields)
            raise UserError(
                f"columns: no field is called {name!r}{hint} (fields: {', '.join(fields)})"
            )
    if "prompt" not in columns:
        raise UserError("columns must say which column is the prompt")
    if len(set(columns.values())) < len(columns):
        raise UserError("columns: two fields cannot share one column")
    return plain("columns", tuple(columns.values()), "named by the user", dict(columns))


def detect(rows: Iterable[Mapping[str, Any]], place: str) -> Layout:
    """The layout that fits most of some rows, at least half of them; of equals the first in ``LAYOUTS``.

    Args:
        rows: the first rows of a file, such as ``SAMPLE``.
        place: the file, for the message.

    Raises:
        UserError: none fits; names the closest layouts and what they miss.
    """
    seen = list(rows)
    if not seen:
        raise UserError(f"{place}: holds no rows")
    fits = {name: sum(not each.misses(row) for row in seen) for name, each in LAYOUTS.items()}
    best = max(fits, key=lambda name: fits[name])
    if 2 * fits[best] >= len(seen):
        return LAYOUTS[best]
    row = seen[0]
    closest = sorted(LAYOUTS.values(), key=lambda each: _distance(each, row))[:3]
    misses = "; ".join(f"{each.name} misses {', '.join(each.misses(row))}" for each in closest)
    raise UserError(
        f"{place}: no layout fits its rows, whose columns are {', '.join(map(repr, row))[:300]}. Closest: {misses}. "
        "Name the columns, for example --columns prompt=question,answer=answer"
    )


def _distance(each: Layout, row: Mapping[str, Any]) -> tuple[int, int]:
    """Fewer things missed first; a column that is nearly there counts as half."""
    misses = each.misses(row)
    near = sum("did you mean" in miss for miss in misses)
    return 2 * len(misses) - near, -len(each.needs)
