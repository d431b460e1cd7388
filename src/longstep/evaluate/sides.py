"""One of two evaluations that are compared: found in any folder that holds it, with what was asked in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from longstep.artifacts import read_json, read_rows
from longstep.config import UserError, nearest
from longstep.evaluate.score import Protocol, said_protocol
from longstep.evaluate.store import (
    PROTOCOL,
    completions_path,
    left_out_notes,
    problems_path,
    read_protocol,
)
from longstep.types import Problem
from longstep.wording import did_you_mean

#: What a note names first where two evaluations differ in it; the rest of the protocol follows as it is called.
_DISTURBING = ("temperature", "top_p", "max_tokens", "extraction", "verifier", "unreadable keys")


def evaluation_in(folder: Path) -> Path:
    """The evaluation that a folder holds: the folder itself, a stage's, or the only one of a run.

    Raises:
        UserError: it holds none, or a run with several; they are named.
    """
    for each in (folder, folder / "out"):
        if (each / PROTOCOL).is_file():
            return each
    if not (folder / "run.json").is_file():
        raise UserError(
            f"{folder}: no {PROTOCOL}, so this is not the output of an evaluate stage, and no run.json either; name a "
            "run, or the folder of an evaluate stage in it"
        )
    facts = read_json(folder / "run.json")
    stages = facts["recipe"]["stages"]
    asked = [name for name in facts["stages"] if stages[name]["kind"] == "evaluate"]
    found = [name for name in asked if (folder / name / "out" / PROTOCOL).is_file()]
    if len(found) > 1:
        raise UserError(
            f"{folder}: has several evaluations; name one of them: "
            + ", ".join(str(folder / name) for name in found)
        )
    if not found:
        said = f"{', '.join(asked)} is not finished" if asked else "its recipe has none"
        raise UserError(f"{folder}: holds no finished evaluation ({said}); run it first")
    return folder / found[0] / "out"


@dataclass(frozen=True)
class Side:
    """One evaluation.

    Attributes:
        folder: the evaluation's own folder.
        called: how sentences call it, as the user typed it.
    """

    folder: Path
    called: str

    @cached_property
    def protocol(self) -> Protocol:
        """What was asked."""
        return read_protocol(self.folder)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of its models."""
        return self.protocol.models

    @property
    def benchmarks(self) -> tuple[str, ...]:
        """Names of its benchmarks."""
        return tuple(self.protocol.benchmarks)

    def completions(self, model: str, benchmark: str) -> Path:
        """Where the answers of a model are."""
        return completions_path(self.folder, model, benchmark)

    def problems(self, benchmark: str) -> dict[str, Problem]:
        """The problems of a benchmark by id."""
        return {each.id: each for each in read_rows(problems_path(self.folder, benchmark), Problem)}

    def require(self, model: str) -> None:
        """Refuse a model that was not evaluated here.

        Raises:
            UserError: there is none of this name.
        """
        if model not in self.models:
            hint = did_you_mean(nearest(model, self.models))
            raise UserError(
                f"{self.called}: no model is called {model!r}{hint} (there are: {', '.join(self.models)})"
            )

    @cached_property
    def said(self) -> dict[str, Any]:
        """The protocol with how answers are found and judged."""
        problems = {name: list(self.problems(name).values()) for name in self.benchmarks}
        return said_protocol(self.protocol, problems)


def titles(a: Side, b: Side, models: tuple[str, str]) -> tuple[str, str]:
    """What tells the two models of a comparison apart: their names, their folders, or both."""
    if a.folder == b.folder:
        return models
    if models[0] == models[1]:
        return f"{models[0]} of {a.called}", f"{models[1]} of {b.called}"
    return f"{models[0]} ({a.called})", f"{models[1]} ({b.called})"


def notes(a: Side, b: Side) -> Iterator[str]:
    """What a reader must know before the numbers: what was asked or judged otherwise, and what has no partner."""
    for name in a.benchmarks:
        if name in b.benchmarks:
            yield _alike(name, a, b)
    for kind, left, right in (
        ("benchmark", a.benchmarks, b.benchmarks),
        ("model", a.models, b.models),
    ):
        for side, mine, others in ((a, left, right), (b, right, left)):
            if alone := [each for each in mine if each not in others]:
                yield f"{kind} {', '.join(alone)}: only in {side.called}, not compared by name"
    for side in dict.fromkeys((a, b)):
        yield from (f"{side.called}: {each}" for each in left_out_notes(side.folder))


def _alike(benchmark: str, a: Side, b: Side) -> str:
    asked = [mapping["benchmarks"][benchmark] for mapping in (a.said, b.said)]
    if differing := list(_differing(*asked)):
        return (
            f"{benchmark}: not asked and judged alike: {'; '.join(differing)}; so the two scores do not say which "
            "model is better, score both under one protocol"
        )
    return f"{benchmark}: asked and judged alike in both, answers are found by {asked[0]['extraction']}"


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    for key in _DISTURBING:
        if a.get(key) != b.get(key):
            yield f"{key} is {_told(a.get(key))} in the first and {_told(b.get(key))} in the second"


def _told(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
