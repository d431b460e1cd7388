"""From a row of somebody else's table to a ``Problem``: which column means what."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from longstep.config import Field, Strict, UserError, field_validator, nearest
from longstep.problems.source import content_id
from longstep.types import Problem

Column = Literal["prompt", "answer", "solution", "difficulty", "pass_rate"]


class Table(Strict):
    """What a file and a hub dataset have in common.

    Attributes:
        columns: problem field -> column of the table. A dotted path goes into nested fields and
            lists, such as ``reward_model.ground_truth`` or ``messages.0.content``.
        verifier: name or ``module:function``, written into every problem.
        label: what the problems call their source; empty takes the file's or dataset's name.
        limit: take this many rows from the start; ``None`` takes all.
    """

    columns: dict[Column, str] = Field(default={"prompt": "prompt", "answer": "answer"})
    verifier: str = "math"
    label: str = ""
    limit: int | None = Field(default=None, ge=1)

    @field_validator("columns")
    @classmethod
    def _complete(cls, value: dict[Column, str]) -> dict[Column, str]:
        for needed in ("prompt", "answer"):
            if needed not in value:
                raise ValueError(f"columns must say which column is the {needed}")
        return value

    def problem(self, row: object, label: str, place: str) -> Problem:
        """Read one row; the id is a hash of ``label`` and the prompt.

        Real data has rows without an answer: they are read with an empty one, for a filter to drop and count.

        Raises:
            UserError: a column is missing or holds something else than text or a number; the
                message begins with ``place``.
        """
        prompt = _text(row, self.columns["prompt"], place)
        solution = self.columns.get("solution")
        numbers = {
            field: _number(row, self.columns[field], place)
            for field in ("difficulty", "pass_rate")
            if field in self.columns
        }
        return Problem(
            id=content_id(label, prompt),
            prompt=prompt,
            answer=_text_or_nothing(row, self.columns["answer"], place),
            solution=None if solution is None else _text_or_nothing(row, solution, place) or None,
            verifier=self.verifier,
            source=label,
            **numbers,
        )


def _text(row: object, column: str, place: str) -> str:
    value = pick(row, column, place)
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int | float)
        or not str(value).strip()
    ):
        raise UserError(f"{place}:{column}: expected text or a number, got {_describe(value)}")
    return str(value)


def _text_or_nothing(row: object, column: str, place: str) -> str:
    value = pick(row, column, place)
    if value is None or (isinstance(value, str) and not value.strip()):
        return ""
    return _text(row, column, place)


def _number(row: object, column: str, place: str) -> float | None:
    value = pick(row, column, place)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{place}:{column}: expected a number, got {_describe(value)}")
    return float(value)


def pick(row: object, column: str, place: str) -> Any:
    """The value of a column, or what a dotted path leads to; a column whose name has a dot wins over the path.

    Raises:
        UserError: nothing is there; names what is and what comes nearest.
    """
    if isinstance(row, Mapping) and column in row:
        return row[column]
    value: Any = row
    for part in column.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif _is_list(value) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            present = [str(key) for key in value] if isinstance(value, Mapping) else []
            raise UserError(f"{place}:{column}: {_absent(part, value, present)}")
    return value


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _absent(part: str, value: object, present: Iterable[str]) -> str:
    names = sorted(present)
    if not names:
        return f"nothing called {part!r} in {_describe(value)}"
    close = nearest(part, names)
    hint = f"; did you mean {close!r}?" if close else ""
    return f"no column {part!r}{hint} (present: {', '.join(names)})"


def _describe(value: object) -> str:
    if isinstance(value, str):
        return f"text {value[:30]!r}"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if _is_list(value) else json.dumps(value, default=repr)[:40]
