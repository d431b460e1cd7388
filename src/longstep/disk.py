"""A run folder as the system sees it: held by one process, and perhaps full, read-only or out of reach."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from longstep.config import UserError

DISK_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
    errno.EEXIST, errno.EISDIR, errno.ENOTDIR,
}  # fmt: skip
#: What a network or container file system says that keeps no locks.
LOCK_ERRORS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
PROBE_BYTES = 1 << 20
#: Of a run folder.
LOCK = "run.lock"
#: Seconds to wait for a lock: ``held`` takes it for a moment to see whether it is free.
PATIENCE = 0.5


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one process; the lock dies with the process, so none is ever stale.

    Raises:
        UserError: another process holds it (pid, host, since), or the folder cannot be written or locked.
    """
    path = folder / LOCK
    # Where the file system has no locks we refuse: filelock's stand-in, a file that exists, would outlive a kill.
    lock = FileLock(path, timeout=PATIENCE, fallback_to_soft=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        path.write_text(f"pid {os.getpid()} on {socket.gethostname()} since {_now()}\n", "utf-8")
    except Timeout:
        raise UserError(
            f"{folder}: another run is using this folder ({_holder(path)}); wait or choose another --out"
        ) from None
    except OSError as error:
        lock.release()
        verb = "locked" if error.errno in LOCK_ERRORS else "written"
        raise UserError(
            f"{folder}: cannot be {verb} ({error.strerror}); choose another --out"
        ) from None
    try:
        yield
    finally:
        lock.release()


def held(folder: Path) -> bool:
    """Whether a living process holds the folder: the system frees the lock of a dead one, whatever its file says.

    Raises:
        UserError: the lock cannot be tried.
    """
    path = folder / LOCK
    if not path.is_file():
        return False
    lock = FileLock(path, blocking=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        return True
    except OSError as error:
        raise UserError(
            f"{path}: cannot be tried ({error.strerror}); ask on the machine that runs it"
        ) from None
    lock.release()
    return False


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _holder(path: Path) -> str:
    """What the holder wrote of itself; nothing in the moment before it did."""
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return "its lock cannot be read"


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
