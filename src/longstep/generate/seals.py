"""Rows in one file, batch after batch, each followed by its seal: whatever kills the writer, it loses one batch."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

from longstep.artifacts import row_line
from longstep.config import TypeAdapter

R = TypeVar("R")
SYNC_SECONDS = 1.0  # seals go to the disk together; a killed process loses none of them
_SEAL = b'{"sealed": '


class Sealed(Generic[R]):
    """Reads back what is sealed, one batch at a time, then takes new batches.

    What follows the last good seal of the same plan is cut off: a torn batch, or one that was drawn otherwise.
    """

    def __init__(self, path: Path, cls: type[R], plan: str) -> None:
        """Open or begin the file.

        Args:
            path: the file.
            cls: type of its rows.
            plan: names everything that the rows depend on; rows of another plan are drawn again.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._plan, self._adapter = plan, TypeAdapter(cls)
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._reading = True
        self._synced = time.monotonic()

    def next(self) -> list[R] | None:
        """The next sealed batch, or ``None`` when the rest has to be made."""
        if not self._reading:
            return None
        start = self._file.tell()
        if (lines := self._whole()) is not None:
            return [self._adapter.validate_json(line) for line in lines]
        self._file.seek(start)
        self._file.truncate()
        self._reading = False
        return None

    def append(self, rows: Sequence[R]) -> None:
        """Write a batch and seal it."""
        assert not self._reading, "what is sealed is read first"
        lines = [row_line(row).encode() for row in rows]
        seal = {"sealed": len(lines), "plan": self._plan, "digest": _digest(lines)}
        self._file.writelines([*lines, json.dumps(seal).encode() + b"\n"])
        self._file.flush()
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self._sync()

    def close(self) -> None:
        """Bring everything to the disk and close the file."""
        if not self._reading:
            self._sync()
        self._file.close()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def _whole(self) -> list[bytes] | None:
        """Lines of the batch that begins here, if it is sealed and whole."""
        lines: list[bytes] = []
        while (line := self._file.readline()).endswith(b"\n"):
            if line.startswith(_SEAL):
                return lines if self._holds(line, lines) else None
            lines.append(line)
        return None

    def _holds(self, line: bytes, lines: Sequence[bytes]) -> bool:
        try:
            seal = json.loads(line)
        except ValueError:
            return False
        same = seal.get("plan") == self._plan and seal["sealed"] == len(lines)
        return same and seal.get("digest") == _digest(lines)


def _digest(lines: Sequence[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for line in lines:
        digest.update(line)
    return digest.hexdigest()
