"""``hub:owner/name``: a dataset as a file of rows, fetched for the first verb that reads it and found by the next."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from longstep.artifacts import read_json, write_json
from longstep.config import Located, UserError, dump, validate
from longstep.disk import disk_errors, locked
from longstep.jobs.words import HUB, pairs
from longstep.problems.hub import Dataset
from longstep.progress import to_stderr


def dataset(word: Path) -> Dataset:
    """The dataset behind ``hub:NAME,split=...,subset=...,revision=...``; the settings are those of source ``hub``.

    Raises:
        UserError: a setting is unknown.
    """
    name, *settings = str(word).removeprefix(HUB).split(",")
    named = pairs(settings, str(word))
    return validate(Dataset, Located({"name": name, **named}, {}))


def file_of(wanted: Dataset) -> Path:
    """Where a dataset's rows go, below the folder that holds the results: one file for each subset and split."""
    name = wanted.name_of_rows
    parts = [name, *([wanted.subset] if wanted.subset else []), wanted.split, "jsonl"]
    return Path(f"{name}-hub", ".".join(part.replace("/", "-") for part in parts))


def fetched(word: Path, folder: Path) -> Path:
    """The file with the rows of a dataset; what was fetched whole before is used again.

    A dataset in a local folder is read every time, since nothing says whether it has changed.

    Raises:
        UserError: it cannot be read, holds what JSON has no form for, or its place is taken by another revision.
    """
    wanted = dataset(word)
    path = folder / file_of(wanted)
    record = path.with_suffix(".json")
    with locked(path.parent), disk_errors(path.parent):
        if path.is_file() and record.is_file() and not Path(wanted.name).exists():
            found = read_json(record)
            if found["dataset"] == dump(wanted):
                to_stderr(f"{word}: {found['rows']:,} rows fetched before into {path}\n")
                return path
            raise UserError(
                f"{word}: {path} holds another one ({_settings(found['dataset'])}); "
                "delete it to fetch again, or choose another --out"
            )
        record.unlink(missing_ok=True)
        rows = _write(wanted, path)
        write_json(record, {"dataset": dump(wanted), "rows": rows})
    to_stderr(f"{word}: {rows:,} rows fetched into {path}\n")
    return path


def _write(wanted: Dataset, path: Path) -> int:
    """Write the rows; the file is there when it is whole. Returns how many rows there are."""
    temporary = path.with_name(f".{path.name}.tmp")
    rows = 0
    with temporary.open("wb") as file:
        for line in wanted.lines():
            if line.fault:
                raise UserError(
                    f"{wanted.place}:{line.number}: {line.fault}; expected rows of text, numbers and lists"
                )
            file.write(line.data + b"\n")
            rows = line.number
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return rows


def _settings(found: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items() if value is not None)
