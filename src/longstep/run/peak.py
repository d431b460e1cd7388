"""The most memory that one stage held: the system's high-water mark, set back when the stage begins."""

from __future__ import annotations

import resource
from pathlib import Path

from longstep.models.load import accelerator_peak, reset_accelerator_peak

_MARK, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def begin_peak() -> bool:
    """Set the marks back; false where the system cannot, so that earlier stages would be counted too."""
    reset_accelerator_peak()
    try:
        _RESET.write_text("5")  # of proc(5): the peak resident size
    except OSError:
        return False
    return True


def peak_memory(own: bool) -> dict[str, int]:
    """MB held at most by this process since ``begin_peak``, what was there before it included, and by its accelerator.

    Args:
        own: whether the mark was set back; if not, the peak is the whole process's and is called so.
    """
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if own:
        lines = _MARK.read_text().splitlines()
        peak = next(
            (int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), peak
        )
    accelerator = accelerator_peak()
    found = {"peak_memory_mb" if own else "process_peak_memory_mb": peak}
    return found if accelerator is None else {**found, "peak_accelerator_mb": accelerator >> 20}
