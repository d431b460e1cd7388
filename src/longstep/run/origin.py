"""Under which circumstances a run was made: what a reader of its numbers asks for first."""

from __future__ import annotations

import platform
import shlex
import socket
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import longstep

#: One line for each command that worked in the run folder.
COMMANDS = "commands.jsonl"
#: Libraries that results depend on; what is not installed is left out.
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "numpy")


def circumstances() -> dict[str, object]:
    """Command, folder, host, system and versions, for the record of a run."""
    return {
        "command": shlex.join([_program(Path(sys.argv[0])), *sys.argv[1:]]),
        "cwd": str(Path.cwd()),
        "host": socket.gethostname(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "longstep": longstep.__version__,
            "python": platform.python_version(),
            **{name: found for name in LIBRARIES if (found := _version(name))},
        },
    }


def _program(path: Path) -> str:
    """What a person would type: ``python -m longstep`` is called by the path of a file of ours."""
    own = Path(longstep.__file__).parent
    return "longstep" if own in path.resolve().parents else path.name


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
