"""Runs a command until it ends, we are told to stop, or the process that started us is gone. Standard library only.

``python guard.py PARENT_PID STOP_SECONDS COMMAND...``: a process between longstep and a server it manages, so that
the server and everything it started end with longstep, also when longstep is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

POLL_SECONDS = 0.1


def main(parent: int, stop_seconds: float, command: list[str]) -> int:
    """Run the command in a process group of its own; gives its exit status."""
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: told.append(number))
    try:
        child = subprocess.Popen(command, start_new_session=True, preexec_fn=_dying_with_us())
    except OSError as error:
        sys.stderr.write(f"{command[0]}: cannot be started: {error.strerror}\n")
        return 127
    while child.poll() is None and not told and os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    if child.poll() is None:
        _signal(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(stop_seconds)
    _signal(child.pid, signal.SIGKILL)  # what is left of its group
    status = child.wait()
    return status if status >= 0 else 128 - status  # as a shell says it


def _dying_with_us() -> Callable[[], object] | None:
    """On Linux the kernel kills the command when this guard is killed (prctl PR_SET_PDEATHSIG, 1)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: after it little may be done
    guard = os.getpid()

    def set_signal() -> None:
        prctl(1, signal.SIGKILL)
        if os.getppid() != guard:  # killed before the kernel knew: no signal will come
            os._exit(1)

    return set_signal


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
