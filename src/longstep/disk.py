"""A run folder as the system sees it: held by one process, and perhaps full, read-only or out of reach."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from longstep.config import UserError

DISK_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
    errno.EEXIST, errno.EISDIR, errno.ENOTDIR,
}  # fmt: skip
PROBE_BYTES = 1 << 20


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one process; the lock dies with the process, so none is ever stale.

    Raises:
        UserError: another process holds it (pid, host, since), or the folder cannot be written.
    """
    path = folder / "run.lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); choose another --out"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UserError(
                f"{folder}: another run is using this folder ({file.read().strip()}); wait or choose another --out"
            ) from None
        file.truncate(0)
        file.write(
            f"pid {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n"
        )
        file.flush()
        yield


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Say in one sentence that nothing can be written; torch and safetensors have their own errors for that."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = _disk_reason(error, folder)
        if reason is None:
            raise
        where = (error.filename if isinstance(error, OSError) else None) or folder
        raise UserError(
            f"{where}: cannot be written ({reason}); what was finished is intact: "
            "make room or fix the permission, then run the same command again"
        ) from error


def _disk_reason(error: Exception, folder: Path) -> str | None:
    """What the system said about a write that failed, or ``None`` for an error of another kind."""
    if isinstance(error, OSError):
        return error.strerror if error.errno in DISK_ERRORS else None
    probe = folder / ".probe"
    try:
        probe.write_bytes(bytes(PROBE_BYTES))
    except OSError as found:
        return found.strerror
    finally:
        probe.unlink(missing_ok=True)
    return None
