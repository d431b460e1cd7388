"""What is typed behind an option of ``longstep data``, as settings of a job."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from longstep.config import Located, UserError, override


def pair(text: str, option: str) -> tuple[str, str]:
    """``NAME=VALUE`` cut in two.

    Raises:
        UserError: it is something else.
    """
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise UserError(f"{option} {text}: expected NAME=VALUE")
    return name.strip(), value.strip()


def member(text: str, option: str) -> dict[str, Any]:
    """A member of a family from ``kind`` or ``kind:key=value,key=value``; values are YAML.

    Raises:
        UserError: a setting is no ``key=value``.
    """
    kind, colon, rest = text.partition(":")
    located = Located({"kind": kind.strip()}, {})
    for setting in re.split(r",(?![^\[{]*[\]}])", rest) if colon else []:
        key, value = pair(setting, option)
        located = override(located, f"{key}={value}")
    return located.data


def benchmarks(against: list[str], more: list[str]) -> list[str]:
    """All names and files after ``--against``; the words behind it may be names alone.

    Raises:
        UserError: one of these words is a file, which could as well be meant to be cleaned.
    """
    for word in more:
        if Path(word).exists():
            raise UserError(
                f"{word}: is it to be cleaned or a benchmark? one file is cleaned at a time; "
                "give benchmarks with --against A --against B or --against A,B"
            )
    words = [[each] if Path(each).exists() else each.split(",") for each in [*against, *more]]
    return [word.strip() for each in words for word in each if word.strip()]


def rating(verb: str, column: str, unit: str | None, samples: int | None) -> dict[str, Any]:
    """How to read a column of ratings.

    Raises:
        UserError: unit or number of samples is not given; a guess would turn hard problems into easy ones.
    """
    if unit is None or samples is None:
        option = "--unit UNIT" if unit is None else "--samples N"
        raise UserError(f"{verb} --import {column}: needs {option}: how the ratings were measured")
    return {"column": column, "unit": unit, "samples": samples}
