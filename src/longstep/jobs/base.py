"""A streaming job: files in, files out, in flat memory, and a kill at any moment costs seconds.

A job makes one or several *passes* over its input files. A pass cuts them into chunks of lines, turns each chunk into
a ``Piece`` (bytes to append to its output files, and counts to add up), and *seals* its position every second: where
it is in the input, how long each output is, the counts so far. Killed at any moment, the same command cuts the outputs
back to the sealed lengths and goes on; since a piece depends on its chunk alone, the result has the same bytes as one
uninterrupted run with any number of workers.
The folder is a ``workfolder``: ``job.json`` first, seals and scratch files in ``partial/`` (``partial/out`` becomes
``out``), ``manifest.json`` with counts, facts and hashes last.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import longstep
from longstep.artifacts import read_json, sha256_file, sha256_json, write_json
from longstep.closure import code_of
from longstep.config import Field, Strict, UserError
from longstep.disk import disk_errors, locked
from longstep.jobs.inputs import Chunk, Place, chunks, extent
from longstep.jobs.workers import in_order
from longstep.progress import Progress
from longstep.workfolder import PARTIAL, REFUSED, WorkFolder, settled

JOB, OUT = "job.json", "out"
SEAL_SECONDS = 1.0
_HEAD = 1 << 20

#: Two levels of names and a whole number: ``{"rows": {"read": 3}, "class": {"identical": 1}}``.
Counts = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one chunk becomes: bytes to append per output file, and counts to add."""

    outputs: Mapping[str, bytes]
    counts: Counts


class PieceMaker:
    """A piece in the making."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._outputs: dict[str, list[bytes]] = {}
        self._counts: Counts = {}

    def add(self, output: str, data: bytes) -> None:
        """Append to an output."""
        self._outputs.setdefault(output, []).append(data)

    def count(self, table: str, key: str, by: int = 1) -> None:
        """Add to a count."""
        entries = self._counts.setdefault(table, {})
        entries[key] = entries.get(key, 0) + by

    def whole(self, **others: bytes) -> Piece:
        """The piece, with outputs that were made at once."""
        return Piece(
            {name: b"".join(parts) for name, parts in self._outputs.items()} | others, self._counts
        )


Work = Callable[[Chunk], Piece]


@dataclass(frozen=True, slots=True)
class How:
    """What a job's result does not depend on: processes, where progress goes, how often the position is sealed."""

    workers: int = 1
    progress: Callable[[str, int, str], Progress] = Progress
    seal_seconds: float = SEAL_SECONDS


class Job(Strict):
    """Base of the configs of all jobs.

    Attributes:
        inputs: the files to read, in order.
        encoding: of their text.
    """

    inputs: tuple[Path, ...] = Field(min_length=1)
    encoding: str = "utf-8"

    def files(self) -> Iterator[Path]:
        """Every file that the result depends on."""
        yield from self.inputs

    def examine(self) -> None:
        """Look at the inputs before anything is written.

        Raises:
            UserError: the settings do not fit them.
        """

    def run(self, task: Task) -> dict[str, Any]:
        """Do the work into ``task``; returns facts for the manifest, which hold ``counts``."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Task:
    """A job's folder while it is being worked on."""

    folder: Path
    inputs: tuple[Path, ...]
    encoding: str
    how: How

    def scratch(self, name: str) -> Path:
        """A file or folder for this job alone, gone when it is finished; ``out/...`` is kept."""
        path = self.folder / PARTIAL / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def stream(
        self,
        name: str,
        make: Callable[[], Work],
        outputs: Sequence[str],
        check: Callable[[Counts], None] = lambda counts: None,
    ) -> Counts:
        """One pass over the inputs, from the beginning or from where a killed process left it.

        Args:
            name: of the pass, one per job.
            make: gives the function from chunk to piece; called once in each worker process, so it can be pickled
                (a module's function, or ``functools.partial`` of one).
            outputs: files below ``partial`` that pieces append to; all exist in the end, perhaps empty.
            check: looks at the counts after each chunk and raises ``UserError`` to stop.

        Returns:
            The counts over all chunks.
        """
        seal = _Seal(self.scratch(f"{name}.seal.json"))
        if seal.finished:
            return seal.counts
        length = extent(self.inputs)
        progress = self.how.progress(name, length.shown(length.total), length.unit)
        progress.start_at(length.shown(seal.place.total))
        with ExitStack() as stack:
            files = {
                each: stack.enter_context(seal.reopen(self.scratch(each), each)) for each in outputs
            }
            todo = chunks(self.inputs, seal.place, self.encoding)
            for chunk, piece in in_order(make, todo, self.how.workers):
                for each, data in piece.outputs.items():
                    files[each].write(data)
                seal.add(chunk.next, piece.counts)
                check(seal.counts)
                progress.advance(length.shown(chunk.next.total) - progress.done)
                if time.monotonic() - seal.written >= seal.wait(self.how.seal_seconds):
                    seal.write(files)
            if seal.place == Place():
                raise UserError(f"{self.inputs[0]}: holds no row")
            seal.write(files, finished=True)
        progress.finish()
        return seal.counts


def run_job(job: Job, folder: Path, how: How) -> dict[str, Any]:
    """Run a job in a folder, go on with it, or find it finished; returns the manifest.

    Raises:
        UserError: an input cannot be used, or the folder belongs to other settings or other inputs.
    """
    if folder.is_dir() and not (folder / JOB).is_file() and any(_strangers(folder)):
        raise UserError(
            f"{folder}: holds files that no job of this kind wrote; choose another --out"
        )
    parts = _parts(job)
    job.examine()
    work = WorkFolder(folder, JOB, str(folder), "delete the folder to begin again")
    with locked(folder), disk_errors(folder):
        work.begin(parts)
        if (manifest := work.finished()) is not None:
            return manifest
        if (folder / OUT).exists():  # killed after its last rename and before its manifest
            (folder / OUT).rename(folder / PARTIAL / OUT)
        task = Task(folder, job.inputs, job.encoding, how)
        task.scratch(REFUSED).unlink(missing_ok=True)
        try:
            facts = job.run(task)
        except UserError:
            task.scratch(REFUSED).touch()
            raise
        (folder / PARTIAL / OUT).rename(folder / OUT)
        hashes = {name: sha256_file(Path(name)) for name in parts["inputs"]}
        return work.seal(
            job=parts["config"],
            inputs=hashes,
            version=longstep.__version__,
            fingerprint=sha256_json(parts),
            **facts,
            artifact="rows",
        )


def _strangers(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.name != "run.lock")


def _parts(job: Job) -> dict[str, Any]:
    """What the result depends on."""
    return {
        "config": settled(job),
        "inputs": {str(path): _looks(path) for path in job.files()},
        "code": code_of(job),
    }


def _looks(path: Path) -> dict[str, Any]:
    """What tells a changed input cheaply: its size and the hash of both its ends; the manifest has the whole hash."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.sha256(file.read(_HEAD))
            file.seek(max(size - _HEAD, 0))
            digest.update(file.read(_HEAD))
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); expected a data file"
        ) from None
    return {"bytes": size, "ends": digest.hexdigest()}


class _Seal:
    """How far a pass is, on disk: everything beyond it is redone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        state = read_json(path) if path.is_file() else {}
        self.place = Place(**state.get("place", {}))
        self.lengths: dict[str, int] = state.get("lengths", {})
        self.counts: Counts = state.get("counts", {})
        self.finished: bool = state.get("finished", False)
        self.written = time.monotonic()
        self.took = 0.0

    def wait(self, seconds: float) -> float:
        """Seconds from one seal to the next: sealing hundreds of outputs is slow and may take a tenth of the time."""
        return max(seconds, 10 * self.took)

    def reopen(self, path: Path, name: str) -> BinaryIO:
        """Open an output where the seal says it ends."""
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
        length = self.lengths.get(name, 0)
        if file.tell() < length:
            file.close()
            raise UserError(
                f"{path}: is shorter than when it was sealed; delete the job's folder to begin again"
            )
        file.truncate(length)
        return file

    def add(self, place: Place, counts: Counts) -> None:
        self.place = place
        for table, entries in counts.items():
            mine = self.counts.setdefault(table, {})
            for key, count in entries.items():
                mine[key] = mine.get(key, 0) + count

    def write(self, files: Mapping[str, BinaryIO], finished: bool = False) -> None:
        """Bring the outputs to disk, then say how long they are."""
        began = time.monotonic()
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
        self.lengths = {name: file.tell() for name, file in files.items()}
        state = {
            "place": asdict(self.place),
            "lengths": self.lengths,
            "counts": self.counts,
            "finished": finished,
        }
        write_json(self.path, state)
        self.written = time.monotonic()
        self.took = self.written - began
