"""``longstep data convert``: rows of any layout and file as rows of another, nothing lost."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from longstep.artifacts import write_json
from longstep.config import Field, UserError, field_validator, model_validator
from longstep.formats.faults import RowError
from longstep.formats.files import read_file
from longstep.formats.layouts import SAMPLE, detect, layout
from longstep.formats.lines import compress, dump, parse
from longstep.formats.llamafactory import INFO, OPTIONAL, dataset_info, takes_turns
from longstep.formats.parquet import write_parquet
from longstep.formats.quarantine import Bad, quarantined_bad
from longstep.formats.record import Record
from longstep.jobs.base import Counts, Piece, Task, Work
from longstep.jobs.inputs import Chunk
from longstep.jobs.rate import problem_id
from longstep.jobs.rows import QUARANTINE, Row, RowJob

File = Literal["jsonl", "jsonl.gz", "jsonl.zst", "parquet"]
#: Layouts that are always Parquet.
_TABLES = ("verl",)
#: JSON lines on the way to Parquet.
_ROWS = "rows.jsonl"


class Convert(RowJob):
    """Read rows of one layout, write them in another; rows that cannot be converted go into the quarantine.

    Attributes:
        to: the layout to write.
        extra: whether fields that the new layout has no column for are kept.
        file: kind of file to write; not given, Parquet for verl and JSON lines for all others.
        name: of the file, without ending; also of the dataset in ``dataset_info.json``.
    """

    kind: Literal["convert"] = "convert"
    to: str
    extra: Literal["keep", "drop"] = "keep"
    file: File | None = None
    name: str = Field(default="data", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)

    @field_validator("to")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            return layout(value).name
        except UserError as error:
            raise ValueError(str(error)) from None

    @model_validator(mode="after")
    def _readable(self) -> Convert:
        if self.to in _TABLES and self.file not in (None, "parquet"):
            raise ValueError(f"file: {self.to} reads Parquet alone; leave file out")
        return self

    @property
    def ending(self) -> str:
        """What the file's name ends in."""
        return self.file or ("parquet" if self.to in _TABLES else "jsonl")

    def run(self, task: Task) -> dict[str, Any]:
        """Write ``NAME.jsonl`` or the like, ``quarantine.jsonl`` and for LLaMA-Factory ``dataset_info.json``."""
        target = f"{self.name}.{self.ending}"
        output = _ROWS if self.ending == "parquet" else f"out/{target}"
        outputs = [output, QUARANTINE]
        counts = task.stream("convert", partial(_rows, self, output), outputs, self.refuse_bad)
        self.refuse_bad(counts, enough=1)
        if self.ending == "parquet":
            _as_parquet(task.scratch(_ROWS), task.scratch(f"out/{target}"))
        info = dataset_info(self.name, target, self.to, counts.pop("columns", {}))
        if info is not None:
            write_json(task.scratch(f"out/{INFO}"), info)
        made = islice(read_file(task.scratch(f"out/{target}")), SAMPLE)
        differs = sum(_read_as(parse(line)) != self.to for line in made)
        return {"counts": counts, "first rows that auto reads differently": differs}

    def demand(self, row: Row, path: Path) -> None:
        """It can be written in the new layout."""
        _render(self, row.record, path)


def _read_as(row: dict[str, Any]) -> str:
    """The layout that a row of the new file is taken for when none is named."""
    try:
        return detect([row], "").name
    except UserError:
        return ""


def _render(job: Convert, record: Record, path: Path) -> dict[str, Any]:
    """A row of the new layout; one that must have an id gets the id that a problem source would give it."""
    target = layout(job.to)
    if record.id is None and "id" in target.needs:
        record = replace(record, id=problem_id(record, path))
    if job.extra == "drop":
        record = replace(record, extra={})
    return target.render(record)


def _rows(job: Convert, output: str) -> Work:
    """What turns a chunk of lines into lines of the new layout."""
    ending = "." + job.ending.rpartition(".")[2]
    read = job.reader()

    def work(chunk: Chunk) -> Piece:
        rows, bad = read(chunk)
        made: list[bytes] = []
        columns: Counter[str] = Counter()
        silent = refused = 0
        for row in rows:
            try:
                rendered = _render(job, row.record, chunk.path)
                made.append(dump(rendered))
            except RowError as error:
                bad.append(Bad(row.line, error))
                continue
            silent += row.record.completion is None and row.record.chosen is None
            refused += not takes_turns(rendered)
            columns.update(name for name in OPTIONAL if name in rendered)
        bad.sort(key=lambda each: each.line.number)
        tally = {"read": len(chunk.lines), "bad": len(bad), "written": len(made)}
        if dataset_info(job.name, f"{job.name}.{job.ending}", job.to, ()) is not None:
            tally["turns in an order that LLaMA-Factory leaves out"] = refused
        counts: Counts = {"rows": {**tally, "without a reply": silent}, "columns": dict(columns)}
        data = compress(b"".join(made), ending) if made else b""
        aside = b"".join(quarantined_bad(chunk.path, each) for each in bad)
        return Piece({output: data, QUARANTINE: aside}, counts)

    return work


def _as_parquet(rows: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.tmp")

    def read() -> Iterator[dict[str, Any]]:
        return (parse(line) for line in read_file(rows))

    write_parquet(temporary, read)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(target)
