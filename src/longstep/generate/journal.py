"""The write-ahead log of requests: an answer is on disk before it is used, so a kill loses and doubles nothing."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from longstep.config import TypeAdapter, UserError
from longstep.generate.answer import Answer

SYNC_SECONDS = (
    1.0  # a batch of lines goes to the disk together; a killed process loses none of them
)
_ADAPTER = TypeAdapter(Answer)


def request_key(model: str, body: Mapping[str, Any]) -> str:
    """Name a request: a hash of the model and of what is asked, without address and credentials."""
    asked = {**body, "model": model}
    text = json.dumps(asked, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class Journal:
    """Answers by request, one JSON line each; only where each line lies is kept in memory.

    A torn last line, left by a kill, is cut off. A damaged line is as if it had never been written.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Open or begin the file and index what it holds; without a path the file is gone when it is closed."""
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}
        if path is None:
            self._file = TemporaryFile("a+b")  # noqa: SIM115
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        self._end = self._index()
        self._file.truncate(self._end)
        self._synced = time.monotonic()

    def __enter__(self) -> Journal:
        """Give itself; closed on leaving."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def __contains__(self, key: str) -> bool:
        """Whether a request was answered."""
        return key in self._places

    def __len__(self) -> int:
        """Requests answered."""
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        """Requests answered, in the order of the file."""
        return iter(self._places)

    def __getitem__(self, key: str) -> Answer:
        """Read an answer back.

        Raises:
            UserError: the file was changed by someone else.
        """
        start, length = self._places[key]
        line = os.pread(self._file.fileno(), length, start)
        found = _read(line)
        if found is None or found[0] != key:
            raise UserError(f"{self.path}: changed while it was in use; run again")
        return found[1]

    def append(self, key: str, answer: Answer) -> None:
        """Keep an answer; a second one to the same request is dropped."""
        if key in self._places:
            return
        fields = asdict(answer)
        if not answer.by_ids:
            del fields["ids"], fields["logprobs"]
        record = {"key": key, "check": _check(answer), "answer": fields}
        data = (json.dumps(record, ensure_ascii=False) + "\n").encode()
        self._file.write(data)
        self._file.flush()
        self._places[key] = (self._end, len(data))
        self._end += len(data)
        if time.monotonic() - self._synced >= SYNC_SECONDS:
            self._sync()

    def close(self) -> None:
        """Bring everything to the disk and close the file."""
        if not self._file.closed:
            self._sync()
            self._file.close()

    def _sync(self) -> None:
        os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def _index(self) -> int:
        """Find the whole lines; gives where the last one ends."""
        end = 0
        self._file.seek(0)
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            if (found := _read(line)) is not None:
                self._places.setdefault(found[0], (end, len(line)))
            end += len(line)
        return end


def _read(line: bytes) -> tuple[str, Answer] | None:
    """Key and answer of a line, or ``None`` when it is damaged."""
    try:
        record = json.loads(line)
        key, answer = record["key"], _ADAPTER.validate_python(record["answer"])
        intact = isinstance(key, str) and record["check"] == _check(answer)
    except (ValueError, LookupError, TypeError, RecursionError):  # pydantic's are ValueErrors
        return None
    return (key, answer) if intact else None


def _check(answer: Answer) -> str:
    said = answer.text + (repr((answer.ids, answer.logprobs)) if answer.by_ids else "")
    return hashlib.blake2b(said.encode(), digest_size=4).hexdigest()
