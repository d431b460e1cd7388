"""The package's data tools as functions: rows of any layout in; what overlaps with benchmarks or repeats itself, out.

For files of any size there are the verbs of ``longstep data``: they continue after a kill and keep what they drop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from longstep.config import Located, UserError, validate
from longstep.curate.duplicates import Duplicates, drop_duplicates
from longstep.curate.duplicates import Kind as Repetition
from longstep.curate.overlap import AnyContamination, Item, Overlap
from longstep.formats.faults import RowError
from longstep.formats.files import layout_of, read_file
from longstep.formats.layouts import named
from longstep.formats.lines import parse
from longstep.formats.record import Record
from longstep.jobs.benchmarks import Compared, Comparison, Known, known
from longstep.problems.jsonl import JsonlFile
from longstep.types import Problem
from longstep.verify.keys import answer_key

#: Texts compared at once: the index is faster on many, and no more than these are in memory.
_CHUNK = 4096
#: What questions given as texts are called.
_OWN = "own"


def read_rows(
    path: Path | str,
    layout: str = "auto",
    columns: Mapping[str, str] | None = None,
    encoding: str = "utf-8",
) -> Iterator[Record]:
    """Read a file as it was published, row by row: JSON lines, an array, CSV or Parquet, in any of the known layouts.

    Args:
        path: the file, compressed or not.
        layout: how a row is laid out (``longstep.formats.layouts.LAYOUTS``); ``auto`` tells it from the first rows.
        columns: instead of a layout: field of a record -> column.
        encoding: of a text file that is not UTF-8.

    Raises:
        UserError: no layout fits, or the first row that cannot be read, as ``file:line:field: reason``.
    """
    path = Path(path)
    known_layout = named(layout, columns or {}) or layout_of(path, encoding)
    for line in read_file(path, encoding=encoding):
        try:
            yield known_layout.read(parse(line))
        except RowError as error:
            raise error.at(path, line.number) from None


def read_problems(
    path: Path | str, columns: Mapping[str, str] | None = None, verifier: str = "math"
) -> Iterator[Problem]:
    """Read a file of questions with keys as a recipe reads it, each with an id by its content.

    Args:
        path: the file.
        columns: problem field -> column, where no layout says it; ``prompt`` and ``answer`` at least.
        verifier: who judges answers: a name, what is declared about the keys behind it, or ``module:function``.

    Raises:
        UserError: it cannot be read so, or a row cannot be used.
    """
    settings = {"path": str(path), "columns": dict(columns or {}), "verifier": verifier}
    yield from validate(JsonlFile, Located(settings, {})).load(0)


def decontaminate(
    texts: Iterable[str],
    against: Sequence[str | Path] = (),
    questions: Iterable[str] = (),
    answers: Iterable[str | None] | None = None,
    rule: AnyContamination | None = None,
) -> Iterator[Compared]:
    """Say of each text, in order, which benchmark questions it holds; one whose ``worst`` is ``None`` may stay.

    Args:
        texts: of the training rows; they stream.
        against: names of benchmarks (those with a shipped fingerprint need no download) and files.
        questions: more questions, as texts.
        answers: of the training rows: where both sides have one it is evidence; ``None`` compares the texts alone.
        rule: ``longstep.curate.Overlap()`` when nothing is said; or a published rule, such as ``OpenR1()``.

    Raises:
        UserError: there is nothing to compare with, or a name is neither a file nor a benchmark.
    """
    rule = rule or Overlap()
    own = tuple(Item(_OWN, str(place), text) for place, text in enumerate(questions))
    sources = known([str(each) for each in against], rule)
    sources += [Known(_OWN, None, loaded=own)] if own else []
    if not sources:
        raise UserError(
            "decontaminate: nothing to compare with; name benchmarks, files or questions"
        )
    comparison = Comparison(rule, sources)
    rows = ((text, None) for text in texts) if answers is None else zip(texts, answers, strict=True)
    while chunk := list(islice(rows, _CHUNK)):
        yield from comparison.compare([text for text, _ in chunk], [answer for _, answer in chunk])


def dedup(
    problems: Iterable[Problem], match: Repetition = "normalised"
) -> tuple[list[Problem], list[tuple[Problem, str]]]:
    """Keep the first of equal questions, and nothing of those whose answers contradict each other; in memory.

    Args:
        problems: in the order that decides which one is first.
        match: ``exact``, ``normalised`` (the same words and numbers) or ``near`` (nearly the same words).

    Returns:
        The kept ones, and the dropped ones with their reasons.
    """
    return drop_duplicates(problems, answer_key, Duplicates(kind=match))
