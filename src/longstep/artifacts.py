"""The three kinds of artifact on disk, and what makes them trustworthy.

*Rows* are JSONL files of one row type, a *model* is a plain Hugging Face folder, a *report* is JSON. Every file is
written beside its final name, flushed to disk and renamed, so a half-written file never carries a final name.
A ``manifest.json`` with the SHA-256 of every file is written last: a folder without one is not an artifact.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from longstep.config import TypeAdapter, UserError, ValidationError, nearest

Row = TypeVar("Row")
MANIFEST = "manifest.json"
_MAX_LINE = 64 * 1024 * 1024
_BLOCK = 1 << 16


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: object) -> str:
    """SHA-256 of a JSON-ready value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file: temporary name, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write JSON with sorted keys, atomically. NaN is refused: it is not JSON."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Read one JSON file.

    Raises:
        UserError: the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: not valid JSON ({error}); the file is damaged, delete it"
        ) from None


def write_rows(path: Path, rows: Iterable[object]) -> int:
    """Write dataclass rows or dicts as JSONL, streaming and atomically; returns their number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    count = 0
    with temporary.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(row_line(row))
            count += 1
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return count


def row_line(row: object) -> str:
    """A dataclass row or a dict as one line of JSON."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False, default=_as_dict) + "\n"


def _as_dict(row: Any) -> dict[str, Any]:
    """One level of a row; ``asdict`` copies every value deeply, which takes most of the time of writing."""
    return {each.name: getattr(row, each.name) for each in fields(row)}


def read_rows(path: Path, cls: type[Row]) -> Iterator[Row]:
    """Read JSONL rows of one type, one at a time.

    Raises:
        UserError: naming file, line and field, when a row does not fit the type.
    """
    return (row for _, row in RowFile(path, cls))


class RowFile(Generic[Row]):
    """JSONL rows of one type, read one at a time, each with the place where it can be read again."""

    def __init__(self, path: Path, cls: type[Row]) -> None:
        """Take the file."""
        self._path, self._cls, self._adapter = path, cls, TypeAdapter(cls)

    def __iter__(self) -> Iterator[tuple[int, Row]]:
        """Every row with its place.

        Raises:
            UserError: naming file, line and field, when a row does not fit the type.
        """
        for number, place, line in _lines(self._path):
            try:
                yield place, self._adapter.validate_json(line)
            except ValidationError as error:
                raise UserError(_row_error(self._path, number, error, self._cls)) from None

    def at(self, place: int) -> Row:
        """The row that was read from this place."""
        with self._path.open("rb") as file:
            file.seek(place)
            return self._adapter.validate_json(file.readline())


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Number, place and bytes of every line that is not blank."""
    if not path.is_file():
        raise UserError(f"{path}: no such file of rows; expected JSONL")
    with path.open("rb") as file:
        number = place = 0
        while line := file.readline(_MAX_LINE):
            number += 1
            if len(line) == _MAX_LINE and not line.endswith(b"\n"):
                raise UserError(
                    f"{path}:{number}: line longer than {_MAX_LINE >> 20} MB; expected one JSON row"
                )
            if line.strip():
                yield number, place, line
            place += len(line)


def _row_error(path: Path, number: int, error: ValidationError, cls: type) -> str:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "row"
    message = first["msg"]
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        close = nearest(field, list(cls.__annotations__))
        message = "unknown field" + (f"; did you mean {close!r}?" if close else "")
    return f"{path}:{number}:{field}: {message} (a {cls.__name__} row was expected)"


class AppendLog:
    """A JSONL log that survives a kill: whole lines are kept, a torn last line is cut off when it is reopened."""

    def __init__(self, path: Path) -> None:
        """Open for appending; drops a torn tail left by a killed process."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _cut_torn_line(path)
        self._file = path.open("a", encoding="utf-8", newline="\n")

    def append(self, row: object) -> None:
        """Append one row and flush it."""
        self._file.write(row_line(row))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _cut_torn_line(path: Path) -> None:
    """Cut off what follows the last newline; it is looked for from the end, for a log may be larger than memory."""
    with path.open("r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        whole = 0
        while end and not whole:
            start = max(0, end - _BLOCK)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n") + 1
            whole, end = (start + at if at else 0), start
        if whole != size:
            file.truncate(whole)


def files_under(folder: Path) -> list[Path]:
    """Every regular file below a folder in a stable order; a link is refused.

    Raises:
        UserError: a symbolic link was found (it may lead out of the run folder).
    """
    found: list[Path] = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise UserError(
                f"{path}: a symbolic link inside an artifact is refused; copy the file instead"
            )
        if path.is_file():
            found.append(path)
    return found


def hash_folder(folder: Path) -> dict[str, dict[str, object]]:
    """``{relative path: {sha256, bytes}}`` for every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): {
            "sha256": sha256_file(path),
            "bytes": path.stat().st_size,
        }
        for path in files_under(folder)
    }


def hash_input(path: Path) -> str:
    """One hash for a file or folder that was made elsewhere, by content; equal for equal files, linked or copied.

    A model in the hub's cache is a folder of links into another one. What is read is what they lead to, so that is what
    is hashed; only what a stage *writes* must hold its own files (:func:`files_under`).

    Raises:
        UserError: a link leads nowhere, or back to a folder that holds it.
    """
    if not path.is_dir():
        return sha256_file(path)
    found = _followed(path, frozenset())
    return content_hash({f.relative_to(path).as_posix(): {"sha256": sha256_file(f)} for f in found})


def _followed(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """Every file below a folder, links followed."""
    real = folder.resolve()
    if real in above:
        raise UserError(
            f"{folder}: a symbolic link to a folder that holds it; remove the link, or copy what is meant"
        )
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _followed(path, above | {real})
        elif path.is_file():
            yield path
        elif path.is_symlink():
            raise UserError(
                f"{path}: a symbolic link to {os.readlink(path)}, where nothing is; expected a whole folder: download "
                "it again, or copy the file here"
            )


def content_hash(files: Mapping[str, Mapping[str, object]]) -> str:
    """One hash for a folder's content, from its file table."""
    return sha256_json({name: entry["sha256"] for name, entry in files.items()})


def write_manifest(folder: Path, **facts: object) -> dict[str, Any]:
    """Hash ``folder/out`` and write ``folder/manifest.json``, the last act of a stage or checkpoint."""
    files = hash_folder(folder / "out")
    manifest = {**facts, "files": files, "content": content_hash(files)}
    write_json(folder / MANIFEST, manifest)
    return manifest


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a finished folder, or ``None`` when the folder is unfinished.

    Raises:
        UserError: it is damaged.
    """
    if not (folder / MANIFEST).is_file():
        return None
    manifest = read_json(folder / MANIFEST)
    try:
        whole = content_hash(manifest["files"]) == manifest["content"]
    except (AttributeError, KeyError, TypeError):  # a flipped bit may have renamed a key
        whole = False
    if not whole:
        raise UserError(f"{folder / MANIFEST}: is damaged; delete {folder} to redo the stage")
    return manifest


def verify_manifest(folder: Path) -> dict[str, Any]:
    """Check every file of a finished folder against its manifest.

    safetensors loads a bit-flipped payload without complaint, so only this makes a file *known* content.

    Raises:
        UserError: a file is missing, added or changed.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise UserError(
            f"{folder}: no {MANIFEST}, so this stage is unfinished; run the recipe again to finish it"
        )
    expected: dict[str, dict[str, Any]] = manifest["files"]
    actual = hash_folder(folder / "out")
    for name in sorted(expected.keys() | actual.keys()):
        if name not in actual:
            problem = "is missing"
        elif name not in expected:
            problem = "was added after the stage finished"
        elif actual[name]["sha256"] != expected[name]["sha256"]:
            problem = "changed after the stage finished (truncated, bit-flipped or edited)"
        else:
            continue
        raise UserError(
            f"{folder / 'out' / name}: {problem}; the manifest does not verify: delete {folder} to redo the stage"
        )
    return manifest


def fresh_folder(path: Path) -> Path:
    """An empty folder of this name; what was there is removed."""
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(parents=True)
    return path
